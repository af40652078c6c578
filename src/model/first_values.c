/* SPDX-License-Identifier: MIT
 *
 * Where training begins. A value depends on the seed, its parameter's place in the table and its own place, so threads
 * fill in pieces of any order.
 */
#include <math.h>

#include "base/elementary.h"
#include "base/rng.h"

#include "model/weights.h"

enum { CHUNK = 4096 };

typedef struct filling {
    const ttt_param_spec *spec;
    char *values;
    ttt_dtype dtype;
    ttt_rng rng;
} filling;

/* A standard normal cut at two has this standard deviation. */
static const double cut_deviation = 0.87962566103423978;

/* Index `index` of a truncated normal: drawn again, from another stream, until it lies inside. */
static double truncated(ttt_rng rng, uint64_t index)
{
    double x;
    while (fabs(x = ttt_rng_normal(rng, index)) > 2) rng.stream += (uint64_t)1 << 48;
    return x / cut_deviation;
}

/* MATH (init): what softplus turns into a time step. */
static double time_step(const ttt_first *first, double uniform)
{
    const double low = ttt_ln(first->low), high = ttt_ln(first->high);
    const double dt = fmax(first->floor, ttt_exp(low + uniform * (high - low)));
    return dt + ttt_ln(-ttt_expm1(-dt));
}

/* Of the kinds without a normal distribution: the value at an index. */
static double plain(const filling *f, uint64_t index)
{
    const ttt_first *first = &f->spec->first;
    switch (first->init) {
    case TTT_INIT_ONES: return 1;
    case TTT_INIT_CONSTANT: return first->high;
    case TTT_INIT_UNIFORM: return first->low + (first->high - first->low) * ttt_rng_uniform(f->rng, index);
    case TTT_INIT_LOG_UNIFORM: return ttt_ln(first->high + (first->low - first->high) * ttt_rng_uniform(f->rng, index));
    case TTT_INIT_LOG_INDEX: return ttt_ln1p((double)(index % (uint64_t)ttt_param_columns(f->spec)));
    case TTT_INIT_TIME_STEP: return time_step(first, ttt_rng_uniform(f->rng, index));
    default: return 0;
    }
}

/* Values [first, first + count), first even. */
static void fill(const filling *f, double *values, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i += 2) {
        double pair[2] = {0, 0};
        const uint64_t index = (uint64_t)(first + i);
        switch (f->spec->first.init) {
        case TTT_INIT_NORMAL: ttt_rng_normal_pair(f->rng, index / 2, pair); break;
        case TTT_INIT_TRUNCATED:
            pair[0] = truncated(f->rng, index);
            pair[1] = truncated(f->rng, index + 1);
            break;
        default: pair[0] = plain(f, index); pair[1] = plain(f, index + 1);
        }
        const double scale = f->spec->first.std > 0 ? f->spec->first.std : 1;
        values[i] = scale * pair[0];
        if (i + 1 < count) values[i + 1] = scale * pair[1];
    }
}

static void fill_chunk(void *context, int64_t item, int thread)
{
    (void)thread;
    const filling *f = context;
    double chunk[CHUNK];
    const int64_t first = item * CHUNK, total = ttt_param_elements(f->spec);
    const int64_t count = total - first < CHUNK ? total - first : CHUNK;
    fill(f, chunk, first, count);
    ttt_dtype_convert(f->values + (size_t)first * ttt_dtype_bytes(f->dtype), f->dtype, chunk, TTT_F64, (size_t)count);
}

void ttt_first_values(const ttt_params *params, int64_t index, uint64_t seed, const ttt_backend *backend, void *values,
                      ttt_dtype dtype)
{
    const ttt_param_spec *spec = &params->specs[index];
    filling f = {.spec = spec,
                 .values = values,
                 .dtype = dtype,
                 .rng = {.seed = seed, .stream = TTT_RNG_INIT + ((uint64_t)index << 8)}};
    ttt_backend_parallel(backend, (ttt_param_elements(spec) + CHUNK - 1) / CHUNK, fill_chunk, &f);
}
