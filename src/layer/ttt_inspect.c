/* SPDX-License-Identifier: MIT
 *
 * Looks into the inner loop while a layer runs: what the learner's loss was with the weights it began with, those of
 * the mini-batch's start and those after it, MATH (inner).
 */
#include "layer/ttt.h"

/* Weights and open sums of one head. */
static int64_t head_reals(const ttt_layer *layer, const ttt_backend *b)
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    return 2 * ops->weights_size(ops, &ttt_shape_of(layer)->dims);
}

int64_t ttt_inspect_size(const ttt_layer *layer, const ttt_backend *b)
{
    return ttt_shape_of(layer)->dims.heads * head_reals(layer, b);
}

static void read_weights(const ttt_layer *layer, const ttt_backend *b, const void *state, int64_t head, void *weights)
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    ops->weights(ops, b, dims, ttt_at(b, state, layer->state_offset + head * ops->state_size(ops, dims)), weights);
}

static void *kept(const ttt_layer *layer, const ttt_pass *pass, int64_t run, int64_t head)
{
    return ttt_at(pass->backend, pass->inspection->before,
                  run * ttt_inspect_size(layer, pass->backend) + head * head_reals(layer, pass->backend));
}

void ttt_inspect_before(const ttt_layer *layer, const ttt_pass *pass)
{
    for (int64_t n = 0; n < pass->run_count; n++)
        for (int64_t h = 0; h < ttt_shape_of(layer)->dims.heads; h++)
            read_weights(layer, pass->backend, pass->runs[n].state, h, kept(layer, pass, n, h));
}

void ttt_inspect_after(const ttt_layer *layer, const ttt_pass *pass, const ttt_learner_call *call)
{
    const ttt_backend *b = pass->backend;
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const ttt_learner_dims *dims = &call->dims;
    const int64_t H = dims->heads, D = dims->key_size;
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        if ((run->position + run->count) % dims->mini_batch != 0) continue;
        double *losses = pass->inspection->losses + (layer->number * pass->run_count + n) * 3;
        losses[0] = losses[1] = losses[2] = 0;
        for (int64_t h = 0; h < H; h++) {
            const int64_t at = ((run->row + run->count - 1) * H + h) * D;
            const void *k = ttt_at(b, call->k, at), *v = ttt_at(b, call->v, at);
            void *weights = kept(layer, pass, n, h);
            losses[1] += ops->loss(ops, b, dims, call->params, h, weights, k, v) / (double)H;
            read_weights(layer, b, pass->inspection->first, h, weights);
            losses[0] += ops->loss(ops, b, dims, call->params, h, weights, k, v) / (double)H;
            read_weights(layer, b, run->state, h, weights);
            losses[2] += ops->loss(ops, b, dims, call->params, h, weights, k, v) / (double)H;
        }
    }
}
