/* SPDX-License-Identifier: MIT
 *
 * The TTT layer, MATH (layer): projections, convolutions and rotation make q, k, v; a gate makes the inner learning
 * rate; the learner reads and learns; its output is normalised, gated and projected.
 */
#include "layer/inspect.h"

static const ttt_learner_ops *learner_ops(const ttt_pass *pass, const ttt_layer_shape *shape)
{
    return shape->learner->ops(pass->backend);
}

static void *reals(ttt_arena *arena, const ttt_pass *pass, int64_t rows, int64_t columns)
{
    return ttt_arena_push(arena, rows * columns, pass->backend->real);
}

static int64_t learner_state(const ttt_layer_shape *shape, const ttt_learner_ops *ops)
{
    return shape->dims.heads * ops->state_size(ops, &shape->dims);
}
static int64_t tail_size(const ttt_layer_shape *shape)
{
    return shape->share_qk ? (shape->taps - 1) * shape->width : 0;
}

int64_t ttt_layer_state_size(const ttt_layer_shape *shape, const ttt_backend *backend)
{
    return learner_state(shape, shape->learner->ops(backend)) + tail_size(shape);
}

ttt_layer_saved ttt_layer_saved_layout(ttt_arena *arena, const ttt_layer_shape *shape, const ttt_pass *pass)
{
    const ttt_learner_ops *ops = learner_ops(pass, shape);
    const int64_t R = pass->rows, C = shape->width, H = shape->dims.heads;
    ttt_layer_saved saved = {0};
    if (shape->share_qk) {
        saved.u = reals(arena, pass, R, C);
        if (pass->train) saved.u_tail = reals(arena, pass, pass->run_count, tail_size(shape));
    }
    saved.q = reals(arena, pass, R, C);
    saved.k = reals(arena, pass, R, C);
    saved.v = reals(arena, pass, R, C);
    saved.rate = reals(arena, pass, R, H);
    saved.factor = reals(arena, pass, R, 1);
    saved.z = reals(arena, pass, R, C);
    if (shape->use_gate) saved.gate = reals(arena, pass, R, C);
    if (pass->train) {
        saved.learner_stride = ops->saved_size(ops, &shape->dims, pass->longest);
        saved.learner = reals(arena, pass, pass->run_count * H, saved.learner_stride);
    }
    return saved;
}

ttt_layer_scratch ttt_layer_scratch_layout(ttt_arena *arena, const ttt_layer_shape *shape, const ttt_pass *pass)
{
    const int64_t R = pass->rows, C = shape->width, H = shape->dims.heads;
    const ttt_learner_ops *ops = learner_ops(pass, shape);
    ttt_layer_scratch scratch = {.o = reals(arena, pass, R, C)};
    if (!pass->train) return scratch;
    scratch.dz = reals(arena, pass, R, C);
    scratch.dq = reals(arena, pass, R, C);
    scratch.dk = reals(arena, pass, R, C);
    scratch.dv = reals(arena, pass, R, C);
    if (shape->share_qk) scratch.du = reals(arena, pass, R, C);
    if (shape->use_gate) scratch.dgate = reals(arena, pass, R, C);
    scratch.drate = reals(arena, pass, R, H);
    scratch.dfactor = reals(arena, pass, R, H);
    scratch.partial = reals(arena, pass, pass->run_count * H, ops->partial_size(ops, &shape->dims));
    return scratch;
}

static ttt_learner_call learner_call(const ttt_pass *pass, const ttt_layer_shape *shape,
                                     const ttt_layer_weights *weights)
{
    return (ttt_learner_call){.dims = shape->dims,
                              .runs = pass->runs,
                              .run_count = pass->run_count,
                              .state_offset = shape->state_offset,
                              .params = weights->learner};
}

void ttt_layer_reset(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights)
{
    const ttt_backend *b = pass->backend;
    const ttt_learner_call call = learner_call(pass, shape, weights);
    learner_ops(pass, shape)->reset(learner_ops(pass, shape), b, &call);
    const int64_t tail = shape->state_offset + learner_state(shape, learner_ops(pass, shape));
    for (int64_t n = 0; n < pass->run_count; n++)
        b->ops->zero(b, ttt_at(b, pass->runs[n].state, tail), tail_size(shape));
}

