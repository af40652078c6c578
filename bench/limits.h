/* SPDX-License-Identifier: MIT
 *
 * Time, and what this machine can do at most: operations per second of a loop of FMAs that stays in registers, and
 * bytes per second of reading an array. Benchmarks measure these beside what they compare with them.
 */
#ifndef TTT_BENCH_LIMITS_H
#define TTT_BENCH_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "cpu/isa.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifdef __x86_64__
enum { FMA_CHAINS = 12, FMA_STEPS = 1000000 };

__attribute__((target("avx512f"))) static inline float fma_avx512(void)
{
    __m512 sum[FMA_CHAINS];
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
#pragma GCC unroll 12
    for (int c = 0; c < FMA_CHAINS; c++) sum[c] = _mm512_set1_ps((float)c);
    for (int i = 0; i < FMA_STEPS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < FMA_CHAINS; c++) sum[c] = _mm512_fmadd_ps(sum[c], x, y);
    }
#pragma GCC unroll 12
    for (int c = 1; c < FMA_CHAINS; c++) sum[0] = _mm512_add_ps(sum[0], sum[c]);
    return _mm512_cvtss_f32(sum[0]);
}

__attribute__((target("avx2,fma"))) static inline float fma_avx2(void)
{
    __m256 sum[FMA_CHAINS];
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
#pragma GCC unroll 12
    for (int c = 0; c < FMA_CHAINS; c++) sum[c] = _mm256_set1_ps((float)c);
    for (int i = 0; i < FMA_STEPS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < FMA_CHAINS; c++) sum[c] = _mm256_fmadd_ps(sum[c], x, y);
    }
#pragma GCC unroll 12
    for (int c = 1; c < FMA_CHAINS; c++) sum[0] = _mm256_add_ps(sum[0], sum[c]);
    return _mm256_cvtss_f32(sum[0]);
}

/* Of one thread; 0 for the scalar kernels, whose rate depends on what the compiler makes of them. */
static inline double fma_rate(ttt_isa isa)
{
    volatile float sink = 0;
    double best = 0;
    for (int i = 0; i < 5 && isa != TTT_ISA_SCALAR; i++) {
        const double start = now();
        sink = isa >= TTT_ISA_AVX512 ? fma_avx512() : fma_avx2();
        const double rate = 2.0 * FMA_CHAINS * FMA_STEPS * (isa >= TTT_ISA_AVX512 ? 16 : 8) / (now() - start);
        if (rate > best) best = rate;
    }
    (void)sink;
    return best;
}
#else
static inline double fma_rate(ttt_isa isa) { return (void)isa, 0; }
#endif

/* Of one thread, over `bytes` of x, by the widest reads that plain code gets: a sum of words. */
static inline double read_rate(const void *x, size_t bytes)
{
    const uint64_t *words = x;
    const size_t count = bytes / sizeof *words / 8 * 8;
    volatile uint64_t sink = 0;
    double best = 0;
    for (int repeat = 0; repeat < 5; repeat++) {
        uint64_t sums[8] = {0};
        const double start = now();
        for (size_t i = 0; i < count; i += 8)
            for (int c = 0; c < 8; c++) sums[c] ^= words[i + (size_t)c];
        const double rate = (double)(count * sizeof *words) / (now() - start);
        for (int c = 0; c < 8; c++) sink ^= sums[c];
        if (rate > best) best = rate;
    }
    (void)sink;
    return best;
}

#endif
