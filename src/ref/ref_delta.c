/* SPDX-License-Identifier: MIT
 *
 * MATH (matrix state): linear attention and the delta family, token by token. A state is S at the start of the open
 * tile and the tile's rows (backend/delta.h); S itself is made of them by adding the rows one after another, as the
 * tokens were.
 */
#include <string.h>

#include "base/elementary.h"
#include "ref/ref.h"

static const double normaliser_eps = 1e-6;

/* A head's state, or the gradient of one. */
typedef struct head {
    double *S, *z, *k, *u, *log_a; /* z and log_a are not there where the kind has none */
} head;

static head head_of(const ttt_delta_dims *dims, void *state)
{
    const ttt_delta_places at = ttt_delta_places_of(dims);
    double *x = state;
    return (head){.S = x, .z = x + at.z, .k = x + at.k, .u = x + at.u, .log_a = x + at.log_a};
}

/* S and z, one after another. */
static int64_t memory_size(const ttt_delta_dims *dims) { return ttt_delta_places_of(dims).k; }

/* One token of one head: its operands and, in a backward, their gradients. */
typedef struct token {
    const double *q, *k, *v, *dout, *out;
    double *result, *dq, *dk, *dv;
    int64_t rate; /* of it in [R,H] */
} token;

static token token_of(const ttt_delta_call *call, int64_t row, int64_t h)
{
    const int64_t rate = row * call->dims.heads + h, i = rate * call->dims.key_size, o = rate * call->dims.value_size;
    token t = {.q = (const double *)call->q + i,
               .k = (const double *)call->k + i,
               .v = (const double *)call->v + o,
               .out = (const double *)call->out + o,
               .result = (double *)call->out + o,
               .rate = rate};
    if (!call->dout) return t;
    t.dout = (const double *)call->dout + o;
    t.dq = (double *)call->dq + i;
    t.dk = (double *)call->dk + i;
    t.dv = (double *)call->dv + o;
    return t;
}

static double beta_of(const ttt_delta_call *call, const token *t) { return ((const double *)call->beta)[t->rate]; }
static double log_a_of(const ttt_delta_call *call, const token *t) { return ((const double *)call->log_a)[t->rate]; }

/* ---- one row: S = a S + k^T u, z += k ---- */

static void forget(const ttt_delta_dims *dims, double *S, double log_a)
{
    if (dims->kind != TTT_DELTA_GATED) return;
    for (int64_t n = 0; n < dims->key_size * dims->value_size; n++) S[n] *= ttt_exp(log_a);
}

static void write_row(const ttt_delta_dims *dims, double *memory, const double *k, const double *u)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    for (int64_t i = 0; i < I; i++)
        for (int64_t o = 0; o < O; o++) memory[i * O + o] += k[i] * u[o];
    for (int64_t i = 0; i < I && dims->kind == TTT_DELTA_NORMALISED; i++) memory[I * O + i] += k[i];
}

/* S and z after the first `rows` rows of the open tile. */
static void unfold(const ttt_delta_dims *dims, double *memory, const head *state, int64_t rows)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    memcpy(memory, state->S, (size_t)memory_size(dims) * sizeof *memory);
    for (int64_t j = 0; j < rows; j++) {
        forget(dims, memory, dims->kind == TTT_DELTA_GATED ? state->log_a[j] : 0);
        write_row(dims, memory, state->k + j * I, state->u + j * O);
    }
}

/* v - k S */
static void error_of(const ttt_delta_dims *dims, double *error, const token *t, const double *S)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    memcpy(error, t->v, (size_t)O * sizeof *error);
    for (int64_t i = 0; i < I; i++)
        for (int64_t o = 0; o < O; o++) error[o] -= t->k[i] * S[i * O + o];
}

static double normaliser(const ttt_delta_dims *dims, const token *t, const double *memory)
{
    const double *z = memory + dims->key_size * dims->value_size;
    double sum = normaliser_eps;
    for (int64_t i = 0; i < dims->key_size; i++) sum += t->q[i] * z[i];
    return sum;
}

