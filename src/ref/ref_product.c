/* SPDX-License-Identifier: MIT
 *
 * Products with a weight matrix w [N,M], and the embedding. "Packed" is the matrix as it is, or its codes and scales.
 */
#include <math.h>
#include <string.h>

#include "ref/ref.h"

static const double *matrix(const ttt_param *w) { return w->packed ? w->packed : w->values; }

/* ---- codes and scales: all scales [N, blocks], then all codes [N, blocks, TTT_QUANT_BLOCK] ---- */

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
            const int64_t first = b * TTT_QUANT_BLOCK,
                          count = M - first < TTT_QUANT_BLOCK ? M - first : TTT_QUANT_BLOCK;
            float values[TTT_QUANT_BLOCK];
            int8_t codes[TTT_QUANT_BLOCK];
            for (int64_t i = 0; i < count; i++) values[i] = (float)x[r * M + first + i];
            const double scale = (double)ttt_quantize_row(codes, values, count);
            for (int64_t n = 0; n < N; n++) {
                const int8_t *weights = codes_of(w) + (n * blocks + b) * TTT_QUANT_BLOCK;
                int32_t sum = 0;
                for (int i = 0; i < TTT_QUANT_BLOCK; i++) sum += weights[i] * codes[i];
                y[r * N + n] += scale * scales_of(w)[n * blocks + b] * sum;
            }
        }
    }
}

/* ---- the matrix as it is, or rounded ---- */

/* MATH (bf16): what a product in this precision makes of a number. */
static double rounded(ttt_precision precision, double x)
{
    if (precision != TTT_PRECISION_BF16) return x;
    uint16_t bits;
    ttt_dtype_convert(&bits, TTT_BF16, &x, TTT_F64, 1);
    return (double)ttt_bf16_value(bits);
}

/* Columns of a row that are rounded together. */
enum { PART = 256 };

static int64_t round_part(double part[PART], ttt_precision precision, const double *row, int64_t from, int64_t columns)
{
    const int64_t count = columns - from < PART ? columns - from : PART;
    for (int64_t i = 0; i < count; i++) part[i] = rounded(precision, row[from + i]);
    return count;
}

static void linear(const ttt_backend *b, void *yv, const void *xv, const ttt_param *wp, int64_t rows, bool accumulate)
{
    (void)b;
    if (wp->packed && ttt_precision_is_blocks(wp->precision)) {
        linear_blocks(yv, xv, wp, rows, accumulate);
        return;
    }
    double *y = yv, part[PART];
    const double *x = xv, *w = matrix(wp);
    const int64_t N = wp->rows, M = wp->columns;
    for (int64_t r = 0; r < rows; r++) {
        if (!accumulate) memset(y + r * N, 0, (size_t)N * sizeof *y);
        for (int64_t m = 0; m < M; m += PART) {
            const int64_t count = round_part(part, wp->precision, x + r * M, m, M);
            for (int64_t n = 0; n < N; n++) {
                double sum = 0;
                for (int64_t i = 0; i < count; i++) sum += part[i] * w[n * M + m + i];
                y[r * N + n] += sum;
            }
        }
    }
}

static void linear_backward_input(const ttt_backend *b, void *dxv, const void *dyv, const ttt_param *wp, int64_t rows,
                                  bool accumulate)
{
    (void)b;
    double *dx = dxv;
    const double *dy = dyv, *w = wp->turned ? wp->turned : matrix(wp);
    const int64_t N = wp->rows, M = wp->columns, along = wp->turned ? N : 1, down = wp->turned ? 1 : M;
    for (int64_t r = 0; r < rows; r++) {
        if (!accumulate) memset(dx + r * M, 0, (size_t)M * sizeof *dx);
        for (int64_t n = 0; n < N; n++) {
            const double d = rounded(wp->precision, dy[r * N + n]);
            for (int64_t m = 0; m < M; m++) dx[r * M + m] += d * w[n * down + m * along];
        }
    }
}

