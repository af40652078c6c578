/* SPDX-License-Identifier: MIT
 *
 * What the learners do to rows of D numbers: the norm and loss at the end of a learner, forward and backward. Formulas:
 * docs/MATH.md, "Learners". Functions make one pass over all rows after the other, so that the rows' sums do not wait
 * for each other, and are compiled once more for each of the usual D.
 */
#ifndef TTT_CPU_BODY_LEARNER_ROWS_H
#define TTT_CPU_BODY_LEARNER_ROWS_H

#include "cpu/body_norm.h"
#include "cpu/body_smallmm.h"

/* The cases of a switch over the head size that are worth a body of their own: with D a constant, its loops have no
 * ends to be careful about. */
#define HEAD_SIZES(body, ...)                                                                                          \
    case 32: body(__VA_ARGS__, 32); return;                                                                            \
    case 64: body(__VA_ARGS__, 64); return;                                                                            \
    case 96: body(__VA_ARGS__, 96); return;                                                                            \
    case 128: body(__VA_ARGS__, 128); return;

/* ---- rows ---- */

MM_INLINE float row_dot(const float *x, const float *y, int64_t n)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < n; i += VF) {
        sum = vf_fma(vf_load_n(x + i, lanes_at(i, n)), vf_load_n(y + i, lanes_at(i, n)), sum);
    }
    return vf_sum(sum);
}

/* y = alpha x, and y += alpha x */
MM_INLINE void row_scale(float *y, float alpha, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        vf_store_n(y + i, vf_mul(vf_set(alpha), vf_load_n(x + i, lanes_at(i, n))), lanes_at(i, n));
    }
}

MM_INLINE void row_add(float *y, float alpha, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_fma(vf_set(alpha), vf_load_n(x + i, lanes), vf_load_n(y + i, lanes)), lanes);
    }
}

/* y [n] += alpha times the sum of the rows of x [rows, n] */
static void add_rows(float *y, float alpha, const float *x, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf sum = vf_zero();
        for (int64_t r = 0; r < rows; r++) sum = vf_add(sum, vf_load_n(x + r * n + i, lanes));
        vf_store_n(y + i, vf_fma(vf_set(alpha), sum, vf_load_n(y + i, lanes)), lanes);
    }
}

/* Every row of x [rows, n] becomes (x - mean) / sigma; scale gets 1 / sigma, sigma = sqrt(variance + 1e-6). */
MM_INLINE void standardise(float *x, float *scale, int64_t rows, int64_t n)
{
    float mean[TTT_LEARNER_TILE];
    for (int64_t r = 0; r < rows; r++) {
        vf sum = vf_zero();
        for (int64_t i = 0; i < n; i += VF) sum = vf_add(sum, vf_load_n(x + r * n + i, lanes_at(i, n)));
        mean[r] = vf_sum(sum) / (float)n;
    }
    for (int64_t r = 0; r < rows; r++) {
        vf squares = vf_zero();
        for (int64_t i = 0; i < n; i += VF) {
            const int64_t lanes = lanes_at(i, n);
            const vf centred = vf_first(vf_sub(vf_load_n(x + r * n + i, lanes), vf_set(mean[r])), lanes);
            squares = vf_fma(centred, centred, squares);
        }
        scale[r] = 1 / sqrtf(vf_sum(squares) / (float)n + layernorm_eps);
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i += VF) {
            float *at = x + r * n + i;
            const vf centred = vf_sub(vf_load_n(at, lanes_at(i, n)), vf_set(mean[r]));
            vf_store_n(at, vf_mul(centred, vf_set(scale[r])), lanes_at(i, n));
        }
    }
}

/* Every row of x becomes scale (x - mean(x) - normal mean(x normal)): the gradient of standardising, and the symmetric
 * projection in the inner gradient. */
MM_INLINE void project(float *x, const float *normal, const float *scale, int64_t rows, int64_t n)
{
    float mean[TTT_LEARNER_TILE], slope[TTT_LEARNER_TILE];
    for (int64_t r = 0; r < rows; r++) {
        vf sum = vf_zero(), along = vf_zero();
        for (int64_t i = 0; i < n; i += VF) {
            const vf value = vf_load_n(x + r * n + i, lanes_at(i, n));
            sum = vf_add(sum, value);
            along = vf_fma(value, vf_load_n(normal + r * n + i, lanes_at(i, n)), along);
        }
        mean[r] = vf_sum(sum) / (float)n;
        slope[r] = vf_sum(along) / (float)n;
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t i = 0; i < n; i += VF) {
            const int64_t lanes = lanes_at(i, n), at = r * n + i;
            const vf centred = vf_sub(vf_load_n(x + at, lanes), vf_set(mean[r]));
            const vf across = vf_fnma(vf_set(slope[r]), vf_load_n(normal + at, lanes), centred);
            vf_store_n(x + at, vf_mul(vf_set(scale[r]), across), lanes);
        }
    }
}

