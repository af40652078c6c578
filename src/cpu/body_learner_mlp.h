/* SPDX-License-Identifier: MIT
 *
 * One tile of the MLP learner: z1 = k W1 + b1, a = gelu(z1), z2 = a W2 + b2, out = q + LN(z2bar). Formulas:
 * docs/MATH.md, "Learners". The inner gradient's gelu' has rounded constants there; in single precision they are the
 * exact ones, so that one function serves both.
 */
#ifndef TTT_CPU_BODY_LEARNER_MLP_H
#define TTT_CPU_BODY_LEARNER_MLP_H

#include "cpu/body_learner_linear.h"
#include "cpu/body_math.h"

/* y = gelu(z) = z sigmoid */
static void gelu_rows(float *y, float *sigmoid, const float *z, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf x = vf_load_n(z + i, lanes), s = vm_gelu_sigmoid(x);
        vf_store_n(sigmoid + i, s, lanes);
        vf_store_n(y + i, vf_mul(x, s), lanes);
    }
}

/* x *= gelu'(z) */
static void times_slope(float *x, const float *z, const float *sigmoid, int64_t n)
{
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf slope = vm_gelu_slope_of(vf_load_n(z + i, lanes), vf_load_n(sigmoid + i, lanes));
        vf_store_n(x + i, vf_mul(vf_load_n(x + i, lanes), slope), lanes);
    }
}

/* G1 = r back gelu'(z1) */
static void hidden_write(const ttt_tile *t)
{
    const int64_t hidden = t->map[0].out;
    for (int64_t i = 0; i < t->count; i++) {
        const vf r = vf_set(t->from.write[i * t->heads]);
        float *g1 = t->map[0].g + (t->first + i) * hidden;
        for (int64_t h = 0; h < hidden; h += VF) {
            const int64_t lanes = lanes_at(h, hidden), at = i * hidden + h;
            const vf slope = vm_gelu_slope_of(vf_load_n(t->work.z + at, lanes), vf_load_n(t->work.sigmoid + at, lanes));
            vf_store_n(g1 + h, vf_mul(r, vf_mul(vf_load_n(t->trace.back + at, lanes), slope)), lanes);
        }
    }
}

static void learner_mlp_forward(const ttt_tile *t)
{
    const ttt_trace *s = &t->trace;
    const ttt_map *second = &t->map[1];
    const int64_t hidden = second->in, n = t->count;
    keys_in(t);
    if (!t->replay && is_online(t))
        map_predict_both(t, 0, t->work.z, t->from.q, s->z_bar);
    else
        map_predict(t, 0, t->work.z);
    gelu_rows(second->x + t->first * hidden, t->work.sigmoid, t->work.z, n * hidden);
    if (!t->replay) {
        map_predict(t, 1, s->normal);
        inner_gradient(t);
        times_turned(t, n, hidden, second->out, 1, rows_of(s->g, second->out), rows_of(second->w, second->out), none(),
                     s->back, hidden);
    }
    map_write(t, 1, s->g);
    hidden_write(t);

    if (!t->replay) {
        if (!is_online(t)) map_apply(t, 0, rows_of(t->from.q, t->stride), s->z_bar);
        map_read(t, 0, rows_of(t->from.q, t->stride), s->z_bar);
        gelu_rows(t->work.abar, t->work.sigmoid_bar, s->z_bar, n * hidden);
        map_apply(t, 1, rows_of(t->work.abar, hidden), s->normal_bar);
        map_read(t, 1, rows_of(t->work.abar, hidden), s->normal_bar);
        read_norm(t);
    }
    map_end(t, 0);
    map_end(t, 1);
}

/* Backward of G1 = r back gelu'(z1), back = g2 W2^T, with dG1 in dmap: dz gets what reaches z1 by way of gelu',
 * work.dz2 (the gradient of g2, on entry by way of G2 alone) and dW2 what comes by way of back. work.rows is
 * overwritten. */
static void hidden_gradient_backward(const ttt_tile *t, float *dz, float *dg2)
{
    const ttt_map *f = &t->map[1], *d = &t->dmap[1];
    const int64_t hidden = f->in, n = t->count;
    float *dback = t->work.rows;
    for (int64_t i = 0; i < n; i++) {
        const float *dg = t->dmap[0].g + (t->first + i) * hidden;
        const vf r = vf_set(t->from.write[i * t->heads]);
        vs dwrite = vs_zero();
        for (int64_t h = 0; h < hidden; h += VS) {
            EACH_PART(p)
            {
                const int64_t lanes = part_lanes(h, p, hidden), at = i * hidden + h + p * VF;
                const vf z = vf_load_n(t->work.z + at, lanes), s = vf_load_n(t->work.sigmoid + at, lanes),
                         back = vf_load_n(t->trace.back + at, lanes), dgh = vf_load_n(dg + h + p * VF, lanes);
                const vf through = vf_mul(dgh, vm_gelu_slope_of(z, s)), u = vf_mul(r, dgh);
                dwrite.part[p] = vf_fma(through, back, dwrite.part[p]);
                vf_store_n(dback + at, vf_mul(r, through), lanes);
                vf_store_n(dz + at, vf_mul(vf_mul(u, back), vm_gelu_curve_of(z, s)), lanes);
            }
        }
        t->to.dwrite[i * t->heads] += vs_sum(dwrite);
    }
    mm(n, f->out, hidden, 1, rows_of(dback, hidden), rows_of(f->w, f->out), rows_of(dg2, f->out), dg2, f->out);
    mm(hidden, f->out, n, 1, columns_of(dback, hidden), rows_of(t->trace.g, f->out), rows_of(d->w, f->out), d->w,
       f->out);
}

static void learner_mlp_backward(const ttt_tile *t)
{
    const ttt_trace *s = &t->trace;
    const int64_t hidden = t->map[0].out, n = t->count;
    float *dz1 = t->work.dz, *dz2 = t->work.dz2, *dq = t->work.dx, *da = t->dmap[1].x + t->first * hidden;
    tile_backward_begin(t, 2);

    gelu_rows(t->work.abar, t->work.sigmoid_bar, s->z_bar, n * hidden);
    read_norm_backward(t, dz2);
    map_read_backward(t, 1, rows_of(t->work.abar, hidden), dz2, dz1);
    times_slope(dz1, s->z_bar, t->work.sigmoid_bar, n * hidden);
    map_read_backward(t, 0, rows_of(t->from.q, t->stride), dz1, dq);

    map_write_backward(t, 1, dz2);
    hidden_gradient_backward(t, dz1, dz2);
    inner_gradient_backward(t, dz2);
    map_predict_backward(t, 1, dz2);
    times_slope(da, t->work.z, t->work.sigmoid, n * hidden);
    row_add(dz1, 1, da, n * hidden);
    map_predict_backward(t, 0, dz1);
    inputs_backward(t, dq);
}

#endif
