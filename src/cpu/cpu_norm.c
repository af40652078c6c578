/* SPDX-License-Identifier: MIT
 *
 * Normalisations. Rows are shared out for what belongs to a row, columns for the weights' gradients, so that no partial
 * sums are needed; the rows' statistics pass from the one to the other in scratch, some rows at a time.
 */
#include <stddef.h>

#include "cpu/cpu.h"

enum { ROWS = TTT_NORM_ROWS, COLUMNS = 64 }; /* of a pass of a backward, and of an item of its second part */

typedef struct norm {
    const ttt_kernels *kernels;
    float *y, *dx, *dgate, *dw, *dbias, *statistics;
    const float *x, *w, *bias, *gate, *dy;
    int64_t rows, width;
    float eps;
} norm;

static ttt_norm_row norm_row(const norm *n, int64_t row)
{
    const int64_t at = row * n->width;
    return (ttt_norm_row){.x = n->x + at,
                          .w = n->w,
                          .bias = n->bias,
                          .gate = n->gate ? n->gate + at : NULL,
                          .dy = n->dy ? n->dy + at : NULL,
                          .dx = n->dx ? n->dx + at : NULL,
                          .dgate = n->dgate ? n->dgate + at : NULL,
                          .width = n->width};
}

/* The second part of a backward: [begin, end) are blocks of columns. */
static void columns_of(const norm *n, int64_t begin, int64_t end, int64_t *column, int64_t *count)
{
    *column = begin * COLUMNS;
    *count = (end * COLUMNS < n->width ? end * COLUMNS : n->width) - *column;
}

/* The rows and then the columns of a backward, ROWS rows at a time. */
static void backward(const ttt_backend *b, norm n, int64_t rows, void (*rows_task)(void *, int64_t, int64_t),
                     void (*columns_task)(void *, int64_t, int64_t))
{
    n.kernels = ttt_cpu_kernels(b);
    n.statistics = (float *)(void *)b->scratch;
    for (int64_t row = 0; row < rows; row += ROWS) {
        n.rows = rows - row < ROWS ? rows - row : ROWS;
        ttt_cpu_split(b, n.rows, 4 * n.width, rows_task, &n);
        ttt_cpu_split(b, (n.width + COLUMNS - 1) / COLUMNS, 4 * n.rows * COLUMNS, columns_task, &n);
        const int64_t step = n.rows * n.width;
        n.x += step, n.dy += step, n.dx += step;
        if (n.gate) n.gate += step, n.dgate += step;
    }
}

static void rmsnorm_rows(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    for (int64_t r = begin; r < end; r++) {
        n->kernels->rmsnorm(n->y + r * n->width, n->x + r * n->width, n->w, n->width, n->eps);
    }
}

static void rmsnorm(const ttt_backend *b, void *y, const void *x, const void *w, int64_t rows, int64_t width,
                    double eps)
{
    norm n = {.kernels = ttt_cpu_kernels(b), .y = y, .x = x, .w = w, .width = width, .eps = (float)eps};
    ttt_cpu_split(b, rows, width, rmsnorm_rows, &n);
}

static void rmsnorm_backward_rows(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    for (int64_t r = begin; r < end; r++) {
        const int64_t at = r * n->width;
        n->statistics[r] = n->kernels->rmsnorm_backward(n->dx + at, n->dy + at, n->x + at, n->w, n->width, n->eps);
    }
}

static void rmsnorm_backward_columns(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    int64_t column, count;
    columns_of(n, begin, end, &column, &count);
    n->kernels->rmsnorm_backward_weight(n->dw + column, n->dy + column, n->x + column, n->statistics, n->rows, n->width,
                                        count);
}

static void rmsnorm_backward(const ttt_backend *b, void *dx, void *dw, const void *dy, const void *x, const void *w,
                             int64_t rows, int64_t width, double eps)
{
    const norm n = {.dx = dx, .dw = dw, .dy = dy, .x = x, .w = w, .width = width, .eps = (float)eps};
    backward(b, n, rows, rmsnorm_backward_rows, rmsnorm_backward_columns);
}

static void norm_gate_rows(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    for (int64_t r = begin; r < end; r++) {
        const ttt_norm_row row = norm_row(n, r);
        n->kernels->norm_gate(n->y + r * n->width, &row);
    }
}

static void norm_gate(const ttt_backend *b, void *y, const void *x, const void *w, const void *bias, const void *gate,
                      int64_t rows, int64_t width)
{
    norm n = {.kernels = ttt_cpu_kernels(b), .y = y, .x = x, .w = w, .bias = bias, .gate = gate, .width = width};
    ttt_cpu_split(b, rows, 4 * width, norm_gate_rows, &n);
}

static void norm_gate_backward_rows(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    for (int64_t r = begin; r < end; r++) {
        const ttt_norm_row row = norm_row(n, r);
        n->kernels->norm_gate_backward(n->statistics + 2 * r, &row);
    }
}

static void norm_gate_backward_columns(void *context, int64_t begin, int64_t end)
{
    const norm *n = context;
    int64_t column, count;
    columns_of(n, begin, end, &column, &count);
    n->kernels->norm_gate_backward_weight(n->dw + column, n->dbias + column, n->dy + column, n->x + column,
                                          n->gate ? n->gate + column : NULL, n->statistics, n->rows, n->width, count);
}

static void norm_gate_backward(const ttt_backend *b, void *dx, void *dgate, void *dw, void *dbias, const void *dy,
                               const void *x, const void *w, const void *bias, const void *gate, int64_t rows,
                               int64_t width)
{
    const norm n = {.dx = dx,
                    .dgate = dgate,
                    .dw = dw,
                    .dbias = dbias,
                    .dy = dy,
                    .x = x,
                    .w = w,
                    .bias = bias,
                    .gate = gate,
                    .width = width};
    backward(b, n, rows, norm_gate_backward_rows, norm_gate_backward_columns);
}

void ttt_cpu_ops_norm(ttt_ops *ops)
{
    ops->rmsnorm = rmsnorm;
    ops->rmsnorm_backward = rmsnorm_backward;
    ops->norm_gate = norm_gate;
    ops->norm_gate_backward = norm_gate_backward;
}