/* ---- forward ---- */

static void forward_token(const ttt_delta_call *call, const token *t, double *memory, double *u)
{
    const ttt_delta_dims *dims = &call->dims;
    const int64_t I = dims->key_size, O = dims->value_size;
    forget(dims, memory, dims->kind == TTT_DELTA_GATED ? log_a_of(call, t) : 0);
    if (ttt_delta_corrects(dims->kind)) {
        error_of(dims, u, t, memory);
        for (int64_t o = 0; o < O; o++) u[o] *= beta_of(call, t);
    } else {
        memcpy(u, t->v, (size_t)O * sizeof *u);
    }
    write_row(dims, memory, t->k, u);
    memset(t->result, 0, (size_t)O * sizeof *t->result);
    for (int64_t i = 0; i < I; i++)
        for (int64_t o = 0; o < O; o++) t->result[o] += t->q[i] * memory[i * O + o];
    if (dims->kind != TTT_DELTA_NORMALISED) return;
    for (int64_t o = 0; o < O; o++) t->result[o] /= normaliser(dims, t, memory);
}

/* Keeps of a run the state on entry, and then S and z after every token. */
static int64_t delta_saved_size(const ttt_delta_dims *dims, int64_t tokens)
{
    return ttt_delta_state_size(dims) + tokens * memory_size(dims);
}

static size_t delta_scratch_bytes(const ttt_delta_dims *dims)
{
    return (size_t)(3 * memory_size(dims) + 3 * dims->value_size) * sizeof(double);
}

static void forward_head(const ttt_backend *b, const ttt_delta_call *call, const ttt_run *run, int64_t h, double *saved)
{
    const ttt_delta_dims *dims = &call->dims;
    const int64_t I = dims->key_size, O = dims->value_size, size = memory_size(dims);
    double *state = (double *)run->state + call->state_offset + h * ttt_delta_state_size(dims);
    const head s = head_of(dims, state);
    double *memory = ttt_scratch(b, 0);
    if (saved) memcpy(saved, state, (size_t)ttt_delta_state_size(dims) * sizeof *saved);
    unfold(dims, memory, &s, run->position % TTT_LEARNER_TILE);
    for (int64_t n = 0; n < run->count; n++) {
        const token t = token_of(call, run->row + n, h);
        const int64_t row = (run->position + n) % TTT_LEARNER_TILE;
        forward_token(call, &t, memory, s.u + row * O);
        memcpy(s.k + row * I, t.k, (size_t)I * sizeof *s.k);
        if (dims->kind == TTT_DELTA_GATED) s.log_a[row] = log_a_of(call, &t);
        if (row == TTT_LEARNER_TILE - 1) memcpy(s.S, memory, (size_t)size * sizeof *memory);
        if (saved) memcpy(saved + ttt_delta_state_size(dims) + n * size, memory, (size_t)size * sizeof *memory);
    }
}

static void delta(const ttt_backend *b, const ttt_delta_call *call)
{
    const int64_t H = call->dims.heads;
    for (int64_t item = 0; item < call->run_count * H; item++)
        forward_head(b, call, &call->runs[item / H], item % H,
                     call->saved ? (double *)call->saved + item * call->saved_stride : NULL);
}

/* ---- backward ---- */

/* The gradient dM of what holds after a token becomes that of what holds before it; so of a row of the open tile. */
static void read_backward(const ttt_delta_dims *dims, const token *t, const double *memory, double *dM)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    const bool normalised = dims->kind == TTT_DELTA_NORMALISED;
    const double over = normalised ? normaliser(dims, t, memory) : 1;
    double dover = 0;
    for (int64_t o = 0; o < O; o++) dover -= t->dout[o] * t->out[o] / over;
    for (int64_t i = 0; i < I; i++) {
        t->dq[i] = normalised ? dover * memory[I * O + i] : 0;
        if (normalised) dM[I * O + i] += dover * t->q[i];
        for (int64_t o = 0; o < O; o++) {
            t->dq[i] += memory[i * O + o] * t->dout[o] / over;
            dM[i * O + o] += t->q[i] * t->dout[o] / over;
        }
    }
}

