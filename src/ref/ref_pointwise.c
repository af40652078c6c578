/* SPDX-License-Identifier: MIT
 *
 * MATH (swiglu), (silu), (rate) and (factor): what is computed element by element.
 */
#include "ref/ref.h"
#include "ref/ref_math.h"

static void swiglu(const ttt_backend *b, void *yv, const void *gatev, const void *upv, int64_t n)
{
    (void)b;
    double *y = yv;
    const double *gate = gatev, *up = upv;
    for (int64_t i = 0; i < n; i++) y[i] = gate[i] * ref_sigmoid(gate[i]) * up[i];
}

static void swiglu_backward(const ttt_backend *b, void *dyv, void *gatev, void *upv, int64_t n)
{
    (void)b;
    double *dy = dyv, *gate = gatev, *up = upv;
    for (int64_t i = 0; i < n; i++) {
        const double x = gate[i], u = up[i], d = dy[i], s = ref_sigmoid(x);
        dy[i] = x * s * u;
        gate[i] = d * u * s * (1 + x * (1 - s));
        up[i] = d * x * s;
    }
}

static void silu(const ttt_backend *b, void *yv, const void *xv, int64_t n)
{
    (void)b;
    double *y = yv;
    const double *x = xv;
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * ref_sigmoid(x[i]);
}

static void silu_backward(const ttt_backend *b, void *dyv, const void *xv, int64_t n)
{
    (void)b;
    double *dy = dyv;
    const double *x = xv;
    for (int64_t i = 0; i < n; i++) {
        const double s = ref_sigmoid(x[i]);
        dy[i] *= s * (1 + x[i] * (1 - s));
    }
}

static void rate(const ttt_backend *b, void *rv, const void *biasv, int64_t rows, int64_t H, double scale)
{
    (void)b;
    double *r = rv;
    const double *bias = biasv;
    for (int64_t i = 0; i < rows * H; i++) r[i] = scale * ref_sigmoid(r[i] + (bias ? bias[i % H] : 0));
}

static void rate_backward(const ttt_backend *b, void *drv, void *dbiasv, const void *rv, int64_t rows, int64_t H,
                          double scale)
{
    (void)b;
    double *dr = drv, *dbias = dbiasv;
    const double *r = rv;
    for (int64_t i = 0; i < rows * H; i++) {
        dr[i] *= r[i] * (1 - r[i] / scale);
        if (dbias) dbias[i % H] += dr[i];
    }
}

static void position_factor(const ttt_backend *b, void *cv, const void *idxv, const ttt_run *runs, int64_t run_count,
                            int64_t K)
{
    (void)b;
    double *c = cv;
    const double *idx = idxv;
    for (int64_t n = 0; n < run_count; n++) {
        for (int64_t t = 0; t < runs[n].count; t++) {
            const int64_t i = (runs[n].position + t) % K;
            const double factor = 1 / (double)(i + 1) + idx[i];
            c[runs[n].row + t] = factor > 0 ? factor : 0;
        }
    }
}

static void position_factor_backward(const ttt_backend *b, void *didxv, const void *dcv, const void *idxv,
                                     const ttt_run *runs, int64_t run_count, int64_t K, int64_t H)
{
    (void)b;
    double *didx = didxv;
    const double *dc = dcv, *idx = idxv;
    for (int64_t n = 0; n < run_count; n++) {
        for (int64_t t = 0; t < runs[n].count; t++) {
            const int64_t i = (runs[n].position + t) % K;
            if (1 / (double)(i + 1) + idx[i] <= 0) continue;
            for (int64_t h = 0; h < H; h++) didx[i] += dc[(runs[n].row + t) * H + h];
        }
    }
}

void ttt_ref_ops_pointwise(ttt_ops *ops)
{
    ops->swiglu = swiglu;
    ops->swiglu_backward = swiglu_backward;
    ops->silu = silu;
    ops->silu_backward = silu_backward;
    ops->rate = rate;
    ops->rate_backward = rate_backward;
    ops->position_factor = position_factor;
    ops->position_factor_backward = position_factor_backward;
}
