/* SPDX-License-Identifier: MIT
 *
 * One line an operation: its signature, how it is called, its FLOPs, and the bytes of its operands. From this list come
 * the rows, the timed functions and the table. Loading is not timed: from, to, packed_size.
 */
#include "backend/timed.h"

#include "base/alloc.h"
#include "base/clock.h"

/* ---- work of an operation, as far as it is more than a line ---- */

static int64_t rows_of(const ttt_run *runs, int64_t run_count)
{
    int64_t rows = 0;
    for (int64_t n = 0; n < run_count; n++) rows += runs[n].count;
    return rows;
}

static int64_t size_of(const ttt_param *w) { return w->rows * w->columns; }

/* Bytes that are read of a matrix. */
static double matrix(const ttt_backend *b, const ttt_param *w)
{
    return w->packed ? (double)b->ops->packed_size(w->precision, w->rows, w->columns)
                     : (double)size_of(w) * (double)b->real;
}

/* Bytes of the values and of their packed form. */
static double packing(const ttt_backend *b, ttt_precision precision, const ttt_matrix *m)
{
    return (double)(m->rows * m->columns) * (double)b->real +
           (double)b->ops->packed_size(precision, m->rows, m->columns);
}

static double learner_flops(const ttt_learner_call *call, bool mlp, bool backward)
{
    return (double)rows_of(call->runs, call->run_count) * ttt_learner_flops(&call->dims, mlp, backward);
}

/* q, k, v and out; backward also their gradients. */
static double learner_reals(const ttt_learner_call *call, bool backward)
{
    return (backward ? 7.0 : 4.0) * (double)(rows_of(call->runs, call->run_count) * call->dims.heads) *
           (double)call->dims.head_size;
}

/* Multiply-adds of a token and head with all weights, with the other rows of its mini-batch (16 at most: longer ones go
 * tile by tile), and back through the second map. */
double ttt_learner_flops(const ttt_learner_dims *dims, bool mlp, bool backward)
{
    const double D = (double)dims->head_size, others = (double)(dims->mini_batch < 16 ? dims->mini_batch : 16);
    const double weights = (mlp ? 8 : 1) * D * D, rows = others * (mlp ? 10 : 2) * D, back = mlp ? 4 * D * D : 0;
    const double once = backward ? 6 * weights + 2 * rows + 2 * back : 3 * weights + rows + back;
    return 2 * once * (double)dims->heads;
}

/* ---- the list ---- */

#define BACKEND      const ttt_backend *b
#define RUNS         const ttt_run *runs, int64_t run_count
#define REALS(count) ((double)(count) * (double)b->real)
#define FLOPS(count) ((double)(count))

