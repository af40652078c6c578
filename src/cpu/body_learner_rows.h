/* SPDX-License-Identifier: MIT
 *
 * What the learners do to rows of D numbers: the norm and loss at the end of a learner, forward and backward. Formulas:
 * docs/MATH.md, "Learners". Functions make one pass over all rows after the other, so that the rows' sums do not wait
 * for each other, and are compiled once more for each of the usual D.
 */
#ifndef TTT_CPU_BODY_LEARNER_ROWS_H
#define TTT_CPU_BODY_LEARNER_ROWS_H

#include <string.h>

#include "cpu/body_norm.h"
#include "cpu/body_smallmm.h"

/* A body for constant flags, and of the usual head sizes one each: with D a constant, its loops have no ends to be
 * careful about. Flags that are not constants here are no branches either: the caller switches over them. */
#define HEAD_SIZES(flags, body, ...)                                                                                   \
    switch (t->head_size) {                                                                                            \
    case 32: body(__VA_ARGS__, 32, flags); return;                                                                     \
    case 64: body(__VA_ARGS__, 64, flags); return;                                                                     \
    case 96: body(__VA_ARGS__, 96, flags); return;                                                                     \
    case 128: body(__VA_ARGS__, 128, flags); return;                                                                   \
    default: body(__VA_ARGS__, t->head_size, flags); return;                                                           \
    }
#define ANY_SIZE(flags, body, ...) body(__VA_ARGS__, t->head_size, flags)

/* ---- rows ---- */

MM_INLINE float row_dot(const float *x, const float *y, int64_t n)
{
    vs sum = vs_zero();
    for (int64_t i = 0; i < n; i += VS) {
        EACH_PART(p)
        {
            const int64_t at = i + p * VF, lanes = part_lanes(i, p, n);
            sum.part[p] = vf_fma(vf_load_n(x + at, lanes), vf_load_n(y + at, lanes), sum.part[p]);
        }
    }
    return vs_sum(sum);
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

/* y -= f (y - x), x NULL: zeros */
MM_INLINE void row_forget(float *y, float f, const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf now = vf_load_n(y + i, lanes), away = x ? vf_sub(now, vf_load_n(x + i, lanes)) : now;
        vf_store_n(y + i, vf_fnma(vf_set(f), away, now), lanes);
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
        vs sum = vs_zero();
        for (int64_t i = 0; i < n; i += VS)
            EACH_PART(p) sum.part[p] = vf_add(sum.part[p], vf_load_n(x + r * n + i + p * VF, part_lanes(i, p, n)));
        mean[r] = vs_sum(sum) / (float)n;
    }
    for (int64_t r = 0; r < rows; r++) {
        vs squares = vs_zero();
        for (int64_t i = 0; i < n; i += VS) {
            EACH_PART(p)
            {
                const int64_t lanes = part_lanes(i, p, n);
                const vf value = vf_load_n(x + r * n + i + p * VF, lanes);
                const vf centred = vf_first(vf_sub(value, vf_set(mean[r])), lanes);
                squares.part[p] = vf_fma(centred, centred, squares.part[p]);
            }
        }
        scale[r] = 1 / sqrtf(vs_sum(squares) / (float)n + layernorm_eps);
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
        vs sum = vs_zero(), along = vs_zero();
        for (int64_t i = 0; i < n; i += VS) {
            EACH_PART(p)
            {
                const int64_t at = r * n + i + p * VF, lanes = part_lanes(i, p, n);
                const vf value = vf_load_n(x + at, lanes);
                sum.part[p] = vf_add(sum.part[p], value);
                along.part[p] = vf_fma(value, vf_load_n(normal + at, lanes), along.part[p]);
            }
        }
        mean[r] = vs_sum(sum) / (float)n;
        slope[r] = vs_sum(along) / (float)n;
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

/* ---- the loss 1/2 || y - target ||^2 that adapts the learner, and what is read. y = LN(z), or z with NO_NORM; the
 * target is v - k, or v. MATH (flags) ---- */

enum { NO_NORM = TTT_LEARNER_NO_NORM, NO_RESIDUAL = TTT_LEARNER_NO_RESIDUAL, TARGET_V = TTT_LEARNER_TARGET_V };

/* y - target, at one vector of token i */
MM_INLINE vf target_error(const ttt_tile *t, int64_t i, int64_t D, int64_t d, int64_t lanes, const unsigned flags)
{
    const vf z = vf_load_n(t->trace.normal + i * D + d, lanes);
    const vf v = vf_load_n(t->from.v + i * t->stride + d, lanes);
    const vf target = flags & TARGET_V ? v : vf_sub(v, vf_load_n(t->from.k + i * t->stride + d, lanes));
    if (flags & NO_NORM) return vf_sub(z, target);
    return vf_sub(vf_fma(vf_load_n(t->from.weight + d, lanes), z, vf_load_n(t->from.bias + d, lanes)), target);
}

/* z, which lies in trace.normal, to its normalised form and the gradient trace.g of the loss. */
MM_INLINE void inner_gradient_body(const ttt_tile *t, const int64_t D, const unsigned flags)
{
    const int64_t n = t->count;
    if (!(flags & NO_NORM)) standardise(t->trace.normal, t->trace.scale, n, D);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            vf e = target_error(t, i, D, d, lanes, flags);
            if (!(flags & NO_NORM)) e = vf_mul(vf_load_n(t->from.weight + d, lanes), e);
            vf_store_n(t->trace.g + i * D + d, e, lanes);
        }
    }
    if (!(flags & NO_NORM)) project(t->trace.g, t->trace.normal, t->trace.scale, n, D);
}

