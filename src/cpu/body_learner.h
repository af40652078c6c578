/* SPDX-License-Identifier: MIT
 *
 * What the learners' kernels share: reading and writing through one map z = x W + b in the dual form, and the norm and
 * loss at the end of the learner, forward and backward. Formulas: docs/MATH.md, "Learners"; names: cpu_learner.h.
 */
#ifndef TTT_CPU_BODY_LEARNER_H
#define TTT_CPU_BODY_LEARNER_H

#include <string.h>

#include "cpu/body_norm.h"
#include "cpu/body_smallmm.h"
#include "cpu/cpu_learner.h"

/* ---- rows ---- */

static float row_dot(const float *x, const float *y, int64_t n)
{
    vf sum = vf_zero();
    for (int64_t i = 0; i < n; i += VF) {
        sum = vf_fma(vf_load_n(x + i, lanes_at(i, n)), vf_load_n(y + i, lanes_at(i, n)), sum);
    }
    return vf_sum(sum);
}

/* y = init + alpha x; init may be NULL for zero */
static void row_axpy(float *y, const float *init, float alpha, const float *x, int64_t n)
{
    const vf factor = vf_set(alpha);
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf_store_n(y + i, vf_fma(factor, vf_load_n(x + i, lanes), init ? vf_load_n(init + i, lanes) : vf_zero()),
                   lanes);
    }
}

/* y [n] += alpha times the sum of the rows of x */
static void add_rows(float *y, float alpha, const float *x, int64_t stride, int64_t rows, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        vf sum = vf_zero();
        for (int64_t r = 0; r < rows; r++) sum = vf_add(sum, vf_load_n(x + r * stride + i, lanes));
        vf_store_n(y + i, vf_fma(vf_set(alpha), sum, vf_load_n(y + i, lanes)), lanes);
    }
}

/* x becomes (x - mean) / sigma; returns 1 / sigma, sigma = sqrt(variance + 1e-6) */
static float standardise(float *x, int64_t n)
{
    vf sum = vf_zero(), squares = vf_zero();
    for (int64_t i = 0; i < n; i += VF) sum = vf_add(sum, vf_load_n(x + i, lanes_at(i, n)));
    const vf mean = vf_set(vf_sum(sum) / (float)n);
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf centred = vf_first(vf_sub(vf_load_n(x + i, lanes), mean), lanes);
        vf_store_n(x + i, centred, lanes);
        squares = vf_fma(centred, centred, squares);
    }
    const float scale = 1 / sqrtf(vf_sum(squares) / (float)n + layernorm_eps);
    row_axpy(x, NULL, scale, x, n);
    return scale;
}

/* x becomes scale (x - mean(x) - normal mean(x normal)): the gradient of standardising, which is also the symmetric
 * projection in the inner gradient. */
static void project(float *x, const float *normal, float scale, int64_t n)
{
    vf sum = vf_zero(), along = vf_zero();
    for (int64_t i = 0; i < n; i += VF) {
        const vf value = vf_load_n(x + i, lanes_at(i, n));
        sum = vf_add(sum, value);
        along = vf_fma(value, vf_load_n(normal + i, lanes_at(i, n)), along);
    }
    const vf mean = vf_set(vf_sum(sum) / (float)n), slope = vf_set(vf_sum(along) / (float)n);
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf centred = vf_sub(vf_load_n(x + i, lanes), mean);
        vf_store_n(x + i, vf_mul(vf_set(scale), vf_fnma(slope, vf_load_n(normal + i, lanes), centred)), lanes);
    }
}

/* ---- the loss 1/2 || LN(z) - (v - k) ||^2 that adapts the learner, and the norm of what is read ---- */

/* LN(z) - (v - k), at one vector of token i */
static inline vf target_error(const ttt_tile *t, int64_t i, int64_t d, int64_t lanes)
{
    const vf normal = vf_load_n(t->trace.normal + i * t->head_size + d, lanes);
    const vf value = vf_sub(vf_load_n(t->v + i * t->stride + d, lanes), vf_load_n(t->k + i * t->stride + d, lanes));
    return vf_sub(vf_fma(vf_load_n(t->weight + d, lanes), normal, vf_load_n(t->bias + d, lanes)), value);
}

/* z, which lies in trace.normal, to its normalised form and the gradient trace.g of the loss. */
static void inner_gradient(const ttt_tile *t)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++) {
        float *normal = t->trace.normal + i * D, *g = t->trace.g + i * D;
        t->trace.scale[i] = standardise(normal, D);
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            vf_store_n(g + d, vf_mul(vf_load_n(t->weight + d, lanes), target_error(t, i, d, lanes)), lanes);
        }
        project(g, normal, t->trace.scale[i], D);
    }
}

