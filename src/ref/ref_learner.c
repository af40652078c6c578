/* SPDX-License-Identifier: MIT
 *
 * The walk of a reference learner along a sequence, MATH (linear) and (mlp): write, read, and at the end of a
 * mini-batch W -= c S, S = 0, and (keep). The backward keeps the state at the start of every mini-batch and forms the
 * sums after every token again.
 */
#include "ref/ref_learner.h"

#include <assert.h>

#include "base/arena.h"
#include "ref/ref.h"

/* ---- the state of a head: start | sum | the sum when the last tile closed | rows of the open tile ----
 *
 * The mathematics needs the first two, of which alone there are gradients; the others are what the state is known by
 * outside (learner_ops.h). `sum` is always the closed sum and then, one after another, what the rows add to it. */

typedef struct head_state {
    double *start, *sum, *closed; /* [weights] */
    double *rows;                 /* of map after map, x [slots, in] and then G [slots, out] */
} head_state;

static int64_t state_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    int64_t size = 3 * ttt_learner_weights_size(self, dims);
    for (int m = 0; m < self->maps->count; m++)
        size += ttt_learner_slots(dims) * (self->maps->in[m] + self->maps->out[m]) * dims->key_size;
    return size;
}

static head_state state_at(const ttt_learner_ops *self, const ttt_learner_dims *dims, const void *state, int64_t head)
{
    const int64_t n = ttt_learner_weights_size(self, dims);
    double *at = (double *)(uintptr_t)state + head * state_size(self, dims);
    return (head_state){.start = at, .sum = at + n, .closed = at + 2 * n, .rows = at + 3 * n};
}

static head_state state_of(const ttt_learner_ops *self, const ttt_learner_call *call, void *block, int64_t head)
{
    return state_at(self, &call->dims, (double *)block + call->state_offset, head);
}

/* Rows `slot` of arrays [slots, in] and [slots, out], map after map. */
static ref_rows rows_at(const ttt_learner_ops *self, int64_t D, double *rows, int64_t slots, int64_t slot)
{
    ref_rows found;
    for (int m = 0; m < self->maps->count; m++) {
        const int64_t in = self->maps->in[m] * D, out = self->maps->out[m] * D;
        found.x[m] = rows + slot * in;
        found.g[m] = rows + slots * in + slot * out;
        rows += slots * (in + out);
    }
    return found;
}

/* S += x^T G, s += G */
static void add_rows(const ttt_learner_ops *self, const ttt_learner_dims *dims, double *sum, const ref_rows *rows)
{
    for (int m = 0; m < self->maps->count; m++) {
        const int64_t in = self->maps->in[m] * dims->key_size, out = self->maps->out[m] * dims->key_size;
        ref_outer(sum, 1, rows->x[m], rows->g[m], in, out);
        if (!(dims->flags & TTT_LEARNER_NO_BIAS)) ref_axpy(sum + in * out, 1, rows->g[m], out);
        sum += (in + 1) * out;
    }
}

/* ---- forward ---- */

static const ref_learner *learner_of(const ttt_learner_ops *self) { return self->own; }

/* Of head h; NULL if there is no such parameter. */
static double *param_at(const ttt_param *param, int64_t h, int64_t size)
{
    return param->values ? (double *)param->values + h * size : NULL;
}

static ref_token token_at(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call, int64_t row,
                          int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.key_size, at = (row * H + h) * D;
    const ttt_param *norm = call->params + 2 * self->maps->count;
    return (ref_token){.q = (const double *)call->q + at,
                       .k = (const double *)call->k + at,
                       .v = (const double *)call->v + at,
                       .gamma = param_at(&norm[0], h, D),
                       .beta = param_at(&norm[1], h, D),
                       .flags = call->dims.flags,
                       .r = ((const double *)call->write)[row * H + h],
                       .c = ((const double *)call->read)[row],
                       .work = ttt_scratch(b, 0),
                       .D = D};
}

