/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary in which the kernels (body_*.h) are written once, here on plain C: a "vector" of one float.
 * It runs everywhere and states the contract; vec_avx2.h and vec_avx512.h are the same functions with more lanes.
 * Where a function takes n, it concerns the first n lanes, 0 <= n <= VF: no other memory is touched.
 */
#ifndef TTT_CPU_VEC_SCALAR_H
#define TTT_CPU_VEC_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Lanes of a vector, and the block of a product that the registers hold: rows times vectors. */
enum { VF = 1, VF_BLOCK_ROWS = 4, VF_BLOCK_VECTORS = 4 };
typedef float vf;

/* a b + c, rounded once, where the machine has no instruction for it. In double the product is exact and the sum s of
 * the two rounded; what it lost says which way the last bit of s must go so that rounding to a float is right: to odd,
 * away from every tie. */
__attribute__((noinline, unused)) static float emulated_fma(float a, float b, float c)
{
    const double product = (double)a * (double)b, other = (double)c, s = product + other;
    const double more = s - product, lost = (product - (s - more)) + (other - more);
    uint64_t bits;
    double odd;
    memcpy(&bits, &s, sizeof bits);
    if (lost != 0 && (bits & 1) == 0 && s - s == 0) bits += (lost > 0) == (s > 0) ? 1 : (uint64_t)-1;
    memcpy(&odd, &bits, sizeof odd);
    return (float)odd;
}

/* An x86 that has the instruction is asked for it here, since plain C is compiled for those without; volatile, or the
 * compiler may move it before the question. */
static inline float exact_fma(float a, float b, float c)
{
#if defined(__FP_FAST_FMAF)
    return fmaf(a, b, c);
#elif defined(__x86_64__)
    if (__builtin_cpu_supports("fma")) {
        __asm__ volatile("vfmadd231ss %2, %1, %0" : "+x"(c) : "x"(a), "x"(b));
        return c;
    }
#endif
    return emulated_fma(a, b, c);
}

static inline vf vf_zero(void) { return 0; }
static inline vf vf_set(float x) { return x; }          /* all lanes */
static inline vf vf_load(const float *x) { return *x; } /* need not be aligned, nor need the others */
static inline vf vf_load_n(const float *x, int64_t n) { return n > 0 ? *x : 0; } /* the other lanes are 0 */
static inline void vf_store(float *y, vf a) { *y = a; }
static inline void vf_store_n(float *y, vf a, int64_t n)
{
    if (n > 0) *y = a;
}

static inline vf vf_first(vf a, int64_t n) { return n > 0 ? a : 0; } /* the other lanes become 0 */

static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_div(vf a, vf b) { return a / b; }
static inline vf vf_fma(vf a, vf b, vf c) { return exact_fma(a, b, c); } /* a b + c, rounded once */
static inline vf vf_fnma(vf a, vf b, vf c) { return vf_fma(-a, b, c); }
static inline vf vf_max(vf a, vf b) { return a > b ? a : b; } /* b if one of them is NaN */
static inline vf vf_min(vf a, vf b) { return a < b ? a : b; } /* b if one of them is NaN */
static inline vf vf_sqrt(vf a) { return sqrtf(a); }

/* To the nearest integer, ties to even, for |a| < 2^22. */
static inline vf vf_round(vf a)
{
    const float shift = 8388608; /* 2^23: from there on, floats are integers */
    return copysignf((fabsf(a) + shift) - shift, a);
}

/* 2^n for an integer n in [-126, 127]; anything for NaN. */
static inline vf vf_power2(vf n)
{
    const uint32_t bits = n == n ? (uint32_t)((int32_t)n + 127) << 23 : 0;
    float power;
    memcpy(&power, &bits, sizeof power);
    return power;
}

/* A word is two bf16 in the bits of a float. Words of two vectors, rounded to the nearest, ties to even: `even` in the
 * high halves, `odd` in the low ones. And back: what the high halves hold, and the low ones. */
