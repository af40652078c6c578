/* SPDX-License-Identifier: MIT
 *
 * What makes the operands of a matrix state: MATH (l2), (elu1), (decay).
 */
#include "ref/ref.h"
#include "ref/ref_math.h"

static double silu_slope(double x) { return ref_sigmoid(x) * (1 + x * (1 - ref_sigmoid(x))); }

/* 1 / sqrt(sum silu(x)^2 + 1e-6) */
static double silu_inverse(const double *x, int64_t n)
{
    double sum = 1e-6;
    for (int64_t i = 0; i < n; i++) sum += x[i] * ref_sigmoid(x[i]) * x[i] * ref_sigmoid(x[i]);
    return 1 / sqrt(sum);
}

static void silu_l2(const ttt_backend *b, void *yv, const void *xv, int64_t vectors, int64_t size, double scale)
{
    (void)b;
    for (int64_t n = 0; n < vectors; n++) {
        double *y = (double *)yv + n * size;
        const double *x = (const double *)xv + n * size, inverse = silu_inverse(x, size);
        for (int64_t i = 0; i < size; i++) y[i] = scale * inverse * x[i] * ref_sigmoid(x[i]);
    }
}

static void silu_l2_backward(const ttt_backend *b, void *dyv, const void *xv, int64_t vectors, int64_t size,
                             double scale)
{
    (void)b;
    for (int64_t n = 0; n < vectors; n++) {
        double *dy = (double *)dyv + n * size, along = 0;
        const double *x = (const double *)xv + n * size, inverse = silu_inverse(x, size);
        for (int64_t i = 0; i < size; i++) along += dy[i] * inverse * x[i] * ref_sigmoid(x[i]);
        for (int64_t i = 0; i < size; i++)
            dy[i] = scale * inverse * (dy[i] - along * inverse * x[i] * ref_sigmoid(x[i])) * silu_slope(x[i]);
    }
}

static void elu1(const ttt_backend *b, void *xv, int64_t n)
{
    (void)b;
    double *x = xv;
    for (int64_t i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] + 1 : ttt_exp(x[i]);
}

static void elu1_backward(const ttt_backend *b, void *dyv, const void *yv, int64_t n)
{
    (void)b;
    double *dy = dyv;
    const double *y = yv;
    for (int64_t i = 0; i < n; i++) dy[i] *= y[i] > 1 ? 1 : y[i];
}

static void decay(const ttt_backend *b, void *log_av, void *logitsv, const void *a_logv, const void *biasv,
                  int64_t rows, int64_t H)
{
    (void)b;
    double *log_a = log_av, *logits = logitsv;
    const double *a_log = a_logv, *bias = biasv;
    for (int64_t i = 0; i < rows * H; i++) {
        if (logits) logits[i] = log_a[i];
        log_a[i] = -ttt_exp(a_log[i % H]) * ref_softplus(log_a[i] + bias[i % H]);
    }
}

static void decay_backward(const ttt_backend *b, void *dlog_av, void *da_logv, void *dbiasv, const void *logitsv,
                           const void *a_logv, const void *biasv, int64_t rows, int64_t H)
{
    (void)b;
    double *d = dlog_av, *da_log = da_logv, *dbias = dbiasv;
    const double *logits = logitsv, *a_log = a_logv, *bias = biasv;
    for (int64_t i = 0; i < rows * H; i++) {
        const double x = logits[i] + bias[i % H], scale = -ttt_exp(a_log[i % H]);
        da_log[i % H] += d[i] * scale * ref_softplus(x);
        d[i] *= scale * ref_sigmoid(x);
        dbias[i % H] += d[i];
    }
}

void ttt_ref_ops_delta_inputs(ttt_ops *ops)
{
    ops->silu_l2 = silu_l2;
    ops->silu_l2_backward = silu_l2_backward;
    ops->elu1 = elu1;
    ops->elu1_backward = elu1_backward;
    ops->decay = decay;
    ops->decay_backward = decay_backward;
}
