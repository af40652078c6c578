/* SPDX-License-Identifier: MIT
 *
 * Products with a weight matrix w [N,M], and the embedding. "Packed" is the matrix as it is.
 */
#include <string.h>

#include "ref/ref.h"

static const double *matrix(const ttt_param *w) { return w->packed ? w->packed : w->values; }

static void linear(const ttt_backend *b, void *yv, const void *xv, const ttt_param *wp, int64_t rows, bool accumulate)
{
    (void)b;
    double *y = yv;
    const double *x = xv, *w = matrix(wp);
    const int64_t N = wp->rows, M = wp->columns;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t n = 0; n < N; n++) {
            double sum = 0;
            for (int64_t m = 0; m < M; m++) sum += x[r * M + m] * w[n * M + m];
            y[r * N + n] = accumulate ? y[r * N + n] + sum : sum;
        }
    }
}

static void linear_backward_input(const ttt_backend *b, void *dxv, const void *dyv, const ttt_param *wp, int64_t rows,
                                  bool accumulate)
{
    (void)b;
    double *dx = dxv;
    const double *dy = dyv, *w = matrix(wp);
    const int64_t N = wp->rows, M = wp->columns;
    for (int64_t r = 0; r < rows; r++) {
        if (!accumulate) memset(dx + r * M, 0, (size_t)M * sizeof *dx);
        for (int64_t n = 0; n < N; n++)
            for (int64_t m = 0; m < M; m++) dx[r * M + m] += dy[r * N + n] * w[n * M + m];
    }
}

static void linear_backward_weight(const ttt_backend *b, const ttt_param *dwp, const void *dyv, const void *xv,
                                   int64_t rows)
{
    (void)b;
    double *dw = dwp->values;
    const double *dy = dyv, *x = xv;
    const int64_t N = dwp->rows, M = dwp->columns;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t n = 0; n < N; n++)
            for (int64_t m = 0; m < M; m++) dw[n * M + m] += dy[r * N + n] * x[r * M + m];
}

static size_t packed_size(ttt_precision precision, int64_t rows, int64_t columns)
{
    return precision == TTT_PRECISION_F32 ? (size_t)rows * (size_t)columns * sizeof(double) : 0;
}

static void pack(const ttt_backend *b, void *packed, ttt_precision precision, const void *values, int64_t rows,
                 int64_t columns)
{
    (void)b;
    memcpy(packed, values, packed_size(precision, rows, columns));
}

static void embed(const ttt_backend *b, void *yv, const int32_t *ids, const ttt_param *w, int64_t rows)
{
    (void)b;
    double *y = yv;
    for (int64_t r = 0; r < rows; r++)
        memcpy(y + r * w->columns, matrix(w) + ids[r] * w->columns, (size_t)w->columns * sizeof *y);
}

static void embed_backward(const ttt_backend *b, const ttt_param *dwp, const int32_t *ids, const void *dyv,
                           int64_t rows)
{
    (void)b;
    double *dw = dwp->values;
    const double *dy = dyv;
    const int64_t C = dwp->columns;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < C; c++) dw[ids[r] * C + c] += dy[r * C + c];
}

void ttt_ref_ops_product(ttt_ops *ops)
{
    ops->linear = linear;
    ops->linear_backward_input = linear_backward_input;
    ops->linear_backward_weight = linear_backward_weight;
    ops->packed_size = packed_size;
    ops->pack = pack;
    ops->embed = embed;
    ops->embed_backward = embed_backward;
}
