/* SPDX-License-Identifier: MIT
 *
 * Attention and its cache. Two sequences share a call; of the rows the first `first` belong to sequence 0, which is at
 * `position`, the others to sequence 1, which is at half of that. dims: rows, first, heads, groups, head size, window,
 * position, 2 for a ring. Caches hold random numbers in all places, those that nothing was written to included.
 */
#include <math.h>
#include <stdlib.h>

#include "op.h"

enum { RUNS = 2 };

typedef struct shape {
    int64_t R, first, H, G, D;
    ttt_attention a;
    int64_t cache; /* reals of a sequence's cache */
} shape;

static shape shape_of(const op_case *c)
{
    shape s = {.R = c->dims[0], .first = c->dims[1], .H = c->dims[2], .G = c->dims[3], .D = c->dims[4]};
    s.a = (ttt_attention){.layer = 1,
                          .heads = s.H,
                          .groups = s.G,
                          .head_size = s.D,
                          .window = c->dims[5],
                          .scale = 1 / sqrt((double)s.D)};
    const int64_t tokens = c->dims[7] == 2 ? c->dims[5] + s.R : c->dims[6] + s.R;
    const int64_t blocks = (tokens + TTT_KEY_BLOCK - 1) / TTT_KEY_BLOCK;
    if (c->dims[7] == 2) s.a.ring = blocks * TTT_KEY_BLOCK;
    s.cache = blocks * ttt_key_block_reals(&s.a);
    return s;
}

static int64_t position_of(const op_case *c, int64_t sequence) { return c->dims[6] / (sequence + 1); }

/* Caches of all layers of a sequence: this one's alone. */
typedef struct caches {
    void *of[RUNS][2], *gradients[RUNS][2];
} caches;

static int64_t make_runs(ttt_run *runs, caches *memory, const ttt_backend *b, const op_case *c, void *cache,
                         void *gradients, int64_t begin, int64_t end)
{
    const shape s = shape_of(c);
    int64_t count = 0;
    for (int64_t n = 0; n < RUNS; n++) {
        const int64_t start = n == 0 ? 0 : s.first, stop = n == 0 ? s.first : s.R;
        const int64_t from = begin > start ? begin : start, to = end < stop ? end : stop;
        memory->of[n][0] = memory->gradients[n][0] = NULL;
        memory->of[n][1] = ttt_at(b, cache, n * s.cache);
        memory->gradients[n][1] = gradients ? ttt_at(b, gradients, n * s.cache) : NULL;
        if (from >= to) continue;
        runs[count++] = (ttt_run){.row = from - begin,
                                  .count = to - from,
                                  .position = position_of(c, n) + from - start,
                                  .grown = memory->of[n],
                                  .dgrown = memory->gradients[n]};
    }
    return count;
}

/* ---- keys_write and keys_read: cache, k, v, and k and v again ---- */

static void run_keys(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const shape s = shape_of(c);
    const int64_t at = begin * s.G * s.D;
    ttt_run runs[RUNS];
    caches memory;
    const int64_t count = make_runs(runs, &memory, b, c, x[0], x[0], begin, end);
    b->ops->keys_write(b, &s.a, ttt_at(b, x[1], at), ttt_at(b, x[2], at), runs, count);
    b->ops->keys_read(b, &s.a, ttt_at(b, x[3], at), ttt_at(b, x[4], at), runs, count, begin > 0);
}

/* ---- attention: out, sums, q, cache ---- */

static void run_attention(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const shape s = shape_of(c);
    ttt_run runs[RUNS];
    caches memory;
    const int64_t count = make_runs(runs, &memory, b, c, x[3], NULL, begin, end);
    void *partial = malloc((size_t)(TTT_ATTENTION_PARTS * (s.D + TTT_ATTENTION_SUMS)) * b->real);
    b->ops->attention(b, &s.a, ttt_at(b, x[0], begin * s.H * s.D), ttt_at(b, x[1], begin * s.H), partial,
                      ttt_at(b, x[2], begin * s.H * s.D), runs, count);
    free(partial);
}

