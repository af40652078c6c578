/* SPDX-License-Identifier: MIT */
#include "train/backprop.h"

#include <string.h>

#include "base/alloc.h"

static int64_t segment_count(const ttt_backprop *p) { return (p->context + p->segment - 1) / p->segment; }
static size_t states_bytes(const ttt_backprop *p)
{
    return ttt_size_times(p->sequences, (size_t)p->lm->stack.state_size * p->lm->backend->real);
}

static ttt_backprop plan(const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment, bool recompute)
{
    return (ttt_backprop){.lm = lm,
                          .sequences = sequences,
                          .context = context,
                          .recompute = recompute,
                          .rate_factor = 1,
                          .segment = segment > 0 && segment < context ? segment : context};
}

/* States at the starts of segments that are kept: some of the forward will be computed again from there. What layers
 * keep of every token needs no copies, since nothing in it is overwritten. */
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
                      .keeps_all = true};
}

/* Reals of what a layer keeps of every token of one sequence. */
static int64_t grown_size(const ttt_backprop *p, int64_t layer)
{
    return ttt_lm_grown_rows(p->lm, layer, p->context, true) *
           ttt_layer_state(&p->lm->stack.layers[layer], p->lm->backend).per_token;
}

size_t ttt_backprop_bytes(const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment, bool recompute)
{
    const ttt_backprop p = plan(lm, sequences, context, segment, recompute);
    const ttt_pass pass = largest_pass(&p);
    size_t bytes = ttt_size_add(ttt_workspace_bytes(lm, &pass, recompute),
                                ttt_size_times(kept_starts(&p) + 2, states_bytes(&p)));
    for (int64_t i = 0; i < lm->stack.layer_count; i++)
        bytes = ttt_size_add(bytes, ttt_size_times(2 * sequences, (size_t)grown_size(&p, i) * lm->backend->real));
    return bytes;
}

/* Blocks of what grows and of its gradient, and every sequence's place in them. */
static ttt_status init_grown(ttt_backprop *p)
{
    const ttt_backend *b = p->lm->backend;
    const int64_t layers = p->lm->stack.layer_count, B = p->sequences;
    p->grown = ttt_alloc(2 * (size_t)layers, sizeof *p->grown);
    p->places = ttt_alloc(2 * (size_t)(B * layers), sizeof *p->places);
    if (!p->grown || !p->places) return TTT_ERR_MEMORY;
    for (int64_t i = 0; i < 2 * layers; i++) {
        const int64_t size = grown_size(p, i % layers);
        if (size == 0) continue;
        p->grown[i] = b->ops->alloc(b, B * size, b->real);
        if (!p->grown[i]) return TTT_ERR_MEMORY;
        for (int64_t n = 0; n < B; n++)
            p->places[(i / layers * B + n) * layers + i % layers] = ttt_at(b, p->grown[i], n * size);
    }
    return TTT_OK;
}

static ttt_status init(ttt_backprop *p)
{
    const ttt_backend *b = p->lm->backend;
    const ttt_pass pass = largest_pass(p);
    TTT_TRY(ttt_workspace_init(&p->workspace, p->lm, &pass, p->recompute));
    TTT_TRY(init_grown(p));
    p->starts = b->ops->alloc(b, kept_starts(p), states_bytes(p));
    p->states = b->ops->alloc(b, 1, states_bytes(p));
    p->dstates = b->ops->alloc(b, 1, states_bytes(p));
    p->runs = ttt_alloc((size_t)p->sequences, sizeof *p->runs);
    p->ids = ttt_alloc((size_t)pass.rows, sizeof *p->ids);
    p->targets = ttt_alloc((size_t)pass.rows, sizeof *p->targets);
    return p->starts && p->states && p->dstates && p->runs && p->ids && p->targets ? TTT_OK : TTT_ERR_MEMORY;
}