/* u [tile, D], the gradient of trace.g, becomes that of z; dv and work.dk get what reaches v and k directly. With
 * e = weight (LN(z) - (v - k)), g = (e - mean(e) - xhat mean(e xhat)) / sigma. */
static void inner_gradient_backward(const ttt_tile *t, float *u)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++, u += D) {
        const float *normal = t->trace.normal + i * D, scale = t->trace.scale[i];
        vf u_sum = vf_zero(), u_normal = vf_zero(), e_normal = vf_zero();
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf ud = vf_load_n(u + d, lanes), xhat = vf_load_n(normal + d, lanes);
            const vf e = vf_mul(vf_load_n(t->weight + d, lanes), target_error(t, i, d, lanes));
            u_sum = vf_add(u_sum, ud);
            u_normal = vf_fma(ud, xhat, u_normal);
            e_normal = vf_fma(e, xhat, e_normal);
        }
        const vf mean = vf_set(vf_sum(u_sum) / (float)D), u_along = vf_set(vf_sum(u_normal) / (float)D),
                 e_along = vf_set(vf_sum(e_normal) / (float)D), factor = vf_set(scale);
        const float dsigma = -scale * row_dot(u, t->trace.g + i * D, D);
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf ud = vf_load_n(u + d, lanes), xhat = vf_load_n(normal + d, lanes),
                     weight = vf_load_n(t->weight + d, lanes), error = target_error(t, i, d, lanes);
            const vf de = vf_mul(factor, vf_sub(vf_sub(ud, mean), vf_mul(xhat, u_along)));
            const vf dy = vf_mul(de, weight), e = vf_mul(weight, error);
            const vf across = vf_fma(ud, e_along, vf_mul(e, u_along));
            vf_store_n(u + d, vf_fnma(factor, across, vf_mul(dy, weight)), lanes);
            const vf dweight = vf_fma(de, error, vf_mul(dy, xhat));
            vf_store_n(t->dweight + d, vf_add(vf_load_n(t->dweight + d, lanes), dweight), lanes);
            vf_store_n(t->dbias + d, vf_add(vf_load_n(t->dbias + d, lanes), dy), lanes);
            vf_store_n(t->dv + i * t->stride + d, vf_sub(vf_zero(), dy), lanes);
            vf_store_n(t->work.dk + i * D + d, dy, lanes);
        }
        project(u, normal, scale, D);
        row_axpy(u, u, dsigma / (float)D, normal, D);
    }
}

/* out = q + LN(zbar); zbar lies in trace.normal_bar and becomes its normalised form. */
static void read_norm(const ttt_tile *t)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++) {
        float *normal = t->trace.normal_bar + i * D;
        t->trace.scale_bar[i] = standardise(normal, D);
        for (int64_t d = 0; t->out && d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf y = vf_fma(vf_load_n(t->weight + d, lanes), vf_load_n(normal + d, lanes),
                                vf_load_n(t->bias + d, lanes));
            vf_store_n(t->out + i * t->stride + d, vf_add(vf_load_n(t->q + i * t->stride + d, lanes), y), lanes);
        }
    }
}

/* dzbar [tile, D] from dout */
static void read_norm_backward(const ttt_tile *t, float *dzbar)
{
    const int64_t D = t->head_size;
    for (int64_t i = 0; i < t->count; i++, dzbar += D) {
        const float *normal = t->trace.normal_bar + i * D, *dout = t->dout + i * t->stride;
        for (int64_t d = 0; d < D; d += VF) {
            const int64_t lanes = lanes_at(d, D);
            const vf dy = vf_load_n(dout + d, lanes), xhat = vf_load_n(normal + d, lanes);
            vf_store_n(dzbar + d, vf_mul(dy, vf_load_n(t->weight + d, lanes)), lanes);
            vf_store_n(t->dweight + d, vf_fma(dy, xhat, vf_load_n(t->dweight + d, lanes)), lanes);
            vf_store_n(t->dbias + d, vf_add(dy, vf_load_n(t->dbias + d, lanes)), lanes);
        }
        project(dzbar, normal, t->trace.scale_bar[i], D);
    }
}

/* ---- one map ---- */

static const float ones[TTT_TILE] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* z [tile, out] = x W + b of the tile's new inputs, which lie in map.x */
static void map_predict(const ttt_tile *t, int m, float *z)
{
    const ttt_map *f = &t->map[m];
    mm(t->count, f->out, f->in, 1, columns_of(f->x + t->first, f->slots), rows_of(f->w, f->out), same_row(f->b), z,
       f->out);
}

