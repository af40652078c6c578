/* SPDX-License-Identifier: MIT
 *
 * MATH (attention) by blocks of keys, never with all scores in memory. Blocks are counted from the sequence's first
 * token, and every sum goes by blocks: a row's result is the same chain of operations whichever rows are read with it.
 */
#ifndef TTT_CPU_BODY_ATTENTION_H
#define TTT_CPU_BODY_ATTENTION_H

#include "cpu/body_smallmm.h"

static const float attention_lowest = -3e38f; /* below every score */

/* e^x of one number, as in a vector. */
static inline float attention_exp(float x)
{
    float lanes[VF];
    vf_store(lanes, vm_exp(vf_set(x)));
    return lanes[0];
}

static void attention_scale(float *x, float factor, int64_t n)
{
    const vf f = vf_set(factor);
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(x + i, vf_mul(vf_load_n(x + i, lanes), f), lanes);
    }
}

/* Tokens of [0, tokens), from `position` on, that see a key of the block at `key`. */
typedef struct attention_range {
    int64_t first, stop;
} attention_range;

static inline attention_range attention_tokens(int64_t key, int64_t position, int64_t tokens, int64_t window)
{
    attention_range r = {.first = key > position ? key - position : 0, .stop = tokens};
    const int64_t end = key + TTT_KEY_BLOCK - 1 + window - position;
    if (window && end < tokens) r.stop = end;
    return r;
}

/* The keys of the block that the token at `position` sees. */
static inline attention_range attention_visible(int64_t key, int64_t position, int64_t window)
{
    const int64_t seen = position - key + 1, before = window ? seen - window : 0;
    return (attention_range){.first = before > 0 ? before : 0, .stop = seen < TTT_KEY_BLOCK ? seen : TTT_KEY_BLOCK};
}

/* Of n numbers those outside of a range become `value`. */
static inline void attention_mask(float *s, attention_range seen, int64_t n, float value)
{
    for (int64_t j = 0; j < seen.first; j++) s[j] = value;
    for (int64_t j = seen.stop; j < n; j++) s[j] = value;
}

/* The largest score of each row of s [rows, TTT_KEY_BLOCK], of its first n, or `tops` itself: those that the rows have
 * seen before. */
static void attention_tops(float *tops, const float *s, int64_t rows, int64_t n)
{
    for (int64_t r = 0; r < rows; r++, s += TTT_KEY_BLOCK) {
        vf most = vf_set(tops[r]);
        for (int64_t j = 0; j < n; j += VF) most = vf_max(most, vf_load(s + j));
        tops[r] = vf_top(most);
    }
}

/* Scores to weights e^(s - top), 0 where the row does not see; returns their sum. */
static inline float attention_weights(float *s, attention_range seen, int64_t n, float top)
{
    const bool all = seen.stop - seen.first == n;
    vs sum = vs_zero();
    for (int64_t j = 0; j < n; j += VS) {
        EACH_PART(p)
        {
            const vf weight = vm_exp(vf_sub(vf_load(s + j + p * VF), vf_set(top)));
            vf_store(s + j + p * VF, weight);
            if (all) sum.part[p] = vf_add(sum.part[p], weight);
        }
    }
    if (!all) {
        attention_mask(s, seen, n, 0);
        for (int64_t j = 0; j < n; j += VS) EACH_PART(p) sum.part[p] = vf_add(sum.part[p], vf_load(s + j + p * VF));
    }
    return vs_sum(sum);
}

/* Scores of rows of tokens from `position` on to weights; what the rows have read is brought to their new tops. */
static void attention_weigh(const ttt_attention_tile *t, float *read, int64_t key, int64_t position, int64_t rows,
                            int64_t n)
{
    const int64_t D = t->head_size, stride = D + TTT_ATTENTION_SUMS;
    float tops[TTT_ATTENTION_ROWS + VF], factors[TTT_ATTENTION_ROWS + VF];
    for (int64_t r = 0; r < rows; r++) {
        const attention_range seen = attention_visible(key, position + r / t->heads, t->window);
        float *s = t->scores + r * TTT_KEY_BLOCK;
        if (seen.stop - seen.first != n) attention_mask(s, seen, n, attention_lowest);
        factors[r] = tops[r] = read[r * stride + D];
    }
    attention_tops(tops, t->scores, rows, n);
    for (int64_t r = 0; r < rows; r += VF) {
        const int64_t lanes = lanes_at(r, rows);
        vf_store(factors + r, vm_exp(vf_sub(vf_load_n(factors + r, lanes), vf_load_n(tops + r, lanes))));
    }
    for (int64_t r = 0; r < rows; r++, read += stride) {
        const attention_range seen = attention_visible(key, position + r / t->heads, t->window);
        const float sum = attention_weights(t->scores + r * TTT_KEY_BLOCK, seen, n, tops[r]);
        attention_scale(read, factors[r], D);
        read[D + 1] = read[D + 1] * factors[r] + sum;
        read[D] = tops[r];
    }
}