ttt_status ttt_backprop_init(ttt_backprop *p, const ttt_lm *lm, int64_t sequences, int64_t context, int64_t segment,
                             bool recompute)
{
    *p = plan(lm, sequences, context, segment, recompute);
    const ttt_status status = init(p);
    if (status != TTT_OK) ttt_backprop_deinit(p);
    return status;
}

void ttt_backprop_deinit(ttt_backprop *p)
{
    if (!p->lm) return;
    const ttt_backend *b = p->lm->backend;
    char *const blocks[] = {p->starts, p->states, p->dstates};
    for (int64_t i = 0; p->grown && i < 2 * p->lm->stack.layer_count; i++) b->ops->free(b, p->grown[i]);
    for (int i = 0; i < 3; i++) b->ops->free(b, blocks[i]);
    ttt_workspace_deinit(&p->workspace);
    ttt_free(p->grown);
    ttt_free(p->places);
    ttt_free(p->runs);
    ttt_free(p->ids);
    ttt_free(p->targets);
    *p = (ttt_backprop){0};
}

/* The pass of segment `index`: its rows, ids and targets; the states are those in p->states. */
static ttt_pass segment_pass(ttt_backprop *p, int64_t index, const int32_t *tokens)
{
    const int64_t first = index * p->segment, B = p->sequences, layers = p->lm->stack.layer_count;
    const int64_t count = p->context - first < p->segment ? p->context - first : p->segment;
    const size_t state = states_bytes(p) / (size_t)B;
    for (int64_t n = 0; n < B; n++) {
        const int32_t *sequence = tokens + n * (p->context + 1) + first;
        memcpy(p->ids + n * count, sequence, (size_t)count * sizeof *p->ids);
        memcpy(p->targets + n * count, sequence + 1, (size_t)count * sizeof *p->targets);
        p->runs[n] = (ttt_run){.row = n * count,
                               .count = count,
                               .position = first,
                               .state = p->states + (size_t)n * state,
                               .dstate = p->dstates + (size_t)n * state,
                               .grown = p->places + n * layers,
                               .dgrown = p->places + (B + n) * layers};
    }
    ttt_pass pass = largest_pass(p);
    pass.runs = p->runs;
    pass.rows = B * count;
    pass.longest = count;
    pass.rate_factor = p->rate_factor;
    return pass;
}

/* Final norm, head and cross entropy, a chunk of rows at a time so that [R,V] is never held. With grads, workspace.dh
 * becomes the gradient of the residual stream. The losses of all rows end in workspace.losses. */
static void loss_and_head(ttt_backprop *p, const ttt_pass *pass, const ttt_param *weights, const ttt_param *grads,
                          double scale)
{
    const ttt_lm *lm = p->lm;
    const ttt_stack *stack = &lm->stack;
    const ttt_backend *b = lm->backend;
    const ttt_workspace *w = &p->workspace;
    const int64_t R = pass->rows, C = lm->config.hidden_size, V = lm->config.vocab_size;
    void *x = w->scratch.x, *dx = w->scratch.dx;
    ttt_lm_norm(lm, pass, weights, w);
    for (int64_t row = 0; row < R; row += w->chunk) {
        const int64_t rows = R - row < w->chunk ? R - row : w->chunk;
        ttt_lm_logits(lm, b, weights, w, ttt_at(b, x, row * C), rows);
        b->ops->cross_entropy(b, w->losses + row, w->logits, p->targets + row, rows, V, grads ? scale : 0);
        if (!grads) continue;
        b->ops->linear_backward_weight(b, &grads[stack->head], w->logits, ttt_at(b, x, row * C), rows);
        b->ops->linear_backward_input(b, ttt_at(b, dx, row * C), w->logits, &weights[stack->head], rows, false);
    }
    if (!grads) return;
    b->ops->zero(b, w->dh, R * C);
    b->ops->rmsnorm_backward(b, w->dh, grads[stack->norm].values, dx, w->h, weights[stack->norm].values, R, C,
                             lm->config.rms_norm_eps);
}