/* G = r g */
static void map_write(const ttt_tile *t, int m, const float *g)
{
    const ttt_map *f = &t->map[m];
    for (int64_t i = 0; i < t->count; i++) {
        row_axpy(f->g + (t->first + i) * f->out, NULL, t->write[i * t->heads], g + i * f->out, f->out);
    }
}

/* zbar_i = x_i W + b - c_i sum_i, sum_i = x_i S + s + sum over j <= i of (x_i . x_j + 1) G_j */
static void map_read(const ttt_tile *t, int m, view x, float *zbar)
{
    const ttt_map *f = &t->map[m];
    const int64_t n = t->count, filled = t->first + n;
    float *edge = t->trace.edge[m], *sum = t->trace.sum[m];
    mm(n, filled, f->in, 1, x, rows_of(f->x, f->slots), same_row(ones), edge, TTT_TILE);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = t->first + i + 1; j < filled; j++) edge[i * TTT_TILE + j] = 0;
    if (f->sw) mm(n, f->out, f->in, 1, x, rows_of(f->sw, f->out), same_row(f->sb), sum, f->out);
    mm(n, f->out, filled, 1, rows_of(edge, TTT_TILE), rows_of(f->g, f->out), f->sw ? rows_of(sum, f->out) : none(), sum,
       f->out);
    mm(n, f->out, f->in, 1, x, rows_of(f->w, f->out), same_row(f->b), zbar, f->out);
    for (int64_t i = 0; i < n; i++) {
        row_axpy(zbar + i * f->out, zbar + i * f->out, -t->read[i], sum + i * f->out, f->out);
    }
}

/* y (W, b) = init + alpha (x^T G, sum of G) over the filled slots of f */
static void map_add_rows(const ttt_map *f, int64_t filled, float alpha, const float *init_w, const float *init_b,
                         float *w, float *b)
{
    mm(f->in, f->out, filled, alpha, rows_of(f->x, f->slots), rows_of(f->g, f->out), rows_of(init_w, f->out), w,
       f->out);
    if (b != init_b) memcpy(b, init_b, (size_t)f->out * sizeof *b);
    add_rows(b, alpha, f->g, f->out, filled, f->out);
}

/* The end of a tile: what holds after it goes to `next`, whose rows become free. */
static void map_end(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m], *next = &t->next[m];
    const int64_t size = (f->in + 1) * f->out, filled = t->first + t->count;
    if (t->end == TTT_TILE_OPEN || t->skip_end) return;
    if (f->sw) map_add_rows(f, filled, 1, f->sw, f->sb, next->sw, next->sb);
    if (t->end == TTT_TILE_UPDATE) {
        const float c = t->read[t->count - 1];
        if (f->sw) {
            row_axpy(next->w, f->w, -c, next->sw, size);
            memset(next->sw, 0, (size_t)size * sizeof(float));
        } else {
            map_add_rows(f, filled, -c, f->w, f->b, next->w, next->b);
        }
    } else if (next->w != f->w) {
        memcpy(next->w, f->w, (size_t)size * sizeof(float));
    }
    memset(next->g, 0, (size_t)(f->slots * f->out) * sizeof(float));
}

/* Backward of map_end: dW, dS become those before the end of the tile, and rows of dmap get their gradients. work.rows
 * is overwritten; work.g_turned holds the rows G as columns. */
static void map_end_backward(const ttt_tile *t, int m)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t filled = t->first + t->count, size = (f->in + 1) * f->out;
    if (t->end == TTT_TILE_OPEN) return;
    const bool update = t->end == TTT_TILE_UPDATE;
    const float alpha = update ? -t->read[t->count - 1] : 1;
    const float *dw = update ? d->w : d->sw, *db = update ? d->b : d->sb;
    float *along = t->work.rows, *dread = &t->dread[(t->count - 1) * t->heads];
    mm(filled, f->out, f->in, 1, columns_of(f->x, f->slots), rows_of(dw, f->out), same_row(db), along, f->out);
    if (update) *dread -= row_dot(along, f->g, filled * f->out);
    for (int64_t j = 0; j < filled; j++) {
        row_axpy(d->g + j * f->out, d->g + j * f->out, alpha, along + j * f->out, f->out);
    }
    mm(f->in, filled, f->out, alpha, rows_of(dw, f->out), rows_of(t->work.g_turned[m], TTT_TILE),
       rows_of(d->x, f->slots), d->x, f->slots);
    if (update && f->sw) {
        *dread -= row_dot(f->sw, d->w, size);
        row_axpy(d->sw, NULL, alpha, d->w, size);
    }
}