/* OP(name, parameters, arguments, FLOPs, bytes) */
#define OPERATIONS(OP)                                                                                                 \
    OP(zero, (BACKEND, void *x, int64_t n), (b, x, n), 0, REALS(n))                                                    \
    OP(copy, (BACKEND, void *y, const void *x, int64_t n), (b, y, x, n), 0, REALS(2 * n))                              \
    OP(add, (BACKEND, void *y, const void *x, int64_t n), (b, y, x, n), FLOPS(n), REALS(3 * n))                        \
    OP(linear, (BACKEND, void *y, const void *x, const ttt_param *w, int64_t rows, bool accumulate),                   \
       (b, y, x, w, rows, accumulate), FLOPS(2 * rows * size_of(w)),                                                   \
       REALS((w->columns + w->rows * (1 + accumulate)) * rows) + matrix(b, w))                                         \
    OP(linear_backward_input, (BACKEND, void *dx, const void *dy, const ttt_param *w, int64_t rows, bool accumulate),  \
       (b, dx, dy, w, rows, accumulate), FLOPS(2 * rows * size_of(w)),                                                 \
       REALS((w->rows + w->columns * (1 + accumulate)) * rows) + matrix(b, w))                                         \
    OP(linear_backward_weight, (BACKEND, const ttt_param *dw, const void *dy, const void *x, int64_t rows),            \
       (b, dw, dy, x, rows), FLOPS(2 * rows * size_of(dw)), REALS((dw->rows + dw->columns) * rows + 2 * size_of(dw)))  \
    OP(pack, (BACKEND, void *packed, ttt_precision precision, const ttt_matrix *values, bool *finite),                 \
       (b, packed, precision, values, finite), 0, packing(b, precision, values))                                       \
    OP(embed, (BACKEND, void *y, const int32_t *ids, const ttt_param *w, int64_t rows), (b, y, ids, w, rows), 0,       \
       REALS(2 * rows * w->columns))                                                                                   \
    OP(embed_backward, (BACKEND, const ttt_param *dw, const int32_t *ids, const void *dy, int64_t rows),               \
       (b, dw, ids, dy, rows), FLOPS(rows * dw->columns), REALS(3 * rows * dw->columns))                               \
    OP(rmsnorm, (BACKEND, void *y, const void *x, const void *w, int64_t rows, int64_t width, double eps),             \
       (b, y, x, w, rows, width, eps), FLOPS(4 * rows * width), REALS(2 * rows * width))                               \
    OP(rmsnorm_backward,                                                                                               \
       (BACKEND, void *dx, void *dw, const void *dy, const void *x, const void *w, int64_t rows, int64_t width,        \
        double eps),                                                                                                   \
       (b, dx, dw, dy, x, w, rows, width, eps), FLOPS(11 * rows * width), REALS(4 * rows * width))                     \
    OP(norm_gate,                                                                                                      \
       (BACKEND, void *y, const void *x, const void *w, const void *bias, const void *gate, int64_t rows,              \
        int64_t width),                                                                                                \
       (b, y, x, w, bias, gate, rows, width), FLOPS((gate ? 17 : 8) * rows * width),                                   \
       REALS((gate ? 3 : 2) * rows * width))                                                                           \
    OP(norm_gate_backward,                                                                                             \
       (BACKEND, void *dx, void *dgate, void *dw, void *dbias, void *dy, const void *x, const void *w,                 \
        const void *bias, const void *gate, int64_t rows, int64_t width),                                              \
       (b, dx, dgate, dw, dbias, dy, x, w, bias, gate, rows, width), FLOPS((gate ? 38 : 17) * rows * width),           \
       REALS((gate ? 6 : 4) * rows * width))                                                                           \
    OP(swiglu, (BACKEND, void *y, const void *gate, const void *up, int64_t n), (b, y, gate, up, n), FLOPS(5 * n),     \
       REALS(3 * n))                                                                                                   \
    OP(swiglu_backward, (BACKEND, void *dy, void *gate, void *up, int64_t n), (b, dy, gate, up, n), FLOPS(12 * n),     \
       REALS(6 * n))                                                                                                   \
    OP(rotate,                                                                                                         \
       (BACKEND, void *x, const void *table, RUNS, int64_t heads, int64_t head_size, int64_t mini_batch,               \
        bool inverse),                                                                                                 \
       (b, x, table, runs, run_count, heads, head_size, mini_batch, inverse),                                          \
       FLOPS(3 * rows_of(runs, run_count) * heads * head_size),                                                        \
       REALS(2 * rows_of(runs, run_count) * heads * head_size))                                                        \
    OP(conv,                                                                                                           \
       (BACKEND, void *y, const void *x, const void *w, const void *bias, RUNS, int64_t tail, int64_t width,           \
        int64_t taps),                                                                                                 \
       (b, y, x, w, bias, runs, run_count, tail, width, taps), FLOPS(2 * taps * rows_of(runs, run_count) * width),     \
       REALS(2 * rows_of(runs, run_count) * width))                                                                    \
    OP(conv_tail, (BACKEND, const void *x, RUNS, int64_t tail, int64_t width, int64_t taps),                           \
       (b, x, runs, run_count, tail, width, taps), 0, REALS(2 * run_count * (taps - 1) * width))                       \
    OP(conv_backward,                                                                                                  \
       (BACKEND, void *dx, void *dw, void *dbias, const void *dy, const void *x, const void *x_tail, const void *w,    \
        RUNS, int64_t tail, int64_t width, int64_t taps),                                                              \
       (b, dx, dw, dbias, dy, x, x_tail, w, runs, run_count, tail, width, taps),                                       \
       FLOPS((4 * taps + 1) * rows_of(runs, run_count) * width), REALS(4 * rows_of(runs, run_count) * width))          \
    OP(conv_tail_backward, (BACKEND, void *dx, RUNS, int64_t tail, int64_t width, int64_t taps),                       \
       (b, dx, runs, run_count, tail, width, taps), FLOPS(run_count *(taps - 1) * width),                              \
       REALS(3 * run_count * (taps - 1) * width))                                                                      \
    OP(rate, (BACKEND, void *r, const void *bias, int64_t rows, int64_t heads, double scale),                          \
       (b, r, bias, rows, heads, scale), FLOPS(5 * rows * heads), REALS(2 * rows * heads))                             \
    OP(rate_backward, (BACKEND, void *dr, void *dbias, const void *r, int64_t rows, int64_t heads, double scale),      \
       (b, dr, dbias, r, rows, heads, scale), FLOPS(5 * rows * heads), REALS(3 * rows * heads))                        \
    OP(position_factor, (BACKEND, void *c, const void *idx, RUNS, int64_t mini_batch),                                 \
       (b, c, idx, runs, run_count, mini_batch), FLOPS(2 * rows_of(runs, run_count)), REALS(rows_of(runs, run_count))) \
    OP(position_factor_backward,                                                                                       \
       (BACKEND, void *didx, const void *dc, const void *idx, RUNS, int64_t mini_batch, int64_t heads),                \
       (b, didx, dc, idx, runs, run_count, mini_batch, heads), FLOPS(rows_of(runs, run_count) * heads),                \
       REALS(rows_of(runs, run_count) * heads))                                                                        \
    OP(cross_entropy,                                                                                                  \
       (BACKEND, double *losses, void *logits, const int32_t *targets, int64_t rows, int64_t vocabulary,               \
        double scale),                                                                                                 \
       (b, losses, logits, targets, rows, vocabulary, scale), FLOPS((scale != 0 ? 5 : 4) * rows * vocabulary),         \
       REALS((scale != 0 ? 2 : 1) * rows * vocabulary))                                                                \
    OP(adamw, (BACKEND, void *p, void *m, void *v, const void *g, int64_t n, const ttt_adamw *options),                \
       (b, p, m, v, g, n, options), FLOPS(15 * n), REALS(7 * n))

