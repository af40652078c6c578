/* SPDX-License-Identifier: MIT
 *
 * One tile of a matrix state: linear attention and the delta family. Formulas: docs/MATH.md, "Chunked form"; names:
 * cpu_delta.h. The kinds are cases of one body, in which `kind` is a constant.
 */
#ifndef TTT_CPU_BODY_DELTA_H
#define TTT_CPU_BODY_DELTA_H

#include <string.h>

#include "cpu/body_learner_rows.h"

enum { DELTA_TILE = TTT_LEARNER_TILE };
_Static_assert((int)DELTA_TILE <= (int)VS, "a row of a tile is one step of a sum");

static const float normaliser_eps = 1e-6f;

MM_INLINE bool corrects(const ttt_delta_kind kind) { return kind >= TTT_DELTA_RULE; }

/* Rows of work.x: queries, and where u is corrected keys. */
MM_INLINE int64_t delta_rows(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    return corrects(kind) ? 2 * t->count : t->count;
}

MM_INLINE void delta_copy(float *to, const float *from, int64_t n) { memcpy(to, from, (size_t)n * sizeof *to); }

MM_INLINE vf part_load(const float *x, const bool partial, int64_t lanes)
{
    return partial ? vf_load_n(x, lanes) : vf_load(x);
}

MM_INLINE void part_store(float *y, vf a, const bool partial, int64_t lanes)
{
    if (partial)
        vf_store_n(y, a, lanes);
    else
        vf_store(y, a);
}

/* x . y where they are long: four sums, which do not wait for each other. */
MM_INLINE float long_dot(const float *x, const float *y, int64_t n)
{
    vs sum[4] = {vs_zero(), vs_zero(), vs_zero(), vs_zero()};
    int64_t i = 0;
    for (; i + 4 * VS <= n; i += 4 * VS) {
#pragma GCC unroll 4
        for (int c = 0; c < 4; c++) {
            EACH_PART(p)
            {
                const int64_t at = i + c * VS + p * VF;
                sum[c].part[p] = vf_fma(vf_load(x + at), vf_load(y + at), sum[c].part[p]);
            }
        }
    }
    return vs_sum(vs_add(vs_add(sum[0], sum[1]), vs_add(sum[2], sum[3]))) + row_dot(x + i, y + i, n - i);
}

/* The tokens' k and log a become rows of the tile. */
MM_INLINE void delta_rows_in(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size;
    for (int64_t i = 0; i < t->count; i++) {
        delta_copy(t->state.k + (t->first + i) * I, t->k + i * t->key_stride, I);
        if (kind == TTT_DELTA_GATED) t->state.log_a[t->first + i] = t->log_a[i * t->heads];
    }
    if (kind != TTT_DELTA_GATED) return;
    float level = 0;
    for (int64_t j = 0; j < t->first + t->count; j++) t->work.level[j] = level += t->state.log_a[j];
}

/* e^x of up to a tile of numbers, in place. */
MM_INLINE void delta_exp(float *x, int64_t n)
{
    for (int64_t j = 0; j < n; j += VF) vf_store_n(x + j, vm_exp(vf_load_n(x + j, lanes_at(j, n))), lanes_at(j, n));
}

/* fade_j = e^(L_j), or e^(L_n - L_j) */
MM_INLINE void delta_fades(const ttt_delta_tile *t, float *fade, bool to_end)
{
    const int64_t filled = t->first + t->count;
    const float *level = t->work.level;
    for (int64_t j = 0; j < filled; j++) fade[j] = to_end ? level[filled - 1] - level[j] : level[j];
    delta_exp(fade, filled);
}

/* work.x, and work.edge: x_i . k_j times M_ij = e^(L_i - L_j), for a query where j <= i, for a key where j < i; else 0
 */
MM_INLINE void delta_edges(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, n = t->count, filled = t->first + n, rows = delta_rows(t, kind);
    float *x = t->work.x, *edge = t->work.edge;
    for (int64_t i = 0; i < n; i++) delta_copy(x + i * I, t->q + i * t->key_stride, I);
    if (corrects(kind)) delta_copy(x + n * I, t->state.k + t->first * I, n * I);
    mm_turned(rows, filled, I, 1, rows_of(x, I), rows_of(t->state.k, I), none(), edge, DELTA_TILE, t->work.panel);
    for (int64_t i = 0; i < n; i++) {
        const int64_t last = t->first + i;
        float *mask = t->work.mask + i * DELTA_TILE;
        if (kind == TTT_DELTA_GATED) {
            for (int64_t j = 0; j <= last; j++) mask[j] = t->work.level[last] - t->work.level[j];
            delta_exp(mask, last + 1);
        }
        for (int64_t row = i; row < rows; row += n) {
            float *e = edge + row * DELTA_TILE;
            const int64_t read = row < n ? last + 1 : last;
            for (int64_t j = 0; j < read && kind == TTT_DELTA_GATED; j++) e[j] *= mask[j];
            for (int64_t j = read; j < filled; j++) e[j] = 0;
        }
    }
}