static void inner_gradient(const ttt_tile *t)
{
    switch (t->flags & (NO_NORM | TARGET_V)) {
    case NO_NORM: ANY_SIZE(NO_NORM, inner_gradient_body, t); return;
    case TARGET_V: ANY_SIZE(TARGET_V, inner_gradient_body, t); return;
    case NO_NORM | TARGET_V: ANY_SIZE(NO_NORM | TARGET_V, inner_gradient_body, t); return;
    default: HEAD_SIZES(0, inner_gradient_body, t)
    }
}

/* Sums over D that the gradient of row i's inner gradient needs. */
typedef struct inner_sums {
    float u, u_normal, e_normal; /* means of u, u xhat, e xhat */
    float dsigma;                /* -sum(u g) / sigma */
} inner_sums;

MM_INLINE inner_sums inner_sums_of(const ttt_tile *t, int64_t i, const float *u, const int64_t D, const unsigned flags)
{
    vs sum = vs_zero(), u_normal = vs_zero(), e_normal = vs_zero(), u_g = vs_zero();
    for (int64_t begin = 0; begin < D; begin += VS) {
        EACH_PART(p)
        {
            const int64_t d = begin + p * VF, lanes = part_lanes(begin, p, D);
            const vf ud = vf_load_n(u + d, lanes), xhat = vf_load_n(t->trace.normal + i * D + d, lanes);
            const vf e = vf_mul(vf_load_n(t->from.weight + d, lanes), target_error(t, i, D, d, lanes, flags));
            sum.part[p] = vf_add(sum.part[p], ud);
            u_normal.part[p] = vf_fma(ud, xhat, u_normal.part[p]);
            e_normal.part[p] = vf_fma(e, xhat, e_normal.part[p]);
            u_g.part[p] = vf_fma(ud, vf_load_n(t->trace.g + i * D + d, lanes), u_g.part[p]);
        }
    }
    return (inner_sums){.u = vs_sum(sum) / (float)D,
                        .u_normal = vs_sum(u_normal) / (float)D,
                        .e_normal = vs_sum(e_normal) / (float)D,
                        .dsigma = -t->trace.scale[i] * vs_sum(u_g)};
}

/* dt, the gradient of token i's target with its sign turned: dv is written, and work.dk with what reaches k directly.
 */
MM_INLINE void target_backward(const ttt_tile *t, int64_t i, int64_t D, int64_t d, int64_t lanes, vf dt,
                               const unsigned flags)
{
    vf_store_n(t->to.dv + i * t->stride + d, vf_sub(vf_zero(), dt), lanes);
    if (!(flags & TARGET_V)) vf_store_n(t->work.dk + i * D + d, dt, lanes);
}

/* u [count, D], the gradient of trace.g, becomes that of z; dv is written, and work.dk with what reaches k directly.
 * With e = weight (LN(z) - target), g = (e - mean(e) - xhat mean(e xhat)) / sigma; without the norm g = z - target. */