/* Of write_row: dk, du +=; dM stays. */
static void write_backward(const ttt_delta_dims *dims, const double *k, const double *u, const double *dM, double *dk,
                           double *du)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    for (int64_t i = 0; i < I; i++) {
        if (dims->kind == TTT_DELTA_NORMALISED) dk[i] += dM[I * O + i];
        for (int64_t o = 0; o < O; o++) {
            dk[i] += u[o] * dM[i * O + o];
            du[o] += k[i] * dM[i * O + o];
        }
    }
}

/* Of forget, S before it: returns the gradient of log_a. */
static double forget_backward(const ttt_delta_dims *dims, const double *S, double log_a, double *dM)
{
    double along = 0;
    for (int64_t n = 0; n < dims->key_size * dims->value_size; n++) {
        dM[n] *= ttt_exp(log_a);
        along += dM[n] * S[n];
    }
    return along;
}

/* u = beta (v - k S), or v, given du. `forgotten`: S when the error was taken. */
static void correction_backward(const ttt_delta_call *call, const token *t, const double *forgotten, const double *du,
                                double *dM, double *error)
{
    const int64_t I = call->dims.key_size, O = call->dims.value_size;
    if (!ttt_delta_corrects(call->dims.kind)) {
        memcpy(t->dv, du, (size_t)O * sizeof *du);
        return;
    }
    double along = 0;
    error_of(&call->dims, error, t, forgotten);
    for (int64_t o = 0; o < O; o++) {
        along += du[o] * error[o];
        t->dv[o] = beta_of(call, t) * du[o];
    }
    ((double *)call->dbeta)[t->rate] = along;
    for (int64_t i = 0; i < I; i++) {
        for (int64_t o = 0; o < O; o++) {
            t->dk[i] -= forgotten[i * O + o] * t->dv[o];
            dM[i * O + o] -= t->k[i] * t->dv[o];
        }
    }
}

/* `before` and `after`: S and z before and after the token; `row`: it is that row of the final state's open tile, whose
 * gradient is in `d`, or -1. */
static void backward_token(const ttt_delta_call *call, const token *t, const double *before, const double *after,
                           const head *d, int64_t row, double *dM, double *work)
{
    const ttt_delta_dims *dims = &call->dims;
    const int64_t I = dims->key_size, O = dims->value_size;
    const bool gated = dims->kind == TTT_DELTA_GATED;
    double *forgotten = work, *u = forgotten + memory_size(dims), *du = u + O, *error = du + O, dlog_a = 0;
    memset(t->dk, 0, (size_t)I * sizeof *t->dk);
    memset(du, 0, (size_t)O * sizeof *du);
    if (row >= 0) {
        memcpy(t->dk, d->k + row * I, (size_t)I * sizeof *t->dk);
        memcpy(du, d->u + row * O, (size_t)O * sizeof *du);
        if (gated) dlog_a = d->log_a[row];
    }
    memcpy(forgotten, before, (size_t)memory_size(dims) * sizeof *forgotten);
    forget(dims, forgotten, gated ? log_a_of(call, t) : 0);
    memcpy(u, t->v, (size_t)O * sizeof *u);
    if (ttt_delta_corrects(dims->kind)) {
        error_of(dims, u, t, forgotten);
        for (int64_t o = 0; o < O; o++) u[o] *= beta_of(call, t);
    }
    read_backward(dims, t, after, dM);
    write_backward(dims, t->k, u, dM, t->dk, du);
    correction_backward(call, t, forgotten, du, dM, error);
    if (gated) ((double *)call->dlog_a)[t->rate] = dlog_a + forget_backward(dims, before, log_a_of(call, t), dM);
}

