/* SPDX-License-Identifier: MIT */
#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>

#include "base/elementary.h"

static philox4x32_ctr_t words(ttt_rng rng, uint64_t index)
{
    const philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)rng.stream, (uint32_t)(rng.stream >> 32)}};
    const philox4x32_key_t key = {{(uint32_t)rng.seed, (uint32_t)(rng.seed >> 32)}};
    return philox4x32(counter, key);
}

static uint64_t join(uint32_t low, uint32_t high) { return (uint64_t)high << 32 | low; }
static double unit(uint64_t bits) { return (double)(bits >> 11) * 0x1p-53; }

uint64_t ttt_rng_u64(ttt_rng rng, uint64_t index)
{
    const philox4x32_ctr_t w = words(rng, index);
    return join(w.v[0], w.v[1]);
}

double ttt_rng_uniform(ttt_rng rng, uint64_t index) { return unit(ttt_rng_u64(rng, index)); }

void ttt_rng_normal_pair(ttt_rng rng, uint64_t pair, double normals[2])
{
    const philox4x32_ctr_t w = words(rng, pair);
    const double radius = sqrt(-2.0 * ttt_ln(1.0 - unit(join(w.v[0], w.v[1]))));
    const double angle = 6.283185307179586476925286766559 * unit(join(w.v[2], w.v[3]));
    ttt_sincos(angle, &normals[1], &normals[0]);
    normals[0] *= radius;
    normals[1] *= radius;
}

double ttt_rng_normal(ttt_rng rng, uint64_t index)
{
    double normals[2];
    ttt_rng_normal_pair(rng, index / 2, normals);
    return normals[index % 2];
}