MM_INLINE void inner_gradient_backward_body(const ttt_tile *t, float *u, const int64_t D, const unsigned flags)
{
    const int64_t n = t->count;
    if (flags & NO_NORM) {
        for (int64_t i = 0; i < n; i++)
            for (int64_t d = 0; d < D; d += VF)
                target_backward(t, i, D, d, lanes_at(d, D), vf_load_n(u + i * D + d, lanes_at(d, D)), flags);
        return;
    }
    inner_sums sums[TTT_LEARNER_TILE];
    for (int64_t i = 0; i < n; i++) sums[i] = inner_sums_of(t, i, u + i * D, D, flags);
    for (int64_t d = 0; d < D; d += VF) {
        const int64_t lanes = lanes_at(d, D);
        const vf weight = vf_load_n(t->from.weight + d, lanes);
        vf dweight = vf_load_n(t->to.dweight + d, lanes), dbias = vf_load_n(t->to.dbias + d, lanes);
        for (int64_t i = 0; i < n; i++) {
            float *at = u + i * D + d;
            const vf ud = vf_load_n(at, lanes), xhat = vf_load_n(t->trace.normal + i * D + d, lanes),
                     error = target_error(t, i, D, d, lanes, flags), e = vf_mul(weight, error),
                     scale = vf_set(t->trace.scale[i]), along = vf_set(sums[i].u_normal);
            const vf de = vf_mul(scale, vf_fnma(xhat, along, vf_sub(ud, vf_set(sums[i].u))));
            const vf dy = vf_mul(de, weight), across = vf_fma(ud, vf_set(sums[i].e_normal), vf_mul(e, along));
            dweight = vf_add(dweight, vf_fma(de, error, vf_mul(dy, xhat)));
            dbias = vf_add(dbias, dy);
            vf_store_n(at, vf_fnma(scale, across, vf_mul(dy, weight)), lanes);
            target_backward(t, i, D, d, lanes, dy, flags);
        }
        vf_store_n(t->to.dweight + d, dweight, lanes);
        vf_store_n(t->to.dbias + d, dbias, lanes);
    }
    project(u, t->trace.normal, t->trace.scale, n, D);
    for (int64_t i = 0; i < n; i++) row_add(u + i * D, sums[i].dsigma / (float)D, t->trace.normal + i * D, D);
}

static void inner_gradient_backward(const ttt_tile *t, float *u)
{
    switch (t->flags & (NO_NORM | TARGET_V)) {
    case NO_NORM: ANY_SIZE(NO_NORM, inner_gradient_backward_body, t, u); return;
    case TARGET_V: ANY_SIZE(TARGET_V, inner_gradient_backward_body, t, u); return;
    case NO_NORM | TARGET_V: ANY_SIZE(NO_NORM | TARGET_V, inner_gradient_backward_body, t, u); return;
    default: HEAD_SIZES(0, inner_gradient_backward_body, t, u)
    }
}

/* out = q + LN(zbar), or less of it; zbar lies in trace.normal_bar and becomes its normalised form. */
MM_INLINE void read_norm_body(const ttt_tile *t, const int64_t D, const unsigned flags)
{
    if (!(flags & NO_NORM)) standardise(t->trace.normal_bar, t->trace.scale_bar, t->count, D);
    for (int64_t i = 0; i < t->count; i++) {
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            vf y = vf_load_n(t->trace.normal_bar + i * D + d, lanes);
            if (!(flags & NO_NORM))
                y = vf_fma(vf_load_n(t->from.weight + d, lanes), y, vf_load_n(t->from.bias + d, lanes));
            if (!(flags & NO_RESIDUAL)) y = vf_add(vf_load_n(t->from.q + i * t->stride + d, lanes), y);
            vf_store_n(t->to.out + i * t->stride + d, y, lanes);
        }
    }
}

static void read_norm(const ttt_tile *t)
{
    switch (t->flags & (NO_NORM | NO_RESIDUAL)) {
    case NO_NORM: ANY_SIZE(NO_NORM, read_norm_body, t); return;
    case NO_RESIDUAL: ANY_SIZE(NO_RESIDUAL, read_norm_body, t); return;
    case NO_NORM | NO_RESIDUAL: ANY_SIZE(NO_NORM | NO_RESIDUAL, read_norm_body, t); return;
    default: HEAD_SIZES(0, read_norm_body, t)
    }
}

/* dzbar [count, D] from dout */
MM_INLINE void read_norm_backward_body(const ttt_tile *t, float *dzbar, const int64_t D, const unsigned flags)
{
    (void)flags;
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
    const int64_t D = t->head_size;
    if (t->flags & NO_NORM) {
        for (int64_t i = 0; i < t->count; i++)
            memcpy(dzbar + i * D, t->from.dout + i * t->stride, (size_t)D * sizeof *dzbar);
        return;
    }
    HEAD_SIZES(0, read_norm_backward_body, t, dzbar)
}

/* y [count, D] (rows t->stride apart) = a + b, or b alone */
static void add_tokens(const ttt_tile *t, float *y, view a, view b)
{
    for (int64_t i = 0; i < t->count; i++) {
        if (!a.x) {
            memcpy(y + i * t->stride, b.x + i * b.row, (size_t)t->head_size * sizeof *y);
            continue;
        }
        for (int64_t d = 0; d < t->head_size; d += VF) {
            const int64_t lanes = lanes_at(d, t->head_size);
            const vf sum = vf_add(vf_load_n(a.x + i * a.row + d, lanes), vf_load_n(b.x + i * b.row + d, lanes));
            vf_store_n(y + i * t->stride + d, sum, lanes);
        }
    }
}

#endif
