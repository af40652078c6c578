/* SPDX-License-Identifier: MIT
 *
 * Products with a weight matrix w [N,M], and the embedding. "Packed" is the matrix as it is, or its codes and scales.
 */
#include <math.h>
#include <string.h>

#include "ref/ref.h"

static const double *matrix(const ttt_param *w) { return w->packed ? w->packed : w->values; }

/* ---- codes and scales: all scales [N, blocks], then all codes [N, blocks, TTT_BLOCK] ---- */

static const double *scales_of(const ttt_param *w) { return w->packed; }

static const int8_t *codes_of(const ttt_param *w)
{
    return (const int8_t *)(scales_of(w) + w->rows * ttt_blocks(w->columns));
}

/* MATH (quantised) */
static void linear_blocks(double *y, const double *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    const int64_t N = w->rows, M = w->columns, blocks = ttt_blocks(M);
    for (int64_t r = 0; r < rows; r++) {
        if (!accumulate) memset(y + r * N, 0, (size_t)N * sizeof *y);
        for (int64_t b = 0; b < blocks; b++) {
            const int64_t first = b * TTT_BLOCK, count = M - first < TTT_BLOCK ? M - first : TTT_BLOCK;
            float values[TTT_BLOCK];
            int8_t codes[TTT_BLOCK];
            for (int64_t i = 0; i < count; i++) values[i] = (float)x[r * M + first + i];
            const double scale = (double)ttt_quantize_row(codes, values, count);
            for (int64_t n = 0; n < N; n++) {
                const int8_t *weights = codes_of(w) + (n * blocks + b) * TTT_BLOCK;
                int32_t sum = 0;
                for (int i = 0; i < TTT_BLOCK; i++) sum += weights[i] * codes[i];
                y[r * N + n] += scale * scales_of(w)[n * blocks + b] * sum;
            }
        }
    }
}

/* ---- the matrix as it is ---- */

static void linear(const ttt_backend *b, void *yv, const void *xv, const ttt_param *wp, int64_t rows, bool accumulate)
{
    (void)b;
    if (wp->packed && ttt_precision_is_blocks(wp->precision)) {
        linear_blocks(yv, xv, wp, rows, accumulate);
        return;
    }
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
    if (precision == TTT_PRECISION_F32) return (size_t)rows * (size_t)columns * sizeof(double);
    if (ttt_precision_is_blocks(precision))
        return (size_t)rows * (size_t)ttt_blocks(columns) * (sizeof(double) + TTT_BLOCK);
    return 0;
}

static bool pack_blocks(void *packed, ttt_precision precision, const ttt_matrix *m)
{
    const int64_t blocks = ttt_blocks(m->columns);
    double *scales = packed;
    int8_t *codes = (int8_t *)(scales + m->rows * blocks);
    bool finite = true;
    for (int64_t i = 0; i < m->rows * blocks; i++) {
        uint16_t scale;
        finite = ttt_matrix_block(m, precision, i / blocks, i % blocks, codes + i * TTT_BLOCK, &scale) && finite;
        scales[i] = (double)ttt_bf16_value(scale);
    }
    return finite;
}

static bool pack_values(double *values, const ttt_matrix *m)
{
    bool finite = true;
    if (!ttt_precision_is_blocks(m->precision)) {
        ttt_dtype_convert(values, TTT_F64, m->values, m->dtype, (size_t)(m->rows * m->columns));
        for (int64_t i = 0; i < m->rows * m->columns; i++) finite = finite && isfinite(values[i]);
        return finite;
    }
    for (int64_t i = 0; i < m->rows * m->columns; i++) {
        float value;
        ttt_matrix_read(m, i / m->columns, i % m->columns, 1, &value);
        values[i] = (double)value;
    }
    return finite;
}

static void pack(const ttt_backend *b, void *packed, ttt_precision precision, const ttt_matrix *matrix, bool *finite)
{
    (void)b;
    const bool sound = ttt_precision_is_blocks(precision) ? pack_blocks(packed, precision, matrix)
                                                          : pack_values(packed, matrix);
    if (finite && !sound) *finite = false;
}

static void embed(const ttt_backend *b, void *yv, const int32_t *ids, const ttt_param *w, int64_t rows)
{
    (void)b;
    double *y = yv;
    const int64_t C = w->columns, blocks = ttt_blocks(C);
    for (int64_t r = 0; r < rows; r++) {
        if (!w->packed || !ttt_precision_is_blocks(w->precision)) {
            memcpy(y + r * C, matrix(w) + ids[r] * C, (size_t)C * sizeof *y);
            continue;
        }
        for (int64_t c = 0; c < C; c++)
            y[r * C + c] = scales_of(w)[ids[r] * blocks + c / TTT_BLOCK] * codes_of(w)[ids[r] * blocks * TTT_BLOCK + c];
    }
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
