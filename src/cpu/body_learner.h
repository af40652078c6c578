/* SPDX-License-Identifier: MIT
 *
 * What the learners' kernels share: reading and writing through one map z = x W + b in the dual form, forward and
 * backward. Formulas: docs/MATH.md, "Learners"; names: cpu_learner.h.
 */
#ifndef TTT_CPU_BODY_LEARNER_H
#define TTT_CPU_BODY_LEARNER_H

#include <string.h>

#include "cpu/body_learner_rows.h"

/* ---- one map ---- */

/* Whether a mini-batch is one token, so that a tile never has more. */
static bool is_online(const ttt_tile *t) { return t->map[0].slots == 1; }

/* a [k] times `rows` rows of b, at most VF: row_dot's sums, a part of all of them after another. */
MM_INLINE vf dots(const float *a, view b, int64_t k, int64_t rows)
{
    vf dot[VF];
    vs sums[VF];
    EACH_PART(p)
    {
        for (int r = 0; r < VF; r++) dot[r] = vf_zero();
        for (int64_t l = p * VF; l < k; l += VS) {
            const int64_t lanes = lanes_at(l, k);
            const vf x = vf_load_n(a + l, lanes);
#pragma GCC unroll 16
            for (int r = 0; r < VF; r++)
                dot[r] = vf_fma(x, vf_load_n(b.x + (r < rows ? r : 0) * b.row + l, lanes), dot[r]);
        }
        for (int r = 0; r < VF; r++) sums[r].part[p] = dot[r];
    }
    for (int r = 0; r < VF; r++) dot[r] = vs_fold(sums[r]);
    vf_transpose(dot);
    for (int half = VF / 2; half > 0; half /= 2)
        for (int r = 0; r < half; r++) dot[r] = vf_add(dot[r], dot[r + half]);
    return dot[0];
}

/* c [n] = init + alpha a [k] b^T, b [n, k] by rows */
static void row_times_turned(int64_t n, int64_t k, float alpha, const float *a, view b, view init, float *c)
{
    for (int64_t j = 0; j < n; j += VF) {
        const int64_t lanes = lanes_at(j, n);
        const view rows = rows_of(b.x + j * b.row, b.row);
        const vf from = init.x ? vf_load_n(init.x + j, lanes) : vf_zero(),
                 dot = lanes == VF ? dots(a, rows, k, VF) : dots(a, rows, k, lanes);
        vf_store_n(c + j, vf_fma(vf_set(alpha), dot, from), lanes);
    }
}

/* c [m, n] = init + alpha a [m, k] b^T. For a single token turning b is not worth while. */
static void times_turned(const ttt_tile *t, int64_t m, int64_t n, int64_t k, float alpha, view a, view b, view init,
                         float *c, int64_t c_row)
{
    if (is_online(t))
        row_times_turned(n, k, alpha, a.x, b, init, c);
    else
        mm_turned(m, n, k, alpha, a, b, init, c, c_row, t->work.panel);
}

/* dx [count, in] = init + dz W^T */
static void times_weights_turned(const ttt_tile *t, int m, const float *dz, view init, float *dx)
{
    const ttt_map *f = &t->map[m];
    if (is_online(t))
        times_turned(t, 1, f->in, f->out, 1, rows_of(dz, f->out), rows_of(f->w, f->out), init, dx, f->in);
    else
        mm_panels(t->count, f->in, f->out, 1, rows_of(dz, f->out), t->work.turned[m], init, dx, f->in);
}

static const float ones[TTT_LEARNER_TILE] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* Without biases b, s and their gradients are zero and are never added to. */
static bool has_bias(const ttt_tile *t) { return !(t->flags & TTT_LEARNER_NO_BIAS); }

/* z [count, out] = x W + b of the tile's new inputs, which lie in map.x */
static void map_predict(const ttt_tile *t, int m, float *z)
{
    const ttt_map *f = &t->map[m];
    mm(t->count, f->out, f->in, 1, rows_of(f->x + t->first * f->in, f->in), rows_of(f->w, f->out), same_row(f->b), z,
       f->out);
}

/* The same of a single token, and x W + b of the input that it is read with: one way through W. work.rows and work.dx
 * are overwritten. */
