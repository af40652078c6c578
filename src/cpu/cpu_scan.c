/* SPDX-License-Identifier: MIT
 *
 * The selective scan: forward, blocks of channels of every run; backward, which sums over runs, blocks of channels, and
 * then over these the gradients of what all channels share, row by row.
 */
#include "cpu/cpu.h"

typedef struct scanning {
    const ttt_kernels *kernels;
    const ttt_scan *s;
    const ttt_scan_gradients *d;
    float *out;
    int64_t rows; /* of all runs */
} scanning;

static int64_t blocks_of(const ttt_scan *s) { return (s->channels + TTT_SCAN_CHANNELS - 1) / TTT_SCAN_CHANNELS; }

static int64_t rows_of(const ttt_scan *s)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < s->run_count; i++) rows += s->runs[i].count;
    return rows;
}

/* What forward and backward have in common of a block of channels of run i. */
static ttt_scan_part part_of(const ttt_scan *s, int64_t i, int64_t block)
{
    const ttt_run *run = &s->runs[i];
    const int64_t column = block * TTT_SCAN_CHANNELS, left = s->channels - column, at = run->row * s->channels + column;
    return (ttt_scan_part){.u = (const float *)s->u + at,
                           .l = (const float *)s->l + at,
                           .b = (const float *)s->b + run->row * s->stride,
                           .c = (const float *)s->c + run->row * s->stride,
                           .rates = (const float *)s->rates + column * s->states,
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

static void scan_parts(void *context, int64_t begin, int64_t end)
{
    const scanning *a = context;
    const ttt_scan *s = a->s;
    for (int64_t item = begin; item < end; item++) {
        const int64_t i = item / blocks_of(s), block = item % blocks_of(s), column = block * TTT_SCAN_CHANNELS;
        ttt_scan_part part = part_of(s, i, block);
        part.h = (float *)s->runs[i].state + s->state + column * s->states;
        part.out = a->out + s->runs[i].row * s->channels + column;
        a->kernels->scan(&part);
    }
}

enum { STEP_COST = 4 }; /* of one state of one channel, for a row */

static void scan(const ttt_backend *b, void *out, const ttt_scan *s)
{
    scanning a = {.kernels = ttt_cpu_kernels(b), .s = s, .out = out};
    const int64_t rows = (rows_of(s) + s->run_count - 1) / s->run_count;
    ttt_cpu_split(b, s->run_count * blocks_of(s), rows * s->states * TTT_SCAN_CHANNELS * STEP_COST, scan_parts, &a);
}

static void backward_parts(void *context, int64_t begin, int64_t end)
{
    const scanning *a = context;
    const ttt_scan *s = a->s;
    const ttt_scan_gradients *d = a->d;
    for (int64_t block = begin; block < end; block++) {
        const int64_t column = block * TTT_SCAN_CHANNELS;
        for (int64_t i = 0; i < s->run_count; i++) {
            const int64_t row = s->runs[i].row, at = row * s->channels + column;
            ttt_scan_part part = part_of(s, i, block);
            part.h = (float *)s->runs[i].dstate + s->state + column * s->states;
            part.dout = (const float *)d->dout + at;
            part.du = (float *)d->du + at;
            part.dl = (float *)d->dl + at;
            part.drates = (float *)d->drates + column * s->states;
            part.dbias = (float *)d->dbias + column;
            part.dskip = (float *)d->dskip + column;
            part.partial = (float *)d->partial + (block * a->rows + row) * 2 * s->states;
            a->kernels->scan_backward(&part);
        }
    }
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
    scanning a = {.kernels = ttt_cpu_kernels(b), .s = s, .d = d, .rows = rows_of(s)};
    const int64_t blocks = blocks_of(s);
    ttt_cpu_split(b, blocks, 2 * a.rows * s->states * TTT_SCAN_CHANNELS * STEP_COST, backward_parts, &a);
    ttt_cpu_split(b, a.rows, blocks * 2 * s->states, sum_rows, &a);
}

typedef struct rating {
    const ttt_kernels *kernels;
    float *rates;
    const float *a_log;
    int64_t channels, states;
} rating;

static void rate_parts(void *context, int64_t begin, int64_t end)
{
    const rating *a = context;
    for (int64_t column = begin * TTT_SCAN_CHANNELS; column < end * TTT_SCAN_CHANNELS; column += TTT_SCAN_CHANNELS) {
        const int64_t left = a->channels - column;
        a->kernels->scan_rates(a->rates + column * a->states, a->a_log + column * a->states,
                               left < TTT_SCAN_CHANNELS ? left : TTT_SCAN_CHANNELS, a->states);
    }
}

static void scan_rates(const ttt_backend *b, void *rates, const void *a_log, int64_t channels, int64_t states)
{
    rating a = {.kernels = ttt_cpu_kernels(b), .rates = rates, .a_log = a_log, .channels = channels, .states = states};
    ttt_cpu_split(b, (channels + TTT_SCAN_CHANNELS - 1) / TTT_SCAN_CHANNELS, TTT_SCAN_CHANNELS * states * STEP_COST,
                  rate_parts, &a);
}

static void scan_rates_backward(const ttt_backend *b, void *da_logv, const void *dratesv, const void *ratesv,
                                int64_t channels, int64_t states)
{
    (void)b;
    float *da_log = da_logv;
    const float *drates = dratesv, *rates = ratesv;
    for (int64_t e = 0; e < channels; e++) {
        for (int64_t n = 0; n < states; n++) {
            const int64_t place = ttt_scan_place(channels, states, e, n);
            da_log[e * states + n] += drates[place] * rates[place];
        }
    }
}

void ttt_cpu_ops_scan(ttt_ops *ops)
{
    ops->scan_rates = scan_rates;
    ops->scan_rates_backward = scan_rates_backward;
    ops->scan = scan;
    ops->scan_backward = scan_backward;
}
