/* SPDX-License-Identifier: MIT
 *
 * One tile of the linear learner: z = k W + b, out = q + LN(zbar). Formulas: docs/MATH.md, "Learners".
 */
#ifndef TTT_CPU_BODY_LEARNER_LINEAR_H
#define TTT_CPU_BODY_LEARNER_LINEAR_H

#include "cpu/body_learner.h"

static void learner_linear_forward(const ttt_tile *t)
{
    keys_in(t);
    if (!t->replay) {
        if (is_online(t)) {
            map_predict_both(t, 0, t->trace.normal, t->from.q, t->trace.normal_bar);
        } else {
            map_predict(t, 0, t->trace.normal);
            map_apply(t, 0, rows_of(t->from.q, t->stride), t->trace.normal_bar);
        }
        inner_gradient(t);
    }
    map_write(t, 0, t->trace.g);
    if (!t->replay) {
        map_read(t, 0, rows_of(t->from.q, t->stride), t->trace.normal_bar);
        read_norm(t);
    }
    map_end(t, 0);
}

static void learner_linear_backward(const ttt_tile *t)
{
    float *dz = t->work.dz, *dq = t->work.dx;
    tile_backward_begin(t, 1);

    read_norm_backward(t, dz);
    map_read_backward(t, 0, rows_of(t->from.q, t->stride), dz, dq);

    map_write_backward(t, 0, dz);
    inner_gradient_backward(t, dz);
    map_predict_backward(t, 0, dz);
    inputs_backward(t, dq);
}

#endif
