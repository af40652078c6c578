/* SPDX-License-Identifier: MIT
 *
 * The most that an instruction set can do: a loop of FMAs that stay in registers. More chains than the latency of an
 * FMA times the number of units, and few enough for the registers of every instruction set.
 */
#ifndef TTT_CPU_BODY_LIMITS_H
#define TTT_CPU_BODY_LIMITS_H

enum { FMA_CHAINS = 12 };

static double fma_loop(float *sink, int64_t steps)
{
    vf sums[FMA_CHAINS];
    const vf x = vf_set(0.999f), y = vf_set(1e-3f);
#pragma GCC unroll 12
    for (int c = 0; c < FMA_CHAINS; c++) sums[c] = vf_set((float)c);
    for (int64_t i = 0; i < steps; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < FMA_CHAINS; c++) sums[c] = vf_fma(sums[c], x, y);
    }
#pragma GCC unroll 12
    for (int c = 1; c < FMA_CHAINS; c++) sums[0] = vf_add(sums[0], sums[c]);
    *sink = vf_sum(sums[0]);
    return 2.0 * FMA_CHAINS * VF * (double)steps;
}

#endif
