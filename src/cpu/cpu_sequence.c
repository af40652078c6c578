/* SPDX-License-Identifier: MIT
 *
 * What looks at a token's position or at the tokens before it. Rows are shared out for the rotation, columns for the
 * convolutions, which are independent of each other.
 */
#include <string.h>

#include "cpu/cpu.h"

typedef struct sequence {
    const ttt_kernels *kernels;
    float *x;
    const float *table;
    const ttt_run *run;
    int64_t heads, head_size, mini_batch;
    float sign;
} sequence;

static void rotate_rows(void *context, int64_t begin, int64_t end)
{
    const sequence *s = context;
    const int64_t width = s->heads * s->head_size;
    for (int64_t t = begin; t < end; t++) {
        const int64_t i = (s->run->position + t) % s->mini_batch;
        s->kernels->rotate(s->x + (s->run->row + t) * width, s->table + i * s->head_size, s->heads, s->head_size,
                           s->sign);
    }
}

static void rotate(const ttt_backend *b, void *x, const void *table, const ttt_run *runs, int64_t run_count,
                   int64_t heads, int64_t head_size, int64_t mini_batch, bool inverse)
{
    sequence s = {.kernels = ttt_cpu_kernels(b),
                  .x = x,
                  .table = table,
                  .heads = heads,
                  .head_size = head_size,
                  .mini_batch = mini_batch,
                  .sign = inverse ? -1 : 1};
    for (s.run = runs; s.run < runs + run_count; s.run++) {
        ttt_cpu_split(b, s.run->count, heads * head_size, rotate_rows, &s);
    }
}

enum { COLUMNS = 64 }; /* of an item of a convolution */

typedef struct convolution {
    const ttt_kernels *kernels;
    float *y, *dx, *dw, *dbias;
    const float *x, *w, *bias, *dy, *x_tail;
    const ttt_run *runs;
    int64_t run_count, tail, width, taps;
} convolution;

/* Columns [column, column + count) of run n: what the forward and the backward have in common. */
static ttt_conv conv_columns(const convolution *c, int64_t n, int64_t column, int64_t count)
{
    return (ttt_conv){.x = c->x + c->runs[n].row * c->width + column,
                      .w = c->w + column * c->taps,
                      .rows = c->runs[n].count,
                      .stride = c->width,
                      .columns = count,
                      .taps = c->taps};
}

static void conv_part(void *context, int64_t begin, int64_t end)
{
    const convolution *c = context;
    const int64_t column = begin * COLUMNS, last = end * COLUMNS < c->width ? end * COLUMNS : c->width;
    for (int64_t n = 0; n < c->run_count; n++) {
        ttt_conv part = conv_columns(c, n, column, last - column);
        part.tail = (const float *)c->runs[n].state + c->tail + column;
        part.bias = c->bias + column;
        part.y = c->y + c->runs[n].row * c->width + column;
        c->kernels->conv(&part);
    }
}

static void conv_backward_part(void *context, int64_t begin, int64_t end)
{
    const convolution *c = context;
    const int64_t column = begin * COLUMNS, last = end * COLUMNS < c->width ? end * COLUMNS : c->width;
    for (int64_t n = 0; n < c->run_count; n++) {
        ttt_conv part = conv_columns(c, n, column, last - column);
        part.tail = c->x_tail + n * (c->taps - 1) * c->width + column;
        part.dy = c->dy + c->runs[n].row * c->width + column;
        part.dx = c->dx + c->runs[n].row * c->width + column;
        part.dtail = (float *)c->runs[n].dstate + c->tail + column;
        part.dw = c->dw + column * c->taps;
        part.dbias = c->dbias + column;
        c->kernels->conv_backward(&part);
    }
}

/* Shares out the columns; the cost of one block of them is that of all rows. */
static void conv_split(const ttt_backend *b, convolution *c, void (*part)(void *, int64_t, int64_t))
{
    int64_t rows = 0;
    for (int64_t n = 0; n < c->run_count; n++) rows += c->runs[n].count;
    c->kernels = ttt_cpu_kernels(b);
    ttt_cpu_split(b, (c->width + COLUMNS - 1) / COLUMNS, rows * c->taps * COLUMNS, part, c);
}

static void conv(const ttt_backend *b, void *y, const void *x, const void *w, const void *bias, const ttt_run *runs,
                 int64_t run_count, int64_t tail, int64_t width, int64_t taps)
{
    convolution c = {.y = y,
                     .x = x,
                     .w = w,
                     .bias = bias,
                     .runs = runs,
                     .run_count = run_count,
                     .tail = tail,
                     .width = width,
                     .taps = taps};
    conv_split(b, &c, conv_part);
}

static void conv_backward(const ttt_backend *b, void *dx, void *dw, void *dbias, const void *dy, const void *x,
                          const void *x_tail, const void *w, const ttt_run *runs, int64_t run_count, int64_t tail,
                          int64_t width, int64_t taps)
{
    convolution c = {.dx = dx,
                     .dw = dw,
                     .dbias = dbias,
                     .dy = dy,
                     .x = x,
                     .x_tail = x_tail,
                     .w = w,
                     .runs = runs,
                     .run_count = run_count,
                     .tail = tail,
                     .width = width,
                     .taps = taps};
    conv_split(b, &c, conv_backward_part);
}

/* The new tail is the last W-1 rows of the old one followed by the run's. */
static void conv_tail(const ttt_backend *b, const void *xv, const ttt_run *runs, int64_t run_count, int64_t tail,
                      int64_t width, int64_t taps)
{
    (void)b;
    const int64_t before = taps - 1;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        float *rows = (float *)run->state + tail;
        const int64_t fresh = run->count < before ? run->count : before, kept = before - fresh;
        const float *x = (const float *)xv + (run->row + run->count - fresh) * width;
        memmove(rows, rows + fresh * width, (size_t)(kept * width) * sizeof *rows);
        memcpy(rows + kept * width, x, (size_t)(fresh * width) * sizeof *rows);
    }
}

static void conv_tail_backward(const ttt_backend *b, void *dxv, const ttt_run *runs, int64_t run_count, int64_t tail,
                               int64_t width, int64_t taps)
{
    const int64_t before = taps - 1;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        float *rows = (float *)run->dstate + tail;
        const int64_t fresh = run->count < before ? run->count : before, kept = before - fresh;
        float *dx = (float *)dxv + (run->row + run->count - fresh) * width;
        ttt_cpu_kernels(b)->add(dx, rows + kept * width, fresh * width);
        memmove(rows + fresh * width, rows, (size_t)(kept * width) * sizeof *rows);
        memset(rows, 0, (size_t)(fresh * width) * sizeof *rows);
    }
}

void ttt_cpu_ops_sequence(ttt_ops *ops)
{
    ops->rotate = rotate;
    ops->conv = conv;
    ops->conv_tail = conv_tail;
    ops->conv_backward = conv_backward;
    ops->conv_tail_backward = conv_tail_backward;
}
