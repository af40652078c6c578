/* SPDX-License-Identifier: MIT
 *
 * Products with packed f32 weights: one chain of fmas per output (body_product.h), so that a row's result is a function
 * of the row alone; threads share out panels and blocks of rows.
 */
#include <stdatomic.h>
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

/* ---- packed: panel after panel, each [M, TTT_PANEL], the last one filled up with zeros ---- */

static size_t packed_size(int64_t rows, int64_t columns)
{
    return (size_t)ttt_panels(rows) * TTT_PANEL * (size_t)columns * sizeof(float);
}

void ttt_panel_pack(float *panel, const float *w, int64_t stride, int64_t outputs, int64_t steps)
{
    enum { LINE = 16 }; /* a cache line of each output at a time */
    if (outputs < TTT_PANEL) memset(panel, 0, (size_t)steps * TTT_PANEL * sizeof *panel);
    for (int64_t start = 0; start < steps; start += LINE) {
        const int64_t end = steps - start < LINE ? steps : start + LINE;
        for (int64_t j = 0; j < outputs; j++) {
            for (int64_t k = start; k < end; k++) panel[k * TTT_PANEL + j] = w[j * stride + k];
        }
    }
}

typedef struct packing {
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
    float piece[TTT_PANEL * STEPS], zeros = 0;
    for (int64_t panel = begin; panel < end; panel++) {
        const int64_t row = panel * TTT_PANEL, left = p->matrix->rows - row;
        const int64_t outputs = left < TTT_PANEL ? left : TTT_PANEL;
        for (int64_t start = 0; start < columns; start += STEPS) {
            const int64_t steps = columns - start < STEPS ? columns - start : STEPS;
            for (int64_t j = 0; j < outputs; j++) ttt_matrix_read(p->matrix, row + j, start, steps, piece + j * steps);
            zeros += ttt_zeros(piece, outputs * steps);
            ttt_panel_pack(p->packed + row * columns + start * TTT_PANEL, piece, steps, outputs, steps);
        }
    }
    if (!(zeros == 0)) p->damaged = true;
}

static void pack(const ttt_backend *b, void *packed, const ttt_matrix *matrix, bool *finite)
{
    packing p = {.packed = packed, .matrix = matrix};
    ttt_cpu_split(b, ttt_panels(matrix->rows), matrix->columns * TTT_PANEL, pack_panels, &p);
    if (finite && p.damaged) *finite = false;
}

/* Rows that are taken through a panel together, and steps of the inner dimension: the panel's part then stays in the
 * second cache while the rows pass. A few rows pass once, so for them there is nothing to keep. */
enum { ROWS = 96, STEPS = 256, FEW_ROWS = 12 };

typedef struct packed_linear {
    const ttt_kernels *kernels;
    ttt_product product;
    int64_t outputs, row_blocks;
} packed_linear;

static void linear_item(void *context, int64_t item, int thread)
{
    (void)thread;
    const packed_linear *l = context;
    const int64_t panel = item / l->row_blocks, row = item % l->row_blocks * ROWS, column = panel * TTT_PANEL;
    ttt_product p = l->product;
    const int64_t depth = p.depth;
    p.y += row * p.y_stride + column;
    p.x += row * p.x_stride;
    p.panel += column * depth;
    p.rows = p.rows - row < ROWS ? p.rows - row : ROWS;
    p.columns = l->outputs - column < TTT_PANEL ? l->outputs - column : TTT_PANEL;
    const int64_t steps = p.rows <= FEW_ROWS ? depth : STEPS;
    for (int64_t k = 0; k < depth; k += steps) {
        p.depth = depth - k < steps ? depth - k : steps;
        l->kernels->product(&p);
        p.x += steps;
        p.panel += steps * TTT_PANEL;
        p.accumulate = true;
    }
}

static void linear(const ttt_backend *b, float *y, const float *x, const ttt_param *w, int64_t rows, bool accumulate)
{
    const int64_t N = w->rows, M = w->columns;
    packed_linear l = {.kernels = ttt_cpu_kernels(b),
                       .product = {.y = y,
                                   .x = x,
                                   .panel = w->packed,
                                   .y_stride = N,
                                   .x_stride = M,
                                   .x_step = 1,
                                   .rows = rows,
                                   .depth = M,
                                   .accumulate = accumulate},
                       .outputs = N,
                       .row_blocks = (rows + ROWS - 1) / ROWS};
    const int64_t worth = 1 << 16; /* multiplications for which a second thread is started */
    ttt_parallel(rows * N * M < worth ? NULL : ttt_pool_of(b), ttt_panels(N) * l.row_blocks, linear_item, &l);
}

static void embed_row(float *y, const ttt_param *w, int64_t id)
{
    const int64_t C = w->columns;
    const float *from = (const float *)w->packed + id / TTT_PANEL * TTT_PANEL * C + id % TTT_PANEL;
    for (int64_t c = 0; c < C; c++) y[c] = from[c * TTT_PANEL];
}

const ttt_cpu_format ttt_cpu_f32 = {packed_size, pack, linear, embed_row};