/* What one head of one token reads; magnitudes are sums of the terms'. */
typedef struct reader {
    const shape *s;
    const double *q, *cache;
    int64_t t, g;
    double sum, spread; /* log of the sum of e^score; 1 + the largest magnitude of a score: a weight's error */
} reader;

static int64_t key_at(const reader *r, int64_t j, int64_t d)
{
    const ttt_attention *a = &r->s->a;
    return ttt_key_block_at(a, j) + (2 * r->g * a->head_size + d) * TTT_KEY_BLOCK + j % TTT_KEY_BLOCK;
}

static int64_t value_at(const reader *r, int64_t j, int64_t d)
{
    const ttt_attention *a = &r->s->a;
    return ttt_key_block_at(a, j) + ((2 * r->g + 1) * TTT_KEY_BLOCK + j % TTT_KEY_BLOCK) * a->head_size + d;
}

static double key(const reader *r, int64_t j, int64_t d) { return r->cache[key_at(r, j, d)]; }
static double value(const reader *r, int64_t j, int64_t d) { return r->cache[value_at(r, j, d)]; }

static double score(const reader *r, int64_t j, double *magnitude)
{
    double sum = 0;
    *magnitude = 0;
    for (int64_t d = 0; d < r->s->D; d++) {
        sum += r->s->a.scale * r->q[d] * key(r, j, d);
        *magnitude += fabs(r->s->a.scale * r->q[d] * key(r, j, d));
    }
    return sum;
}

static reader read_row(const op_case *c, const shape *s, const double *q, const double *cache, int64_t row, int64_t h)
{
    const int64_t n = row >= s->first, t = position_of(c, n) + row - (n ? s->first : 0);
    reader r = {.s = s, .q = q + (row * s->H + h) * s->D, .cache = cache + n * s->cache, .t = t, .g = h * s->G / s->H};
    for (int64_t j = ttt_first_visible(&s->a, t); j <= t; j++) {
        double magnitude;
        r.sum += exp(score(&r, j, &magnitude));
        r.spread = fmax(r.spread, 1 + magnitude);
    }
    r.sum = log(r.sum);
    return r;
}

static void terms_attention(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    const shape s = shape_of(c);
    for (int64_t i = 0; i < s.R * s.H; i++) {
        const reader r = read_row(c, &s, before[2], before[3], i / s.H, i % s.H);
        terms[1][i] = r.spread + fabs(after[1][i]);
        for (int64_t d = 0; d < s.D; d++) terms[0][i * s.D + d] = 0;
        for (int64_t j = ttt_first_visible(&s.a, r.t); j <= r.t; j++) {
            double magnitude;
            const double p = r.spread * exp(score(&r, j, &magnitude) - r.sum);
            for (int64_t d = 0; d < s.D; d++) terms[0][i * s.D + d] += p * fabs(value(&r, j, d));
        }
    }
}

/* ---- backward: dq, dcache, dout, q, cache. out and sums are ref's, rounded like other operands ---- */

static void run_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const shape s = shape_of(c);
    const int64_t R = s.R, H = s.H, D = s.D;
    ttt_run runs[RUNS];
    caches memory;
    const int64_t count = make_runs(runs, &memory, b, c, x[4], x[1], 0, R);
    char *block = malloc((size_t)(R * H * (D + 2) + TTT_ATTENTION_PARTS * (D + TTT_ATTENTION_SUMS)) * b->real);
    void *out = block, *sums = ttt_at(b, out, R * H * D), *delta = ttt_at(b, sums, R * H),
         *partial = ttt_at(b, delta, R * H);
    b->ops->attention(b, &s.a, out, sums, partial, x[3], runs, count);
    b->ops->attention_backward(b, &s.a, x[0], delta, x[2], out, sums, x[3], runs, count);
    free(block);
}

