/* SPDX-License-Identifier: MIT
 *
 * Attention: the rows of a call in tiles of tokens and heads that read the same keys, each tile's keys in spans. A
 * row's result is that of its spans, put together in their order; where there are few tiles (when tokens come one by
 * one), spans are computed side by side, and put together after, with the same bits.
 */
#include <string.h>

#include "base/elementary.h"
#include "cpu/cpu.h"

/* Keys that are read one block after another; and tiles that are enough for threads by themselves. */
enum { SPAN = 8 * TTT_KEY_BLOCK, ENOUGH = 32 };

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static int64_t parts_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

/* ---- keys and values ---- */

typedef struct movement {
    const ttt_attention *a;
    const ttt_run *run;
    const float *from_k, *from_v;
    float *to_k, *to_v;
    float *cache;
} movement;

static void write_groups(void *context, int64_t begin, int64_t end)
{
    const movement *m = context;
    const int64_t D = m->a->head_size, width = m->a->groups * D;
    for (int64_t g = begin; g < end; g++) {
        for (int64_t i = 0; i < m->run->count; i++) {
            const int64_t t = m->run->position + i, row = (m->run->row + i) * width + g * D;
            float *keys = m->cache + ttt_key_block_at(m->a, t) + 2 * g * D * TTT_KEY_BLOCK;
            float *key = keys + t % TTT_KEY_BLOCK;
            for (int64_t d = 0; d < D; d++) key[d * TTT_KEY_BLOCK] = m->from_k[row + d];
            memcpy(keys + (TTT_KEY_BLOCK + t % TTT_KEY_BLOCK) * D, m->from_v + row, (size_t)D * sizeof(float));
        }
    }
}

static void read_groups(void *context, int64_t begin, int64_t end)
{
    const movement *m = context;
    const int64_t D = m->a->head_size, width = m->a->groups * D;
    for (int64_t g = begin; g < end; g++) {
        for (int64_t i = 0; i < m->run->count; i++) {
            const int64_t t = m->run->position + i, row = (m->run->row + i) * width + g * D;
            const float *keys = m->cache + ttt_key_block_at(m->a, t) + 2 * g * D * TTT_KEY_BLOCK;
            const float *key = keys + t % TTT_KEY_BLOCK;
            for (int64_t d = 0; d < D; d++) m->to_k[row + d] = key[d * TTT_KEY_BLOCK];
            memcpy(m->to_v + row, keys + (TTT_KEY_BLOCK + t % TTT_KEY_BLOCK) * D, (size_t)D * sizeof(float));
        }
    }
}

static void keys_write(const ttt_backend *b, const ttt_attention *a, const void *k, const void *v, const ttt_run *runs,
                       int64_t run_count)
{
    movement m = {.a = a, .from_k = k, .from_v = v};
    for (m.run = runs; m.run < runs + run_count; m.run++) {
        m.cache = m.run->grown[a->layer];
        ttt_cpu_split(b, a->groups, 2 * m.run->count * a->head_size, write_groups, &m);
    }
}

static void keys_read(const ttt_backend *b, const ttt_attention *a, void *k, void *v, const ttt_run *runs,
                      int64_t run_count, bool gradients)
{
    movement m = {.a = a, .to_k = k, .to_v = v};
    for (m.run = runs; m.run < runs + run_count; m.run++) {
        m.cache = (gradients ? m.run->dgrown : m.run->grown)[a->layer];
        ttt_cpu_split(b, a->groups, 2 * m.run->count * a->head_size, read_groups, &m);
    }
}

/* ---- tiles ---- */

typedef struct reading {
    const ttt_backend *b;
    const ttt_attention *a;
    const ttt_run *runs;
    int64_t run_count;
    float *out, *sums, *partial;
    const float *q;

    int64_t heads, tokens; /* of a tile, at most; its heads are of one group */
    int64_t tiles;
    int64_t group; /* tiles that a thread takes together */

    /* For tiles whose spans are computed side by side: */
    int64_t rows;   /* of a tile, at most */
    int64_t slots;  /* of a tile in `partial`, each of `rows`: what was put together so far, and spans */
    int64_t before; /* spans that are done */
} reading;