/* ---- few rows: what a token alone waits for is memory, so the next block is asked for while this one is read ---- */

/* Rows that are read so, and how many of them at once; lines of memory in reals. */
enum { ATTENTION_FEW = 8, ATTENTION_TOGETHER = 4, ATTENTION_LINE = 16 };

/* Vectors of `rows` rows that registers hold, a power of two. */
static inline __attribute__((always_inline)) int attention_wide(const int rows)
{
    const int most = VF_BLOCK_ROWS * VF_BLOCK_VECTORS / rows, all = TTT_KEY_BLOCK / VF;
    const int wide = most >= 8 ? 8 : most >= 4 ? 4 : most >= 2 ? 2 : 1;
    return wide < all ? wide : all;
}

/* `wide` vectors of y [rows], = or += x [rows, depth] w [depth]: the chains of mm. `ahead`: reals from w to what will
 * be read next. Rows of y, x and w are `strides` apart. */
static inline __attribute__((always_inline)) void attention_rows(float *y, const float *x, const float *w,
                                                                 int64_t depth, const int64_t strides[3], bool add,
                                                                 int64_t ahead, const int rows, const int wide)
{
    vf sum[ATTENTION_TOGETHER][8];
    const int64_t y_stride = strides[0], x_stride = strides[1], w_stride = strides[2];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++) sum[r][v] = vf_zero();
    for (int64_t l = 0; l < depth; l++, w += w_stride) {
        for (int i = 0; i < wide * VF; i += ATTENTION_LINE) __builtin_prefetch(w + ahead + i, 0, 2);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++) {
            const vf factor = vf_set(x[r * x_stride + l]);
#pragma GCC unroll 8
            for (int v = 0; v < wide; v++) sum[r][v] = vf_fma(factor, vf_load(w + v * VF), sum[r][v]);
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < wide; v++) {
            float *to = y + r * y_stride + v * VF;
            vf_store(to, add ? vf_add(vf_load(to), sum[r][v]) : sum[r][v]);
        }
    }
}

/* All columns that whole registers hold; returns how many. */
static inline __attribute__((always_inline)) int64_t attention_strip(float *y, const float *x, const float *w,
                                                                     int64_t columns, int64_t depth,
                                                                     const int64_t strides[3], bool add, int64_t ahead,
                                                                     const int rows)
{
    const int wide = attention_wide(rows);
    int64_t j = 0;
    for (; j + wide * VF <= columns; j += wide * VF)
        attention_rows(y + j, x, w + j, depth, strides, add, ahead, rows, wide);
    return j;
}

/* y [rows, columns] = or += x [rows, depth] w [depth, columns] for few rows. */
static void attention_few(int64_t rows, float *y, const float *x, const float *w, int64_t columns, int64_t depth,
                          const int64_t strides[3], bool add, int64_t ahead)
{
    for (int64_t r = 0, n; r < rows; r += n, y += n * strides[0], x += n * strides[1]) {
        n = rows - r < ATTENTION_TOGETHER ? rows - r : ATTENTION_TOGETHER;
        int64_t done;
        switch (n) {
        case 1: done = attention_strip(y, x, w, columns, depth, strides, add, ahead, 1); break;
        case 2: done = attention_strip(y, x, w, columns, depth, strides, add, ahead, 2); break;
        case 3: done = attention_strip(y, x, w, columns, depth, strides, add, ahead, 3); break;
        default: done = attention_strip(y, x, w, columns, depth, strides, add, ahead, ATTENTION_TOGETHER); break;
        }
        if (done == columns) continue;
        const view init = add ? rows_of(y + done, strides[0]) : none();
        mm(n, columns - done, depth, 1, rows_of(x, strides[1]), rows_of(w + done, strides[2]), init, y + done,
           strides[0]);
    }
}

