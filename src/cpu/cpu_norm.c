/* SPDX-License-Identifier: MIT
 *
 * Normalisations. Rows are shared out; in the backward in parts of a fixed number, each of which sums the gradients of
 * the weights over its rows, and these sums are added in their order.
 */
#include <string.h>

#include "cpu/cpu.h"

enum { ROWS = 64, PARTS = TTT_NORM_SCRATCH / 2 }; /* of a part of a backward; parts that go before they are added up */

typedef struct norm {
    const ttt_kernels *kernels;
    float *y;                 /* norm_gate's backward: dy on entry */
    float *dx, *dgate, *sums; /* sums [PARTS, 2, width]: of dw and dbias */
    const float *x, *w, *bias, *gate, *dy;
    int64_t rows, width;
    float eps;
} norm;

static ttt_norm_row norm_row(const norm *n, int64_t row)
{
    const int64_t at = row * n->width;
    return (ttt_norm_row){
        .x = n->x + at, .w = n->w, .bias = n->bias, .gate = n->gate ? n->gate + at : NULL, .width = n->width};
}

/* Row `row` of a backward, with what it adds its part of dw and dbias to. */
typedef void row_task(const norm *n, int64_t row, float *dw, float *dbias);

typedef struct backward_parts {
    const norm *norm;
    row_task *task;
    int64_t first; /* row of the first part */
} backward_parts;

static void run_backward_parts(void *context, int64_t begin, int64_t end)
{
    const backward_parts *p = context;
    const norm *n = p->norm;
    for (int64_t part = begin; part < end; part++) {
        float *dw = n->sums + part * 2 * n->width, *dbias = dw + n->width;
        const int64_t first = p->first + part * ROWS, last = n->rows - first < ROWS ? n->rows : first + ROWS;
        memset(dw, 0, 2 * (size_t)n->width * sizeof *dw);
        for (int64_t r = first; r < last; r++) p->task(n, r, dw, dbias);
    }
}

static void backward(const ttt_backend *b, norm n, float *dw, float *dbias, row_task *task)
{
    n.kernels = ttt_cpu_kernels(b);
    n.sums = ttt_scratch(b, 0);
    backward_parts p = {.norm = &n, .task = task};
    for (; p.first < n.rows; p.first += PARTS * ROWS) {
        const int64_t left = (n.rows - p.first + ROWS - 1) / ROWS, parts = left < PARTS ? left : PARTS;
        ttt_cpu_split(b, parts, 4 * ROWS * n.width, run_backward_parts, &p);
        for (int64_t part = 0; part < parts; part++) {
            n.kernels->add(dw, n.sums + part * 2 * n.width, n.width);
            if (dbias) n.kernels->add(dbias, n.sums + (part * 2 + 1) * n.width, n.width);
        }
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

static void rmsnorm_backward_row(const norm *n, int64_t row, float *dw, float *dbias)
{
    (void)dbias;
    const int64_t at = row * n->width;
    n->kernels->rmsnorm_backward(n->dx + at, dw, n->dy + at, n->x + at, n->w, n->width, n->eps);
}

static void rmsnorm_backward(const ttt_backend *b, void *dx, void *dw, const void *dy, const void *x, const void *w,
                             int64_t rows, int64_t width, double eps)
{
    const norm n = {.dx = dx, .dy = dy, .x = x, .w = w, .rows = rows, .width = width, .eps = (float)eps};
    backward(b, n, dw, NULL, rmsnorm_backward_row);
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

static void norm_gate_backward_row(const norm *n, int64_t row, float *dw, float *dbias)
{
    const int64_t at = row * n->width;
    ttt_norm_row part = norm_row(n, row);
    part.dy = n->y + at;
    part.dx = n->dx + at;
    part.dgate = n->gate ? n->dgate + at : NULL;
    part.dw = dw;
    part.dbias = dbias;
    n->kernels->norm_gate_backward(&part);
}

static void norm_gate_backward(const ttt_backend *b, void *dx, void *dgate, void *dw, void *dbias, void *dy,
                               const void *x, const void *w, const void *bias, const void *gate, int64_t rows,
                               int64_t width)
{
    const norm n = {
        .y = dy, .dx = dx, .dgate = dgate, .x = x, .w = w, .bias = bias, .gate = gate, .rows = rows, .width = width};
    backward(b, n, dw, dbias, norm_gate_backward_row);
}

void ttt_cpu_ops_norm(ttt_ops *ops)
{
    ops->rmsnorm = rmsnorm;
    ops->rmsnorm_backward = rmsnorm_backward;
    ops->norm_gate = norm_gate;
    ops->norm_gate_backward = norm_gate_backward;
}