typedef struct tile {
    const ttt_run *run;
    int64_t row, tokens; /* rows of the call */
    int64_t head, heads;
    int64_t position;          /* of the first token */
    int64_t span, spans, last; /* spans that it reads from, and the last key that it sees */
} tile;

static int64_t repeats(const ttt_attention *a) { return a->heads / a->groups; }

static int64_t tiles_of(const reading *r, const ttt_run *run)
{
    return r->a->groups * parts_of(repeats(r->a), r->heads) * parts_of(run->count, r->tokens);
}

/* Late tokens come first: they take longest. */
static tile find_tile(const reading *r, int64_t index)
{
    const ttt_run *run = r->runs;
    for (; index >= tiles_of(r, run); run++) index -= tiles_of(r, run);
    const int64_t along = parts_of(run->count, r->tokens), part = index / along,
                  chunks = parts_of(repeats(r->a), r->heads);
    const int64_t first = (along - 1 - index % along) * r->tokens, skipped = part % chunks * r->heads;
    tile t = {.run = run,
              .row = run->row + first,
              .tokens = least(r->tokens, run->count - first),
              .head = part / chunks * repeats(r->a) + skipped,
              .heads = least(r->heads, repeats(r->a) - skipped),
              .position = run->position + first};
    t.last = t.position + t.tokens - 1;
    t.span = ttt_first_visible(r->a, t.position) / SPAN;
    t.spans = t.last / SPAN + 1 - t.span;
    return t;
}

/* A thread's scratch. */
typedef struct workspace {
    float *q, *scores; /* [rows, D], [rows, TTT_KEY_BLOCK] */
    float *read, *more;
} workspace;

static int64_t read_reals(const ttt_attention *a) { return a->head_size + TTT_ATTENTION_SUMS; }

static workspace carve(const reading *r, int thread)
{
    workspace w = {.scores = ttt_scratch(r->b, thread)};
    w.read = w.scores + TTT_ATTENTION_ROWS * TTT_KEY_BLOCK;
    w.more = w.read + TTT_ATTENTION_ROWS * read_reals(r->a);
    w.q = w.more + TTT_ATTENTION_ROWS * read_reals(r->a);
    return w;
}

static size_t attention_scratch(const ttt_attention *a)
{
    const int64_t forward = TTT_ATTENTION_ROWS * (TTT_KEY_BLOCK + 2 * read_reals(a) + a->head_size);
    const int64_t backward = ttt_attention_reals(a->head_size);
    return (size_t)(forward > backward ? forward : backward) * sizeof(float);
}

/* The kernel's view of a tile, with its queries scaled and side by side. */
static ttt_attention_tile gather(const reading *r, const tile *t, const workspace *w)
{
    const ttt_attention *a = r->a;
    const int64_t D = a->head_size, width = t->heads * D, group = t->head / repeats(a);
    const float scale = (float)a->scale;
    for (int64_t i = 0; i < t->tokens; i++) {
        const float *from = r->q + ((t->row + i) * a->heads + t->head) * D;
        for (int64_t d = 0; d < width; d++) w->q[i * width + d] = scale * from[d];
    }
    return (ttt_attention_tile){.q = w->q,
                                .scores = w->scores,
                                .cache = (const float *)t->run->grown[a->layer] + 2 * group * D * TTT_KEY_BLOCK,
                                .place_stride = ttt_key_block_reals(a),
                                .places = a->ring / TTT_KEY_BLOCK,
                                .tokens = t->tokens,
                                .heads = t->heads,
                                .head_size = D,
                                .position = t->position,
                                .window = a->window};
}

static void read_span(const reading *r, const tile *t, const ttt_attention_tile *k, float *read, int64_t span)
{
    const int64_t visible = ttt_first_visible(r->a, t->position) / TTT_KEY_BLOCK * TTT_KEY_BLOCK;
    const int64_t begin = (t->span + span) * SPAN;
    ttt_cpu_kernels(r->b)->attention.span(k, read, begin < visible ? visible : begin, least(begin + SPAN, t->last + 1));
}

