/* SPDX-License-Identifier: MIT */
#include "train/backprop.h"

#include <string.h>

#include "base/alloc.h"

static int64_t segment_count(const ttt_backprop *p) { return (p->context + p->segment - 1) / p->segment; }
static size_t states_bytes(const ttt_backprop *p)
{
    return ttt_size_times(p->sequences, (size_t)p->lm->state_size * p->lm->backend->real);
}

static ttt_backprop plan(const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment, bool recompute)
{
    return (ttt_backprop){.lm = lm,
                          .sequences = sequences,
                          .context = context,
                          .recompute = recompute,
                          .segment = segment > 0 && segment < context ? segment : context};
}

/* States at the starts of segments that are kept: some of the forward will be computed again from there. */
static int64_t kept_starts(const ttt_backprop *p)
{
    return segment_count(p) > 1 || p->recompute ? segment_count(p) : 0;
}

static ttt_pass largest_pass(const ttt_backprop *p)
{
    return (ttt_pass){.backend = p->lm->backend,
                      .run_count = p->sequences,
                      .rows = p->sequences * p->segment,
                      .longest = p->segment,
                      .train = true,
                      .recompute = p->recompute};
}

size_t ttt_backprop_bytes(const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment, bool recompute)
{
    const ttt_backprop p = plan(lm, sequences, context, segment, recompute);
    const ttt_pass pass = largest_pass(&p);
    return ttt_size_add(ttt_workspace_bytes(lm, &pass), ttt_size_times(kept_starts(&p) + 2, states_bytes(&p)));
}

ttt_status ttt_backprop_init(ttt_backprop *p, const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment,
                             bool recompute)
{
    *p = plan(lm, sequences, context, segment, recompute);
    const ttt_pass pass = largest_pass(p);
    TTT_TRY(ttt_workspace_init(&p->workspace, lm, &pass));
    p->starts = ttt_alloc((size_t)kept_starts(p), states_bytes(p));
    p->states = ttt_alloc(1, states_bytes(p));
    p->dstates = ttt_alloc(1, states_bytes(p));
    p->runs = ttt_alloc((size_t)sequences, sizeof *p->runs);
    p->ids = ttt_alloc((size_t)pass.rows, sizeof *p->ids);
    p->targets = ttt_alloc((size_t)pass.rows, sizeof *p->targets);
    if (p->starts && p->states && p->dstates && p->runs && p->ids && p->targets) return TTT_OK;
    ttt_backprop_deinit(p);
    return TTT_ERR_MEMORY;
}

void ttt_backprop_deinit(ttt_backprop *p)
{
    ttt_workspace_deinit(&p->workspace);
    ttt_free(p->starts);
    ttt_free(p->states);
    ttt_free(p->dstates);
    ttt_free(p->runs);
    ttt_free(p->ids);
    ttt_free(p->targets);
    *p = (ttt_backprop){0};
}

/* The pass of segment `index`: its rows, ids and targets; the states are those in p->states. */
static ttt_pass segment_pass(ttt_backprop *p, int64_t index, const int32_t *tokens)
{
    const int64_t first = index * p->segment;
    const int64_t count = p->context - first < p->segment ? p->context - first : p->segment;
    const size_t state = states_bytes(p) / (size_t)p->sequences;
    for (int64_t n = 0; n < p->sequences; n++) {
        const int32_t *sequence = tokens + n * (p->context + 1) + first;
        memcpy(p->ids + n * count, sequence, (size_t)count * sizeof *p->ids);
        memcpy(p->targets + n * count, sequence + 1, (size_t)count * sizeof *p->targets);
        p->runs[n] = (ttt_run){.row = n * count,
                               .count = count,
                               .position = first,
                               .state = p->states + (size_t)n * state,
                               .dstate = p->dstates + (size_t)n * state};
    }
    return (ttt_pass){.backend = p->lm->backend,
                      .runs = p->runs,
                      .run_count = p->sequences,
                      .rows = p->sequences * count,
                      .longest = count,
                      .train = true,
                      .recompute = p->recompute};
}

/* Final norm, head and cross entropy, a chunk of rows at a time so that [R,V] is never held. With grads, workspace.dh
 * becomes the gradient of the residual stream. The losses of all rows end in workspace.losses. */
