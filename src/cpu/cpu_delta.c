/* SPDX-License-Identifier: MIT
 *
 * The walk of a matrix state over runs, heads and tiles. Items of the parallel loops are (run, head).
 */
#include "cpu/cpu_delta.h"

#include <string.h>

#include "base/arena.h"
#include "base/elementary.h"
#include "cpu/cpu.h"

enum { TILE = TTT_LEARNER_TILE };

typedef struct walk {
    const ttt_backend *backend;
    const ttt_delta_call *call;
    const ttt_delta_kernels *kernels;
} walk;

/* ---- memory ---- */

static float *push(ttt_arena *arena, int64_t reals) { return ttt_arena_push(arena, reals, sizeof(float)); }

/* S and z: what a tile hands to the next. */
static int64_t closed_size(const ttt_delta_dims *dims) { return ttt_delta_places_of(dims).k; }

static ttt_delta_head head_of(const ttt_delta_dims *dims, float *state)
{
    const ttt_delta_places at = ttt_delta_places_of(dims);
    return (ttt_delta_head){
        .S = state, .z = state + at.z, .k = state + at.k, .u = state + at.u, .log_a = state + at.log_a};
}

static float *head_state(const ttt_delta_call *call, void *block, int64_t head)
{
    return (float *)block + call->state_offset + head * ttt_delta_state_size(&call->dims);
}

/* Tiles that a run touches. */
static int64_t run_tiles(const ttt_run *run) { return (run->position % TILE + run->count + TILE - 1) / TILE; }

/* The most that `tokens` tokens touch, wherever they begin. */
static int64_t most_tiles(int64_t tokens) { return (tokens + 2 * (TILE - 1)) / TILE; }

static int64_t group_of(const ttt_delta_dims *dims) { return dims->group > 0 ? dims->group : 1; }

/* What training keeps of one run and head. */
typedef struct keep {
    float *state;        /* on entry */
    float *closed;       /* S and z at the start of every group of tiles but the first */
    float *error, *over; /* [tokens, O], [tokens]: cpu_delta.h */
} keep;

static keep carve_kept(ttt_arena *arena, const ttt_delta_dims *dims, int64_t tiles, int64_t tokens)
{
    keep k = {.state = push(arena, ttt_delta_state_size(dims)),
              .closed = push(arena, (tiles - 1) / group_of(dims) * closed_size(dims))};
    if (ttt_delta_corrects(dims->kind)) k.error = push(arena, tokens * dims->value_size);
    if (dims->kind == TTT_DELTA_NORMALISED) k.over = push(arena, tokens);
    return k;
}

static int64_t saved_size(const ttt_delta_dims *dims, int64_t tokens)
{
    ttt_arena arena = {0};
    carve_kept(&arena, dims, most_tiles(tokens), tokens);
    return (int64_t)(arena.used / sizeof(float));
}

static keep kept_of(const walk *w, int64_t item)
{
    const ttt_delta_call *call = w->call;
    const ttt_run *run = &call->runs[item / call->dims.heads];
    ttt_arena arena = {.base = (char *)((float *)call->saved + item * call->saved_stride)};
    return carve_kept(&arena, &call->dims, run_tiles(run), run->count);
}

/* Scratch of a thread: the states at the starts of a group's tiles, and at its end. */
typedef struct scratch {
    ttt_delta_work work;
    float *error, *over; /* of one tile, where nothing is kept */
    char *states;
    size_t state_bytes;
} scratch;

/* Measures with base NULL. */
static scratch carve(char *base, size_t *bytes, const ttt_delta_dims *dims)
{
    ttt_arena all = {.base = base}, state = {0};
    const int64_t I = dims->key_size, O = dims->value_size, widest = I > O ? I : O,
                  wide = (widest + TTT_TURN - 1) / TTT_TURN * TTT_TURN;
    push(&state, ttt_delta_state_size(dims));
    scratch s = {.error = push(&all, TILE * O), .over = push(&all, TILE), .state_bytes = state.used};
    s.work = (ttt_delta_work){.x = push(&all, 2 * TILE * I),
                              .dx = push(&all, 2 * TILE * I),
                              .y = push(&all, 2 * TILE * O),
                              .edge = push(&all, 2 * TILE * TILE),
                              .dedge = push(&all, 2 * TILE * TILE),
                              .mask = push(&all, TILE * TILE),
                              .level = push(&all, TILE),
                              .dlevel = push(&all, TILE),
                              .panel = push(&all, wide * TTT_TURN)};
    s.states = ttt_arena_push(&all, group_of(dims) + 1, s.state_bytes);
    *bytes = all.used;
    return s;
}