static void finish(const reading *r, const tile *t, const float *read)
{
    const int64_t D = r->a->head_size, H = r->a->heads;
    for (int64_t i = 0; i < t->tokens * t->heads; i++, read += read_reals(r->a)) {
        const int64_t at = (t->row + i / t->heads) * H + t->head + i % t->heads;
        const float share = 1 / read[D + 1];
        for (int64_t d = 0; d < D; d++) r->out[at * D + d] = read[d] * share;
        if (r->sums) r->sums[at] = (float)((double)read[D] + ttt_ln((double)read[D + 1]));
    }
}

/* Tiles by themselves, their spans one after another. */
static void read_tiles(void *context, int64_t part, int thread)
{
    const reading *r = context;
    const workspace w = carve(r, thread);
    for (int64_t i = part * r->group; i < least((part + 1) * r->group, r->tiles); i++) {
        const tile t = find_tile(r, i);
        const ttt_attention_tile k = gather(r, &t, &w);
        read_span(r, &t, &k, w.read, 0);
        for (int64_t s = 1; s < t.spans; s++) {
            read_span(r, &t, &k, w.more, s);
            ttt_cpu_kernels(r->b)->attention.merge(w.read, w.more, t.tokens * t.heads, r->a->head_size);
        }
        finish(r, &t, w.read);
    }
}

static float *slot_of(const reading *r, int64_t index, int64_t slot)
{
    return r->partial + (index * r->slots + slot) * r->rows * read_reals(r->a);
}

/* One span of one tile. */
static void read_part(void *context, int64_t item, int thread)
{
    const reading *r = context;
    const int64_t index = item / (r->slots - 1), slot = item % (r->slots - 1);
    const tile t = find_tile(r, index);
    const workspace w = carve(r, thread);
    if (r->before + slot >= t.spans) return;
    const ttt_attention_tile k = gather(r, &t, &w);
    read_span(r, &t, &k, slot_of(r, index, 1 + slot), r->before + slot);
}

static void merge_parts(const reading *r, int64_t index)
{
    const tile t = find_tile(r, index);
    for (int64_t s = 0; s < r->slots - 1 && r->before + s < t.spans; s++)
        ttt_cpu_kernels(r->b)->attention.merge(slot_of(r, index, 0), slot_of(r, index, 1 + s), t.tokens * t.heads,
                                               r->a->head_size);
    if (r->before < t.spans && r->before + r->slots - 1 >= t.spans) finish(r, &t, slot_of(r, index, 0));
}

static void read_parts(reading *r, int64_t spans)
{
    const int64_t most = TTT_ATTENTION_PARTS / (r->tiles * r->rows) - 1;
    r->slots = 1 + least(spans, most);
    for (int64_t i = 0; i < r->tiles; i++)
        memset(slot_of(r, i, 0), 0, (size_t)(r->rows * read_reals(r->a)) * sizeof(float));
    for (r->before = 0; r->before < spans; r->before += r->slots - 1) {
        ttt_parallel(ttt_pool_of(r->b), r->tiles * (r->slots - 1), read_part, r);
        for (int64_t i = 0; i < r->tiles; i++) merge_parts(r, i);
    }
}

static void attention(const ttt_backend *b, const ttt_attention *a, void *out, void *sums, void *partial, const void *q,
                      const ttt_run *runs, int64_t run_count)
{
    enum { WORTH = 32768 }; /* as in ttt_cpu_split */
    reading r = {.b = b,
                 .a = a,
                 .runs = runs,
                 .run_count = run_count,
                 .out = out,
                 .sums = sums,
                 .partial = partial,
                 .q = q,
                 .heads = least(repeats(a), TTT_ATTENTION_ROWS)};
    int64_t longest = 0, spans = 0, keys = 0;
    r.tokens = TTT_ATTENTION_ROWS / r.heads;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        const int64_t last = run->position + run->count - 1, first = ttt_first_visible(a, run->position);
        const int64_t most = last / SPAN + 1 - first / SPAN;
        r.tiles += tiles_of(&r, run);
        spans = most > spans ? most : spans;
        keys = last + 1 - first > keys ? last + 1 - first : keys;
        longest = run->count > longest ? run->count : longest;
    }
    r.rows = least(longest, r.tokens) * r.heads;
    r.group = parts_of(WORTH, r.rows * keys * a->head_size);
    if (r.tiles < ENOUGH && spans > 1)
        read_parts(&r, spans);
    else
        ttt_parallel(ttt_pool_of(b), parts_of(r.tiles, r.group), read_tiles, &r);
}