/* work.y = work.x S, the rows of token i times e^(L_i) */
MM_INLINE void delta_read_start(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, O = t->value_size, rows = delta_rows(t, kind);
    float fade[DELTA_TILE], *y = t->work.y;
    mm(rows, O, I, 1, rows_of(t->work.x, I), rows_of(t->state.S, O), none(), y, O);
    if (kind != TTT_DELTA_GATED) return;
    delta_fades(t, fade, false);
    for (int64_t i = 0; i < rows; i++) row_scale(y + i * O, fade[t->first + i % t->count], y + i * O, O);
}

/* Some columns, all rows; constants where this is inlined: how many vectors, and whether the only one has but `lanes`
 * lanes. Every u is one chain over the rows before it, in their order. */
MM_INLINE void delta_solve_columns(const ttt_delta_tile *t, int64_t column, const int vectors, const bool partial,
                                   int64_t lanes)
{
    const int64_t O = t->value_size, n = t->count, first = t->first;
    const float *read = t->work.y + n * O + column, *edge = t->work.edge + n * DELTA_TILE, *v = t->v + column;
    float *u = t->state.u + column, *error = t->error + column;
    for (int64_t i = 0; i < n; i++) {
        vf sum[4];
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++)
            sum[c] = vf_sub(part_load(v + i * t->value_stride + c * VF, partial, lanes),
                            part_load(read + i * O + c * VF, partial, lanes));
        for (int64_t j = 0; j < first + i; j++) {
            const vf factor = vf_set(edge[i * DELTA_TILE + j]);
#pragma GCC unroll 4
            for (int c = 0; c < vectors; c++)
                sum[c] = vf_fnma(factor, part_load(u + j * O + c * VF, partial, lanes), sum[c]);
        }
        const vf beta = vf_set(t->beta[i * t->heads]);
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) {
            part_store(error + i * O + c * VF, sum[c], partial, lanes);
            part_store(u + (first + i) * O + c * VF, vf_mul(beta, sum[c]), partial, lanes);
        }
    }
}

/* u_i = beta_i error_i, error_i = v_i - (what k_i reads of S) - sum over j < i of edge_ij u_j */
MM_INLINE void delta_solve(const ttt_delta_tile *t)
{
    const int64_t O = t->value_size;
    int64_t o = 0;
    for (; o + 4 * VF <= O; o += 4 * VF) delta_solve_columns(t, o, 4, false, VF);
    for (; o + VF <= O; o += VF) delta_solve_columns(t, o, 1, false, VF);
    if (o < O) delta_solve_columns(t, o, 1, true, O - o);
}

/* The tokens' u: v, or from `error` where that is there. */
MM_INLINE void delta_values_in(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t O = t->value_size;
    for (int64_t i = 0; i < t->count; i++) {
        float *u = t->state.u + (t->first + i) * O;
        if (corrects(kind))
            row_scale(u, t->beta[i * t->heads], t->error + i * O, O);
        else
            delta_copy(u, t->v + i * t->value_stride, O);
    }
}

/* out_i = (what q_i reads of S) + sum over j <= i of edge_ij u_j, over q_i . z + sum of edge_ij + 1e-6 */
MM_INLINE void delta_read(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, O = t->value_size, n = t->count, filled = t->first + n;
    mm(n, O, filled, 1, rows_of(t->work.edge, DELTA_TILE), rows_of(t->state.u, O), rows_of(t->work.y, O), t->out,
       t->value_stride);
    for (int64_t i = 0; i < n && kind == TTT_DELTA_NORMALISED; i++) {
        float *out = t->out + i * t->value_stride, over = row_dot(t->work.x + i * I, t->state.z, I);
        for (int64_t j = 0; j <= t->first + i; j++) over += t->work.edge[i * DELTA_TILE + j];
        t->over[i] = over + normaliser_eps;
        row_scale(out, 1 / t->over[i], out, O);
    }
}