void ttt_layer_reset_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *grads)
{
    ttt_learner_call call = learner_call(pass, shape, grads);
    call.dparams = grads->learner;
    learner_ops(pass, shape)->reset_backward(learner_ops(pass, shape), pass->backend, &call);
}

/* q, k, v of the tokens, q and k rotated. */
static void project(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *w,
                    const ttt_layer_saved *s, const void *x)
{
    const ttt_backend *b = pass->backend;
    const ttt_learner_dims *d = &shape->dims;
    if (shape->share_qk) {
        const int64_t tail = shape->state_offset + learner_state(shape, learner_ops(pass, shape));
        b->ops->linear(b, s->u, x, &w->q, pass->rows, false);
        for (int64_t n = 0; pass->train && n < pass->run_count; n++)
            b->ops->copy(b, ttt_at(b, s->u_tail, n * tail_size(shape)), ttt_at(b, pass->runs[n].state, tail),
                         tail_size(shape));
        b->ops->conv(b, s->q, s->u, w->conv_q.values, w->conv_q_bias.values, pass->runs, pass->run_count, tail,
                     shape->width, shape->taps);
        b->ops->conv(b, s->k, s->u, w->conv_k.values, w->conv_k_bias.values, pass->runs, pass->run_count, tail,
                     shape->width, shape->taps);
        b->ops->conv_tail(b, s->u, pass->runs, pass->run_count, tail, shape->width, shape->taps);
    } else {
        b->ops->linear(b, s->q, x, &w->q, pass->rows, false);
        b->ops->linear(b, s->k, x, &w->k, pass->rows, false);
    }
    b->ops->linear(b, s->v, x, &w->v, pass->rows, false);
    b->ops->rotate(b, s->q, shape->rotation, pass->runs, pass->run_count, d->heads, d->key_size, d->mini_batch, false);
    b->ops->rotate(b, s->k, shape->rotation, pass->runs, pass->run_count, d->heads, d->key_size, d->mini_batch, false);
}

static double rate_scale(const ttt_layer_shape *shape) { return shape->base_lr / (double)shape->dims.key_size; }

/* r_j = base_lr sigmoid(x_j . w_lr + b_lr) / D and c_i */
static void rates(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *w,
                  const ttt_layer_saved *s, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t H = shape->dims.heads;
    b->ops->linear(b, s->rate, x, &w->rate, pass->rows, false);
    b->ops->rate(b, s->rate, w->rate_bias.values, pass->rows, H, rate_scale(shape));
    for (int64_t n = 0; n < pass->run_count; n++)
        if (pass->runs[n].frozen) b->ops->zero(b, ttt_at(b, s->rate, pass->runs[n].row * H), pass->runs[n].count * H);
    b->ops->position_factor(b, s->factor, w->token_idx.values, pass->runs, pass->run_count, shape->dims.mini_batch);
}

void ttt_layer_forward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights,
                       const ttt_layer_saved *saved, const ttt_layer_scratch *scratch, void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    project(pass, shape, weights, saved, x);
    rates(pass, shape, weights, saved, x);
    ttt_learner_call call = learner_call(pass, shape, weights);
    call.q = saved->q;
    call.k = saved->k;
    call.v = saved->v;
    call.write = saved->rate;
    call.read = saved->factor;
    call.out = saved->z;
    call.saved = saved->learner;
    call.saved_stride = saved->learner_stride;
    if (pass->inspection) ttt_inspect_before(pass, shape);
    learner_ops(pass, shape)->forward(learner_ops(pass, shape), b, &call);
    if (pass->inspection) ttt_inspect_after(pass, shape, &call);
    if (shape->use_gate) b->ops->linear(b, saved->gate, x, &weights->gate, pass->rows, false);
    b->ops->norm_gate(b, scratch->o, saved->z, weights->post.values, weights->post_bias.values, saved->gate, pass->rows,
                      shape->width);
    b->ops->linear(b, y, scratch->o, &weights->o, pass->rows, true);
}