/* ---- the loss 1/2 || LN(z) - (v - k) ||^2 that adapts the learner, and the norm of what is read ---- */

/* LN(z) - (v - k), at one vector of token i */
MM_INLINE vf target_error(const ttt_tile *t, int64_t i, int64_t D, int64_t d, int64_t lanes)
{
    const vf normal = vf_load_n(t->trace.normal + i * D + d, lanes);
    const vf value = vf_sub(vf_load_n(t->from.v + i * t->stride + d, lanes),
                            vf_load_n(t->from.k + i * t->stride + d, lanes));
    return vf_sub(vf_fma(vf_load_n(t->from.weight + d, lanes), normal, vf_load_n(t->from.bias + d, lanes)), value);
}

/* z, which lies in trace.normal, to its normalised form and the gradient trace.g of the loss. */
MM_INLINE void inner_gradient_body(const ttt_tile *t, const int64_t D)
{
    const int64_t n = t->count;
    standardise(t->trace.normal, t->trace.scale, n, D);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf e = vf_mul(vf_load_n(t->from.weight + d, lanes), target_error(t, i, D, d, lanes));
            vf_store_n(t->trace.g + i * D + d, e, lanes);
        }
    }
    project(t->trace.g, t->trace.normal, t->trace.scale, n, D);
}

static void inner_gradient(const ttt_tile *t)
{
    switch (t->head_size) {
        HEAD_SIZES(inner_gradient_body, t)
    default: inner_gradient_body(t, t->head_size);
    }
}

/* Sums over D that the gradient of row i's inner gradient needs. */
typedef struct inner_sums {
    float u, u_normal, e_normal; /* means of u, u xhat, e xhat */
    float dsigma;                /* -sum(u g) / sigma */
} inner_sums;

MM_INLINE inner_sums inner_sums_of(const ttt_tile *t, int64_t i, const float *u, const int64_t D)
{
    vf sum = vf_zero(), u_normal = vf_zero(), e_normal = vf_zero(), u_g = vf_zero();
    for (int64_t d = 0; d < D; d += VF) {
        const int64_t lanes = lanes_at(d, D);
        const vf ud = vf_load_n(u + d, lanes), xhat = vf_load_n(t->trace.normal + i * D + d, lanes);
        const vf e = vf_mul(vf_load_n(t->from.weight + d, lanes), target_error(t, i, D, d, lanes));
        sum = vf_add(sum, ud);
        u_normal = vf_fma(ud, xhat, u_normal);
        e_normal = vf_fma(e, xhat, e_normal);
        u_g = vf_fma(ud, vf_load_n(t->trace.g + i * D + d, lanes), u_g);
    }
    return (inner_sums){.u = vf_sum(sum) / (float)D,
                        .u_normal = vf_sum(u_normal) / (float)D,
                        .e_normal = vf_sum(e_normal) / (float)D,
                        .dsigma = -t->trace.scale[i] * vf_sum(u_g)};
}

/* u [count, D], the gradient of trace.g, becomes that of z; dv is written, and work.dk with what reaches k directly.
 * With e = weight (LN(z) - (v - k)), g = (e - mean(e) - xhat mean(e xhat)) / sigma. */
