/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on AVX2 with FMA: 8 floats. The contract of each function is in vec_scalar.h.
 */
#ifndef TTT_CPU_VEC_AVX2_H
#define TTT_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { VF = 8, VF_BLOCK_ROWS = 6, VF_BLOCK_VECTORS = 2 };
typedef __m256 vf;

static inline __m256i vf_mask(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline vf vf_zero(void) { return _mm256_setzero_ps(); }
static inline vf vf_set(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *x) { return _mm256_loadu_ps(x); }
static inline vf vf_load_n(const float *x, int64_t n) { return _mm256_maskload_ps(x, vf_mask(n)); }
static inline void vf_store(float *y, vf a) { _mm256_storeu_ps(y, a); }
static inline void vf_store_n(float *y, vf a, int64_t n) { _mm256_maskstore_ps(y, vf_mask(n), a); }

static inline vf vf_first(vf a, int64_t n) { return _mm256_and_ps(a, _mm256_castsi256_ps(vf_mask(n))); }

static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

static inline vf vf_power2(vf n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
}

/* bf16 in the high halves, anything in the low ones. */
static inline __m256i vf_bf16(vf a)
{
    const __m256i bits = _mm256_castps_si256(a),
                  odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    return _mm256_blendv_epi8(_mm256_set1_epi32(0x7fc00000), rounded,
                              _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_ORD_Q)));
}
static inline vf vf_pairs(vf even, vf odd)
{
    const __m256i low = _mm256_srli_epi32(vf_bf16(odd), 16);
    return _mm256_castsi256_ps(_mm256_blend_epi16(low, vf_bf16(even), 0xaa));
}
static inline vf vf_even(vf words)
{
    return _mm256_castsi256_ps(_mm256_and_si256(_mm256_castps_si256(words), _mm256_set1_epi32((int)0xffff0000)));
}
static inline vf vf_odd(vf words) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(words), 16)); }

static inline void vf_split(vf *a, vf *b)
{
    const __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(*a, *b, 0x88)),
                  odd = _mm256_castps_si256(_mm256_shuffle_ps(*a, *b, 0xdd));
    *a = _mm256_castsi256_ps(_mm256_permute4x64_epi64(even, 0xd8));
    *b = _mm256_castsi256_ps(_mm256_permute4x64_epi64(odd, 0xd8));
}

static inline void vf_join(vf *a, vf *b)
{
    const vf low = _mm256_unpacklo_ps(*a, *b), high = _mm256_unpackhi_ps(*a, *b);
    *a = _mm256_permute2f128_ps(low, high, 0x20);
    *b = _mm256_permute2f128_ps(low, high, 0x31);
}

static inline __attribute__((always_inline)) void vf_transpose(vf *rows)
{
    vf quads[VF]; /* element 4h + c, 128-bit half L: column 4L + c of rows 4h to 4h + 3 */
#pragma GCC unroll 2
    for (int h = 0; h < VF; h += 4) {
        const vf low01 = _mm256_unpacklo_ps(rows[h], rows[h + 1]), high01 = _mm256_unpackhi_ps(rows[h], rows[h + 1]);
        const vf low23 = _mm256_unpacklo_ps(rows[h + 2], rows[h + 3]),
                 high23 = _mm256_unpackhi_ps(rows[h + 2], rows[h + 3]);
        quads[h] = _mm256_shuffle_ps(low01, low23, 0x44);
        quads[h + 1] = _mm256_shuffle_ps(low01, low23, 0xee);
        quads[h + 2] = _mm256_shuffle_ps(high01, high23, 0x44);
        quads[h + 3] = _mm256_shuffle_ps(high01, high23, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) {
        rows[c] = _mm256_permute2f128_ps(quads[c], quads[4 + c], 0x20);
        rows[4 + c] = _mm256_permute2f128_ps(quads[c], quads[4 + c], 0x31);
    }
}

static inline float vf_sum(vf a)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

static inline float vf_top(vf a)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* ---- bytes: neighbours are widened and multiplied as 16-bit numbers, the even ones and the odd ones ---- */

enum { VB_ROWS = 4, VB_VECTORS = 2, VB_WIDE = 64 };
typedef __m256i vb, vi, vq, vn;
typedef struct vx {
    __m256i even, odd;
} vx;

static inline vb vb_load(const uint8_t *x) { return _mm256_loadu_si256((const __m256i *)(const void *)x); }
static inline __m256i vq_load(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm256_set1_epi32(four);
}
static inline void vx_widen(int8_t *wide, const int8_t *codes)
{
    const __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    _mm256_storeu_si256((__m256i *)(void *)wide, _mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8));
    _mm256_storeu_si256((__m256i *)(void *)(wide + 32), _mm256_srai_epi16(bytes, 8));
}
static inline vx vx_load(const int8_t *wide, int group)
{
    return (vx){vq_load(wide + 4 * group), vq_load(wide + 32 + 4 * group)};
}
static inline vb vb_low(vb a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
static inline vb vb_high(vb a) { return vb_low(_mm256_srli_epi16(a, 4)); }

static inline vi vi_set(int32_t x) { return _mm256_set1_epi32(x); }
static inline vi vi_dot(vi sum, vb w, vx x)
{
    const __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(255)), x.even);
    sum = _mm256_add_epi32(sum, _mm256_add_epi32(even, _mm256_madd_epi16(_mm256_srli_epi16(w, 8), x.odd)));
    __asm__("" : "+x"(sum)); /* or GCC multiplies first and adds later, which takes more registers than there are */
    return sum;
}

/* Two products of at most 15 * 127 in a half of a lane, of which eight add up. */
static inline vn vn_set(int32_t start) { return (void)start, _mm256_setzero_si256(); }
static inline vn vn_dot(vn sum, vb w, vq x)
{
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
    __asm__("" : "+x"(sum));
    return sum;
}
static inline vi vn_whole(vn sum, int32_t start)
{
    return _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), _mm256_set1_epi32(start));
}

static inline vf vf_whole(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vf vf_scales(const uint8_t *x)
{
    const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)x));
    return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
static inline void vf_store_codes(int8_t *y, vf a)
{
    const __m256i whole = _mm256_cvtps_epi32(a);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packs_epi16(words, words));
}

#endif