/* k_j e^(L_n - L_j) for all rows of the tile, in work.x; where nothing fades the rows themselves. */
MM_INLINE const float *delta_faded_keys(const ttt_delta_tile *t, const ttt_delta_kind kind, float *fade)
{
    const int64_t I = t->key_size;
    if (kind != TTT_DELTA_GATED) return t->state.k;
    delta_fades(t, fade, true);
    for (int64_t j = 0; j < DELTA_TILE; j++) row_scale(t->work.x + j * I, fade[j], t->state.k + j * I, I);
    return t->work.x;
}

/* S = e^(L_n) S + sum e^(L_n - L_j) k_j^T u_j, z += sum k_j: what the tile hands to the next. */
MM_INLINE void delta_end(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, O = t->value_size;
    float fade[DELTA_TILE];
    const float *k = delta_faded_keys(t, kind, fade), *start = t->state.S;
    if (kind == TTT_DELTA_GATED) {
        float all = t->work.level[DELTA_TILE - 1];
        delta_exp(&all, 1);
        row_scale(t->next.S, all, start, I * O);
        start = t->next.S;
    }
    mm(I, O, DELTA_TILE, 1, columns_of(k, I), rows_of(t->state.u, O), rows_of(start, O), t->next.S, O);
    if (kind != TTT_DELTA_NORMALISED) return;
    if (t->next.z != t->state.z) delta_copy(t->next.z, t->state.z, I);
    add_rows(t->next.z, 1, t->state.k, DELTA_TILE, I);
}

MM_INLINE void delta_forward(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    delta_rows_in(t, kind);
    if (t->replay) {
        delta_values_in(t, kind);
    } else {
        delta_edges(t, kind);
        delta_read_start(t, kind);
        if (corrects(kind))
            delta_solve(t);
        else
            delta_values_in(t, kind);
        delta_read(t, kind);
    }
    if (t->ends) delta_end(t, kind);
}

/* ---- backward ---- */

/* Of delta_end: grad.u and grad.k get their first values; work.dlevel its parts. */
MM_INLINE void delta_end_backward(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, O = t->value_size;
    float fade[DELTA_TILE];
    const float *k = delta_faded_keys(t, kind, fade);
    float *du = t->grad.u, *dk = t->grad.k;
    mm(DELTA_TILE, O, I, 1, rows_of(k, I), rows_of(t->grad.S, O), none(), du, O);
    mm_turned(DELTA_TILE, I, O, 1, rows_of(t->state.u, O), rows_of(t->grad.S, O), none(), dk, I, t->work.panel);
    for (int64_t j = 0; j < DELTA_TILE && kind == TTT_DELTA_NORMALISED; j++) row_add(dk + j * I, 1, t->grad.z, I);
    if (kind != TTT_DELTA_GATED) return;
    float all = t->work.level[DELTA_TILE - 1], *dlevel = t->work.dlevel;
    delta_exp(&all, 1);
    for (int64_t j = 0; j < DELTA_TILE; j++) {
        const float along = row_dot(du + j * O, t->state.u + j * O, O);
        row_scale(dk + j * I, fade[j], dk + j * I, I);
        dlevel[j] -= along;
        dlevel[DELTA_TILE - 1] += along;
    }
    dlevel[DELTA_TILE - 1] += all * long_dot(t->state.S, t->grad.S, I * O);
    row_scale(t->grad.S, all, t->grad.S, I * O);
}

/* The first rows of work.y: gradients of what the queries read, and if there is a normaliser dover [count] that of it.
 */
MM_INLINE void delta_out_backward(const ttt_delta_tile *t, const ttt_delta_kind kind, float *dover)
{
    const int64_t O = t->value_size;
    for (int64_t i = 0; i < t->count; i++) {
        const float *dout = t->dout + i * t->value_stride;
        if (kind == TTT_DELTA_NORMALISED) {
            dover[i] = -row_dot(dout, t->out + i * t->value_stride, O) / t->over[i];
            row_scale(t->work.y + i * O, 1 / t->over[i], dout, O);
        } else {
            delta_copy(t->work.y + i * O, dout, O);
        }
    }
}