/* ---- backward ---- */

typedef struct reading_backward {
    const ttt_backend *b;
    const ttt_attention *a;
    const ttt_run *runs;
    float *dq, *delta;
    const float *dout, *out, *sums, *q;
} reading_backward;

static void delta_rows(void *context, int64_t begin, int64_t end)
{
    const reading_backward *r = context;
    const int64_t H = r->a->heads, width = H * r->a->head_size;
    for (int64_t i = begin; i < end; i++)
        ttt_cpu_kernels(r->b)->attention.delta(r->delta + i * H, r->dout + i * width, r->out + i * width, H,
                                               r->a->head_size);
}

/* One group of one run. */
static void group_backward(void *context, int64_t item, int thread)
{
    const reading_backward *r = context;
    const ttt_attention *a = r->a;
    const ttt_run *run = r->runs + item / a->groups;
    const int64_t D = a->head_size, group = item % a->groups, head = group * repeats(a), heads = repeats(a);
    const int64_t row = run->row * a->heads + head, first = ttt_first_visible(a, run->position);
    for (int64_t i = 0; i < run->count; i++)
        memset(r->dq + (row + i * a->heads) * D, 0, (size_t)(heads * D) * sizeof(float));
    for (int64_t key = first / TTT_KEY_BLOCK * TTT_KEY_BLOCK; key < run->position + run->count; key += TTT_KEY_BLOCK) {
        const int64_t at = ttt_key_block_at(a, key) + 2 * group * D * TTT_KEY_BLOCK, behind = D * TTT_KEY_BLOCK;
        const float *keys = (const float *)run->grown[a->layer] + at;
        float *dkeys = (float *)run->dgrown[a->layer] + at;
        ttt_cpu_kernels(r->b)->attention.keys_backward(&(ttt_attention_keys){.q = r->q + row * D,
                                                                             .dout = r->dout + row * D,
                                                                             .dq = r->dq + row * D,
                                                                             .sums = r->sums + row,
                                                                             .delta = r->delta + row,
                                                                             .keys = keys,
                                                                             .values = keys + behind,
                                                                             .dkeys = dkeys,
                                                                             .dvalues = dkeys + behind,
                                                                             .scratch = ttt_scratch(r->b, thread),
                                                                             .stride = a->heads * D,
                                                                             .sum_stride = a->heads,
                                                                             .tokens = run->count,
                                                                             .heads = heads,
                                                                             .head_size = D,
                                                                             .position = run->position,
                                                                             .key = key,
                                                                             .window = a->window,
                                                                             .scale = (float)a->scale});
    }
}

static void attention_backward(const ttt_backend *b, const ttt_attention *a, void *dq, void *delta, const void *dout,
                               const void *out, const void *sums, const void *q, const ttt_run *runs, int64_t run_count)
{
    reading_backward r = {
        .b = b, .a = a, .runs = runs, .dq = dq, .delta = delta, .dout = dout, .out = out, .sums = sums, .q = q};
    int64_t rows = 0;
    for (int64_t n = 0; n < run_count; n++)
        rows = runs[n].row + runs[n].count > rows ? runs[n].row + runs[n].count : rows;
    ttt_cpu_split(b, rows, 2 * a->heads * a->head_size, delta_rows, &r);
    ttt_parallel(ttt_pool_of(b), run_count * a->groups, group_backward, &r);
}

void ttt_cpu_ops_attention(ttt_ops *ops)
{
    ops->attention_scratch = attention_scratch;
    ops->keys_write = keys_write;
    ops->keys_read = keys_read;
    ops->attention = attention;
    ops->attention_backward = attention_backward;
}
