/* SPDX-License-Identifier: MIT
 *
 * Products of bf16 with AVX512_BF16, whose instruction adds two products to each of 16 sums, rounds after each, that of
 * the high halves first, and counts subnormal numbers as zero: the chain that MATH (bf16) asks for.
 */
#include "cpu/isa_avx512bf16.h"

#include "cpu/vec_avx512.h"

#include "cpu/body_tiles.h"

void ttt_avx512bf16_tile_product(const ttt_tile_product *p) { tile_product(p); }

/* As fma_loop of body_limits.h. */
double ttt_avx512bf16_tile_loop(float *sink, int64_t steps)
{
    enum { CHAINS = 12 };
    vf sums[CHAINS];
    const vw x = vw_of(vf_pairs(vf_set(0.5f), vf_set(0.25f)));
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) sums[c] = vf_set((float)c);
    for (int64_t i = 0; i < steps; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) sums[c] = vw_fma(x, x, sums[c]);
    }
#pragma GCC unroll 12
    for (int c = 1; c < CHAINS; c++) sums[0] = vf_add(sums[0], sums[c]);
    *sink = vf_sum(sums[0]);
    return 4.0 * CHAINS * VF * (double)steps;
}