/* Some columns of delta_solve_backward, as delta_solve_columns. */
MM_INLINE void delta_solve_backward_columns(const ttt_delta_tile *t, int64_t column, const int vectors,
                                            const bool partial, int64_t lanes)
{
    const int64_t O = t->value_size, n = t->count, first = t->first;
    const float *edge = t->work.edge + n * DELTA_TILE + first;
    float *dread = t->work.y + n * O + column, *du = t->grad.u + first * O + column, *dv = t->dv + column;
    for (int64_t i = n - 1; i >= 0; i--) {
        vf sum[4];
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) sum[c] = part_load(du + i * O + c * VF, partial, lanes);
        for (int64_t m = i + 1; m < n; m++) {
            const vf factor = vf_set(edge[m * DELTA_TILE + i]);
#pragma GCC unroll 4
            for (int c = 0; c < vectors; c++)
                sum[c] = vf_fma(factor, part_load(dread + m * O + c * VF, partial, lanes), sum[c]);
        }
        const vf beta = vf_set(t->beta[i * t->heads]);
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) {
            const vf derror = vf_mul(beta, sum[c]);
            part_store(du + i * O + c * VF, sum[c], partial, lanes);
            part_store(dv + i * t->value_stride + c * VF, derror, partial, lanes);
            part_store(dread + i * O + c * VF, vf_sub(vf_zero(), derror), partial, lanes);
        }
    }
}

/* Of delta_solve, from the last row to the first: grad.u, which has all but what later errors say, becomes complete;
 * dv, dbeta; and the second half of work.y, -beta du, the gradient of what the keys read. */
MM_INLINE void delta_solve_backward(const ttt_delta_tile *t)
{
    const int64_t O = t->value_size, n = t->count, first = t->first;
    const float *edge = t->work.edge + n * DELTA_TILE, *dread = t->work.y + n * O;
    int64_t o = 0;
    for (; o + 4 * VF <= O; o += 4 * VF) delta_solve_backward_columns(t, o, 4, false, VF);
    for (; o + VF <= O; o += VF) delta_solve_backward_columns(t, o, 1, false, VF);
    if (o < O) delta_solve_backward_columns(t, o, 1, true, O - o);
    mm(first, O, n, 1, columns_of(edge, DELTA_TILE), rows_of(dread, O), rows_of(t->grad.u, O), t->grad.u, O);
    for (int64_t i = 0; i < n; i++) t->dbeta[i * t->heads] = row_dot(t->grad.u + (first + i) * O, t->error + i * O, O);
}

/* work.dedge, the gradient of x_i . k_j; what it says of levels goes to work.dlevel. */
MM_INLINE void delta_edges_backward(const ttt_delta_tile *t, const ttt_delta_kind kind, const float *dover)
{
    const int64_t O = t->value_size, n = t->count, filled = t->first + n, rows = delta_rows(t, kind);
    float *dedge = t->work.dedge, *dlevel = t->work.dlevel;
    mm_turned(rows, filled, O, 1, rows_of(t->work.y, O), rows_of(t->state.u, O), none(), dedge, DELTA_TILE,
              t->work.panel);
    for (int64_t i = 0; i < rows; i++) {
        const int64_t last = t->first + i % n, read = i < n ? last + 1 : last;
        float *d = dedge + i * DELTA_TILE;
        const float *e = t->work.edge + i * DELTA_TILE, *mask = t->work.mask + i % n * DELTA_TILE;
        for (int64_t j = read; j < filled; j++) d[j] = 0;
        for (int64_t j = 0; j < read && kind == TTT_DELTA_NORMALISED; j++) d[j] += dover[i];
        if (kind != TTT_DELTA_GATED) continue;
        vs sum = vs_zero(); /* of a tile, which is no wider than the lanes of a sum */
        EACH_PART(p)
        {
            const int64_t j = p * VF, lanes = part_lanes(0, p, read);
            const vf value = vf_load_n(d + j, lanes), along = vf_mul(value, vf_load_n(e + j, lanes));
            sum.part[p] = along;
            vf_store_n(dlevel + j, vf_sub(vf_load_n(dlevel + j, lanes), along), lanes);
            vf_store_n(d + j, vf_mul(value, vf_load_n(mask + j, lanes)), lanes);
        }
        dlevel[last] += vs_sum(sum);
    }
}