/* Of W or b in one head: parameter p. */
static int64_t param_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int p)
{
    const int64_t out = self->maps->out[p / 2] * dims->key_size;
    return p % 2 == 0 ? self->maps->in[p / 2] * dims->key_size * out : out;
}

/* MATH (keep): W <- W - f (W - W0), and b so too */
static void forget(const ttt_learner_ops *self, const ttt_learner_call *call, double f, int64_t h, double *start)
{
    for (int p = 0; p < 2 * self->maps->count && f > 0; p++) {
        const int64_t n = param_size(self, &call->dims, p);
        const double *first = param_at(&call->params[p], h, n);
        for (int64_t i = 0; i < n; i++) start[i] -= f * (start[i] - (first ? first[i] : 0));
        start += n;
    }
}

static void forward_head(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call,
                         const ttt_run *run, int64_t h, double *saved)
{
    const int64_t H = call->dims.heads, D = call->dims.key_size, K = call->dims.mini_batch,
                  n = ttt_learner_weights_size(self, &call->dims);
    const size_t bytes = (size_t)n * sizeof(double);
    const head_state s = state_of(self, call, run->state, h);
    if (saved) memcpy(saved, s.start, 2 * bytes);
    for (int64_t t = 0; t < run->count; t++) {
        const int64_t place = (run->position + t) % K, slot = place % TTT_LEARNER_TILE;
        const ref_rows rows = rows_at(self, D, s.rows, ttt_learner_slots(&call->dims), slot);
        ref_token x = token_at(self, b, call, run->row + t, h);
        x.out = (double *)call->out + ((run->row + t) * H + h) * D;
        learner_of(self)->write(&x, s.start, &rows);
        add_rows(self, &call->dims, s.sum, &rows);
        learner_of(self)->read(&x, s.start, s.sum);
        if (slot == TTT_LEARNER_TILE - 1) memcpy(s.closed, s.sum, bytes);
        if (place != K - 1) continue;
        ref_axpy(s.start, -x.c, s.sum, n);
        forget(self, call, ttt_learner_forgotten(&call->dims, run, run->position + t + 1), h, s.start);
        memset(s.sum, 0, 2 * bytes); /* and the closed sum */
        if (saved) memcpy(saved += 2 * n, s.start, 2 * bytes);
    }
}

static void forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads;
    assert(!call->decay);
    for (int64_t i = 0; i < call->run_count * H; i++)
        forward_head(self, b, call, &call->runs[i / H], i % H,
                     call->saved ? (double *)call->saved + i * call->saved_stride : NULL);
}

/* The start and sum on entry and after every mini-batch that closes, and for the backward the sums at the start of
 * every tile of a mini-batch. */
static int64_t kept_starts(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens)
{
    return (tokens / dims->mini_batch + 2) * 2 * ttt_learner_weights_size(self, dims);
}

static int64_t saved_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens)
{
    const int64_t together = tokens < dims->mini_batch ? tokens : dims->mini_batch;
    return kept_starts(self, dims, tokens) + (together / TTT_LEARNER_TILE + 2) * ttt_learner_weights_size(self, dims);
}

/* ---- backward ---- */

static ref_token token_backward_at(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call,
                                   int64_t row, int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.key_size, at = (row * H + h) * D;
    const ttt_param *norm = call->dparams + 2 * self->maps->count;
    ref_token x = token_at(self, b, call, row, h);
    x.dout = (const double *)call->dout + at;
    x.dq = (double *)call->dq + at;
    x.dk = (double *)call->dk + at;
    x.dv = (double *)call->dv + at;
    x.dr = (double *)call->dwrite + row * H + h;
    x.dc = (double *)call->dread + row * H + h;
    x.dgamma = param_at(&norm[0], h, D);
    x.dbeta = param_at(&norm[1], h, D);
    memset(x.dq, 0, (size_t)D * sizeof *x.dq);
    memset(x.dk, 0, (size_t)D * sizeof *x.dk);
    memset(x.dv, 0, (size_t)D * sizeof *x.dv);
    *x.dr = *x.dc = 0;
    return x;
}

