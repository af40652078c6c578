/* SPDX-License-Identifier: MIT
 *
 * The learners in their primal form, MATH (linear) and (mlp), to hold the dual form against: token by token, for each
 * the sums S and the weights W - c S that it is read with are formed. No model is computed so; `ttt bench --ops` shows
 * what it would cost.
 */
#ifndef TTT_CPU_BODY_LEARNER_PRIMAL_H
#define TTT_CPU_BODY_LEARNER_PRIMAL_H

#include "cpu/body_learner_mlp.h"

/* Token i of a tile, as a tile of its own. */
static ttt_tile token_of(const ttt_tile *t, int64_t i)
{
    const int64_t D = t->head_size, hidden = t->trace.back ? 4 * D : 0;
    ttt_tile one = *t;
    one.first += i;
    one.count = 1;
    one.from.q += i * t->stride;
    one.from.k += i * t->stride;
    one.from.v += i * t->stride;
    one.from.write += i * t->heads;
    one.from.read += i;
    one.to.out += i * t->stride;
    float **const rows[] = {&one.trace.normal, &one.trace.g, &one.trace.normal_bar};
    for (int r = 0; r < 3; r++) *rows[r] += i * D;
    one.trace.scale += i;
    one.trace.scale_bar += i;
    if (hidden) one.trace.back += i * hidden;
    if (hidden) one.trace.z_bar += i * hidden;
    return one;
}

/* Where the sums of a map are formed, [in, out] and [out], and the weights of a token. */
static float *sums_of(const ttt_tile *t, int m) { return t->formed[m].w; }
static float *weights_of(const ttt_tile *t, int m) { return t->formed[TTT_LEARNER_MAPS + m].w; }

/* S += x^T G, s += G, and W - c S, b - c s, in one way through them */
static void primal_step(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m];
    const float *x = f->x + t->first * f->in, *g = f->g + t->first * f->out;
    float *sum = sums_of(t, m), *now = weights_of(t, m);
    const vf c = vf_set(t->from.read[0]);
    for (int64_t i = 0; i <= f->in; i++) {
        const float factor = i < f->in ? x[i] : has_bias(t) ? 1.0F : 0.0F;
        for (int64_t o = 0; o < f->out; o += VF) {
            const int64_t lanes = lanes_at(o, f->out), at = i * f->out + o;
            const vf s = vf_fma(vf_set(factor), vf_load_n(g + o, lanes), vf_load_n(sum + at, lanes));
            vf_store_n(sum + at, s, lanes);
            vf_store_n(now + at, vf_fnma(c, s, vf_load_n(f->w + at, lanes)), lanes);
        }
    }
}

/* z [out] = x V + b with the weights of the token */
static void primal_apply(const ttt_tile *t, int m, const float *x, float *z)
{
    const ttt_map *f = &t->map[m];
    const float *now = weights_of(t, m);
    mm(1, f->out, f->in, 1, rows_of(x, f->in), rows_of(now, f->out), same_row(now + f->in * f->out), z, f->out);
}

/* The sums before the first token: those of closed tiles, and the rows of this one. */
static void primal_begin(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m];
    const int64_t size = (f->in + 1) * f->out;
    float *sum = sums_of(t, m);
    if (f->sw)
        memcpy(sum, f->sw, (size_t)size * sizeof *sum);
    else
        memset(sum, 0, (size_t)size * sizeof *sum);
    if (t->first == 0) return;
    mm(f->in, f->out, t->first, 1, columns_of(f->x, f->in), rows_of(f->g, f->out), rows_of(sum, f->out), sum, f->out);
    if (has_bias(t)) add_rows(sum + f->in * f->out, 1, f->g, t->first, f->out);
}

/* The weights of a mini-batch's last token are those of the next one. */
static void primal_end(const ttt_tile *t, int m)
{
    const ttt_map *next = &t->next[m];
    const size_t bytes = (size_t)((next->in + 1) * next->out) * sizeof(float);
    if (t->end == TTT_TILE_OPEN) return;
    if (t->end == TTT_TILE_FOLD) memcpy(next->sw, sums_of(t, m), bytes);
    if (t->end == TTT_TILE_UPDATE) memcpy(next->w, weights_of(t, m), bytes);
    if (t->end == TTT_TILE_UPDATE) map_forget(t, m);
    if (t->end == TTT_TILE_UPDATE && next->sw) memset(next->sw, 0, bytes);
    memset(next->g, 0, (size_t)(next->slots * next->out) * sizeof(float));
}

static void learner_linear_primal(const ttt_tile *t)
{
    primal_begin(t, 0);
    for (int64_t i = 0; i < t->count; i++) {
        const ttt_tile one = token_of(t, i);
        keys_in(&one);
        map_predict(&one, 0, one.trace.normal);
        inner_gradient(&one);
        map_write(&one, 0, one.trace.g);
        primal_step(&one, 0);
        primal_apply(&one, 0, one.from.q, one.trace.normal_bar);
        read_norm(&one);
    }
    primal_end(t, 0);
}

static void learner_mlp_primal(const ttt_tile *t)
{
    const ttt_map *second = &t->map[1];
    const int64_t hidden = second->in;
    for (int m = 0; m < 2; m++) primal_begin(t, m);
    for (int64_t i = 0; i < t->count; i++) {
        const ttt_tile one = token_of(t, i);
        keys_in(&one);
        map_predict(&one, 0, one.work.z);
        gelu_rows(second->x + one.first * hidden, one.work.sigmoid, one.work.z, hidden);
        map_predict(&one, 1, one.trace.normal);
        inner_gradient(&one);
        row_times_turned(hidden, second->out, 1, one.trace.g, rows_of(second->w, second->out), none(), one.trace.back);
        map_write(&one, 1, one.trace.g);
        hidden_write(&one);
        primal_step(&one, 0);
        primal_apply(&one, 0, one.from.q, one.trace.z_bar);
        gelu_rows(one.work.abar, one.work.sigmoid_bar, one.trace.z_bar, hidden);
        primal_step(&one, 1);
        primal_apply(&one, 1, one.work.abar, one.trace.normal_bar);
        read_norm(&one);
    }
    for (int m = 0; m < 2; m++) primal_end(t, m);
}

#endif