static void linear_backward_weight(const ttt_backend *b, const ttt_param *dwp, const void *dyv, const void *xv,
                                   int64_t rows)
{
    (void)b;
    double *dw = dwp->values, part[PART];
    const double *dy = dyv, *x = xv;
    const int64_t N = dwp->rows, M = dwp->columns;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t m = 0; m < M; m += PART) {
            const int64_t count = round_part(part, dwp->precision, x + r * M, m, M);
            for (int64_t n = 0; n < N; n++) {
                const double d = rounded(dwp->precision, dy[r * N + n]);
                for (int64_t i = 0; i < count; i++) dw[n * M + m + i] += d * part[i];
            }
        }
    }
}

static size_t packed_size(ttt_precision precision, int64_t rows, int64_t columns)
{
    if (!ttt_precision_is_blocks(precision)) return (size_t)rows * (size_t)columns * sizeof(double);
    return (size_t)rows * (size_t)ttt_blocks(columns) * (sizeof(double) + TTT_QUANT_BLOCK);
}

static bool pack_blocks(void *packed, ttt_precision precision, const ttt_matrix *m)
{
    const int64_t blocks = ttt_blocks(m->columns);
    double *scales = packed;
    int8_t *codes = (int8_t *)(scales + m->rows * blocks);
    bool finite = true;
    for (int64_t i = 0; i < m->rows * blocks; i++) {
        uint16_t scale;
        finite = ttt_matrix_block(m, precision, i / blocks, i % blocks, codes + i * TTT_QUANT_BLOCK, &scale) && finite;
        scales[i] = (double)ttt_bf16_value(scale);
    }
    return finite;
}

static bool pack_values(double *values, ttt_precision precision, const ttt_matrix *m)
{
    const int64_t n = m->rows * m->columns;
    bool finite = true;
    if (ttt_precision_is_blocks(m->precision)) {
        for (int64_t i = 0; i < n; i++) {
            float value;
            ttt_matrix_read(m, i / m->columns, i % m->columns, 1, &value);
            values[i] = (double)value;
        }
    } else if (m->transposed) {
        const size_t size = ttt_dtype_bytes(m->dtype);
        for (int64_t i = 0; i < n; i++) {
            const int64_t from = i % m->columns * m->rows + i / m->columns;
            ttt_dtype_convert(values + i, TTT_F64, (const char *)m->values + (size_t)from * size, m->dtype, 1);
        }
    } else {
        ttt_dtype_convert(values, TTT_F64, m->values, m->dtype, (size_t)n);
    }
    for (int64_t i = 0; i < n; i++) {
        finite = finite && isfinite(values[i]);
        values[i] = rounded(precision, values[i]);
    }
    return finite;
}

static void pack(const ttt_backend *b, void *packed, ttt_precision precision, const ttt_matrix *matrix, bool *finite)
{
    (void)b;
    const bool sound = ttt_precision_is_blocks(precision) ? pack_blocks(packed, precision, matrix)
                                                          : pack_values(packed, precision, matrix);
    if (finite && !sound) *finite = false;
}

static void embed(const ttt_backend *b, void *yv, const int32_t *ids, const ttt_param *w, int64_t rows)
{
    (void)b;
    double *y = yv;
    const double *values = w->values ? w->values : w->packed;
    const int64_t C = w->columns, blocks = ttt_blocks(C);
    for (int64_t r = 0; r < rows; r++) {
        if (w->values || !ttt_precision_is_blocks(w->precision)) {
            memcpy(y + r * C, values + ids[r] * C, (size_t)C * sizeof *y);
            continue;
        }
        for (int64_t c = 0; c < C; c++)
            y[r * C + c] = scales_of(w)[ids[r] * blocks + c / TTT_QUANT_BLOCK] *
                           codes_of(w)[ids[r] * blocks * TTT_QUANT_BLOCK + c];
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