/* Backward of map_read, given dz = d loss / d zbar [tile, out]: work.dx [in, tile] gets the gradient of x, the rest is
 * added to dmap and dread. work.turned is overwritten. */
static void map_read_backward(const ttt_tile *t, int m, view x, const float *dz)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    const int64_t n = t->count, filled = t->first + n;
    float *edge = t->trace.edge[m], *dedge = t->work.dedge, *dedge_turned = dedge + TTT_TILE * TTT_TILE;
    float *turned = t->work.turned, *dx = t->work.dx;
    const view x_turned = {x.x, x.column, x.row};

    transpose(turned, TTT_TILE, dz, f->out, n, f->out);
    mm(f->in, n, f->out, 1, rows_of(f->w, f->out), rows_of(turned, TTT_TILE), none(), dx, TTT_TILE);
    mm(f->in, f->out, n, 1, x_turned, rows_of(dz, f->out), rows_of(d->w, f->out), d->w, f->out);
    add_rows(d->b, 1, dz, f->out, n, f->out);

    /* through sum, whose gradient is -c dz */
    mm(n, filled, f->out, 1, rows_of(dz, f->out), rows_of(t->work.g_turned[m], TTT_TILE), none(), dedge, TTT_TILE);
    for (int64_t i = 0; i < n; i++) {
        const float c = t->read[i];
        t->dread[i * t->heads] -= row_dot(dz + i * f->out, t->trace.sum[m] + i * f->out, f->out);
        for (int64_t j = 0; j < filled; j++) {
            const bool reads = j <= t->first + i;
            dedge[i * TTT_TILE + j] = reads ? -c * dedge[i * TTT_TILE + j] : 0;
            dedge_turned[j * TTT_TILE + i] = dedge[i * TTT_TILE + j];
            edge[i * TTT_TILE + j] *= -c;
        }
    }
    mm(filled, f->out, n, 1, columns_of(edge, TTT_TILE), rows_of(dz, f->out), rows_of(d->g, f->out), d->g, f->out);
    mm(f->in, n, filled, 1, rows_of(f->x, f->slots), rows_of(dedge_turned, TTT_TILE), rows_of(dx, TTT_TILE), dx,
       TTT_TILE);
    mm(f->in, filled, n, 1, x_turned, rows_of(dedge, TTT_TILE), rows_of(d->x, f->slots), d->x, f->slots);
    if (!f->sw) return;
    for (int64_t o = 0; o < f->out; o++)
        for (int64_t i = 0; i < n; i++) turned[o * TTT_TILE + i] *= -t->read[i];
    mm(f->in, n, f->out, 1, rows_of(f->sw, f->out), rows_of(turned, TTT_TILE), rows_of(dx, TTT_TILE), dx, TTT_TILE);
    float *dsum = t->work.rows;
    for (int64_t i = 0; i < n; i++) row_axpy(dsum + i * f->out, NULL, -t->read[i], dz + i * f->out, f->out);
    mm(f->in, f->out, n, 1, x_turned, rows_of(dsum, f->out), rows_of(d->sw, f->out), d->sw, f->out);
    add_rows(d->sb, 1, dsum, f->out, n, f->out);
}

/* Backward of map_predict: into dmap.w, b and the new columns of dmap.x. work.turned is overwritten. */
static void map_predict_backward(const ttt_tile *t, int m, const float *dz)
{
    const ttt_map *f = &t->map[m], *d = &t->dmap[m];
    transpose(t->work.turned, TTT_TILE, dz, f->out, t->count, f->out);
    mm(f->in, t->count, f->out, 1, rows_of(f->w, f->out), rows_of(t->work.turned, TTT_TILE),
       rows_of(d->x + t->first, f->slots), d->x + t->first, f->slots);
    mm(f->in, f->out, t->count, 1, rows_of(f->x + t->first, f->slots), rows_of(dz, f->out), rows_of(d->w, f->out), d->w,
       f->out);
    add_rows(d->b, 1, dz, f->out, t->count, f->out);
}

/* y [count, D] (rows a stride apart) = x [count, D] (rows x_stride apart) + columns [D, count] turned */
static void add_columns(const ttt_tile *t, float *y, const float *x, int64_t x_stride, const float *columns,
                        int64_t stride)
{
    for (int64_t i = 0; i < t->count; i++)
        for (int64_t d = 0; d < t->head_size; d++) y[i * t->stride + d] = x[i * x_stride + d] + columns[d * stride + i];
}

#endif