static size_t scratch_bytes(const ttt_delta_dims *dims)
{
    size_t bytes;
    carve(NULL, &bytes, dims);
    return bytes;
}

static scratch thread_scratch(const walk *w, int thread)
{
    size_t bytes;
    return carve(ttt_scratch(w->backend, thread), &bytes, &w->call->dims);
}

static ttt_delta_head state_at(const walk *w, const scratch *s, int64_t i)
{
    return head_of(&w->call->dims, (float *)(void *)(s->states + (size_t)i * s->state_bytes));
}

/* ---- one tile of a run ---- */

/* Tile `index` of the run, counted from the one it begins in; without its states. */
static ttt_delta_tile tile_of(const walk *w, const ttt_run *run, int64_t head, int64_t index, const scratch *s,
                              const keep *kept)
{
    const ttt_delta_call *call = w->call;
    const int64_t H = call->dims.heads, I = call->dims.key_size, O = call->dims.value_size;
    const int64_t start = (run->position / TILE + index) * TILE, last = run->position + run->count;
    const int64_t from = start > run->position ? start : run->position, to = start + TILE < last ? start + TILE : last;
    const int64_t token = from - run->position, rate = (run->row + token) * H + head;
    return (ttt_delta_tile){.key_size = I,
                            .value_size = O,
                            .key_stride = H * I,
                            .value_stride = H * O,
                            .heads = H,
                            .first = from - start,
                            .count = to - from,
                            .ends = to == start + TILE,
                            .q = (const float *)call->q + rate * I,
                            .k = (const float *)call->k + rate * I,
                            .v = (const float *)call->v + rate * O,
                            .beta = call->beta ? (const float *)call->beta + rate : NULL,
                            .log_a = call->log_a ? (const float *)call->log_a + rate : NULL,
                            .out = (float *)call->out + rate * O,
                            .error = kept->error ? kept->error + token * O : s->error,
                            .over = kept->over ? kept->over + token : s->over,
                            .work = s->work};
}

static void add_gradients(const walk *w, ttt_delta_tile *t, const ttt_run *run, int64_t head)
{
    const ttt_delta_call *call = w->call;
    const int64_t i = t->q - (const float *)call->q, o = t->v - (const float *)call->v, rate = i / t->key_size;
    t->grad = head_of(&call->dims, head_state(call, run->dstate, head));
    t->dout = (const float *)call->dout + o;
    t->dq = (float *)call->dq + i;
    t->dk = (float *)call->dk + i;
    t->dv = (float *)call->dv + o;
    if (call->beta) t->dbeta = (float *)call->dbeta + rate;
    if (call->log_a) t->dlog_a = (float *)call->dlog_a + rate;
}

/* ---- forward ---- */

static void forward_item(void *context, int64_t item, int thread)
{
    const walk *w = context;
    const ttt_delta_call *call = w->call;
    const int64_t head = item % call->dims.heads, group = group_of(&call->dims), closed = closed_size(&call->dims);
    const ttt_run *run = &call->runs[item / call->dims.heads];
    const scratch s = thread_scratch(w, thread);
    float *state = head_state(call, run->state, head);
    keep kept = {0};
    if (call->saved) {
        kept = kept_of(w, item);
        memcpy(kept.state, state, (size_t)ttt_delta_state_size(&call->dims) * sizeof *state);
    }
    for (int64_t i = 0; i < run_tiles(run); i++) {
        if (call->saved && i > 0 && i % group == 0)
            memcpy(kept.closed + (i / group - 1) * closed, state, (size_t)closed * sizeof *state);
        ttt_delta_tile t = tile_of(w, run, head, i, &s, &kept);
        t.state = t.next = head_of(&call->dims, state);
        w->kernels->forward(&t);
    }
}

static walk walk_of(const ttt_backend *b, const ttt_delta_call *call)
{
    return (walk){.backend = b, .call = call, .kernels = &ttt_cpu_kernels(b)->delta[call->dims.kind]};
}