/* Scratch: that of a token, one row of every map, and the sums of one tile before its tokens and after each. */
typedef struct backward_scratch {
    double *rows, *sums;
} backward_scratch;

static backward_scratch carve(const ttt_learner_ops *self, const ttt_learner_dims *dims, void *base, size_t *bytes)
{
    const int64_t D = dims->key_size, n = ttt_learner_weights_size(self, dims);
    ttt_arena arena = {.base = base};
    int64_t rows = 0;
    for (int m = 0; m < self->maps->count; m++) rows += (self->maps->in[m] + self->maps->out[m]) * D;
    (void)ttt_arena_push(&arena, REF_WORK * D, sizeof(double));
    const backward_scratch s = {.rows = ttt_arena_push(&arena, rows, sizeof(double)),
                                .sums = ttt_arena_push(&arena, (TTT_LEARNER_TILE + 1) * n, sizeof(double))};
    *bytes = arena.used;
    return s;
}

static size_t scratch_bytes(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    size_t bytes;
    carve(self, dims, NULL, &bytes);
    return bytes;
}

/* What is passed through the backward of one mini-batch. */
typedef struct walk {
    const ttt_learner_ops *self;
    const ttt_backend *b;
    const ttt_learner_call *call;
    const ttt_run *run;
    int64_t h;
    const double *start; /* the weights */
    double *tiles;       /* the sums at the start of every tile */
    backward_scratch scratch;
} walk;

/* sum after token t of the run, from that before it */
static void add_token(const walk *w, int64_t t, double *sum)
{
    const int64_t D = w->call->dims.key_size;
    const ref_token x = token_at(w->self, w->b, w->call, w->run->row + t, w->h);
    const ref_rows rows = rows_at(w->self, D, w->scratch.rows, 1, 0);
    learner_of(w->self)->write(&x, w->start, &rows);
    add_rows(w->self, &w->call->dims, sum, &rows);
}

/* dW0 += f dW', dW = (1 - f) dW' */
static void forget_backward(const walk *w, double f, double *dstart)
{
    for (int p = 0; p < 2 * w->self->maps->count && f > 0; p++) {
        const int64_t n = param_size(w->self, &w->call->dims, p);
        double *first = param_at(&w->call->dparams[p], w->h, n);
        if (first) ref_axpy(first, f, dstart, n);
        for (int64_t i = 0; i < n; i++) dstart[i] *= 1 - f;
        dstart += n;
    }
}

/* Tokens [first, last) of a run, at most TTT_LEARNER_TILE, all in one mini-batch, backwards; `sum`: before the first.
 */
static void tile_backward(const walk *w, int64_t first, int64_t last, const double *sum)
{
    const ttt_learner_dims *dims = &w->call->dims;
    const int64_t K = dims->mini_batch, n = ttt_learner_weights_size(w->self, dims);
    const head_state d = state_of(w->self, w->call, w->run->dstate, w->h);
    double *sums = w->scratch.sums;
    memcpy(sums, sum, (size_t)n * sizeof *sums);
    for (int64_t t = first; t < last; t++) {
        double *next = sums + (t - first + 1) * n;
        memcpy(next, next - n, (size_t)n * sizeof *next);
        add_token(w, t, next);
    }
    for (int64_t t = last - 1; t >= first; t--) {
        const double *after = sums + (t - first + 1) * n;
        const ref_token x = token_backward_at(w->self, w->b, w->call, w->run->row + t, w->h);
        if ((w->run->position + t) % K == K - 1) { /* W' = W - c S, S' = 0 */
            forget_backward(w, ttt_learner_forgotten(dims, w->run, w->run->position + t + 1), d.start);
            *x.dc -= ref_dot(d.start, after, n);
            memset(d.sum, 0, (size_t)n * sizeof *d.sum);
            ref_axpy(d.sum, -x.c, d.start, n);
        }
        learner_of(w->self)->backward(&x, w->start, after, d.start, d.sum);
    }
}

