/* SPDX-License-Identifier: MIT
 *
 * The selective scan: forward, blocks of channels of every run, or of several where these are short; backward, which
 * sums over runs, blocks of channels, and then over these the gradients of what all channels share, row by row.
 */
#include <string.h>

#include "base/threads.h"
#include "cpu/cpu.h"

typedef struct scanning {
    const ttt_kernels *kernels;
    const ttt_scan *s;
    const ttt_scan_gradients *d;
    const ttt_backend *b;
    float *out;
    int64_t rows;     /* of all runs */
    int64_t together; /* runs of an item, so many that making A is worth it */
} scanning;

static int64_t blocks_of(const ttt_scan *s) { return (s->channels + TTT_SCAN_CHANNELS - 1) / TTT_SCAN_CHANNELS; }

static int64_t rows_of(const ttt_scan *s)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < s->run_count; i++) rows += s->runs[i].count;
    return rows;
}

/* What forward and backward have in common of a block of channels of run i. */
static ttt_scan_part part_of(const ttt_scan *s, int64_t i, int64_t block, const float *rates)
{
    const ttt_run *run = &s->runs[i];
    const int64_t column = block * TTT_SCAN_CHANNELS, left = s->channels - column, at = run->row * s->channels + column;
    return (ttt_scan_part){.u = (const float *)s->u + at,
                           .l = (const float *)s->l + at,
                           .b = (const float *)s->b + run->row * s->stride,
                           .c = (const float *)s->c + run->row * s->stride,
                           .rates = rates,
                           .bias = (const float *)s->bias + column,
                           .skip = (const float *)s->skip + column,
                           .kept = s->kept ? (float *)s->kept + i * s->kept_stride + column * s->states : NULL,
                           .rows = run->count,
                           .columns = left < TTT_SCAN_CHANNELS ? left : TTT_SCAN_CHANNELS,
                           .stride = s->channels,
                           .small_stride = s->stride,
                           .kept_stride = s->channels * s->states,
                           .states = s->states};
}

/* A [N, channels] of a block, into a thread's scratch, where behind it there is room for its gradient. */
static float *make_rates(const scanning *a, int64_t block, int thread)
{
    const ttt_scan *s = a->s;
    const int64_t column = block * TTT_SCAN_CHANNELS, left = s->channels - column;
    float *rates = ttt_scratch(a->b, thread);
    a->kernels->scan_rates(rates, (const float *)s->a_log + column * s->states,
                           left < TTT_SCAN_CHANNELS ? left : TTT_SCAN_CHANNELS, s->states);
    return rates;
}

static size_t scan_scratch_bytes(int64_t states) { return (size_t)(2 * states * TTT_SCAN_CHANNELS) * sizeof(float); }

static void scan_part(void *context, int64_t item, int thread)
{
    const scanning *a = context;
    const ttt_scan *s = a->s;
    const int64_t block = item % blocks_of(s), column = block * TTT_SCAN_CHANNELS;
    const int64_t first = item / blocks_of(s) * a->together, left = s->run_count - first;
    const float *rates = make_rates(a, block, thread);
    for (int64_t i = first; i < first + (left < a->together ? left : a->together); i++) {
        ttt_scan_part part = part_of(s, i, block, rates);
        part.h = (float *)s->runs[i].state + s->state + column * s->states;
        part.out = a->out + s->runs[i].row * s->channels + column;
        a->kernels->scan(&part);
    }
}

static void scan(const ttt_backend *b, void *out, const ttt_scan *s)
{
    enum { ROWS = 16 };
    scanning a = {.kernels = ttt_cpu_kernels(b), .s = s, .b = b, .out = out, .rows = rows_of(s)};
    a.together = (ROWS * s->run_count + a.rows - 1) / a.rows;
    const int64_t groups = (s->run_count + a.together - 1) / a.together;
    ttt_parallel(ttt_pool_of(b), groups * blocks_of(s), scan_part, &a);
}

/* da_log of a block: rows of channels, from [N, channels]. */
static void add_rates(const scanning *a, int64_t column, int64_t columns, const float *drates, const float *rates)
{
    const int64_t N = a->s->states;
    float *da_log = (float *)a->d->da_log + column * N;
    for (int64_t e = 0; e < columns; e++)
        for (int64_t n = 0; n < N; n++) da_log[e * N + n] += drates[n * columns + e] * rates[n * columns + e];
}

static void backward_part(void *context, int64_t block, int thread)
{
    const scanning *a = context;
    const ttt_scan *s = a->s;
    const ttt_scan_gradients *d = a->d;
    const int64_t column = block * TTT_SCAN_CHANNELS, left = s->channels - column,
                  columns = left < TTT_SCAN_CHANNELS ? left : TTT_SCAN_CHANNELS;
    float *rates = make_rates(a, block, thread), *drates = rates + columns * s->states;
    memset(drates, 0, (size_t)(columns * s->states) * sizeof *drates);
    for (int64_t i = 0; i < s->run_count; i++) {
        const int64_t row = s->runs[i].row, at = row * s->channels + column;
        ttt_scan_part part = part_of(s, i, block, rates);
        part.h = (float *)s->runs[i].dstate + s->state + column * s->states;
        part.dout = (const float *)d->dout + at;
        part.du = (float *)d->du + at;
        part.dl = (float *)d->dl + at;
        part.drates = drates;
        part.dbias = (float *)d->dbias + column;
        part.dskip = (float *)d->dskip + column;
        part.partial = (float *)d->partial + (block * a->rows + row) * 2 * s->states;
        a->kernels->scan_backward(&part);
    }
    add_rates(a, column, columns, drates, rates);
}

/* db and dc of rows: the blocks' parts, one after another. */
static void sum_rows(void *context, int64_t begin, int64_t end)
{
    const scanning *a = context;
    const int64_t N = a->s->states, blocks = blocks_of(a->s);
    for (int64_t r = begin; r < end; r++) {
        float *db = (float *)a->d->db + r * a->s->stride, *dc = (float *)a->d->dc + r * a->s->stride;
        for (int64_t block = 0; block < blocks; block++) {
            const float *part = (const float *)a->d->partial + (block * a->rows + r) * 2 * N;
            for (int64_t n = 0; n < N; n++) {
                db[n] = (block ? db[n] : 0) + part[n];
                dc[n] = (block ? dc[n] : 0) + part[N + n];
            }
        }
    }
}

static void scan_backward(const ttt_backend *b, const ttt_scan_gradients *d, const ttt_scan *s)
{
    scanning a = {.kernels = ttt_cpu_kernels(b), .s = s, .d = d, .b = b, .rows = rows_of(s)};
    ttt_parallel(ttt_pool_of(b), blocks_of(s), backward_part, &a);
    ttt_cpu_split(b, a.rows, blocks_of(s) * 2 * s->states, sum_rows, &a);
}

void ttt_cpu_ops_scan(ttt_ops *ops)
{
    ops->scan_scratch_bytes = scan_scratch_bytes;
    ops->scan = scan;
    ops->scan_backward = scan_backward;
}
