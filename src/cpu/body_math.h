/* SPDX-License-Identifier: MIT
 *
 * Exponential and what is made of it, on vectors. Errors, checked by tests/op/op_pointwise.c and test_gelu.c, relative
 * to the result: vm_exp 2 eps, vm_sigmoid and vm_silu 4 eps, vm_softplus 5 eps, vm_gelu (6 + 2 |u|) eps where
 * sigmoid(u) is its factor; eps = 2^-23.
 * NaN gives NaN.
 */
#ifndef TTT_CPU_BODY_MATH_H
#define TTT_CPU_BODY_MATH_H

/* Lanes in use of the vector at element i of n: loops step by VF, and the last vector may be short. */
static inline int64_t lanes_at(int64_t i, int64_t n) { return n - i < VF ? n - i : VF; }

/* e^x by x = n ln 2 + r, |r| <= ln 2 / 2 (Cephes' polynomial). x is first clamped to [-87.33, 88.02], where 2^n is a
 * normal number: below, the result is 1.2e-38 and never 0; above, 1.7e38 and never infinite. */
static inline vf vm_exp(vf x)
{
    x = vf_min(vf_set(88.02f), vf_max(vf_set(-87.33f), x));
    const vf n = vf_round(vf_mul(x, vf_set(1.44269504f)));
    vf r = vf_fnma(n, vf_set(0.693359375f),
                   x); /* ln 2 in two parts, the first of so few bits that n times it is exact */
    r = vf_fnma(n, vf_set(-2.12194440e-4f), r);
    vf p = vf_set(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set(5.0000001201e-1f));
    p = vf_add(vf_fma(p, vf_mul(r, r), r), vf_set(1));
    return vf_mul(p, vf_power2(n));
}

static inline vf vm_sigmoid(vf x) { return vf_div(vf_set(1), vf_add(vf_set(1), vm_exp(vf_sub(vf_zero(), x)))); }

static inline vf vm_silu(vf x) { return vf_div(x, vf_add(vf_set(1), vm_exp(vf_sub(vf_zero(), x)))); }

/* log(1 + e^x) = max(x, 0) + log(1 + y), y = e^-|x|; log(1 + y) = 2 artanh s, s = y / (2 + y). */
static inline vf vm_softplus(vf x)
{
    const vf negative = vf_sub(vf_zero(), x), y = vm_exp(vf_min(negative, x));
    const vf s = vf_div(y, vf_add(vf_set(2), y)), z = vf_mul(s, s);
    vf p = vf_set(0.140061080f);
    p = vf_fma(p, z, vf_set(0.140008807f));
    p = vf_fma(p, z, vf_set(0.200107649f));
    p = vf_fma(p, z, vf_set(0.333332092f));
    p = vf_fma(vf_mul(p, z), s, s);
    return vf_fma(vf_set(2), p, vf_max(vf_zero(), x));
}

/* (1 + tanh(c (x + 0.044715 x^3))) / 2 = sigmoid(2 c (x + 0.044715 x^3)), c = sqrt(2 / pi): without cancellation. */
static inline vf vm_gelu_sigmoid(vf x)
{
    const vf slope = vf_fma(vf_mul(x, x), vf_set(0.0713548163f), vf_set(1.59576912f));
    return vm_sigmoid(vf_mul(x, slope));
}

/* gelu_tanh(x) */
static inline vf vm_gelu(vf x) { return vf_mul(x, vm_gelu_sigmoid(x)); }

/* The derivatives of gelu_tanh(x) = x s, given s = vm_gelu_sigmoid(x). With u = 2 c (x + 0.044715 x^3):
 * slope = s + x s (1 - s) u', curve = s (1 - s) (2 u' + x u'' + x (1 - 2 s) u'^2), where x u'' = 2 (u' - 2 c). Their
 * errors: eps times the sum of the terms' magnitudes, in which s counts (4 + |u|) times and 1 - s, which cancels, as
 * (4 + |u|) (1 - s) + 1. */
static inline vf vm_gelu_slope_of(vf x, vf s)
{
    const vf inner = vf_fma(vf_mul(x, x), vf_set(0.214064449f), vf_set(1.59576912f));
    return vf_fma(vf_mul(vf_mul(x, inner), vf_sub(vf_set(1), s)), s, s);
}

static inline vf vm_gelu_curve_of(vf x, vf s)
{
    const vf inner = vf_fma(vf_mul(x, x), vf_set(0.214064449f), vf_set(1.59576912f));
    const vf skew = vf_mul(x, vf_fnma(vf_set(2), s, vf_set(1)));
    const vf linear = vf_fma(vf_set(4), inner, vf_set(-3.19153824f));
    return vf_mul(vf_mul(s, vf_sub(vf_set(1), s)), vf_fma(skew, vf_mul(inner, inner), linear));
}

static inline vf vm_gelu_slope(vf x) { return vm_gelu_slope_of(x, vm_gelu_sigmoid(x)); }

#endif
