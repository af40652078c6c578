/* SPDX-License-Identifier: MIT
 *
 * The walk of the cpu learners over runs, heads and tiles. Items of the parallel loops are (run, head); what several
 * runs add to is summed afterwards, in their order.
 */
#include "cpu/cpu_learner.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "cpu/cpu.h"

typedef struct walk {
    const ttt_learner_ops *self;
    const ttt_backend *backend;
    const ttt_learner_call *call;
    const ttt_learner_kernels *kernels;
    bool primal;
} walk;

static walk walk_of(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    const ttt_learner_index *which = self->own;
    assert(!call->decay);
    return (walk){.self = self, .backend = b, .call = call, .kernels = &ttt_cpu_kernels(b)->learner[*which]};
}

/* Whether there is a layer of 4D between two maps. */
static bool has_hidden(const ttt_learner_ops *self) { return self->maps->count > 1; }

/* ---- tiles of a run ---- */

/* Tiles are numbered through a sequence: every mini-batch has ceil(K / TTT_LEARNER_TILE) of them. */
static int64_t tiles_of_batch(int64_t K) { return (K + TTT_LEARNER_TILE - 1) / TTT_LEARNER_TILE; }
static int64_t tile_at(int64_t position, int64_t K)
{
    return position / K * tiles_of_batch(K) + position % K / TTT_LEARNER_TILE;
}
static int64_t tile_start(int64_t tile, int64_t K)
{
    return tile / tiles_of_batch(K) * K + tile % tiles_of_batch(K) * TTT_LEARNER_TILE;
}

static int64_t run_tiles(const ttt_run *run, int64_t K)
{
    return tile_at(run->position + run->count - 1, K) - tile_at(run->position, K) + 1;
}

/* The most tiles that `tokens` tokens touch, wherever they begin. */
static int64_t most_tiles(int64_t tokens, int64_t K)
{
    const int64_t whole = tokens / K * tiles_of_batch(K),
                  rest = (tokens % K + TTT_LEARNER_TILE - 1) / TTT_LEARNER_TILE + 1;
    return whole + 1 + (rest < tiles_of_batch(K) ? rest : tiles_of_batch(K));
}

/* Of short tiles up to four times as many: what is kept of a token stays about the same, and the states between still
 * fit in a cache. */
static int64_t group_of(const ttt_learner_dims *dims)
{
    const int64_t shorter = TTT_LEARNER_TILE / ttt_learner_slots(dims), group = dims->group > 0 ? dims->group : 1;
    return group * (shorter < 4 ? shorter : 4);
}

/* ---- memory ---- */

static float *push(ttt_arena *arena, int64_t reals) { return ttt_arena_push(arena, reals, sizeof(float)); }

static ttt_trace carve_trace(ttt_arena *arena, const ttt_learner_ops *self, int64_t D, int64_t tokens)
{
    ttt_trace t = {0};
    float **const rows[] = {&t.normal, &t.g, &t.normal_bar}, **const hidden[] = {&t.back, &t.z_bar};
    for (size_t i = 0; i < 3; i++) *rows[i] = push(arena, tokens * D);
    for (size_t i = 0; has_hidden(self) && i < 2; i++) *hidden[i] = push(arena, tokens * 4 * D);
    t.scale = push(arena, tokens);
    t.scale_bar = push(arena, tokens);
    return t;
}

/* That of the tokens from `token` on. */
static ttt_trace trace_from(ttt_trace t, int64_t D, int64_t token)
{
    float **const rows[] = {&t.normal, &t.g, &t.normal_bar}, **const hidden[] = {&t.back, &t.z_bar};
    for (size_t i = 0; i < 3; i++) *rows[i] += token * D;
    for (size_t i = 0; t.z_bar && i < 2; i++) *hidden[i] += token * 4 * D;
    t.scale += token;
    t.scale_bar += token;
    return t;
}

