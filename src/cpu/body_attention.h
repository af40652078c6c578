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

/* Whole vectors of numbers outside of a range become `value`. */
static inline void attention_mask(float *s, attention_range seen, int64_t n, float value)
{
    for (int64_t j = 0; j < seen.first; j++) s[j] = value;
    for (int64_t j = seen.stop; j < n; j++) s[j] = value;
}

/* The scores s [n] of a row become weights e^(s - top), 0 where it does not see; what it has read so far is brought to
 * the new top. */
static inline void attention_weigh(float *s, attention_range seen, int64_t n, float *read, int64_t D)
{
    const bool all = seen.stop - seen.first == n;
    if (!all) attention_mask(s, seen, n, attention_lowest);
    vf most = vf_set(read[D]);
    for (int64_t j = 0; j < n; j += VF) most = vf_max(most, vf_load(s + j));
    const float top = vf_top(most);
    if (top != read[D]) {
        const float factor = attention_exp(read[D] - top);
        if (read[D + 1] != 0) attention_scale(read, factor, D);
        read[D + 1] *= factor;
        read[D] = top;
    }
    vf sum = vf_zero();
    for (int64_t j = 0; j < n; j += VF) {
        const vf p = vm_exp(vf_sub(vf_load(s + j), vf_set(top)));
        vf_store(s + j, p);
        if (all) sum = vf_add(sum, p);
    }
    if (!all) {
        attention_mask(s, seen, n, 0);
        for (int64_t j = 0; j < n; j += VF) sum = vf_add(sum, vf_load(s + j));
    }
    read[D + 1] += vf_sum(sum);
}

static void attention_block(const ttt_attention_tile *t, float *read, int64_t key)
{
    const int64_t D = t->head_size, H = t->heads, stride = D + TTT_ATTENTION_SUMS, block = key / TTT_KEY_BLOCK;
    const attention_range tokens = attention_tokens(key, t->position, t->tokens, t->window);
    if (tokens.first >= tokens.stop) return;
    const int64_t seen = attention_visible(key, t->position + tokens.stop - 1, 0).stop;
    const int64_t n = (seen + VF - 1) / VF * VF, rows = (tokens.stop - tokens.first) * H;
    const float *keys = t->cache + (t->places ? block % t->places : block) * t->place_stride;
    const float *values = keys + D * TTT_KEY_BLOCK;
    float *into = read + tokens.first * H * stride;
    mm(rows, n, D, 1, rows_of(t->q + tokens.first * H * D, D), rows_of(keys, TTT_KEY_BLOCK), none(), t->scores,
       TTT_KEY_BLOCK);
    for (int64_t r = 0; r < rows; r++) {
        const int64_t position = t->position + tokens.first + r / H;
        attention_weigh(t->scores + r * TTT_KEY_BLOCK, attention_visible(key, position, t->window), n,
                        into + r * stride, D);
    }
    mm(rows, D, seen, 1, rows_of(t->scores, TTT_KEY_BLOCK), rows_of(values, D), rows_of(into, stride), into, stride);
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
        vf sum = vf_zero();
        for (int64_t i = 0; i < D; i += VF) {
            const int64_t n = lanes_at(i, D);
            sum = vf_fma(vf_load_n(dout + i, n), vf_load_n(out + i, n), sum);
        }
        delta[h] = vf_sum(sum);
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
