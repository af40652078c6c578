/* SPDX-License-Identifier: MIT
 *
 * One tile of the linear learner: z = k W + b, out = q + LN(zbar). Formulas: docs/MATH.md, "Learners".
 */
#ifndef TTT_CPU_BODY_LEARNER_LINEAR_H
#define TTT_CPU_BODY_LEARNER_LINEAR_H

#include "cpu/body_learner.h"

static void learner_linear_forward(const ttt_tile *t)
{
    const ttt_map *f = &t->map[0];
    transpose(f->x + t->first, f->slots, t->k, t->stride, t->count, f->in);
    map_predict(t, 0, t->trace.normal);
    inner_gradient(t);
    map_write(t, 0, t->trace.g);
    map_read(t, 0, rows_of(t->q, t->stride), t->trace.normal_bar);
    read_norm(t);
    map_end(t, 0);
}

/* What the kernels for both learners begin with: the rows G as columns, dread to zero, and the end of the tile. */
static void learner_backward_begin(const ttt_tile *t, int maps)
{
    for (int64_t i = 0; i < t->count; i++) t->dread[i * t->heads] = 0;
    for (int m = 0; m < maps; m++) {
        const ttt_map *f = &t->map[m];
        transpose(t->work.g_turned[m], TTT_TILE, f->g, f->out, t->first + t->count, f->out);
        map_end_backward(t, m);
    }
}

static void learner_linear_backward(const ttt_tile *t)
{
    const ttt_map *d = &t->dmap[0];
    const int64_t D = t->head_size;
    float *dz = t->work.dz;
    learner_backward_begin(t, 1);

    read_norm_backward(t, dz);
    map_read_backward(t, 0, rows_of(t->q, t->stride), dz);
    add_columns(t, t->dq, t->dout, t->stride, t->work.dx, TTT_TILE);

    for (int64_t i = 0; i < t->count; i++) { /* G = r g */
        const float *dg = d->g + (t->first + i) * D;
        t->dwrite[i * t->heads] = row_dot(dg, t->trace.g + i * D, D);
        row_axpy(dz + i * D, NULL, t->write[i * t->heads], dg, D);
    }
    inner_gradient_backward(t, dz);
    map_predict_backward(t, 0, dz);
    add_columns(t, t->dk, t->work.dk, D, d->x + t->first, d->slots);
}

#endif