static void map_predict_both(const ttt_tile *t, int m, float *z, const float *x, float *zbar)
{
    const ttt_map *f = &t->map[m];
    const size_t in = (size_t)f->in * sizeof(float), out = (size_t)f->out * sizeof(float);
    float *rows = t->work.rows, *both = t->work.dx;
    memcpy(rows, f->x, in);
    memcpy(rows + f->in, x, in);
    mm(2, f->out, f->in, 1, rows_of(rows, f->in), rows_of(f->w, f->out), same_row(f->b), both, f->out);
    memcpy(z, both, out);
    memcpy(zbar, both + f->out, out);
}

/* G = r g */
static void map_write(const ttt_tile *t, int m, const float *g)
{
    const ttt_map *f = &t->map[m];
    for (int64_t i = 0; i < t->count; i++) {
        row_scale(f->g + (t->first + i) * f->out, t->from.write[i * t->heads], g + i * f->out, f->out);
    }
}

/* work.edge_ij = x_i . x_j + 1 for j <= i, else 0; without biases no 1 */
static void map_edges(const ttt_tile *t, int m, view x)
{
    const ttt_map *f = &t->map[m];
    const int64_t n = t->count, filled = t->first + n;
    times_turned(t, n, filled, f->in, 1, x, rows_of(f->x, f->in), has_bias(t) ? same_row(ones) : none(), t->work.edge,
                 TTT_LEARNER_TILE);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = t->first + i + 1; j < filled; j++) t->work.edge[i * TTT_LEARNER_TILE + j] = 0;
}

/* zbar [count, out] = x W + b */
static void map_apply(const ttt_tile *t, int m, view x, float *zbar)
{
    const ttt_map *f = &t->map[m];
    mm(t->count, f->out, f->in, 1, x, rows_of(f->w, f->out), same_row(f->b), zbar, f->out);
}

/* zbar_i -= c_i (x_i S + s + sum over j <= i of (x_i . x_j + 1) G_j), where it is x_i W + b. work.rows is overwritten.
 */
static void map_read(const ttt_tile *t, int m, view x, float *zbar)
{
    const ttt_map *f = &t->map[m];
    const int64_t n = t->count;
    float *edge = t->work.edge, *sum = t->work.rows;
    map_edges(t, m, x);
    for (int64_t i = 0; i < n; i++)
        row_scale(edge + i * TTT_LEARNER_TILE, -t->from.read[i], edge + i * TTT_LEARNER_TILE, TTT_LEARNER_TILE);
    mm(n, f->out, t->first + n, 1, rows_of(edge, TTT_LEARNER_TILE), rows_of(f->g, f->out), rows_of(zbar, f->out), zbar,
       f->out);
    if (!f->sw) return;
    mm(n, f->out, f->in, 1, x, rows_of(f->sw, f->out), same_row(f->sb), sum, f->out);
    for (int64_t i = 0; i < n; i++) row_add(zbar + i * f->out, -t->from.read[i], sum + i * f->out, f->out);
}

/* w, b = init + alpha (x^T G, sum of G) over the filled slots of f */
static void map_add_rows(const ttt_tile *t, const ttt_map *f, float alpha, const float *init_w, const float *init_b,
                         float *w, float *b)
{
    const int64_t filled = t->first + t->count;
    mm(f->in, f->out, filled, alpha, columns_of(f->x, f->in), rows_of(f->g, f->out), rows_of(init_w, f->out), w,
       f->out);
    if (b != init_b) memcpy(b, init_b, (size_t)f->out * sizeof *b);
    if (has_bias(t)) add_rows(b, alpha, f->g, filled, f->out);
}

/* After an update: MATH (keep). */
static void map_forget(const ttt_tile *t, int m)
{
    const ttt_map *next = &t->next[m];
    if (t->forget == 0) return;
    row_forget(next->w, t->forget, t->start[2 * m], next->in * next->out);
    if (has_bias(t)) row_forget(next->b, t->forget, t->start[2 * m + 1], next->out);
}

