/* SPDX-License-Identifier: MIT
 *
 * The floating-point environment that everything is computed in: rounding to nearest, subnormal numbers as they are
 * (but in products of bf16: TTT_FLOAT_FLUSH), no traps. A host program may have another one in its threads (a library
 * built with -ffast-math sets flush-to-zero when it is loaded); results must not depend on it, nor it on us.
 */
#ifndef TTT_BASE_FLOAT_ENV_H
#define TTT_BASE_FLOAT_ENV_H

#include <assert.h>
#include <float.h>
#include <stdint.h>

static_assert(FLT_EVAL_METHOD == 0, "floats are to be computed as floats, doubles as doubles: on x86 with SSE2");

#if defined(__x86_64__) || defined(__i386__)
/* MXCSR at the start of a program; subnormals as zero, read and written; what has happened since */
enum { TTT_FLOAT_ENV = 0x1f80, TTT_FLOAT_FLUSH = 0x9fc0, TTT_FLOAT_FLAGS = 0x3f };
static inline uint64_t ttt_float_get(void) { return __builtin_ia32_stmxcsr() & ~(unsigned)TTT_FLOAT_FLAGS; }
static inline void ttt_float_set(uint64_t env)
{
    __builtin_ia32_ldmxcsr((__builtin_ia32_stmxcsr() & TTT_FLOAT_FLAGS) | (unsigned)env);
}
#elif defined(__aarch64__)
enum { TTT_FLOAT_ENV = 0, TTT_FLOAT_FLUSH = 1 << 24 }; /* FPCR */
static inline uint64_t ttt_float_get(void)
{
    uint64_t env;
    __asm__ volatile("mrs %0, fpcr" : "=r"(env));
    return env;
}
static inline void ttt_float_set(uint64_t env) { __asm__ volatile("msr fpcr, %0" : : "r"(env)); }
#else
enum { TTT_FLOAT_ENV = 0, TTT_FLOAT_FLUSH = 0 };
static inline uint64_t ttt_float_get(void) { return TTT_FLOAT_ENV; }
static inline void ttt_float_set(uint64_t env) { (void)env; }
#endif

/* Around what computes: `const uint64_t host = ttt_float_begin(); ...; ttt_float_end(host);` */
static inline uint64_t ttt_float_begin(void)
{
    const uint64_t host = ttt_float_get();
    if (host != TTT_FLOAT_ENV) ttt_float_set(TTT_FLOAT_ENV);
    return host;
}
static inline void ttt_float_end(uint64_t host)
{
    if (host != TTT_FLOAT_ENV) ttt_float_set(host);
}

#endif
