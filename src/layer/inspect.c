/* SPDX-License-Identifier: MIT */
#include "layer/inspect.h"

static void read_weights(const ttt_pass *pass, const ttt_layer_shape *shape, const void *state, int64_t head,
                         void *weights)
{
    const ttt_learner_ops *ops = shape->learner->ops(pass->backend);
    const int64_t offset = shape->state_offset + head * ops->state_size(ops, &shape->dims);
    ops->weights(ops, pass->backend, &shape->dims, ttt_at(pass->backend, state, offset), weights);
}

static void *kept(const ttt_pass *pass, const ttt_layer_shape *shape, int64_t run, int64_t head)
{
    const ttt_learner_ops *ops = shape->learner->ops(pass->backend);
    const int64_t size = 2 * ops->weights_size(ops, &shape->dims);
    return ttt_at(pass->backend, pass->inspection->before, (run * shape->dims.heads + head) * size);
}

void ttt_inspect_before(const ttt_pass *pass, const ttt_layer_shape *shape)
{
    for (int64_t n = 0; n < pass->run_count; n++)
        for (int64_t h = 0; h < shape->dims.heads; h++)
            read_weights(pass, shape, pass->runs[n].state, h, kept(pass, shape, n, h));
}

void ttt_inspect_after(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_learner_call *call)
{
    const ttt_backend *b = pass->backend;
    const ttt_learner_ops *ops = shape->learner->ops(b);
    const int64_t H = shape->dims.heads, D = shape->dims.key_size, K = shape->dims.mini_batch;
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        if ((run->position + run->count) % K != 0) continue;
        double *losses = pass->inspection->losses + (pass->inspection->layer * pass->run_count + n) * 3;
        losses[0] = losses[1] = losses[2] = 0;
        for (int64_t h = 0; h < H; h++) {
            const int64_t at = ((run->row + run->count - 1) * H + h) * D;
            const void *k = ttt_at(b, call->k, at), *v = ttt_at(b, call->v, at);
            void *weights = kept(pass, shape, n, h);
            losses[1] += ops->loss(ops, b, &shape->dims, call->params, h, weights, k, v) / (double)H;
            read_weights(pass, shape, pass->inspection->first, h, weights);
            losses[0] += ops->loss(ops, b, &shape->dims, call->params, h, weights, k, v) / (double)H;
            read_weights(pass, shape, run->state, h, weights);
            losses[2] += ops->loss(ops, b, &shape->dims, call->params, h, weights, k, v) / (double)H;
        }
    }
}