MM_INLINE void inner_gradient_backward_body(const ttt_tile *t, float *u, const int64_t D)
{
    const int64_t n = t->count;
    inner_sums sums[TTT_LEARNER_TILE];
    for (int64_t i = 0; i < n; i++) sums[i] = inner_sums_of(t, i, u + i * D, D);
    for (int64_t d = 0; d < D; d += VF) {
        const int64_t lanes = lanes_at(d, D);
        const vf weight = vf_load_n(t->from.weight + d, lanes);
        vf dweight = vf_load_n(t->to.dweight + d, lanes), dbias = vf_load_n(t->to.dbias + d, lanes);
        for (int64_t i = 0; i < n; i++) {
            float *at = u + i * D + d;
            const vf ud = vf_load_n(at, lanes), xhat = vf_load_n(t->trace.normal + i * D + d, lanes),
                     error = target_error(t, i, D, d, lanes), e = vf_mul(weight, error),
                     scale = vf_set(t->trace.scale[i]), along = vf_set(sums[i].u_normal);
            const vf de = vf_mul(scale, vf_fnma(xhat, along, vf_sub(ud, vf_set(sums[i].u))));
            const vf dy = vf_mul(de, weight), across = vf_fma(ud, vf_set(sums[i].e_normal), vf_mul(e, along));
            dweight = vf_add(dweight, vf_fma(de, error, vf_mul(dy, xhat)));
            dbias = vf_add(dbias, dy);
            vf_store_n(at, vf_fnma(scale, across, vf_mul(dy, weight)), lanes);
            vf_store_n(t->to.dv + i * t->stride + d, vf_sub(vf_zero(), dy), lanes);
            vf_store_n(t->work.dk + i * D + d, dy, lanes);
        }
        vf_store_n(t->to.dweight + d, dweight, lanes);
        vf_store_n(t->to.dbias + d, dbias, lanes);
    }
    project(u, t->trace.normal, t->trace.scale, n, D);
    for (int64_t i = 0; i < n; i++) row_add(u + i * D, sums[i].dsigma / (float)D, t->trace.normal + i * D, D);
}

static void inner_gradient_backward(const ttt_tile *t, float *u)
{
    switch (t->head_size) {
        HEAD_SIZES(inner_gradient_backward_body, t, u)
    default: inner_gradient_backward_body(t, u, t->head_size);
    }
}

/* out = q + LN(zbar); zbar lies in trace.normal_bar and becomes its normalised form. */
MM_INLINE void read_norm_body(const ttt_tile *t, const int64_t D)
{
    standardise(t->trace.normal_bar, t->trace.scale_bar, t->count, D);
    for (int64_t i = 0; i < t->count; i++) {
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf y = vf_fma(vf_load_n(t->from.weight + d, lanes), vf_load_n(t->trace.normal_bar + i * D + d, lanes),
                                vf_load_n(t->from.bias + d, lanes));
            vf_store_n(t->to.out + i * t->stride + d, vf_add(vf_load_n(t->from.q + i * t->stride + d, lanes), y),
                       lanes);
        }
    }
}

static void read_norm(const ttt_tile *t)
{
    switch (t->head_size) {
        HEAD_SIZES(read_norm_body, t)
    default: read_norm_body(t, t->head_size);
    }
}

/* dzbar [count, D] from dout */
MM_INLINE void read_norm_backward_body(const ttt_tile *t, float *dzbar, const int64_t D)
{
    for (int64_t d = 0; d < D; d += VF) {
        const int64_t lanes = lanes_at(d, D);
        const vf weight = vf_load_n(t->from.weight + d, lanes);
        vf dweight = vf_load_n(t->to.dweight + d, lanes), dbias = vf_load_n(t->to.dbias + d, lanes);
        for (int64_t i = 0; i < t->count; i++) {
            const vf dy = vf_load_n(t->from.dout + i * t->stride + d, lanes);
            dweight = vf_fma(dy, vf_load_n(t->trace.normal_bar + i * D + d, lanes), dweight);
            dbias = vf_add(dbias, dy);
            vf_store_n(dzbar + i * D + d, vf_mul(dy, weight), lanes);
        }
        vf_store_n(t->to.dweight + d, dweight, lanes);
        vf_store_n(t->to.dbias + d, dbias, lanes);
    }
    project(dzbar, t->trace.normal_bar, t->trace.scale_bar, t->count, D);
}

static void read_norm_backward(const ttt_tile *t, float *dzbar)
{
    switch (t->head_size) {
        HEAD_SIZES(read_norm_backward_body, t, dzbar)
    default: read_norm_backward_body(t, dzbar, t->head_size);
    }
}

/* y [count, D] (rows t->stride apart) = a + b */
static void add_tokens(const ttt_tile *t, float *y, view a, view b)
{
    for (int64_t i = 0; i < t->count; i++) {
        for (int64_t d = 0; d < t->head_size; d += VF) {
            const int64_t lanes = lanes_at(d, t->head_size);
            const vf sum = vf_add(vf_load_n(a.x + i * a.row + d, lanes), vf_load_n(b.x + i * b.row + d, lanes));
            vf_store_n(y + i * t->stride + d, sum, lanes);
        }
    }
}

#endif