/* dW0 += f dW, dW *= 1 - f, and of b so too */
static void map_forget_backward(const ttt_tile *t, int m)
{
    const ttt_map *d = &t->dmap[m];
    const int64_t size = (d->in + 1) * d->out;
    if (t->forget == 0) return;
    row_add(t->dstart + (d->w - t->dmap[0].w), t->forget, d->w, size);
    row_scale(d->w, 1 - t->forget, d->w, size);
}

/* The end of a tile: what holds after it goes to `next`, whose rows become free. */
static void map_end(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m], *next = &t->next[m];
    const int64_t size = (f->in + 1) * f->out;
    if (t->end == TTT_TILE_OPEN || t->skip_end) return;
    if (next->w != f->w && (f->sw || t->end == TTT_TILE_FOLD)) memcpy(next->w, f->w, (size_t)size * sizeof(float));
    if (f->sw) map_add_rows(t, f, 1, f->sw, f->sb, next->sw, next->sb);
    if (t->end == TTT_TILE_UPDATE) {
        const float c = t->from.read[t->count - 1];
        if (f->sw) {
            row_add(next->w, -c, next->sw, size);
            memset(next->sw, 0, (size_t)size * sizeof(float));
        } else {
            map_add_rows(t, f, -c, f->w, f->b, next->w, next->b);
        }
        map_forget(t, m);
    }
    if (!t->replay) memset(next->g, 0, (size_t)(f->slots * f->out) * sizeof(float));
}

/* Backward of map_end: dW, dS become those before the end of the tile, and the rows of dmap get their first gradients.
 * work.rows is overwritten. */
static void map_end_backward(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t filled = t->first + t->count, size = (f->in + 1) * f->out;
    if (t->end == TTT_TILE_OPEN) return;
    const bool update = t->end == TTT_TILE_UPDATE;
    if (update) map_forget_backward(t, m);
    const float alpha = update ? -t->from.read[t->count - 1] : 1;
    const float *dw = update ? d->w : d->sw, *db = update ? d->b : d->sb;
    float *along = t->work.rows, *dread = &t->to.dread[(t->count - 1) * t->heads];
    mm(filled, f->out, f->in, 1, rows_of(f->x, f->in), rows_of(dw, f->out), same_row(db), along, f->out);
    if (update) *dread -= row_dot(along, f->g, filled * f->out);
    row_scale(d->g, alpha, along, filled * f->out);
    times_turned(t, filled, f->in, f->out, alpha, rows_of(f->g, f->out), rows_of(dw, f->out), none(), d->x, f->in);
    if (update && f->sw) {
        *dread -= row_dot(f->sw, d->w, size);
        row_scale(d->sw, alpha, d->w, size);
    }
}

/* Backward of map_read's sum over the tile, given dz = d loss / d zbar, whose gradient it gets times -c. */
static void map_edges_backward(const ttt_tile *t, int m, view x, const float *dz, float *dx)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t n = t->count, filled = t->first + n;
    float *edge = t->work.edge, *dedge = t->work.dedge;
    map_edges(t, m, x);
    times_turned(t, n, filled, f->out, 1, rows_of(dz, f->out), rows_of(f->g, f->out), none(), dedge, TTT_LEARNER_TILE);
    for (int64_t i = 0; i < n; i++) {
        float *e = edge + i * TTT_LEARNER_TILE, *de = dedge + i * TTT_LEARNER_TILE;
        const float c = t->from.read[i];
        t->to.dread[i * t->heads] -= row_dot(e, de, filled);
        for (int64_t j = 0; j < filled; j++) {
            de[j] = j <= t->first + i ? -c * de[j] : 0;
            e[j] *= -c;
        }
    }
    mm(filled, f->out, n, 1, columns_of(edge, TTT_LEARNER_TILE), rows_of(dz, f->out), rows_of(d->g, f->out), d->g,
       f->out);
    mm(n, f->in, filled, 1, rows_of(dedge, TTT_LEARNER_TILE), rows_of(f->x, f->in), rows_of(dx, f->in), dx, f->in);
    mm(filled, f->in, n, 1, columns_of(dedge, TTT_LEARNER_TILE), x, rows_of(d->x, f->in), d->x, f->in);
}