static void delta(const ttt_backend *b, const ttt_delta_call *call)
{
    walk w = walk_of(b, call);
    ttt_parallel(ttt_pool_of(b), call->run_count * call->dims.heads, forward_item, &w);
}

/* ---- backward ---- */

/* The tiles [from, to) of a run, one group. The states at their starts are computed anew from that at the first, which
 * lies in the scratch. */
static void group_backward(const walk *w, const ttt_run *run, int64_t head, int64_t from, int64_t to, const keep *kept,
                           const scratch *s)
{
    for (int64_t i = from; i < to; i++) {
        ttt_delta_tile t = tile_of(w, run, head, i, s, kept);
        t.state = state_at(w, s, i - from);
        t.next = state_at(w, s, i - from + 1);
        t.ends = t.ends && i + 1 < to;
        t.replay = true;
        w->kernels->forward(&t);
    }
    for (int64_t i = to - 1; i >= from; i--) {
        ttt_delta_tile t = tile_of(w, run, head, i, s, kept);
        t.state = state_at(w, s, i - from);
        add_gradients(w, &t, run, head);
        w->kernels->backward(&t);
    }
}

static void backward_item(void *context, int64_t item, int thread)
{
    const walk *w = context;
    const ttt_delta_dims *dims = &w->call->dims;
    const int64_t head = item % dims->heads, group = group_of(dims), closed = closed_size(dims),
                  size = ttt_delta_state_size(dims);
    const ttt_run *run = &w->call->runs[item / dims->heads];
    const int64_t tiles = run_tiles(run), first = run->position % TILE;
    const scratch s = thread_scratch(w, thread);
    const keep kept = kept_of(w, item);
    for (int64_t g = (tiles - 1) / group; g >= 0; g--) {
        const float *start = g == 0 ? kept.state : kept.closed + (g - 1) * closed;
        memcpy(s.states, start, (size_t)(g == 0 ? size : closed) * sizeof *start);
        group_backward(w, run, head, g * group, (g + 1) * group < tiles ? (g + 1) * group : tiles, &kept, &s);
    }
    /* only the rows that were there on entry have a gradient */
    const ttt_delta_head d = head_of(dims, head_state(w->call, run->dstate, head));
    memset(d.k + first * dims->key_size, 0, (size_t)((TILE - first) * dims->key_size) * sizeof *d.k);
    memset(d.u + first * dims->value_size, 0, (size_t)((TILE - first) * dims->value_size) * sizeof *d.u);
    if (dims->kind == TTT_DELTA_GATED) memset(d.log_a + first, 0, (size_t)(TILE - first) * sizeof *d.log_a);
}

static void delta_backward(const ttt_backend *b, const ttt_delta_call *call)
{
    walk w = walk_of(b, call);
    ttt_parallel(ttt_pool_of(b), call->run_count * call->dims.heads, backward_item, &w);
}

/* ---- view ---- */

static void view(const ttt_backend *b, const ttt_delta_dims *dims, int64_t position, const void *state, void *values)
{
    (void)b;
    const ttt_delta_head s = head_of(dims, (float *)(uintptr_t)state);
    const int64_t I = dims->key_size, O = dims->value_size;
    float *S = values, *z = S + I * O;
    memcpy(S, s.S, (size_t)closed_size(dims) * sizeof *S);
    for (int64_t j = 0; j < position % TILE; j++) {
        const float a = dims->kind == TTT_DELTA_GATED ? (float)ttt_exp((double)s.log_a[j]) : 1;
        for (int64_t i = 0; i < I; i++)
            for (int64_t o = 0; o < O; o++) S[i * O + o] = a * S[i * O + o] + s.k[j * I + i] * s.u[j * O + o];
        for (int64_t i = 0; i < I && dims->kind == TTT_DELTA_NORMALISED; i++) z[i] += s.k[j * I + i];
    }
}

void ttt_cpu_ops_delta(ttt_ops *ops)
{
    ops->delta = delta;
    ops->delta_backward = delta_backward;
    ops->delta_view = view;
    ops->delta_saved_size = saved_size;
    ops->delta_scratch_bytes = scratch_bytes;
}