static void loss_and_head(ttt_backprop *p, const ttt_pass *pass, const ttt_lm_weights *weights,
                          const ttt_lm_weights *grads, double scale)
{
    const ttt_lm *lm = p->lm;
    const ttt_backend *b = lm->backend;
    const ttt_workspace *w = &p->workspace;
    const int64_t R = pass->rows, C = lm->config.hidden_size, V = lm->config.vocab_size;
    void *x = w->scratch.x, *dx = w->scratch.dx;
    b->ops->rmsnorm(b, x, w->h, weights->norm.values, R, C, lm->config.rms_norm_eps);
    for (int64_t row = 0; row < R; row += w->chunk) {
        const int64_t rows = R - row < w->chunk ? R - row : w->chunk;
        b->ops->linear(b, w->logits, ttt_at(b, x, row * C), &weights->head, rows, false);
        b->ops->cross_entropy(b, w->losses + row, w->logits, p->targets + row, rows, V, grads ? scale : 0);
        if (!grads) continue;
        b->ops->linear_backward_weight(b, &grads->head, w->logits, ttt_at(b, x, row * C), rows);
        b->ops->linear_backward_input(b, ttt_at(b, dx, row * C), w->logits, &weights->head, rows, false);
    }
    if (!grads) return;
    b->ops->zero(b, w->dh, R * C);
    b->ops->rmsnorm_backward(b, w->dh, grads->norm.values, dx, w->h, weights->norm.values, R, C,
                             lm->config.rms_norm_eps);
}

/* Computes a block's activations again, from its input and the states at the segment's start. Those of the last block
 * are still there. */
static void block_again(const ttt_backprop *p, const ttt_pass *pass, const ttt_lm_weights *weights, int64_t block)
{
    const ttt_lm *lm = p->lm;
    const ttt_backend *b = lm->backend;
    const ttt_workspace *w = &p->workspace;
    const int64_t size = pass->rows * lm->config.hidden_size;
    if (block + 1 == lm->config.num_hidden_layers) return;
    b->ops->copy(b, w->h, ttt_at(b, w->inputs, block * size), size);
    ttt_block_forward(pass, &lm->blocks[block], &weights->blocks[block], &w->saved[block], &w->scratch, w->h);
}

static void blocks_backward(ttt_backprop *p, const ttt_pass *pass, const ttt_lm_weights *weights,
                            const ttt_lm_weights *grads)
{
    const ttt_lm *lm = p->lm;
    const ttt_workspace *w = &p->workspace;
    for (int64_t i = lm->config.num_hidden_layers - 1; i >= 0; i--) {
        if (p->recompute) block_again(p, pass, weights, i);
        ttt_block_backward(pass, &lm->blocks[i], &weights->blocks[i], &grads->blocks[i], &w->saved[i], &w->scratch,
                           w->dh);
    }
    lm->backend->ops->embed_backward(lm->backend, &grads->embedding, p->ids, w->dh, pass->rows);
}

static double add_losses(const ttt_backprop *p, const ttt_pass *pass, double *losses)
{
    double total = 0;
    for (int64_t n = 0; n < pass->run_count; n++) {
        double sum = 0;
        for (int64_t t = 0; t < pass->runs[n].count; t++) sum += p->workspace.losses[pass->runs[n].row + t];
        if (losses) losses[n] += sum;
        total += sum;
    }
    return total;
}

double ttt_backprop_run(ttt_backprop *p, const ttt_lm_weights *weights, const ttt_lm_weights *grads,
                        const int32_t *tokens, double scale, double *losses)
{
    const ttt_lm *lm = p->lm;
    const ttt_backend *b = lm->backend;
    const int64_t segments = segment_count(p), states = p->sequences * lm->state_size;
    double loss = 0;
    if (losses) memset(losses, 0, (size_t)p->sequences * sizeof *losses);
    ttt_pass pass = segment_pass(p, 0, tokens);
    ttt_lm_reset(lm, &pass, weights);
    for (int64_t s = 0; s < segments; s++) { /* to the end, keeping the states at the starts */
        pass = segment_pass(p, s, tokens);
        if (kept_starts(p) > 0) b->ops->copy(b, ttt_at(b, p->starts, s * states), p->states, states);
        ttt_lm_blocks_forward(lm, &pass, weights, &p->workspace, p->ids, NULL);
        if (grads) continue;
        loss_and_head(p, &pass, weights, NULL, 0);
        loss += add_losses(p, &pass, losses);
    }
    if (!grads) return loss;
    b->ops->zero(b, p->dstates, states);
    for (int64_t s = segments - 1; s >= 0; s--) {
        if (s < segments - 1) { /* the last one is still as the loop above left it */
            pass = segment_pass(p, s, tokens);
            b->ops->copy(b, p->states, ttt_at(b, p->starts, s * states), states);
            ttt_lm_blocks_forward(lm, &pass, weights, &p->workspace, p->ids, NULL);
        }
        loss_and_head(p, &pass, weights, grads, scale);
        loss += add_losses(p, &pass, losses);
        if (p->recompute) b->ops->copy(b, p->states, ttt_at(b, p->starts, s * states), states);
        blocks_backward(p, &pass, weights, grads);
    }
    for (int64_t i = 0; i < lm->config.num_hidden_layers; i++)
        ttt_layer_reset_backward(&pass, &lm->blocks[i].layer, &grads->blocks[i].layer);
    return loss;
}