/* Tokens [first, last), all in one mini-batch; `start`: weights and sum before them. */
static void mini_batch_backward(walk *w, int64_t first, int64_t last, const double *start)
{
    const int64_t n = ttt_learner_weights_size(w->self, &w->call->dims);
    double *tiles = w->tiles;
    w->start = start;
    memcpy(tiles, start + n, (size_t)n * sizeof *tiles);
    int64_t tile = 0;
    for (; first + (tile + 1) * TTT_LEARNER_TILE < last; tile++) {
        double *next = tiles + (tile + 1) * n;
        memcpy(next, next - n, (size_t)n * sizeof *next);
        for (int64_t i = 0; i < TTT_LEARNER_TILE; i++) add_token(w, first + tile * TTT_LEARNER_TILE + i, next);
    }
    for (; tile >= 0; tile--) {
        const int64_t from = first + tile * TTT_LEARNER_TILE, to = from + TTT_LEARNER_TILE;
        tile_backward(w, from, to < last ? to : last, tiles + tile * n);
    }
}

static void backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads, K = call->dims.mini_batch, n = ttt_learner_weights_size(self, &call->dims);
    size_t bytes;
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        double *saved = (double *)call->saved + i * call->saved_stride;
        walk w = {.self = self, .b = b, .call = call, .run = run, .h = i % H};
        w.tiles = saved + kept_starts(self, &call->dims, run->count);
        w.scratch = carve(self, &call->dims, ttt_scratch(b, 0), &bytes);
        for (int64_t last = run->count, first; last > 0; last = first) {
            const int64_t open = (run->position + last - 1) % K + 1; /* tokens of the mini-batch that ends at `last` */
            first = open < last ? last - open : 0;
            const int64_t closed = (run->position + first) / K - run->position / K; /* of this run before it */
            mini_batch_backward(&w, first, last, saved + closed * 2 * n);
        }
    }
}

static int64_t partial_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self, (void)dims;
    return 0;
}

/* ---- the empty sequence ---- */

static void reset(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    const int64_t H = call->dims.heads;
    for (int64_t i = 0; i < call->run_count * H; i++) {
        double *start = state_of(self, call, call->runs[i / H].state, i % H).start;
        memset(start, 0, (size_t)state_size(self, &call->dims) * sizeof *start);
        for (int p = 0; p < 2 * self->maps->count; p++) {
            const int64_t n = param_size(self, &call->dims, p);
            const double *first = param_at(&call->params[p], i % H, n);
            if (first) memcpy(start, first, (size_t)n * sizeof *start);
            start += n;
        }
    }
}

static void reset_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    const int64_t H = call->dims.heads;
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const double *dstart = state_of(self, call, call->runs[i / H].dstate, i % H).start;
        for (int p = 0; p < 2 * self->maps->count; p++) {
            const int64_t n = param_size(self, &call->dims, p);
            double *gradient = param_at(&call->dparams[p], i % H, n);
            if (gradient) ref_axpy(gradient, 1, dstart, n);
            dstart += n;
        }
    }
}

/* ---- parts of a state ---- */

/* Where part `index` of a head lies. */
static double *find_part(const ttt_learner_ops *self, const ttt_learner_dims *dims, const head_state *s, int index)
{
    const ref_rows rows = rows_at(self, dims->key_size, s->rows, ttt_learner_slots(dims), 0);
    int which;
    const ttt_part_kind kind = ttt_learner_part_kind(self, dims, index, &which);
    if (kind == TTT_PART_ROWS) return which % 2 == 0 ? rows.x[which / 2] : rows.g[which / 2];
    double *at = kind == TTT_PART_WEIGHTS ? s->start : s->closed;
    for (int p = 0; p < which; p++) at += param_size(self, dims, p);
    return at;
}