static void terms_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const shape s = shape_of(c);
    for (int64_t i = 0; i < RUNS * s.cache; i++) terms[1][i] = fabs(before[1][i]);
    for (int64_t i = 0; i < s.R * s.H; i++) {
        const reader r = read_row(c, &s, before[3], before[4], i / s.H, i % s.H);
        const double *dout = before[2] + i * s.D;
        double delta = 0, *dq = terms[0] + i * s.D, *dcache = terms[1] + (r.cache - before[4]), magnitude;
        for (int64_t d = 0; d < s.D; d++) dq[d] = 0;
        for (int64_t j = ttt_first_visible(&s.a, r.t); j <= r.t; j++)
            for (int64_t d = 0; d < s.D; d++)
                delta += exp(score(&r, j, &magnitude) - r.sum) * fabs(dout[d] * value(&r, j, d));
        for (int64_t j = ttt_first_visible(&s.a, r.t); j <= r.t; j++) {
            const double p = r.spread * exp(score(&r, j, &magnitude) - r.sum);
            double dp = delta;
            for (int64_t d = 0; d < s.D; d++) dp += fabs(dout[d] * value(&r, j, d));
            for (int64_t d = 0; d < s.D; d++) {
                dq[d] += s.a.scale * p * dp * fabs(key(&r, j, d));
                dcache[key_at(&r, j, d)] += s.a.scale * p * dp * fabs(r.q[d]);
                dcache[value_at(&r, j, d)] += p * fabs(dout[d]);
            }
        }
    }
}

/* ---- the cases ---- */

static void check(int64_t R, int64_t first, int64_t H, int64_t G, int64_t D, int64_t window, int64_t position,
                  bool ring)
{
    op_case c = {.dims = {R, first, H, G, D, window, position, 1 + ring}};
    const shape s = shape_of(&c);
    const int64_t width = G * D, queries = R * H * D;
    op_case keys = c, read = c, back = c;
    keys.name = "keys";
    keys.operands[0] = (op_operand){OP_ADD, RUNS * s.cache, 1};
    keys.operands[1] = keys.operands[2] = (op_operand){OP_IN, R * width, 1};
    keys.operands[3] = keys.operands[4] = (op_operand){OP_OUT, R * width, 0};
    keys.rows = R;
    keys.run = run_keys;
    op_check(&keys);

    read.name = "attention";
    read.operands[0] = (op_operand){OP_OUT, queries, 0};
    read.operands[1] = (op_operand){OP_OUT, R * H, 0};
    read.operands[2] = (op_operand){OP_IN, queries, 2};
    read.operands[3] = (op_operand){OP_IN, RUNS * s.cache, 1};
    read.rows = R;
    read.run = run_attention;
    read.terms = terms_attention;
    read.c = 6;
    op_check(&read);

    if (ring) return;
    back.name = "attention_backward";
    back.operands[0] = (op_operand){OP_OUT, queries, 0};
    back.operands[1] = (op_operand){OP_ADD, RUNS * s.cache, 1};
    back.operands[2] = (op_operand){OP_IN, queries, 1};
    back.operands[3] = (op_operand){OP_IN, queries, 2};
    back.operands[4] = (op_operand){OP_IN, RUNS * s.cache, 1};
    back.run = run_backward;
    back.terms = terms_backward;
    back.c = 12;
    op_check(&back);
}

void op_attention_tests(void)
{
    check(1, 1, 1, 1, 2, 0, 0, false);
    check(5, 3, 2, 1, 6, 0, 7, false);
    check(9, 4, 6, 2, 20, 3, 61, false);
    check(70, 64, 2, 2, 64, 0, 0, false);
    check(90, 66, 3, 3, 16, 40, 100, false);
    check(20, 12, 4, 2, 8, 70, 200, true);
    check(4, 2, 3, 1, 12, 0, 1500, false);     /* spans side by side */
    check(3, 2, 80, 1, 4, 0, 1030, false);     /* more heads to a group than rows to a tile */
    check(70, 65, 20, 20, 4, 0, 1000, false);  /* the one for all rows, the other for few */
    check(40, 39, 40, 40, 4, 530, 1100, true); /* spans one after another */
}