/* From dM, the gradient of S and z at the run's start, to that of the state it has: of S and z at the start of the open
 * tile and of the tile's rows. `passed`: the run ended in that same tile, so that `d` has gradients of both already. */
static void unfold_backward(const ttt_delta_dims *dims, const head *state, int64_t rows, const head *d, bool passed,
                            double *dM, double *memory)
{
    const int64_t I = dims->key_size, O = dims->value_size;
    for (int64_t j = rows - 1; j >= 0; j--) {
        if (!passed) memset(d->k + j * I, 0, (size_t)I * sizeof *d->k);
        if (!passed) memset(d->u + j * O, 0, (size_t)O * sizeof *d->u);
        write_backward(dims, state->k + j * I, state->u + j * O, dM, d->k + j * I, d->u + j * O);
        if (dims->kind != TTT_DELTA_GATED) continue;
        unfold(dims, memory, state, j);
        d->log_a[j] = (passed ? d->log_a[j] : 0) + forget_backward(dims, memory, state->log_a[j], dM);
    }
    for (int64_t j = rows; j < TTT_LEARNER_TILE; j++) {
        memset(d->k + j * I, 0, (size_t)I * sizeof *d->k);
        memset(d->u + j * O, 0, (size_t)O * sizeof *d->u);
        if (dims->kind == TTT_DELTA_GATED) d->log_a[j] = 0;
    }
    for (int64_t n = 0; n < memory_size(dims); n++) d->S[n] = (passed ? d->S[n] : 0) + dM[n];
}

static void backward_head(const ttt_backend *b, const ttt_delta_call *call, const ttt_run *run, int64_t h,
                          double *saved)
{
    const ttt_delta_dims *dims = &call->dims;
    const int64_t size = memory_size(dims), first = run->position % TTT_LEARNER_TILE,
                  open = (run->position + run->count) % TTT_LEARNER_TILE;
    const head state = head_of(dims, saved),
               d = head_of(dims, (double *)run->dstate + call->state_offset + h * ttt_delta_state_size(dims));
    const double *after = saved + ttt_delta_state_size(dims);
    double *dM = ttt_scratch(b, 0), *start = dM + size, *work = start + size;
    const bool passed = first + run->count < TTT_LEARNER_TILE; /* no tile ends here */
    unfold(dims, start, &state, first);
    memset(dM, 0, (size_t)size * sizeof *dM);
    for (int64_t n = run->count - 1; n >= 0; n--) {
        const token t = token_of(call, run->row + n, h);
        const int64_t row = (run->position + n) % TTT_LEARNER_TILE;
        if (!passed && n == run->count - open - 1)
            for (int64_t i = 0; i < size; i++) dM[i] += d.S[i];
        backward_token(call, &t, n > 0 ? after + (n - 1) * size : start, after + n * size, &d,
                       n >= run->count - open ? row : -1, dM, work);
    }
    unfold_backward(dims, &state, first, &d, passed, dM, work);
}

static void delta_backward(const ttt_backend *b, const ttt_delta_call *call)
{
    const int64_t H = call->dims.heads;
    for (int64_t item = 0; item < call->run_count * H; item++)
        backward_head(b, call, &call->runs[item / H], item % H, (double *)call->saved + item * call->saved_stride);
}

static void delta_view(const ttt_backend *b, const ttt_delta_dims *dims, int64_t position, const void *state,
                       void *values)
{
    (void)b;
    const head s = head_of(dims, (void *)(uintptr_t)state);
    unfold(dims, values, &s, position % TTT_LEARNER_TILE);
}

void ttt_ref_ops_delta(ttt_ops *ops)
{
    ops->delta = delta;
    ops->delta_backward = delta_backward;
    ops->delta_view = delta_view;
    ops->delta_saved_size = delta_saved_size;
    ops->delta_scratch_bytes = delta_scratch_bytes;
}