static void export_state(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                         int64_t position, const void *state, void *const *parts)
{
    (void)b;
    for (int64_t h = 0; h < dims->heads; h++) {
        const head_state s = state_at(self, dims, state, h);
        for (int p = 0; p < self->part_count(self, dims); p++) {
            const ttt_learner_part part = self->part(self, dims, p, position);
            const int64_t n = ttt_learner_part_size(&part);
            memcpy((double *)parts[p] + h * n, find_part(self, dims, &s, p), (size_t)n * sizeof(double));
        }
    }
}

static void import_state(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                         int64_t position, void *state, const void *const *parts)
{
    (void)b;
    const int64_t D = dims->key_size, weights = ttt_learner_weights_size(self, dims);
    memset(state, 0, (size_t)(dims->heads * state_size(self, dims)) * sizeof(double));
    for (int64_t h = 0; h < dims->heads; h++) {
        const head_state s = state_at(self, dims, state, h);
        for (int p = 0; p < self->part_count(self, dims); p++) {
            const ttt_learner_part part = self->part(self, dims, p, position);
            const int64_t n = ttt_learner_part_size(&part);
            memcpy(find_part(self, dims, &s, p), (const double *)parts[p] + h * n, (size_t)n * sizeof(double));
        }
        memcpy(s.sum, s.closed, (size_t)weights * sizeof(double));
        for (int64_t slot = 0; slot < ttt_learner_open_rows(dims, position); slot++) {
            const ref_rows rows = rows_at(self, D, s.rows, ttt_learner_slots(dims), slot);
            add_rows(self, dims, s.sum, &rows);
        }
    }
}

/* ---- inspection ---- */

static void read_weights(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                         const void *state, void *out)
{
    (void)b;
    memcpy(out, state, (size_t)(2 * ttt_learner_weights_size(self, dims)) * sizeof(double));
}

static double loss(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                   const ttt_param *params, int64_t h, const void *weights, const void *k, const void *v)
{
    const int64_t D = dims->key_size;
    const ttt_param *norm = params + 2 * self->maps->count;
    const ref_token x = {.k = k,
                         .v = v,
                         .gamma = param_at(&norm[0], h, D),
                         .beta = param_at(&norm[1], h, D),
                         .flags = dims->flags,
                         .work = ttt_scratch(b, 0),
                         .D = D};
    return learner_of(self)->loss(&x, weights);
}

/* ---- the tables ---- */

const ttt_learner_ops ttt_ref_learner_linear = {.name = "linear",
                                                .maps = &ttt_linear_maps,
                                                .own = &ttt_ref_linear,
                                                .supports = ttt_learner_supports,
                                                .state_size = state_size,
                                                .saved_size = saved_size,
                                                .partial_size = partial_size,
                                                .scratch_bytes = scratch_bytes,
                                                .work = ttt_learner_work_of,
                                                .reset = reset,
                                                .reset_backward = reset_backward,
                                                .forward = forward,
                                                .backward = backward,
                                                .part_count = ttt_learner_part_count,
                                                .part = ttt_learner_part_at,
                                                .export_state = export_state,
                                                .import_state = import_state,
                                                .weights_size = ttt_learner_weights_size,
                                                .weights = read_weights,
                                                .loss = loss};

const ttt_learner_ops ttt_ref_learner_mlp = {.name = "mlp",
                                             .maps = &ttt_mlp_maps,
                                             .own = &ttt_ref_mlp,
                                             .supports = ttt_learner_supports,
                                             .state_size = state_size,
                                             .saved_size = saved_size,
                                             .partial_size = partial_size,
                                             .scratch_bytes = scratch_bytes,
                                             .work = ttt_learner_work_of,
                                             .reset = reset,
                                             .reset_backward = reset_backward,
                                             .forward = forward,
                                             .backward = backward,
                                             .part_count = ttt_learner_part_count,
                                             .part = ttt_learner_part_at,
                                             .export_state = export_state,
                                             .import_state = import_state,
                                             .weights_size = ttt_learner_weights_size,
                                             .weights = read_weights,
                                             .loss = loss};
