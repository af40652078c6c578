/* SPDX-License-Identifier: MIT
 *
 * MATH (block): h += conv(RMSNorm(h)) with pre_conv; h += TTT(RMSNorm(h)); h += SwiGLU(RMSNorm(h)). Norms are
 * recomputed in the backward from the h that went into them.
 */
#include "layer/layer.h"

static void *reals(ttt_arena *arena, const ttt_pass *pass, int64_t rows, int64_t columns)
{
    return ttt_arena_push(arena, rows * columns, pass->backend->real);
}

static int64_t tail_size(const ttt_block_shape *shape)
{
    return shape->pre_conv ? (shape->taps - 1) * shape->width : 0;
}

int64_t ttt_block_state_size(const ttt_block_shape *shape, const ttt_backend *backend)
{
    return ttt_layer_state_size(&shape->layer, backend) + tail_size(shape);
}

ttt_block_saved ttt_block_saved_layout(ttt_arena *arena, const ttt_block_shape *shape, const ttt_pass *pass)
{
    const int64_t R = pass->rows, C = shape->width, F = shape->hidden;
    ttt_block_saved saved = {0};
    if (pass->train) {
        if (shape->pre_conv) {
            saved.conv_in = reals(arena, pass, R, C);
            saved.conv_tail = reals(arena, pass, pass->run_count, tail_size(shape));
        }
        saved.layer_in = reals(arena, pass, R, C);
        saved.ffn_in = reals(arena, pass, R, C);
    }
    saved.gate = reals(arena, pass, R, F);
    saved.up = reals(arena, pass, R, F);
    saved.layer = ttt_layer_saved_layout(arena, &shape->layer, pass);
    return saved;
}

ttt_block_scratch ttt_block_scratch_layout(ttt_arena *arena, const ttt_block_shape *shape, const ttt_pass *pass)
{
    const int64_t R = pass->rows, C = shape->width, F = shape->hidden;
    ttt_block_scratch scratch = {
        .x = reals(arena, pass, R, C), .dx = reals(arena, pass, R, C), .hidden = reals(arena, pass, R, F)};
    scratch.layer = ttt_layer_scratch_layout(arena, &shape->layer, pass);
    return scratch;
}

static void keep(const ttt_pass *pass, void *kept, const void *h, int64_t n)
{
    if (pass->train) pass->backend->ops->copy(pass->backend, kept, h, n);
}

void ttt_block_forward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *weights,
                       const ttt_block_saved *saved, const ttt_block_scratch *scratch, void *h)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width, F = shape->hidden;
    if (shape->pre_conv) {
        keep(pass, saved->conv_in, h, R * C);
        for (int64_t n = 0; n < pass->run_count; n++)
            keep(pass, ttt_at(b, saved->conv_tail, n * tail_size(shape)),
                 ttt_at(b, pass->runs[n].state, shape->conv_offset), tail_size(shape));
        b->ops->rmsnorm(b, scratch->x, h, weights->conv_norm.values, R, C, shape->eps);
        b->ops->conv(b, scratch->dx, scratch->x, weights->conv.values, weights->conv_bias.values, pass->runs,
                     pass->run_count, shape->conv_offset, C, shape->taps);
        b->ops->conv_tail(b, scratch->x, pass->runs, pass->run_count, shape->conv_offset, C, shape->taps);
        b->ops->add(b, h, scratch->dx, R * C);
    }
    keep(pass, saved->layer_in, h, R * C);
    b->ops->rmsnorm(b, scratch->x, h, weights->seq_norm.values, R, C, shape->eps);
    ttt_layer_forward(pass, &shape->layer, &weights->layer, &saved->layer, &scratch->layer, h, scratch->x);

    keep(pass, saved->ffn_in, h, R * C);
    b->ops->rmsnorm(b, scratch->x, h, weights->ffn_norm.values, R, C, shape->eps);
    b->ops->linear(b, saved->gate, scratch->x, &weights->gate, R, false);
    b->ops->linear(b, saved->up, scratch->x, &weights->up, R, false);
    b->ops->swiglu(b, scratch->hidden, saved->gate, saved->up, R * F);
    b->ops->linear(b, h, scratch->hidden, &weights->down, R, true);
}

static void ffn_backward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *w,
                         const ttt_block_weights *g, const ttt_block_saved *s, const ttt_block_scratch *t, void *dh)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width, F = shape->hidden;
    b->ops->rmsnorm(b, t->x, s->ffn_in, w->ffn_norm.values, R, C, shape->eps);
    b->ops->linear_backward_input(b, t->hidden, dh, &w->down, R, false);
    b->ops->swiglu_backward(b, t->hidden, s->gate, s->up, R * F); /* gate and up: now their gradients */
    b->ops->linear_backward_weight(b, &g->down, dh, t->hidden, R);
    b->ops->linear_backward_weight(b, &g->gate, s->gate, t->x, R);
    b->ops->linear_backward_weight(b, &g->up, s->up, t->x, R);
    b->ops->linear_backward_input(b, t->dx, s->gate, &w->gate, R, false);
    b->ops->linear_backward_input(b, t->dx, s->up, &w->up, R, true);
    b->ops->rmsnorm_backward(b, dh, g->ffn_norm.values, t->dx, s->ffn_in, w->ffn_norm.values, R, C, shape->eps);
}

static void pre_conv_backward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *w,
                              const ttt_block_weights *g, const ttt_block_saved *s, const ttt_block_scratch *t,
                              void *dh)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width, taps = shape->taps;
    b->ops->rmsnorm(b, t->x, s->conv_in, w->conv_norm.values, R, C, shape->eps);
    b->ops->zero(b, t->dx, R * C);
    b->ops->conv_tail_backward(b, t->dx, pass->runs, pass->run_count, shape->conv_offset, C, taps);
    b->ops->conv_backward(b, t->dx, g->conv.values, g->conv_bias.values, dh, t->x, s->conv_tail, w->conv.values,
                          pass->runs, pass->run_count, shape->conv_offset, C, taps);
    b->ops->rmsnorm_backward(b, dh, g->conv_norm.values, t->dx, s->conv_in, w->conv_norm.values, R, C, shape->eps);
}

void ttt_block_backward(const ttt_pass *pass, const ttt_block_shape *shape, const ttt_block_weights *weights,
                        const ttt_block_weights *grads, const ttt_block_saved *saved, const ttt_block_scratch *scratch,
                        void *dh)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = shape->width;
    ffn_backward(pass, shape, weights, grads, saved, scratch, dh);
    b->ops->rmsnorm(b, scratch->x, saved->layer_in, weights->seq_norm.values, R, C, shape->eps);
    ttt_layer_backward(pass, &shape->layer, &weights->layer, &grads->layer, &saved->layer, &scratch->layer, scratch->dx,
                       dh, scratch->x);
    b->ops->rmsnorm_backward(b, dh, grads->seq_norm.values, scratch->dx, saved->layer_in, weights->seq_norm.values, R,
                             C, shape->eps);
    if (shape->pre_conv) pre_conv_backward(pass, shape, weights, grads, saved, scratch, dh);
}