static inline uint32_t vf_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fc0;
}
static inline vf vf_pairs(vf even, vf odd)
{
    const uint32_t bits = vf_bf16(even) << 16 | vf_bf16(odd);
    vf words;
    memcpy(&words, &bits, sizeof words);
    return words;
}
static inline vf vf_even(vf words)
{
    uint32_t bits;
    memcpy(&bits, &words, sizeof bits);
    bits &= 0xffff0000;
    memcpy(&words, &bits, sizeof words);
    return words;
}
static inline vf vf_odd(vf words)
{
    uint32_t bits;
    memcpy(&bits, &words, sizeof bits);
    bits <<= 16;
    memcpy(&words, &bits, sizeof words);
    return words;
}

/* Of 2 VF numbers in a row, a and then b: those of even index to a, of odd index to b. And back. */
static inline void vf_split(vf *a, vf *b) { (void)a, (void)b; }
static inline void vf_join(vf *a, vf *b) { (void)a, (void)b; }

/* VF vectors as the rows of a square, transposed in place. */
static inline void vf_transpose(vf *rows) { (void)rows; }

/* Over the lanes: halves added to halves. And the largest. */
static inline float vf_sum(vf a) { return a; }
static inline float vf_top(vf a) { return a; }

/* Bytes: vb is four unsigned ones for each lane, vx four signed ones for all lanes, vi a 32-bit whole number for each.
 */
typedef struct vb {
    uint8_t byte[4];
} vb;
typedef struct vx {
    int8_t byte[4];
} vx;
typedef int32_t vi;

/* The block of a product of bytes that the registers hold; bytes that vx_widen makes of a block of a row, 0 where
 * vx_load takes codes as they are. */
enum { VB_ROWS = 4, VB_VECTORS = 1, VB_WIDE = 0 };

static inline vb vb_load(const uint8_t *x) /* VF times four */
{
    vb bytes;
    memcpy(&bytes, x, sizeof bytes);
    return bytes;
}
static inline void vx_widen(int8_t *wide, const int8_t *codes) { (void)wide, (void)codes; }
static inline vx vx_load(const int8_t *codes, int group) /* four of a block's 32 */
{
    vx bytes;
    memcpy(&bytes, codes + 4 * group, sizeof bytes);
    return bytes;
}

/* The halves of every byte. */
static inline vb vb_low(vb a)
{
    for (int i = 0; i < 4; i++) a.byte[i] &= 15;
    return a;
}
static inline vb vb_high(vb a)
{
    for (int i = 0; i < 4; i++) a.byte[i] >>= 4;
    return a;
}

static inline vi vi_set(int32_t x) { return x; }
static inline vi vi_dot(vi sum, vb w, vx x) /* + the four products of each lane, exactly */
{
    for (int i = 0; i < 4; i++) sum += w.byte[i] * x.byte[i];
    return sum;
}

/* The same for weights of at most 15, over no more than a block: sums `vn` and factors `vq` may be narrower. Where they
 * are, it is vn_whole and not vn_set that counts `start` in. */
typedef vx vq;
typedef vi vn;
static inline vq vq_load(const int8_t *x) { return vx_load(x, 0); }
static inline vn vn_set(int32_t start) { return start; }
static inline vn vn_dot(vn sum, vb w, vq x) { return vi_dot(sum, w, x); }
static inline vi vn_whole(vn sum, int32_t start) { return (void)start, sum; }

static inline vf vf_whole(vi a) { return (float)a; }
static inline vf vf_scales(const uint8_t *x) /* VF bf16, at any address */
{
    const uint32_t bits = (uint32_t)x[0] << 16 | (uint32_t)x[1] << 24;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}
/* VF whole numbers in [-127, 127]. */
static inline void vf_store_codes(int8_t *y, vf a) { *y = (int8_t)a; }

#endif