/* The rows of tokens [first, stop), all of which see some of the block's keys. */
static void attention_part(const ttt_attention_tile *t, float *read, int64_t key, int64_t first, int64_t stop)
{
    const int64_t D = t->head_size, stride = D + TTT_ATTENTION_SUMS, B = TTT_KEY_BLOCK, block = key / B;
    const int64_t seen = attention_visible(key, t->position + stop - 1, 0).stop;
    const int64_t n = (seen + VS - 1) / VS * VS, rows = (stop - first) * t->heads, ahead = t->place_stride;
    const float *keys = t->cache + (t->places ? block % t->places : block) * t->place_stride, *values = keys + D * B;
    const float *q = t->q + first * t->heads * D;
    float *into = read + first * t->heads * stride;
    if (rows <= ATTENTION_FEW)
        attention_few(rows, t->scores, q, keys, n, D, (const int64_t[]){B, D, B}, false, ahead);
    else
        mm(rows, n, D, 1, rows_of(q, D), rows_of(keys, B), none(), t->scores, B);
    attention_weigh(t, into, key, t->position + first, rows, n);
    if (rows <= ATTENTION_FEW)
        attention_few(rows, into, t->scores, values, D, seen, (const int64_t[]){stride, B, D}, true, ahead);
    else
        mm(rows, D, seen, 1, rows_of(t->scores, B), rows_of(values, D), rows_of(into, stride), into, stride);
}

/* Where tokens see only the beginning of a block, few go together, so that little is computed that none of them sees.
 */
static void attention_block(const ttt_attention_tile *t, float *read, int64_t key)
{
    enum { FEW_TOKENS = 16 };
    const attention_range tokens = attention_tokens(key, t->position, t->tokens, t->window);
    const int64_t whole = key + TTT_KEY_BLOCK - 1 - t->position; /* the first token that sees the block's end */
    int64_t i = tokens.first;
    for (int64_t stop; i < tokens.stop && i < whole; i = stop) {
        stop = i + FEW_TOKENS < tokens.stop ? i + FEW_TOKENS : tokens.stop;
        attention_part(t, read, key, i, stop);
    }
    if (i < tokens.stop) attention_part(t, read, key, i, tokens.stop);
}

static void attention_span(const ttt_attention_tile *t, float *read, int64_t begin, int64_t end)
{
    const int64_t D = t->head_size, stride = D + TTT_ATTENTION_SUMS;
    for (int64_t r = 0; r < t->tokens * t->heads; r++) {
        for (int64_t d = 0; d < D; d++) read[r * stride + d] = 0;
        read[r * stride + D] = attention_lowest;
        read[r * stride + D + 1] = 0;
    }
    for (int64_t key = begin; key < end; key += TTT_KEY_BLOCK) attention_block(t, read, key);
}

static void attention_merge(float *read, const float *later, int64_t rows, int64_t D)
{
    const int64_t stride = D + TTT_ATTENTION_SUMS;
    for (int64_t r = 0; r < rows; r++, read += stride, later += stride) {
        if (later[D + 1] == 0) continue;
        if (read[D + 1] == 0) {
            for (int64_t d = 0; d < D + 2; d++) read[d] = later[d];
            continue;
        }
        const float top = read[D] > later[D] ? read[D] : later[D];
        const float one = attention_exp(read[D] - top), two = attention_exp(later[D] - top);
        for (int64_t i = 0; i < D; i += VF) {
            const int64_t lanes = lanes_at(i, D);
            const vf before = vf_mul(vf_load_n(read + i, lanes), vf_set(one));
            vf_store_n(read + i, vf_fma(vf_load_n(later + i, lanes), vf_set(two), before), lanes);
        }
        read[D + 1] = read[D + 1] * one + later[D + 1] * two;
        read[D] = top;
    }
}

/* ---- backward ---- */

static void attention_delta(float *delta, const float *dout, const float *out, int64_t heads, int64_t D)
{
    for (int64_t h = 0; h < heads; h++, dout += D, out += D) {
        vs sum = vs_zero();
        for (int64_t i = 0; i < D; i += VS) {
            EACH_PART(p)
            {
                const int64_t at = i + p * VF, n = part_lanes(i, p, D);
                sum.part[p] = vf_fma(vf_load_n(dout + at, n), vf_load_n(out + at, n), sum.part[p]);
            }
        }
        delta[h] = vs_sum(sum);
    }
}

/* Rows side by side, times `factor`. */
static void attention_gather(float *to, const float *from, int64_t stride, int64_t rows, int64_t D, float factor)
{
    for (int64_t r = 0; r < rows; r++, to += D, from += stride) {
        for (int64_t i = 0; i < D; i += VF) {
            const int64_t n = lanes_at(i, D);
            vf_store_n(to + i, vf_mul(vf_load_n(from + i, n), vf_set(factor)), n);
        }
    }
}

