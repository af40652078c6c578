/* SPDX-License-Identifier: MIT
 *
 * Products with packed f32 weights: one chain of fmas per output (body_product.h), so that a row's result is a function
 * of the row alone; threads share out panels and blocks of rows.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* ---- packed: strips of a panel after one another, each [M, strip_width], the last panel filled up with zeros ---- */

static size_t packed_size(int64_t rows, int64_t columns)
{
    return (size_t)ttt_panels(rows) * TTT_PANEL * (size_t)columns * sizeof(float);
}

typedef struct packing {
    const ttt_kernels *kernels;
    float *packed;
    const ttt_matrix *matrix;
    atomic_bool damaged;
} packing;

/* Piece after piece of the rows of a panel, checked on the way: the matrix may lie in a file. */
static void pack_panels(void *context, int64_t begin, int64_t end)
{
    enum { STEPS = 64 };
    packing *p = context;
    const int64_t columns = p->matrix->columns;
    const int64_t width = p->kernels->strip_width;
    float piece[TTT_PANEL * STEPS], zeros = 0;
    for (int64_t panel = begin; panel < end; panel++) {
        const int64_t row = panel * TTT_PANEL, left = p->matrix->rows - row;
        const int64_t outputs = left < TTT_PANEL ? left : TTT_PANEL;
        float *to = p->packed + row * columns;
        if (outputs < TTT_PANEL) memset(to, 0, (size_t)(TTT_PANEL * columns) * sizeof *to);
        for (int64_t start = 0; start < columns; start += STEPS) {
            const int64_t steps = columns - start < STEPS ? columns - start : STEPS;
            for (int64_t j = 0; j < outputs; j++) ttt_matrix_read(p->matrix, row + j, start, steps, piece + j * steps);
            zeros += ttt_zeros(piece, outputs * steps);
            p->kernels->strips(&(ttt_strips){.strips = to + start * width,
                                             .strip_stride = columns * width,
                                             .w = piece,
                                             .stride = steps,
                                             .columns = outputs,
                                             .depth = steps});
        }
    }
    if (!(zeros == 0)) p->damaged = true;
}

static void pack(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite)
{
    packing p = {.kernels = ttt_cpu_kernels(b), .packed = packed, .matrix = matrix};
    ttt_cpu_split(b, ttt_panels(matrix->rows), matrix->columns * TTT_PANEL, pack_panels, &p);
    if (finite && p.damaged) *finite = false;
}

typedef struct packed_linear {
    const ttt_kernels *kernels;
    ttt_product product;
    int64_t outputs;
} packed_linear;

static void linear_panel(void *context, int64_t panel, int thread)
{
    (void)thread;
    const packed_linear *l = context;
    const int64_t column = panel * TTT_PANEL;
    ttt_product p = l->product;
    p.y += column;
    p.panel += column * p.depth;
    p.columns = l->outputs - column < TTT_PANEL ? l->outputs - column : TTT_PANEL;
    l->kernels->product(&p);
}

/* A few rows pass a panel once, as they are: nothing is laid out or kept for them. */
static void linear(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    enum { FEW_ROWS = 12, WORTH = 1 << 16 }; /* multiplications for which a second thread is started */
    const int64_t N = w->rows, M = w->columns;
    if (rows > FEW_ROWS) {
        ttt_multiply_rows(
            b,
            &(ttt_multiply){
                .y = y, .a = x, .strips = w->packed, .rows = rows, .columns = N, .depth = M, .accumulate = accumulate});
        return;
    }
    const ttt_kernels *kernels = ttt_cpu_kernels(b);
    packed_linear l = {.kernels = kernels,
                       .product = {.y = y,
                                   .x = x,
                                   .panel = w->packed,
                                   .y_stride = N,
                                   .x_stride = M,
                                   .x_step = 1,
                                   .x_block = TTT_ROWS_TOGETHER * M,
                                   .strip_stride = M * kernels->strip_width,
                                   .rows = rows,
                                   .depth = M,
                                   .accumulate = accumulate},
                       .outputs = N};
    ttt_parallel(rows * N * M < WORTH ? NULL : ttt_pool_of(b), ttt_panels(N), linear_panel, &l);
}

static void embed_row(const ttt_kernels *kernels, float *y, const ttt_param *w, int64_t id)
{
    const int64_t C = w->columns, width = kernels->strip_width;
    const float *from = (const float *)w->packed + id / width * width * C + id % width;
    for (int64_t c = 0; c < C; c++) y[c] = from[c * width];
}

const ttt_cpu_format ttt_cpu_f32 = {packed_size, pack, linear, embed_row};
