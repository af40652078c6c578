/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on AVX-512: 16 floats. The contract of each function is in vec_scalar.h.
 */
#ifndef TTT_CPU_VEC_AVX512_H
#define TTT_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

enum { VF = 16, VF_BLOCK_ROWS = 6, VF_BLOCK_VECTORS = 4 };
typedef __m512 vf;

static inline __mmask16 vf_mask(int64_t n) { return (__mmask16)((1u << n) - 1); }

static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_set(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *x) { return _mm512_loadu_ps(x); }
static inline vf vf_load_n(const float *x, int64_t n) { return _mm512_maskz_loadu_ps(vf_mask(n), x); }
static inline void vf_store(float *y, vf a) { _mm512_storeu_ps(y, a); }
static inline void vf_store_n(float *y, vf a, int64_t n) { _mm512_mask_storeu_ps(y, vf_mask(n), a); }

static inline vf vf_first(vf a, int64_t n) { return _mm512_maskz_mov_ps(vf_mask(n), a); }

static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_sqrt(vf a) { return _mm512_sqrt_ps(a); }

static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

static inline vf vf_power2(vf n)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
}

/* bf16 in the high halves, anything in the low ones. */
static inline __m512i vf_bf16(vf a)
{
    const __m512i bits = _mm512_castps_si512(a),
                  odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
    return _mm512_mask_add_epi32(_mm512_set1_epi32(0x7fc00000), _mm512_cmp_ps_mask(a, a, _CMP_ORD_Q), bits, half);
}
static inline vf vf_pairs(vf even, vf odd)
{
    const __m512i low = _mm512_srli_epi32(vf_bf16(odd), 16);
    return _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaa, low, vf_bf16(even)));
}
static inline vf vf_even(vf words)
{
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(words), _mm512_set1_epi32((int)0xffff0000)));
}
static inline vf vf_odd(vf words) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(words), 16)); }

#ifdef __AVX512BF16__
typedef __m512bh vw;
static inline vw vw_of(vf words) { return (vw)words; }
static inline vf vw_fma(vw a, vw b, vf c) { return _mm512_dpbf16_ps(c, a, b); }
#endif

static inline void vf_split(vf *a, vf *b)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const vf first = _mm512_permutex2var_ps(*a, even, *b);
    *b = _mm512_permutex2var_ps(*a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), *b);
    *a = first;
}

static inline void vf_join(vf *a, vf *b)
{
    const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const vf first = _mm512_permutex2var_ps(*a, low, *b);
    *b = _mm512_permutex2var_ps(*a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), *b);
    *a = first;
}

static inline __attribute__((always_inline)) void vf_transpose(vf *rows)
{
    vf quads[VF]; /* element 4h + c, 128-bit quarter L: column 4L + c of rows 4h to 4h + 3 */
#pragma GCC unroll 4
    for (int h = 0; h < VF; h += 4) {
        const vf low01 = _mm512_unpacklo_ps(rows[h], rows[h + 1]), high01 = _mm512_unpackhi_ps(rows[h], rows[h + 1]);
        const vf low23 = _mm512_unpacklo_ps(rows[h + 2], rows[h + 3]),
                 high23 = _mm512_unpackhi_ps(rows[h + 2], rows[h + 3]);
        quads[h] = _mm512_shuffle_ps(low01, low23, 0x44);
        quads[h + 1] = _mm512_shuffle_ps(low01, low23, 0xee);
        quads[h + 2] = _mm512_shuffle_ps(high01, high23, 0x44);
        quads[h + 3] = _mm512_shuffle_ps(high01, high23, 0xee);
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; c++) { /* quarters 0, 2 and 1, 3 of two groups of rows */
        const vf even01 = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0x88),
                 odd01 = _mm512_shuffle_f32x4(quads[c], quads[4 + c], 0xdd),
                 even23 = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0x88),
                 odd23 = _mm512_shuffle_f32x4(quads[8 + c], quads[12 + c], 0xdd);
        rows[c] = _mm512_shuffle_f32x4(even01, even23, 0x88);
        rows[4 + c] = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
        rows[8 + c] = _mm512_shuffle_f32x4(even01, even23, 0xdd);
        rows[12 + c] = _mm512_shuffle_f32x4(odd01, odd23, 0xdd);
    }
}

static inline float vf_sum(vf a)
{
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}

static inline float vf_top(vf a)
{
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}

/* ---- bytes: four products in one instruction, or as in vec_avx2.h ---- */

typedef __m512i vb, vi, vq, vn;

static inline vb vb_load(const uint8_t *x) { return _mm512_loadu_si512(x); }
static inline vb vb_low(vb a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
static inline vb vb_high(vb a) { return vb_low(_mm512_srli_epi16(a, 4)); }
static inline vi vi_set(int32_t x) { return _mm512_set1_epi32(x); }
static inline vq vq_load(const int8_t *x)
{
    int32_t four;
    memcpy(&four, x, sizeof four);
    return _mm512_set1_epi32(four);
}

#ifdef __AVX512VNNI__
enum { VB_ROWS = 6, VB_VECTORS = 2, VB_WIDE = 0 };
typedef __m512i vx;
static inline void vx_widen(int8_t *wide, const int8_t *codes) { (void)wide, (void)codes; }
static inline vx vx_load(const int8_t *codes, int group) { return vq_load(codes + 4 * group); }
static inline vi vi_dot(vi sum, vb w, vx x) { return _mm512_dpbusd_epi32(sum, w, x); }
static inline vn vn_set(int32_t start) { return vi_set(start); }
static inline vn vn_dot(vn sum, vb w, vq x) { return vi_dot(sum, w, x); }
static inline vi vn_whole(vn sum, int32_t start) { return (void)start, sum; }
#else
enum { VB_ROWS = 6, VB_VECTORS = 2, VB_WIDE = 64 };
typedef struct vx {
    __m512i even, odd;
} vx;
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
static inline vi vi_dot(vi sum, vb w, vx x)
{
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(255)), x.even);
    sum = _mm512_add_epi32(sum, _mm512_add_epi32(even, _mm512_madd_epi16(_mm512_srli_epi16(w, 8), x.odd)));
    __asm__("" : "+v"(sum)); /* or GCC multiplies first and adds later, which takes more registers than there are */
    return sum;
}
static inline vn vn_set(int32_t start) { return (void)start, _mm512_setzero_si512(); }
static inline vn vn_dot(vn sum, vb w, vq x)
{
    sum = _mm512_add_epi16(sum, _mm512_maddubs_epi16(w, x));
    __asm__("" : "+v"(sum));
    return sum;
}
static inline vi vn_whole(vn sum, int32_t start)
{
    return _mm512_add_epi32(_mm512_madd_epi16(sum, _mm512_set1_epi16(1)), _mm512_set1_epi32(start));
}
#endif

static inline vf vf_whole(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vf vf_scales(const uint8_t *x)
{
    const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)x));
    return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
static inline void vf_store_codes(int8_t *y, vf a)
{
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}

#endif