/* The same of x S + s. dc = -dz . (x S + s) = -(x . dz S^T + dz . s). work.rows is overwritten. */
static void map_sums_backward(const ttt_tile *t, int m, view x, const float *dz, float *dx)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t n = t->count;
    float *rows = t->work.rows;
    mm_turned(n, f->in, f->out, 1, rows_of(dz, f->out), rows_of(f->sw, f->out), none(), rows, f->in, t->work.panel);
    for (int64_t i = 0; i < n; i++) {
        const float *dxi = rows + i * f->in;
        t->to.dread[i * t->heads] -= row_dot(x.x + i * x.row, dxi, f->in) + row_dot(dz + i * f->out, f->sb, f->out);
        row_add(dx + i * f->in, -t->from.read[i], dxi, f->in);
    }
    for (int64_t i = 0; i < n; i++) row_scale(rows + i * f->out, -t->from.read[i], dz + i * f->out, f->out);
    mm(f->in, f->out, n, 1, columns_of(x.x, x.row), rows_of(rows, f->out), rows_of(d->sw, f->out), d->sw, f->out);
    if (has_bias(t)) add_rows(d->sb, 1, rows, n, f->out);
}

/* Backward of map_read: dx [count, in] gets the gradient of x, the rest is added to dmap and dread. work.rows is
 * overwritten. */
static void map_read_backward(const ttt_tile *t, int m, view x, const float *dz, float *dx)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t n = t->count;
    times_weights_turned(t, m, dz, none(), dx);
    mm(f->in, f->out, n, 1, columns_of(x.x, x.row), rows_of(dz, f->out), rows_of(d->w, f->out), d->w, f->out);
    if (has_bias(t)) add_rows(d->b, 1, dz, n, f->out);
    map_edges_backward(t, m, x, dz, dx);
    if (f->sw) map_sums_backward(t, m, x, dz, dx);
}

/* Backward of map_predict: into dmap.w, b and the new rows of dmap.x. */
static void map_predict_backward(const ttt_tile *t, int m, const float *dz)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const float *x = f->x + t->first * f->in;
    float *dx = d->x + t->first * f->in;
    times_weights_turned(t, m, dz, rows_of(dx, f->in), dx);
    mm(f->in, f->out, t->count, 1, columns_of(x, f->in), rows_of(dz, f->out), rows_of(d->w, f->out), d->w, f->out);
    if (has_bias(t)) add_rows(d->b, 1, dz, t->count, f->out);
}

/* What the backward of a tile begins with: dread to zero, the end of the tile, and the weights turned. */
static void tile_backward_begin(const ttt_tile *t, int maps)
{
    for (int64_t i = 0; i < t->count; i++) t->to.dread[i * t->heads] = 0;
    for (int m = 0; m < maps; m++) {
        const ttt_map *f = &t->map[m];
        map_end_backward(t, m);
        if (!is_online(t)) turn_all(t->work.turned[m], rows_of(f->w, f->out), f->in, f->out);
    }
}

/* Backward of G = r g of the last map: dwrite, and the gradient dg [count, D] of g. */
static void map_write_backward(const ttt_tile *t, int m, float *dg)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++) {
        const float *from = t->dmap[m].g + (t->first + i) * D;
        t->to.dwrite[i * t->heads] = row_dot(from, t->trace.g + i * D, D);
        row_scale(dg + i * D, t->from.write[i * t->heads], from, D);
    }
}

/* The new rows of map.x [slots, D] are the keys. */
static void keys_in(const ttt_tile *t)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++) {
        memcpy(t->map[0].x + (t->first + i) * D, t->from.k + i * t->stride, (size_t)D * sizeof(float));
    }
}

/* dq and dk, from all that was gathered for them. */
static void inputs_backward(const ttt_tile *t, const float *dq)
{
    const int64_t D = t->head_size;
    const view from_out = rows_of(t->flags & NO_RESIDUAL ? NULL : t->from.dout, t->stride),
               from_target = rows_of(t->flags & TARGET_V ? NULL : t->work.dk, D);
    add_tokens(t, t->to.dq, from_out, rows_of(dq, D));
    add_tokens(t, t->to.dk, from_target, rows_of(t->dmap[0].x + t->first * D, D));
}

#endif