/* What training keeps of one run and head. */
typedef struct keep {
    float *state;    /* on entry */
    float *closed;   /* weights and sums at the start of every group of tiles but the first */
    ttt_trace trace; /* of all tokens */
} keep;

static keep carve_kept(ttt_arena *arena, const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tiles,
                       int64_t tokens)
{
    keep k = {.state = push(arena, ttt_cpu_learner_state_size(self, dims))};
    k.closed = push(arena, (tiles - 1) / group_of(dims) * ttt_cpu_closed_size(self, dims));
    k.trace = carve_trace(arena, self, dims->key_size, tokens);
    return k;
}

int64_t ttt_cpu_learner_saved_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens)
{
    ttt_arena arena = {0};
    carve_kept(&arena, self, dims, most_tiles(tokens, dims->mini_batch), tokens);
    return (int64_t)(arena.used / sizeof(float));
}

static keep kept_of(const walk *w, int64_t item)
{
    const ttt_learner_call *call = w->call;
    const ttt_run *run = &call->runs[item / call->dims.heads];
    ttt_arena arena = {.base = (char *)((float *)call->saved + item * call->saved_stride)};
    return carve_kept(&arena, w->self, &call->dims, run_tiles(run, call->dims.mini_batch), run->count);
}

/* Scratch of a thread: for each tile of a group, and once more, the state at its start and, of the mlp, z1 and its
 * sigmoid, of which `work` has the first. */
typedef struct scratch {
    ttt_tile_work work;
    ttt_trace trace; /* of one tile, where nothing is kept */
    char *states;
    size_t state_bytes;
} scratch;

/* Of an array [tile, 4D]. */
static int64_t hidden_size(const ttt_learner_dims *dims) { return TTT_LEARNER_TILE * 4 * dims->key_size; }

static ttt_tile_work carve_work(ttt_arena *arena, const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    int64_t width = 1;
    for (int m = 0; m < self->maps->count; m++) {
        if (self->maps->in[m] > width) width = self->maps->in[m];
        if (self->maps->out[m] > width) width = self->maps->out[m];
    }
    const int64_t D = dims->key_size, wide = (width * D + TTT_LEARNER_TILE - 1) / TTT_LEARNER_TILE * TTT_LEARNER_TILE,
                  hidden = has_hidden(self) ? hidden_size(dims) : 0, places = group_of(dims) + 1;
    ttt_tile_work work = {.panel = push(arena, wide * TTT_TURN),
                          .dx = push(arena, wide * TTT_LEARNER_TILE),
                          .dz = push(arena, wide * TTT_LEARNER_TILE),
                          .rows = push(arena, wide * TTT_LEARNER_TILE),
                          .dz2 = push(arena, D * TTT_LEARNER_TILE),
                          .dk = push(arena, D * TTT_LEARNER_TILE),
                          .edge = push(arena, TTT_LEARNER_TILE * TTT_LEARNER_TILE),
                          .dedge = push(arena, TTT_LEARNER_TILE * TTT_LEARNER_TILE),
                          .z = push(arena, places * hidden),
                          .sigmoid = push(arena, places * hidden),
                          .abar = push(arena, hidden),
                          .sigmoid_bar = push(arena, hidden)};
    for (int m = 0; m < self->maps->count; m++) {
        const int64_t in = self->maps->in[m] * D + TTT_TURN - 1, out = self->maps->out[m] * D + TTT_TURN - 1;
        work.turned[m] = push(arena, in / TTT_TURN * TTT_TURN * (out / TTT_TURN * TTT_TURN));
    }
    return work;
}

/* Measures with base NULL. */
static scratch carve(char *base, size_t *bytes, const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    ttt_arena all = {.base = base}, state = {0};
    push(&state, ttt_cpu_learner_state_size(self, dims));
    scratch s = {.state_bytes = state.used};
    s.work = carve_work(&all, self, dims);
    s.trace = carve_trace(&all, self, dims->key_size, TTT_LEARNER_TILE);
    s.states = ttt_arena_push(&all, group_of(dims) + 1, s.state_bytes);
    *bytes = all.used;
    return s;
}

