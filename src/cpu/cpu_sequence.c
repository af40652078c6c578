/* SPDX-License-Identifier: MIT
 *
 * What looks at a token's position or at the tokens before it. Rows are shared out, and columns in the backward of
 * the convolutions, which sums over rows.
 */
#include <string.h>

#include "base/elementary.h"
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

typedef struct rotation_at {
    const ttt_kernels *kernels;
    float *x;
    const double *frequencies;
    const ttt_run *run;
    int64_t heads, head_size;
    bool halves, inverse;
} rotation_at;

static void rotate_at_rows(void *context, int64_t begin, int64_t end)
{
    enum { PAIRS = 64 };
    const rotation_at *r = context;
    const int64_t half = r->head_size / 2;
    for (int64_t t = begin; t < end; t++) {
        float *x = r->x + (r->run->row + t) * r->heads * r->head_size;
        for (int64_t first = 0; first < half; first += PAIRS) {
            const int64_t pairs = half - first < PAIRS ? half - first : PAIRS;
            float cosines[PAIRS], sines[PAIRS];
            for (int64_t i = 0; i < pairs; i++) {
                const double angle = (double)(r->run->position + t) * r->frequencies[first + i];
                double sine, cosine;
                ttt_sincos(angle, &sine, &cosine);
                cosines[i] = (float)cosine;
                sines[i] = (float)(r->inverse ? -sine : sine);
            }
            r->kernels->rotate_pairs(x + (r->halves ? first : 2 * first), cosines, sines, r->heads, r->head_size, pairs,
                                     r->halves);
        }
    }
}

static void rotate_at(const ttt_backend *b, void *x, const double *frequencies, const ttt_run *runs, int64_t run_count,
                      int64_t heads, int64_t head_size, bool halves, bool inverse)
{
    enum { ANGLE = 32 }; /* what cosine and sine cost, in elementary operations */
    rotation_at r = {.kernels = ttt_cpu_kernels(b),
                     .x = x,
                     .frequencies = frequencies,
                     .heads = heads,
                     .head_size = head_size,
                     .halves = halves,
                     .inverse = inverse};
    for (r.run = runs; r.run < runs + run_count; r.run++)
        ttt_cpu_split(b, r.run->count, (heads + ANGLE) * head_size, rotate_at_rows, &r);
}

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

enum { CONV_ROWS = 128 }; /* of a part of conv: few enough to stay in the second cache */

static int64_t conv_strips(const convolution *c) { return (c->width + TTT_CONV_COLUMNS - 1) / TTT_CONV_COLUMNS; }

/* Parts of one run, c->runs: blocks of rows, each in strips of columns. */
static void conv_parts(void *context, int64_t begin, int64_t end)
{
    const convolution *c = context;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i / conv_strips(c) * CONV_ROWS, column = i % conv_strips(c) * TTT_CONV_COLUMNS;
        const int64_t left = c->width - column;
        ttt_conv part = conv_columns(c, 0, column, left < TTT_CONV_COLUMNS ? left : TTT_CONV_COLUMNS);
        part.tail = (const float *)c->runs->state + c->tail + column;
        part.bias = c->bias ? c->bias + column : NULL;
        part.y = c->y + c->runs->row * c->width + column;
        part.first = first;
        part.last = part.rows - first < CONV_ROWS ? part.rows : first + CONV_ROWS;
        c->kernels->conv(&part);
    }
}

static void conv(const ttt_backend *b, void *y, const void *x, const void *w, const void *bias, const ttt_run *runs,
                 int64_t run_count, int64_t tail, int64_t width, int64_t taps)
{
    convolution c = {.kernels = ttt_cpu_kernels(b),
                     .y = y,
                     .x = x,
                     .w = w,
                     .bias = bias,
                     .tail = tail,
                     .width = width,
                     .taps = taps};
    for (c.runs = runs; c.runs < runs + run_count; c.runs++) {
        const int64_t blocks = (c.runs->count + CONV_ROWS - 1) / CONV_ROWS;
        const int64_t rows = c.runs->count < CONV_ROWS ? c.runs->count : CONV_ROWS;
        ttt_cpu_split(b, blocks * conv_strips(&c), rows * taps * TTT_CONV_COLUMNS, conv_parts, &c);
    }
}

enum { COLUMNS = TTT_CONV_BACKWARD_COLUMNS }; /* of a part of the backward, which has all rows of all runs */

static void conv_backward_parts(void *context, int64_t begin, int64_t end)
{
    const convolution *c = context;
    for (int64_t i = begin; i < end; i++) {
        const int64_t column = i * COLUMNS, left = c->width - column;
        for (int64_t n = 0; n < c->run_count; n++) {
            ttt_conv part = conv_columns(c, n, column, left < COLUMNS ? left : COLUMNS);
            part.tail = c->x_tail + n * (c->taps - 1) * c->width + column;
            part.dy = c->dy + c->runs[n].row * c->width + column;
            part.dx = c->dx + c->runs[n].row * c->width + column;
            part.dtail = (float *)c->runs[n].dstate + c->tail + column;
            part.dw = c->dw + column * c->taps;
            part.dbias = c->dbias ? c->dbias + column : NULL;
            c->kernels->conv_backward(&part);
        }
    }
}

static void conv_backward(const ttt_backend *b, void *dx, void *dw, void *dbias, const void *dy, const void *x,
                          const void *x_tail, const void *w, const ttt_run *runs, int64_t run_count, int64_t tail,
                          int64_t width, int64_t taps)
{
    convolution c = {.kernels = ttt_cpu_kernels(b),
                     .dx = dx,
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
    int64_t rows = 0;
    for (int64_t n = 0; n < run_count; n++) rows += runs[n].count;
    ttt_cpu_split(b, (width + COLUMNS - 1) / COLUMNS, rows * taps * COLUMNS, conv_backward_parts, &c);
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
    ops->rotate_at = rotate_at;
    ops->conv = conv;
    ops->conv_tail = conv_tail;
    ops->conv_backward = conv_backward;
    ops->conv_tail_backward = conv_tail_backward;
}
