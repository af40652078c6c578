/* SPDX-License-Identifier: MIT
 *
 * Products with a weight matrix, and the embedding: packed matrices go to the file of their precision (product_*.c),
 * plain f32 ones, which only training has, to product_rows.c.
 */
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

static const ttt_cpu_format *const formats[TTT_PRECISION_COUNT] = {[TTT_PRECISION_F32] = &ttt_cpu_f32,
                                                                   [TTT_PRECISION_BF16] = &ttt_cpu_bf16,
                                                                   [TTT_PRECISION_Q8] = &ttt_cpu_q8,
                                                                   [TTT_PRECISION_Q4] = &ttt_cpu_q4};

static size_t packed_size(ttt_precision precision, int64_t rows, int64_t columns)
{
    return formats[precision] ? formats[precision]->packed_size(rows, columns) : 0;
}

static void pack(const ttt_backend *b, void *packed, ttt_precision precision, const ttt_matrix *matrix, bool *finite)
{
    formats[precision]->pack(b, packed, matrix, finite);
}

/* ---- products ---- */

static void linear(const ttt_backend *b, void *y, const void *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    if (w->packed) {
        formats[w->precision]->linear(b, y, x, w, rows, accumulate);
        return;
    }
    ttt_multiply_rows(b, &(ttt_multiply){.y = y,
                                         .a = x,
                                         .w = w->values,
                                         .w_transposed = true,
                                         .rows = rows,
                                         .columns = w->rows,
                                         .depth = w->columns,
                                         .accumulate = accumulate});
}

static void linear_backward_input(const ttt_backend *b, void *dx, const void *dy, const ttt_param *w, int64_t rows,
                                  bool accumulate)
{
    if (w->turned) {
        const ttt_param turned = {.packed = w->turned, .rows = w->columns, .columns = w->rows};
        formats[w->precision]->linear(b, dx, dy, &turned, rows, accumulate);
        return;
    }
    ttt_multiply_rows(b, &(ttt_multiply){.y = dx,
                                         .a = dy,
                                         .w = w->values,
                                         .rows = rows,
                                         .columns = w->columns,
                                         .depth = w->rows,
                                         .accumulate = accumulate});
}

static void linear_backward_weight(const ttt_backend *b, const ttt_param *dw, const void *dy, const void *x,
                                   int64_t rows)
{
    if (dw->precision == TTT_PRECISION_BF16) {
        ttt_bf16_backward_weight(b, dw, dy, x, rows);
        return;
    }
    ttt_multiply_rows(b, &(ttt_multiply){.y = dw->values,
                                         .a = dy,
                                         .a_transposed = true,
                                         .w = x,
                                         .rows = dw->rows,
                                         .columns = dw->columns,
                                         .depth = rows,
                                         .accumulate = true});
}

/* ---- embedding ---- */

typedef struct embedding {
    const ttt_kernels *kernels;
    float *y;
    const float *x;
    const int32_t *ids;
    const ttt_param *w;
    int64_t rows;
} embedding;

static void embed_rows(void *context, int64_t begin, int64_t end)
{
    const embedding *e = context;
    const int64_t C = e->w->columns;
    for (int64_t r = begin; r < end; r++) {
        float *y = e->y + r * C;
        if (e->w->values)
            memcpy(y, (const float *)e->w->values + e->ids[r] * C, (size_t)C * sizeof *y);
        else
            formats[e->w->precision]->embed_row(e->kernels, y, e->w, e->ids[r]);
    }
}

static void embed(const ttt_backend *b, void *y, const int32_t *ids, const ttt_param *w, int64_t rows)
{
    embedding e = {.kernels = ttt_cpu_kernels(b), .y = y, .ids = ids, .w = w};
    ttt_cpu_split(b, rows, w->columns, embed_rows, &e);
}

/* Blocks of columns of all rows: two rows may have the same id, and are then added in their order. */
static void embed_backward_columns(void *context, int64_t begin, int64_t end)
{
    const embedding *e = context;
    const int64_t C = e->w->columns, column = begin * TTT_PANEL;
    const int64_t count = end * TTT_PANEL < C ? (end - begin) * TTT_PANEL : C - column;
    for (int64_t r = 0; r < e->rows; r++) {
        e->kernels->add(e->y + e->ids[r] * C + column, e->x + r * C + column, count);
    }
}

static void embed_backward(const ttt_backend *b, const ttt_param *dw, const int32_t *ids, const void *dy, int64_t rows)
{
    embedding e = {.kernels = ttt_cpu_kernels(b), .y = dw->values, .x = dy, .ids = ids, .w = dw, .rows = rows};
    ttt_cpu_split(b, ttt_panels(dw->columns), rows * TTT_PANEL, embed_backward_columns, &e);
}

void ttt_cpu_ops_product(ttt_ops *ops)
{
    ops->linear = linear;
    ops->linear_backward_input = linear_backward_input;
    ops->linear_backward_weight = linear_backward_weight;
    ops->packed_size = packed_size;
    ops->pack = pack;
    ops->embed = embed;
    ops->embed_backward = embed_backward;
}