int64_t ttt_cpu_learner_partial_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    /* gradients of the norm's weight and bias, and of what is forgotten towards */
    return 2 * dims->key_size + (dims->forget > 0 ? ttt_learner_weights_size(self, dims) : 0);
}

size_t ttt_cpu_learner_scratch_bytes(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    size_t bytes;
    carve(NULL, &bytes, self, dims);
    return bytes;
}

static scratch thread_scratch(const walk *w, int thread)
{
    size_t bytes;
    return carve(ttt_scratch(w->backend, thread), &bytes, w->self, &w->call->dims);
}

static float *state_at(const scratch *s, int64_t i)
{
    return (float *)(void *)(s->states + (size_t)i * s->state_bytes);
}

/* ---- one tile of a run ---- */

static const float *params_at(const walk *w, int which, int64_t head)
{
    const float *values = w->call->params[2 * w->self->maps->count + which].values;
    return values ? values + head * w->call->dims.key_size : NULL;
}

/* What an empty sequence begins with in one head. */
static void find_start(ttt_tile *t, const walk *w, int64_t head)
{
    const ttt_learner_maps *maps = w->self->maps;
    const int64_t D = t->head_size;
    for (int i = 0; i < 2 * maps->count; i++) {
        const int64_t out = maps->out[i / 2] * D, size = i % 2 == 0 ? maps->in[i / 2] * D * out : out;
        const float *values = w->call->params[i].values;
        t->start[i] = values ? values + head * size : NULL;
    }
}

/* Tile `index` of the run, counted from the one it begins in; without its states. */
static ttt_tile tile_of(const walk *w, const ttt_run *run, int64_t head, int64_t index, const scratch *s)
{
    const ttt_learner_call *call = w->call;
    const int64_t K = call->dims.mini_batch, H = call->dims.heads, D = call->dims.key_size;
    const int64_t number = tile_at(run->position, K) + index, start = tile_start(number, K),
                  end = tile_start(number + 1, K);
    const int64_t from = start > run->position ? start : run->position, last = run->position + run->count,
                  to = end < last ? end : last;
    const int64_t row = run->row + from - run->position, at = (row * H + head) * D, rate = row * H + head;
    ttt_tile t = {.head_size = D,
                  .stride = H * D,
                  .heads = H,
                  .flags = call->dims.flags,
                  .forget = (float)ttt_learner_forgotten(&call->dims, run, end),
                  .first = from - start,
                  .count = to - from,
                  .end = to < end       ? TTT_TILE_OPEN
                         : end % K == 0 ? TTT_TILE_UPDATE
                                        : TTT_TILE_FOLD,
                  .from = {.q = (const float *)call->q + at,
                           .k = (const float *)call->k + at,
                           .v = (const float *)call->v + at,
                           .write = (const float *)call->write + rate,
                           .read = (const float *)call->read + row,
                           .weight = params_at(w, 0, head),
                           .bias = params_at(w, 1, head)},
                  .to = {.out = (float *)call->out + at},
                  .trace = s->trace,
                  .work = s->work};
    if (t.forget > 0) find_start(&t, w, head);
    return t;
}

/* The kept trace of a tile's tokens. */
static ttt_trace trace_of(const walk *w, const ttt_run *run, const keep *kept, const ttt_tile *t)
{
    const int64_t row = (t->from.read - (const float *)w->call->read) - run->row;
    return trace_from(kept->trace, w->call->dims.key_size, row);
}