/* work.dx and grad.k, from work.dedge and work.y, which is used up; grad.S. */
MM_INLINE void delta_inputs_backward(const ttt_delta_tile *t, const ttt_delta_kind kind, const float *dover)
{
    const int64_t I = t->key_size, O = t->value_size, n = t->count, filled = t->first + n, rows = delta_rows(t, kind);
    float fade[DELTA_TILE], *x = t->work.x, *dx = t->work.dx, *y = t->work.y, *dedge = t->work.dedge;
    if (kind == TTT_DELTA_GATED) {
        delta_fades(t, fade, false);
        for (int64_t i = 0; i < rows; i++) row_scale(y + i * O, fade[t->first + i % n], y + i * O, O);
    }
    mm_turned(rows, I, O, 1, rows_of(y, O), rows_of(t->state.S, O), none(), dx, I, t->work.panel);
    for (int64_t i = 0; i < rows && kind == TTT_DELTA_GATED; i++)
        t->work.dlevel[t->first + i % n] += row_dot(dx + i * I, x + i * I, I);
    for (int64_t i = 0; i < n && kind == TTT_DELTA_NORMALISED; i++) {
        row_add(dx + i * I, dover[i], t->state.z, I);
        row_add(t->grad.z, dover[i], x + i * I, I);
    }
    mm(I, O, rows, 1, columns_of(x, I), rows_of(y, O), rows_of(t->grad.S, O), t->grad.S, O);
    mm(rows, I, filled, 1, rows_of(dedge, DELTA_TILE), rows_of(t->state.k, I), rows_of(dx, I), dx, I);
    mm(filled, I, rows, 1, columns_of(dedge, DELTA_TILE), rows_of(x, I), rows_of(t->grad.k, I), t->grad.k, I);
}

/* dq, dk, dlog_a of the tokens; grad.log_a of the rows before them. */
MM_INLINE void delta_gradients_out(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t I = t->key_size, n = t->count, first = t->first;
    for (int64_t i = 0; i < n; i++) {
        float *dk = t->dk + i * t->key_stride;
        delta_copy(t->dq + i * t->key_stride, t->work.dx + i * I, I);
        delta_copy(dk, t->grad.k + (first + i) * I, I);
        if (corrects(kind)) row_add(dk, 1, t->work.dx + (n + i) * I, I);
        if (!corrects(kind))
            delta_copy(t->dv + i * t->value_stride, t->grad.u + (first + i) * t->value_size, t->value_size);
    }
    float along = 0;
    for (int64_t j = first + n - 1; j >= 0 && kind == TTT_DELTA_GATED; j--) {
        along += t->work.dlevel[j];
        const float d = along + (t->ends ? 0 : t->grad.log_a[j]);
        if (j >= first)
            t->dlog_a[(j - first) * t->heads] = d;
        else
            t->grad.log_a[j] = d;
    }
}

MM_INLINE void delta_backward(const ttt_delta_tile *t, const ttt_delta_kind kind)
{
    const int64_t O = t->value_size, n = t->count, filled = t->first + n;
    float dover[DELTA_TILE];
    delta_rows_in(t, kind);
    for (int64_t j = 0; j < filled && kind == TTT_DELTA_GATED; j++) t->work.dlevel[j] = 0;
    if (t->ends) delta_end_backward(t, kind);
    delta_edges(t, kind);
    delta_out_backward(t, kind, dover);
    mm(filled, O, n, 1, columns_of(t->work.edge, DELTA_TILE), rows_of(t->work.y, O), rows_of(t->grad.u, O), t->grad.u,
       O);
    if (corrects(kind)) delta_solve_backward(t);
    delta_edges_backward(t, kind, dover);
    delta_inputs_backward(t, kind, dover);
    delta_gradients_out(t, kind);
}

static void delta_linear_forward(const ttt_delta_tile *t) { delta_forward(t, TTT_DELTA_LINEAR); }
static void delta_linear_backward(const ttt_delta_tile *t) { delta_backward(t, TTT_DELTA_LINEAR); }
static void delta_normalised_forward(const ttt_delta_tile *t) { delta_forward(t, TTT_DELTA_NORMALISED); }
static void delta_normalised_backward(const ttt_delta_tile *t) { delta_backward(t, TTT_DELTA_NORMALISED); }
static void delta_rule_forward(const ttt_delta_tile *t) { delta_forward(t, TTT_DELTA_RULE); }
static void delta_rule_backward(const ttt_delta_tile *t) { delta_backward(t, TTT_DELTA_RULE); }
static void delta_gated_forward(const ttt_delta_tile *t) { delta_forward(t, TTT_DELTA_GATED); }
static void delta_gated_backward(const ttt_delta_tile *t) { delta_backward(t, TTT_DELTA_GATED); }

#endif
