/* SPDX-License-Identifier: MIT
 *
 * MATH (rmsnorm) and MATH (post): the norms of a block, forward and backward.
 */
#include "ref/ref.h"
#include "ref/ref_math.h"

static double rms_inverse(const double *x, int64_t C, double eps)
{
    double sum = 0;
    for (int64_t c = 0; c < C; c++) sum += x[c] * x[c];
    return 1 / sqrt(sum / (double)C + eps);
}

static void rmsnorm(const ttt_backend *b, void *yv, const void *xv, const void *wv, int64_t rows, int64_t C, double eps)
{
    (void)b;
    double *y = yv;
    const double *x = xv, *w = wv;
    for (int64_t r = 0; r < rows; r++) {
        const double inverse = rms_inverse(x + r * C, C, eps);
        for (int64_t c = 0; c < C; c++) y[r * C + c] = x[r * C + c] * inverse * w[c];
    }
}

static void rmsnorm_backward(const ttt_backend *b, void *dxv, void *dwv, const void *dyv, const void *xv,
                             const void *wv, int64_t rows, int64_t C, double eps)
{
    (void)b;
    double *dx = dxv, *dw = dwv;
    const double *w = wv;
    for (int64_t r = 0; r < rows; r++) {
        const double *x = (const double *)xv + r * C, *dy = (const double *)dyv + r * C;
        const double inverse = rms_inverse(x, C, eps);
        double along = 0;
        for (int64_t c = 0; c < C; c++) along += dy[c] * w[c] * x[c] * inverse / (double)C;
        for (int64_t c = 0; c < C; c++) {
            dx[r * C + c] += inverse * (dy[c] * w[c] - x[c] * inverse * along);
            dw[c] += dy[c] * x[c] * inverse;
        }
    }
}

static void norm_gate(const ttt_backend *b, void *yv, const void *xv, const void *wv, const void *biasv,
                      const void *gatev, int64_t rows, int64_t C)
{
    (void)b;
    const double *w = wv, *bias = biasv, *gate = gatev;
    for (int64_t r = 0; r < rows; r++) {
        double *y = (double *)yv + r * C;
        ref_standardise(y, (const double *)xv + r * C, C);
        for (int64_t c = 0; c < C; c++) {
            y[c] = y[c] * w[c] + bias[c];
            if (gate) y[c] *= ref_gelu(gate[r * C + c]);
        }
    }
}

static void norm_gate_backward(const ttt_backend *b, void *dxv, void *dgatev, void *dwv, void *dbiasv, void *dyv,
                               const void *xv, const void *wv, const void *biasv, const void *gatev, int64_t rows,
                               int64_t C)
{
    double *xhat = ttt_scratch(b, 0), *dxhat = xhat + C;
    double *dw = dwv, *dbias = dbiasv;
    const double *w = wv, *bias = biasv;
    for (int64_t r = 0; r < rows; r++) {
        double *dy = (double *)dyv + r * C;
        const double *gate = gatev ? (const double *)gatev + r * C : NULL;
        const double sigma = ref_standardise(xhat, (const double *)xv + r * C, C);
        for (int64_t c = 0; c < C; c++) {
            const double norm = xhat[c] * w[c] + bias[c], factor = gate ? ref_gelu(gate[c]) : 1, dnorm = dy[c] * factor;
            if (gate) ((double *)dgatev)[r * C + c] = dy[c] * norm * ref_gelu_slope(gate[c]);
            dy[c] = norm * factor;
            dw[c] += dnorm * xhat[c];
            dbias[c] += dnorm;
            dxhat[c] = dnorm * w[c];
        }
        ref_standardise_backward((double *)dxv + r * C, dxhat, xhat, sigma, C);
    }
}

void ttt_ref_ops_norm(ttt_ops *ops)
{
    ops->rmsnorm = rmsnorm;
    ops->rmsnorm_backward = rmsnorm_backward;
    ops->norm_gate = norm_gate;
    ops->norm_gate_backward = norm_gate_backward;
}