/* Tile `index` as the backward wants it: the place-th of its group. */
static ttt_tile tile_in_group(const walk *w, const ttt_run *run, int64_t head, int64_t index, int64_t place,
                              const keep *kept, const scratch *s)
{
    ttt_tile t = tile_of(w, run, head, index, s);
    ttt_cpu_find_maps(t.map, w->self, &w->call->dims, state_at(s, place));
    t.trace = trace_of(w, run, kept, &t);
    if (has_hidden(w->self)) {
        t.work.z += place * hidden_size(&w->call->dims);
        t.work.sigmoid += place * hidden_size(&w->call->dims);
    }
    return t;
}

static void add_gradients(const walk *w, ttt_tile *t, const ttt_run *run, int64_t head, float *partial)
{
    const ttt_learner_call *call = w->call;
    const int64_t at = t->from.q - (const float *)call->q, rate = t->from.write - (const float *)call->write;
    ttt_cpu_find_maps(t->dmap, w->self, &call->dims, ttt_cpu_head_state(w->self, w->call, run->dstate, head));
    t->from.dout = (const float *)call->dout + at;
    t->to.dq = (float *)call->dq + at;
    t->to.dk = (float *)call->dk + at;
    t->to.dv = (float *)call->dv + at;
    t->to.dwrite = (float *)call->dwrite + rate;
    t->to.dread = (float *)call->dread + rate;
    t->to.dweight = partial;
    t->to.dbias = partial + t->head_size;
    t->dstart = partial + 2 * t->head_size;
}

/* ---- forward ---- */

static void forward_item(void *context, int64_t item, int thread)
{
    const walk *w = context;
    const ttt_learner_call *call = w->call;
    const int64_t H = call->dims.heads, head = item % H, group = group_of(&call->dims);
    const int64_t closed = ttt_cpu_closed_size(w->self, &call->dims);
    const ttt_run *run = &call->runs[item / H];
    const scratch s = thread_scratch(w, thread);
    const bool keeping = call->saved != NULL;
    keep kept = {0};
    ttt_map formed[2 * TTT_LEARNER_MAPS];
    for (int i = 0; i < 2; i++) /* memory that only the backward uses */
        ttt_cpu_find_maps(formed + i * TTT_LEARNER_MAPS, w->self, &call->dims, state_at(&s, i));
    float *state = ttt_cpu_head_state(w->self, w->call, run->state, head);
    if (keeping) {
        kept = kept_of(w, item);
        memcpy(kept.state, state, (size_t)ttt_cpu_learner_state_size(w->self, &call->dims) * sizeof *state);
    }
    for (int64_t i = 0; i < run_tiles(run, call->dims.mini_batch); i++) {
        if (keeping && i > 0 && i % group == 0) {
            memcpy(kept.closed + (i / group - 1) * closed, state, (size_t)closed * sizeof *state);
        }
        ttt_tile t = tile_of(w, run, head, i, &s);
        ttt_cpu_find_maps(t.map, w->self, &call->dims, state);
        memcpy(t.next, t.map, sizeof t.next);
        if (keeping) t.trace = trace_of(w, run, &kept, &t);
        t.formed = formed;
        (w->primal ? w->kernels->primal : w->kernels->forward)(&t);
    }
}

void ttt_cpu_learner_primal(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    walk w = walk_of(self, b, call);
    assert(!call->saved);
    w.primal = true;
    ttt_parallel(ttt_pool_of(b), call->run_count * call->dims.heads, forward_item, &w);
}

void ttt_cpu_learner_forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    walk w = walk_of(self, b, call);
    ttt_parallel(ttt_pool_of(b), call->run_count * call->dims.heads, forward_item, &w);
}

/* ---- backward ---- */

static void clear_rows(const ttt_map *maps, int count, int64_t first)
{
    for (int m = 0; m < count; m++) {
        const ttt_map *f = &maps[m];
        memset(f->x + first * f->in, 0, (size_t)((f->slots - first) * f->in) * sizeof(float));
        memset(f->g + first * f->out, 0, (size_t)((f->slots - first) * f->out) * sizeof(float));
    }
}