/* Through the output projection, the gate and the norm, down to the learner's output. Sets dx to the gate's part. */
static void output_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *w,
                            const ttt_layer_weights *g, const ttt_layer_saved *s, const ttt_layer_scratch *t, void *dx,
                            const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width;
    b->ops->linear_backward_input(b, t->o, dy, &w->o, R, false); /* the gradient of o, and after this o itself: */
    b->ops->norm_gate_backward(b, t->dz, t->dgate, g->post.values, g->post_bias.values, t->o, s->z, w->post.values,
                               w->post_bias.values, s->gate, R, C);
    b->ops->linear_backward_weight(b, &g->o, dy, t->o, R);
    b->ops->zero(b, dx, R * C);
    if (!shape->use_gate) return;
    b->ops->linear_backward_weight(b, &g->gate, t->dgate, x, R);
    b->ops->linear_backward_input(b, dx, t->dgate, &w->gate, R, true);
}

/* From dq, dk, dv (rotated back) to dx. */
static void project_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *w,
                             const ttt_layer_weights *g, const ttt_layer_saved *s, const ttt_layer_scratch *t, void *dx,
                             const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width, runs = pass->run_count;
    b->ops->linear_backward_weight(b, &g->v, t->dv, x, R);
    b->ops->linear_backward_input(b, dx, t->dv, &w->v, R, true);
    if (shape->share_qk) {
        const int64_t tail = shape->state_offset + learner_state(shape, learner_ops(pass, shape));
        b->ops->zero(b, t->du, R * C);
        b->ops->conv_tail_backward(b, t->du, pass->runs, runs, tail, C, shape->taps);
        b->ops->conv_backward(b, t->du, g->conv_q.values, g->conv_q_bias.values, t->dq, s->u, s->u_tail,
                              w->conv_q.values, pass->runs, runs, tail, C, shape->taps);
        b->ops->conv_backward(b, t->du, g->conv_k.values, g->conv_k_bias.values, t->dk, s->u, s->u_tail,
                              w->conv_k.values, pass->runs, runs, tail, C, shape->taps);
        b->ops->linear_backward_weight(b, &g->q, t->du, x, R);
        b->ops->linear_backward_input(b, dx, t->du, &w->q, R, true);
    } else {
        b->ops->linear_backward_weight(b, &g->q, t->dq, x, R);
        b->ops->linear_backward_input(b, dx, t->dq, &w->q, R, true);
        b->ops->linear_backward_weight(b, &g->k, t->dk, x, R);
        b->ops->linear_backward_input(b, dx, t->dk, &w->k, R, true);
    }
}

void ttt_layer_backward(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_layer_weights *weights,
                        const ttt_layer_weights *grads, const ttt_layer_saved *saved, const ttt_layer_scratch *scratch,
                        void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const ttt_learner_dims *d = &shape->dims;
    output_backward(pass, shape, weights, grads, saved, scratch, dx, dy, x);

    ttt_learner_call call = learner_call(pass, shape, weights);
    call.q = saved->q;
    call.k = saved->k;
    call.v = saved->v;
    call.write = saved->rate;
    call.read = saved->factor;
    call.saved = saved->learner;
    call.saved_stride = saved->learner_stride;
    call.dout = scratch->dz;
    call.dq = scratch->dq;
    call.dk = scratch->dk;
    call.dv = scratch->dv;
    call.dwrite = scratch->drate;
    call.dread = scratch->dfactor;
    call.dparams = grads->learner;
    call.partial = scratch->partial;
    learner_ops(pass, shape)->backward(learner_ops(pass, shape), b, &call);

    b->ops->position_factor_backward(b, grads->token_idx.values, scratch->dfactor, weights->token_idx.values,
                                     pass->runs, pass->run_count, d->mini_batch, d->heads);
    b->ops->rate_backward(b, scratch->drate, grads->rate_bias.values, saved->rate, pass->rows, d->heads,
                          rate_scale(shape));
    b->ops->linear_backward_weight(b, &grads->rate, scratch->drate, x, pass->rows);
    b->ops->linear_backward_input(b, dx, scratch->drate, &weights->rate, pass->rows, true);
    b->ops->rotate(b, scratch->dq, shape->rotation, pass->runs, pass->run_count, d->heads, d->key_size, d->mini_batch,
                   true);
    b->ops->rotate(b, scratch->dk, shape->rotation, pass->runs, pass->run_count, d->heads, d->key_size, d->mini_batch,
                   true);
    project_backward(pass, shape, weights, grads, saved, scratch, dx, x);
}