/* With recompute, a block's activations are computed again from its input and the states at the segment's start; those
 * of the last block are still there. `first`: this is the first segment, after which a block's gradients are whole. */
static void blocks_backward(ttt_backprop *p, const ttt_pass *pass, const ttt_param *weights, const ttt_param *grads,
                            bool first)
{
    const ttt_lm *lm = p->lm;
    const ttt_workspace *w = &p->workspace;
    const int64_t L = lm->stack.block_count;
    for (int64_t i = L - 1; i >= 0; i--) {
        if (p->recompute && i + 1 < L) ttt_lm_block_again(lm, pass, weights, w, i);
        ttt_block_backward(&lm->stack.blocks[i], pass, weights, grads, w->saved[i], &w->scratch, w->dh);
        if (first) ttt_lm_reset_backward(lm, pass, grads, i);
        if (first && p->done) p->done(p->done_context, i);
    }
    lm->backend->ops->embed_backward(lm->backend, &grads[lm->stack.embedding], p->ids, w->dh, pass->rows);
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

/* To the end, keeping the states at the starts of segments; without gradients also the loss. */
static double run_forward(ttt_backprop *p, const ttt_param *weights, const int32_t *tokens, bool with_loss,
                          double *losses)
{
    const ttt_backend *b = p->lm->backend;
    const int64_t states = p->sequences * p->lm->stack.state_size;
    double loss = 0;
    ttt_pass pass = segment_pass(p, 0, tokens);
    ttt_lm_reset(p->lm, &pass, weights);
    for (int64_t s = 0; s < segment_count(p); s++) {
        pass = segment_pass(p, s, tokens);
        if (kept_starts(p) > 0) b->ops->copy(b, ttt_at(b, p->starts, s * states), p->states, states);
        ttt_lm_blocks(p->lm, &pass, weights, &p->workspace, p->ids, NULL);
        if (!with_loss) continue;
        loss_and_head(p, &pass, weights, NULL, 0);
        loss += add_losses(p, &pass, losses);
    }
    return loss;
}

static void zero_dstates(const ttt_backprop *p)
{
    const ttt_backend *b = p->lm->backend;
    const int64_t layers = p->lm->stack.layer_count;
    b->ops->zero(b, p->dstates, p->sequences * p->lm->stack.state_size);
    for (int64_t i = 0; i < layers; i++)
        if (p->grown[layers + i]) b->ops->zero(b, p->grown[layers + i], p->sequences * grown_size(p, i));
}

double ttt_backprop_run(ttt_backprop *p, const ttt_param *weights, const ttt_param *grads, const int32_t *tokens,
                        double scale, double *losses)
{
    const ttt_lm *lm = p->lm;
    const ttt_backend *b = lm->backend;
    const int64_t segments = segment_count(p), states = p->sequences * lm->stack.state_size;
    if (losses) memset(losses, 0, (size_t)p->sequences * sizeof *losses);
    double loss = run_forward(p, weights, tokens, !grads, losses);
    if (!grads) return loss;
    ttt_pass pass = segment_pass(p, segments - 1, tokens);
    zero_dstates(p);
    for (int64_t s = segments - 1; s >= 0; s--) {
        if (s < segments - 1) { /* the last one is still as the forward left it */
            pass = segment_pass(p, s, tokens);
            b->ops->copy(b, p->states, ttt_at(b, p->starts, s * states), states);
            ttt_lm_blocks(lm, &pass, weights, &p->workspace, p->ids, NULL);
        }
        loss_and_head(p, &pass, weights, grads, scale);
        loss += add_losses(p, &pass, losses);
        if (p->recompute) b->ops->copy(b, p->states, ttt_at(b, p->starts, s * states), states);
        blocks_backward(p, &pass, weights, grads, s == 0);
    }
    return loss;
}