/* The tiles [from, to) of a run, one group. The states at their starts are computed anew from that at the first,
 * which lies in the scratch, and from what the forward kept of their tokens. */
static void group_backward(const walk *w, const ttt_run *run, int64_t head, int64_t from, int64_t to, const keep *kept,
                           const scratch *s, float *partial)
{
    const ttt_learner_dims *dims = &w->call->dims;
    for (int64_t i = from; i < to; i++) {
        ttt_tile t = tile_in_group(w, run, head, i, i - from, kept, s);
        ttt_cpu_find_maps(t.next, w->self, dims, state_at(s, i - from + 1));
        t.skip_end = i + 1 == to;
        t.replay = true;
        w->kernels->forward(&t);
    }
    for (int64_t i = to - 1; i >= from; i--) {
        ttt_tile t = tile_in_group(w, run, head, i, i - from, kept, s);
        add_gradients(w, &t, run, head, partial);
        w->kernels->backward(&t);
    }
}

static void backward_item(void *context, int64_t item, int thread)
{
    const walk *w = context;
    const ttt_learner_call *call = w->call;
    const int64_t H = call->dims.heads, head = item % H, K = call->dims.mini_batch, group = group_of(&call->dims);
    const ttt_run *run = &call->runs[item / H];
    const scratch s = thread_scratch(w, thread);
    const keep kept = kept_of(w, item);
    const int64_t size = ttt_cpu_learner_state_size(w->self, &call->dims),
                  closed = ttt_cpu_closed_size(w->self, &call->dims), tiles = run_tiles(run, K);
    const int64_t partials = ttt_cpu_learner_partial_size(w->self, &call->dims);
    float *partial = (float *)call->partial + item * partials;
    memset(partial, 0, (size_t)partials * sizeof *partial);

    for (int64_t g = (tiles - 1) / group; g >= 0; g--) {
        const float *start = g == 0 ? kept.state : kept.closed + (g - 1) * closed;
        memcpy(state_at(&s, 0), start, (size_t)(g == 0 ? size : closed) * sizeof *start);
        const int64_t end = (g + 1) * group;
        group_backward(w, run, head, g * group, end < tiles ? end : tiles, &kept, &s, partial);
    }
    ttt_map dmap[TTT_LEARNER_MAPS]; /* only the slots that are filled on entry have a gradient there */
    ttt_cpu_find_maps(dmap, w->self, &call->dims, ttt_cpu_head_state(w->self, w->call, run->dstate, head));
    clear_rows(dmap, w->self->maps->count, tile_of(w, run, head, 0, &s).first);
}

/* The gradient of parameter `which`, [H, size], gets what the items have for it from `at` on in their partial memory.
 */
static void add_partials(const walk *w, int which, int64_t at, int64_t size)
{
    const ttt_learner_call *call = w->call;
    const int64_t H = call->dims.heads, partials = ttt_cpu_learner_partial_size(w->self, &call->dims);
    float *gradient = call->dparams[which].values;
    for (int64_t item = 0; item < call->run_count * H && gradient; item++) {
        const float *partial = (const float *)call->partial + item * partials + at;
        for (int64_t i = 0; i < size; i++) gradient[item % H * size + i] += partial[i];
    }
}

void ttt_cpu_learner_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    walk w = walk_of(self, b, call);
    const int64_t D = call->dims.key_size;
    const int norm = 2 * self->maps->count;
    ttt_parallel(ttt_pool_of(b), call->run_count * call->dims.heads, backward_item, &w);
    for (int which = 0; which < 2; which++) add_partials(&w, norm + which, which * D, D);
    int64_t at = 2 * D;
    for (int m = 0; m < self->maps->count && call->dims.forget > 0; m++) {
        const int64_t out = self->maps->out[m] * D, in = self->maps->in[m] * D;
        add_partials(&w, 2 * m, at, in * out);
        add_partials(&w, 2 * m + 1, at + in * out, out);
        at += (in + 1) * out;
    }
}
