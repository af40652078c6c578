/* SPDX-License-Identifier: MIT
 *
 * What makes the operands of a matrix state: MATH (l2), (elu1), (decay).
 */
#ifndef TTT_CPU_BODY_DELTA_INPUTS_H
#define TTT_CPU_BODY_DELTA_INPUTS_H

/* d silu(x) / dx, s = sigmoid(x) */
static inline vf silu_slope(vf x, vf s) { return vf_fma(vf_mul(x, s), vf_sub(vf_set(1), s), s); }

static const float l2_eps = 1e-6f;

/* y = scale s / sqrt(sum s^2 + eps), s = silu(x) */
static void silu_l2(float *y, const float *x, int64_t n, float scale)
{
    vs sum = vs_zero();
    for (int64_t i = 0; i < n; i += VS) {
        EACH_PART(p)
        {
            const int64_t at = i + p * VF, lanes = part_lanes(i, p, n);
            const vf s = vm_silu(vf_load_n(x + at, lanes));
            sum.part[p] = vf_fma(s, s, sum.part[p]);
            vf_store_n(y + at, s, lanes);
        }
    }
    const vf factor = vf_set(scale / sqrtf(vs_sum(sum) + l2_eps));
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_mul(factor, vf_load_n(y + i, lanes)), lanes);
    }
}

/* With m = 1 / sqrt(sum s^2 + eps): ds = scale m (dy - s m^2 (dy . s)) */
static void silu_l2_backward(float *dy, const float *x, int64_t n, float scale)
{
    vs squares = vs_zero(), along = vs_zero();
    for (int64_t i = 0; i < n; i += VS) {
        EACH_PART(p)
        {
            const int64_t at = i + p * VF, lanes = part_lanes(i, p, n);
            const vf s = vm_silu(vf_load_n(x + at, lanes));
            squares.part[p] = vf_fma(s, s, squares.part[p]);
            along.part[p] = vf_fma(s, vf_load_n(dy + at, lanes), along.part[p]);
        }
    }
    const float square = vs_sum(squares) + l2_eps;
    const vf factor = vf_set(scale / sqrtf(square)), back = vf_set(vs_sum(along) / square);
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf at = vf_load_n(x + i, lanes), s = vm_sigmoid(at);
        const vf ds = vf_mul(factor, vf_fnma(back, vf_mul(at, s), vf_load_n(dy + i, lanes)));
        vf_store_n(dy + i, vf_mul(ds, silu_slope(at, s)), lanes);
    }
}

/* x + 1 where x > 0, else e^x: of x's two halves one is 0 */
static void elu1(float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf at = vf_load_n(x + i, lanes), low = vf_min(vf_zero(), at), high = vf_max(vf_zero(), at);
        vf_store_n(x + i, vf_add(high, vm_exp(low)), lanes);
    }
}

/* The slope is 1 where y > 1, else y. */
static void elu1_backward(float *dy, const float *y, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(dy + i, vf_mul(vf_load_n(dy + i, lanes), vf_min(vf_set(1), vf_load_n(y + i, lanes))), lanes);
    }
}

static void decay(float *log_a, const float *a_log, const float *bias, int64_t heads)
{
    for (int64_t h = 0; h < heads; h += VF) {
        const int64_t lanes = lanes_at(h, heads);
        const vf logit = vf_add(vf_load_n(log_a + h, lanes), vf_load_n(bias + h, lanes));
        const vf rate = vm_exp(vf_load_n(a_log + h, lanes));
        vf_store_n(log_a + h, vf_sub(vf_zero(), vf_mul(rate, vm_softplus(logit))), lanes);
    }
}

static void decay_backward(float *dlog_a, float *da_log, float *dbias, const float *logits, const float *a_log,
                           const float *bias, int64_t heads)
{
    for (int64_t h = 0; h < heads; h += VF) {
        const int64_t lanes = lanes_at(h, heads);
        const vf logit = vf_add(vf_load_n(logits + h, lanes), vf_load_n(bias + h, lanes));
        const vf d = vf_mul(vf_load_n(dlog_a + h, lanes), vm_exp(vf_load_n(a_log + h, lanes)));
        const vf dlogit = vf_sub(vf_zero(), vf_mul(d, vm_sigmoid(logit)));
        vf_store_n(da_log + h, vf_fnma(d, vm_softplus(logit), vf_load_n(da_log + h, lanes)), lanes);
        vf_store_n(dbias + h, vf_add(dlogit, vf_load_n(dbias + h, lanes)), lanes);
        vf_store_n(dlog_a + h, dlogit, lanes);
    }
}

#endif