/* Scratch of a block of keys. */
typedef struct attention_work {
    float *keys, *values; /* turned into panels: by tokens, and by elements */
    float *q, *dout;      /* [rows, D], q scaled */
    float *p, *dp;        /* [rows, TTT_KEY_BLOCK] */
} attention_work;

static attention_work attention_carve(float *scratch, int64_t D)
{
    const int64_t panels = TTT_KEY_BLOCK * (D + TTT_TURN), square = TTT_ATTENTION_ROWS * TTT_KEY_BLOCK;
    attention_work w = {.keys = scratch, .values = scratch + panels, .q = scratch + 2 * panels};
    w.dout = w.q + TTT_ATTENTION_ROWS * D;
    w.p = w.dout + TTT_ATTENTION_ROWS * D;
    w.dp = w.p + square;
    return w;
}

/* Scores to weights, p = e^(s - sum), and the gradients of weights to those of scores, p (dp - delta). */
static inline void attention_weigh_backward(float *p, float *dp, attention_range seen, int64_t n, float sum,
                                            float delta)
{
    for (int64_t j = 0; j < n; j += VF) vf_store(p + j, vm_exp(vf_sub(vf_load(p + j), vf_set(sum))));
    if (seen.stop - seen.first != n) attention_mask(p, seen, n, 0);
    for (int64_t j = 0; j < n; j += VF)
        vf_store(dp + j, vf_mul(vf_load(p + j), vf_sub(vf_load(dp + j), vf_set(delta))));
    if (seen.stop - seen.first != n) attention_mask(dp, seen, n, 0);
}

/* Tokens [first, first + count) of head h. */
static void attention_rows_backward(const ttt_attention_keys *k, const attention_work *w, int64_t h, int64_t first,
                                    int64_t count)
{
    const int64_t D = k->head_size, at = first * k->stride + h * D, B = TTT_KEY_BLOCK;
    const int64_t seen = attention_visible(k->key, k->position + first + count - 1, 0).stop;
    const int64_t n = (seen + VF - 1) / VF * VF;
    attention_gather(w->q, k->q + at, k->stride, count, D, k->scale);
    attention_gather(w->dout, k->dout + at, k->stride, count, D, 1);
    mm(count, n, D, 1, rows_of(w->q, D), rows_of(k->keys, B), none(), w->p, B);
    mm_panels(count, n, D, 1, rows_of(w->dout, D), w->values, none(), w->dp, B);
    for (int64_t r = 0; r < count; r++) {
        const int64_t sum = (first + r) * k->sum_stride + h;
        attention_weigh_backward(w->p + r * B, w->dp + r * B,
                                 attention_visible(k->key, k->position + first + r, k->window), n, k->sums[sum],
                                 k->delta[sum]);
    }
    mm(seen, D, count, 1, columns_of(w->p, B), rows_of(w->dout, D), rows_of(k->dvalues, D), k->dvalues, D);
    mm(D, seen, count, 1, columns_of(w->q, D), rows_of(w->dp, B), rows_of(k->dkeys, B), k->dkeys, B);
    const float *keys = w->keys;
    for (int64_t j = 0; j < D; j += MM_TURN, keys += panel_size(B))
        mm(count, D - j < MM_TURN ? D - j : MM_TURN, seen, k->scale, rows_of(w->dp, B), rows_of(keys, MM_TURN),
           rows_of(k->dq + at + j, k->stride), k->dq + at + j, k->stride);
}

static void attention_keys_backward(const ttt_attention_keys *k)
{
    const int64_t D = k->head_size;
    const attention_work w = attention_carve(k->scratch, D);
    const attention_range tokens = attention_tokens(k->key, k->position, k->tokens, k->window);
    if (tokens.first >= tokens.stop) return;
    turn_all(w.keys, rows_of(k->keys, TTT_KEY_BLOCK), D, TTT_KEY_BLOCK);
    turn_all(w.values, rows_of(k->values, D), TTT_KEY_BLOCK, D);
    for (int64_t h = 0; h < k->heads; h++) {
        for (int64_t i = tokens.first; i < tokens.stop; i += TTT_ATTENTION_ROWS)
            attention_rows_backward(k, &w, h, i,
                                    tokens.stop - i < TTT_ATTENTION_ROWS ? tokens.stop - i : TTT_ATTENTION_ROWS);
    }
}

#endif
