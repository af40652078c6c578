/* SPDX-License-Identifier: MIT
 *
 * From the list of operations come the rows, the timed functions and the table; the learners' two passes are timed by
 * one pair of functions, which finds the learner it stands for before itself.
 */
#include "backend/timed.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"

/* ---- what the list says of work ---- */

#define REALS(count) ((double)(count) * (double)b->real)

/* Tokens and tokens that they see. */
static int64_t pairs_of(const ttt_attention *a, const ttt_run *runs, int64_t run_count)
{
    int64_t pairs = 0;
    for (int64_t n = 0; n < run_count; n++)
        for (int64_t t = runs[n].position; t < runs[n].position + runs[n].count; t++)
            pairs += t + 1 - ttt_first_visible(a, t);
    return pairs;
}

/* Reals of keys and values that the runs see. */
static int64_t keys_of(const ttt_attention *a, const ttt_run *runs, int64_t run_count)
{
    int64_t tokens = 0;
    for (int64_t n = 0; n < run_count; n++)
        tokens += runs[n].position + runs[n].count - ttt_first_visible(a, runs[n].position);
    return 2 * tokens * a->groups * a->head_size;
}

static int64_t rows_of(const ttt_run *runs, int64_t run_count)
{
    int64_t rows = 0;
    for (int64_t n = 0; n < run_count; n++) rows += runs[n].count;
    return rows;
}

static int64_t size_of(const ttt_param *w) { return w->rows * w->columns; }

/* Steps of one channel's states, and the bytes of what they come from and make. */
static int64_t scan_size(const ttt_scan *s) { return rows_of(s->runs, s->run_count) * s->channels * s->states; }
static double scan_bytes(const ttt_backend *b, const ttt_scan *s)
{
    const int64_t row = 3 * s->channels + 2 * s->states, state = 2 * s->channels * s->states;
    return REALS(rows_of(s->runs, s->run_count) * row + s->run_count * state);
}

/* Bytes that are read of a matrix. */
static double matrix_bytes(const ttt_backend *b, const ttt_param *w)
{
    return w->packed ? (double)b->ops->packed_size(w->precision, w->rows, w->columns) : REALS(size_of(w));
}

/* Bytes of the values and of their packed form. */
static double packing_bytes(const ttt_backend *b, ttt_precision precision, const ttt_matrix *m)
{
    return REALS(m->rows * m->columns) + (double)b->ops->packed_size(precision, m->rows, m->columns);
}

static double delta_flops(const ttt_delta_call *call)
{
    return (double)rows_of(call->runs, call->run_count) * ttt_delta_flops(&call->dims);
}

/* `times` q, k, v and out, and the coefficients. */
static double delta_bytes(const ttt_backend *b, const ttt_delta_call *call, int64_t times)
{
    const int64_t of_head = times / 2 * (call->dims.key_size + call->dims.value_size) + times;
    return REALS(rows_of(call->runs, call->run_count) * call->dims.heads * of_head);
}

/* ---- rows ---- */

enum {
#define OP(name, parameters, arguments, flops, bytes)             ROW_##name,
#define OP_VALUE(type, name, parameters, arguments, flops, bytes) ROW_##name,
#include "backend/ops.def"
    OP_ROWS, /* then forward and backward of each learner */
    ROW_COUNT = OP_ROWS + 2 * TTT_LEARNER_COUNT
};

/* The table that stands before a learner's own; it begins with what callers see, so `self` leads to the rest. */
typedef struct timed_learner {
    ttt_learner_ops ops;
    const ttt_learner_ops *inner;
    int row;
    char name[2][48];
} timed_learner;

typedef struct ttt_timed {
    const ttt_ops *inner;
    ttt_ops ops;
    timed_learner learner[TTT_LEARNER_COUNT];
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

#define OP(name, parameters, arguments, flops, bytes)                                                                  \
    static void name parameters                                                                                        \
    {                                                                                                                  \
        const double start = ttt_clock();                                                                              \
        b->timed->inner->name arguments;                                                                               \
        count(b, ROW_##name, start, (double)(flops), bytes);                                                           \
    }
#define OP_VALUE(type, name, parameters, arguments, flops, bytes)                                                      \
    static type name parameters                                                                                        \
    {                                                                                                                  \
        const double start = ttt_clock();                                                                              \
        const type value = b->timed->inner->name arguments;                                                            \
        count(b, ROW_##name, start, (double)(flops), bytes);                                                           \
        return value;                                                                                                  \
    }
#include "backend/ops.def"

static void pass(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call, bool backward)
{
    const timed_learner *t = (const timed_learner *)(const void *)self;
    const double start = ttt_clock(), rows = (double)rows_of(call->runs, call->run_count);
    (backward ? t->inner->backward : t->inner->forward)(t->inner, b, call);
    const ttt_learner_work work = t->inner->work(t->inner, &call->dims, backward);
    count(b, t->row + backward, start, rows * work.flops, REALS(rows * work.reals));
}

static void forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    pass(self, b, call, false);
}

static void backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    pass(self, b, call, true);
}

/* ---- the table ---- */

static void start_learner(ttt_timed *t, int which)
{
    timed_learner *learner = &t->learner[which];
    learner->inner = t->inner->learner[which];
    learner->ops = *learner->inner;
    learner->ops.forward = forward;
    learner->ops.backward = backward;
    learner->row = OP_ROWS + 2 * which;
    static const char *const passes[2] = {"forward", "backward"};
    for (int i = 0; i < 2; i++) {
        snprintf(learner->name[i], sizeof learner->name[i], "learner_%s.%s", learner->ops.name, passes[i]);
        t->rows[learner->row + i].operation = learner->name[i];
    }
    t->ops.learner[which] = &learner->ops;
}

ttt_status ttt_timed_start(ttt_backend *backend)
{
    ttt_timed *t = ttt_alloc(1, sizeof *t);
    if (!t) return TTT_ERR_MEMORY;
    t->inner = backend->ops;
    t->ops = *backend->ops;
#define OP(name, parameters, arguments, flops, bytes)                                                                  \
    t->ops.name = name;                                                                                                \
    t->rows[ROW_##name].operation = #name;
#define OP_VALUE(type, name, parameters, arguments, flops, bytes) OP(name, parameters, arguments, flops, bytes)
#include "backend/ops.def"
    for (int i = 0; i < TTT_LEARNER_COUNT; i++) start_learner(t, i);
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