/* PASS(learner, pass, TTT-MLP, backward) */
#define LEARNER_PASSES(PASS)                                                                                           \
    PASS(learner_linear, forward, false, false)                                                                        \
    PASS(learner_linear, backward, false, true)                                                                        \
    PASS(learner_mlp, forward, true, false)                                                                            \
    PASS(learner_mlp, backward, true, true)

/* ---- rows ---- */

#define ROW_NUMBER(name, parameters, arguments, flops, bytes) ROW_##name,
#define PASS_NUMBER(learner, pass, mlp, backward)             ROW_##learner##_##pass,
enum { OPERATIONS(ROW_NUMBER) ROW_sum_squares, LEARNER_PASSES(PASS_NUMBER) ROW_COUNT };

typedef struct ttt_timed {
    const ttt_ops *inner;
    ttt_ops ops;
    ttt_learner_ops linear, mlp;
    ttt_profile_row rows[ROW_COUNT];
} ttt_timed;

static void count(const ttt_backend *b, int row, double start, double flops, double bytes)
{
    ttt_profile_row *r = &b->timed->rows[row];
    r->seconds += ttt_clock() - start;
    r->calls++;
    r->flops += flops;
    r->bytes += bytes;
}

/* ---- the timed functions ---- */

#define TIMED(name, parameters, arguments, flops, bytes)                                                               \
    static void name parameters                                                                                        \
    {                                                                                                                  \
        const double start = ttt_clock();                                                                              \
        b->timed->inner->name arguments;                                                                               \
        count(b, ROW_##name, start, flops, bytes);                                                                     \
    }
OPERATIONS(TIMED)

#define TIMED_PASS(learner, pass, mlp, backward)                                                                       \
    static void learner##_##pass(const ttt_backend *b, const ttt_learner_call *call)                                   \
    {                                                                                                                  \
        const double start = ttt_clock();                                                                              \
        b->timed->inner->learner->pass(b, call);                                                                       \
        count(b, ROW_##learner##_##pass, start, learner_flops(call, mlp, backward),                                    \
              REALS(learner_reals(call, backward)));                                                                   \
    }
LEARNER_PASSES(TIMED_PASS)

static double sum_squares(const ttt_backend *b, const void *x, int64_t n) /* the one that returns something */
{
    const double start = ttt_clock(), sum = b->timed->inner->sum_squares(b, x, n);
    count(b, ROW_sum_squares, start, FLOPS(2 * n), REALS(n));
    return sum;
}

/* ---- the table ---- */

ttt_status ttt_timed_start(ttt_backend *backend)
{
    ttt_timed *t = ttt_alloc(1, sizeof *t);
    if (!t) return TTT_ERR_MEMORY;
    t->inner = backend->ops;
    t->ops = *backend->ops;
    t->linear = *backend->ops->learner_linear;
    t->mlp = *backend->ops->learner_mlp;
#define SET(name, parameters, arguments, flops, bytes)                                                                 \
    t->ops.name = name;                                                                                                \
    t->rows[ROW_##name].operation = #name;
    OPERATIONS(SET)
    t->ops.sum_squares = sum_squares;
    t->rows[ROW_sum_squares].operation = "sum_squares";
#define SET_PASS(learner, pass, is_mlp, backward)                                                                      \
    (is_mlp ? &t->mlp : &t->linear)->pass = learner##_##pass;                                                          \
    t->rows[ROW_##learner##_##pass].operation = #learner "." #pass;
    LEARNER_PASSES(SET_PASS)
    t->ops.learner_linear = &t->linear;
    t->ops.learner_mlp = &t->mlp;
    backend->timed = t;
    backend->ops = &t->ops;
    return TTT_OK;
}

ttt_profile ttt_timed_profile(const ttt_backend *backend)
{
    const ttt_timed *t = backend->timed;
    if (!t) return (ttt_profile){0};
    return (ttt_profile){.rows = t->rows, .count = ROW_COUNT};
}
