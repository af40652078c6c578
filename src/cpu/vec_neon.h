/* SPDX-License-Identifier: MIT
 *
 * The vector vocabulary on NEON, which every 64-bit ARM has: 4 floats. The contract of each function is in
 * vec_scalar.h. NEON has no masks: the last, short vector of a row is read and written lane by lane.
 */
#ifndef TTT_CPU_VEC_NEON_H
#define TTT_CPU_VEC_NEON_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

enum { VF = 4, VF_BLOCK_ROWS = 6, VF_BLOCK_VECTORS = 4 };
typedef float32x4_t vf;

static inline vf vf_zero(void) { return vdupq_n_f32(0); }
static inline vf vf_set(float x) { return vdupq_n_f32(x); }
static inline vf vf_load(const float *x) { return vld1q_f32(x); }
static inline void vf_store(float *y, vf a) { vst1q_f32(y, a); }

static inline vf vf_load_n(const float *x, int64_t n)
{
    if (n >= VF) return vf_load(x);
    vf a = vf_zero();
    if (n > 0) a = vld1q_lane_f32(x, a, 0);
    if (n > 1) a = vld1q_lane_f32(x + 1, a, 1);
    if (n > 2) a = vld1q_lane_f32(x + 2, a, 2);
    return a;
}

static inline void vf_store_n(float *y, vf a, int64_t n)
{
    if (n >= VF) {
        vf_store(y, a);
        return;
    }
    if (n > 0) vst1q_lane_f32(y, a, 0);
    if (n > 1) vst1q_lane_f32(y + 1, a, 1);
    if (n > 2) vst1q_lane_f32(y + 2, a, 2);
}

/* a where the mask's bits are set, else b */
static inline vf vf_choose(uint32x4_t mask, vf a, vf b) { return vbslq_f32(mask, a, b); }

static inline vf vf_first(vf a, int64_t n)
{
    static const int32_t lane[VF] = {0, 1, 2, 3};
    return vf_choose(vcgtq_s32(vdupq_n_s32((int32_t)n), vld1q_s32(lane)), a, vf_zero());
}

static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static inline vf vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
static inline vf vf_max(vf a, vf b) { return vf_choose(vcgtq_f32(a, b), a, b); } /* NEON's own gives NaN for NaN */
static inline vf vf_min(vf a, vf b) { return vf_choose(vcltq_f32(a, b), a, b); }
static inline vf vf_sqrt(vf a) { return vsqrtq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }

static inline vf vf_power2(vf n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}

/* bf16 in the high halves, anything in the low ones. */
static inline uint32x4_t vf_bf16(vf a)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(a), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    return vbslq_u32(vceqq_f32(a, a), rounded, vdupq_n_u32(0x7fc00000));
}
static inline vf vf_pairs(vf even, vf odd)
{
    return vreinterpretq_f32_u32(vsriq_n_u32(vf_bf16(even), vf_bf16(odd), 16));
}
static inline vf vf_even(vf words)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(words), vdupq_n_u32(0xffff0000)));
}
static inline vf vf_odd(vf words) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(words), 16)); }

static inline void vf_split(vf *a, vf *b)
{
    const float32x4x2_t both = vuzpq_f32(*a, *b);
    *a = both.val[0], *b = both.val[1];
}

static inline void vf_join(vf *a, vf *b)
{
    const float32x4x2_t both = vzipq_f32(*a, *b);
    *a = both.val[0], *b = both.val[1];
}

static inline __attribute__((always_inline)) void vf_transpose(vf *rows)
{
    const float32x4x2_t low = vzipq_f32(rows[0], rows[2]), high = vzipq_f32(rows[1], rows[3]);
    const float32x4x2_t first = vzipq_f32(low.val[0], high.val[0]), last = vzipq_f32(low.val[1], high.val[1]);
    rows[0] = first.val[0], rows[1] = first.val[1];
    rows[2] = last.val[0], rows[3] = last.val[1];
}

static inline float vf_sum(vf a)
{
    const float32x2_t half = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(half, 0) + vget_lane_f32(half, 1);
}

static inline float vf_top(vf a) { return vmaxvq_f32(a); }

/* ---- bytes: widened and multiplied as 16-bit numbers, the even ones and the odd ones ---- */

enum { VB_ROWS = 2, VB_VECTORS = 4, VB_WIDE = 0 };
typedef uint8x16_t vb;
typedef int32x4_t vi;
typedef struct vx {
    int16x4_t even, odd;
} vx;

static inline vb vb_load(const uint8_t *x) { return vld1q_u8(x); }
static inline void vx_widen(int8_t *wide, const int8_t *codes) { (void)wide, (void)codes; }
static inline vx vx_load(const int8_t *codes, int group)
{
    int32_t four;
    memcpy(&four, codes + 4 * group, sizeof four);
    const int16x4_t bytes = vreinterpret_s16_s32(vdup_n_s32(four));
    return (vx){vshr_n_s16(vshl_n_s16(bytes, 8), 8), vshr_n_s16(bytes, 8)};
}
static inline vb vb_low(vb a) { return vandq_u8(a, vdupq_n_u8(15)); }
static inline vb vb_high(vb a) { return vshrq_n_u8(a, 4); }

static inline vi vi_set(int32_t x) { return vdupq_n_s32(x); }
static inline vi vi_dot(vi sum, vb w, vx x)
{
    const uint16x8_t pairs = vreinterpretq_u16_u8(w);
    const int16x8_t even = vreinterpretq_s16_u16(vandq_u16(pairs, vdupq_n_u16(255))),
                    odd = vreinterpretq_s16_u16(vshrq_n_u16(pairs, 8));
    const int32x4_t low = vmlal_s16(vmull_s16(vget_low_s16(even), x.even), vget_low_s16(odd), x.odd);
    const int32x4_t high = vmlal_s16(vmull_s16(vget_high_s16(even), x.even), vget_high_s16(odd), x.odd);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

typedef vx vq;
typedef vi vn;
static inline vq vq_load(const int8_t *x) { return vx_load(x, 0); }
static inline vn vn_set(int32_t start) { return vi_set(start); }
static inline vn vn_dot(vn sum, vb w, vq x) { return vi_dot(sum, w, x); }
static inline vi vn_whole(vn sum, int32_t start) { return (void)start, sum; }

static inline vf vf_whole(vi a) { return vcvtq_f32_s32(a); }
static inline vf vf_scales(const uint8_t *x)
{
    const uint16x4_t halves = vreinterpret_u16_u8(vld1_u8(x));
    return vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
}
static inline void vf_store_codes(int8_t *y, vf a)
{
    const int32x4_t whole = vcvtq_s32_f32(a);
    const int8x8_t bytes = vmovn_s16(vcombine_s16(vmovn_s32(whole), vmovn_s32(whole)));
    vst1_lane_s32((int32_t *)(void *)y, vreinterpret_s32_s8(bytes), 0);
}

#endif
