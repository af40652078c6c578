/* SPDX-License-Identifier: MIT
 *
 * MATH (model): embedding, blocks, final norm, head; and the memory a pass works in.
 */
#include "model/lm.h"

#include "base/alloc.h"

enum { LOGITS_CHUNK = 256 };

ttt_status ttt_lm_init(ttt_lm *lm, const ttt_config *config, const ttt_backend *backend, int64_t group)
{
    *lm = (ttt_lm){.config = *config, .backend = backend};
    TTT_TRY(ttt_config_check(config, "the configuration"));
    ttt_status status = ttt_stack_init(&lm->stack, config);
    if (status == TTT_OK) status = ttt_stack_attach(&lm->stack, backend, group);
    if (status != TTT_OK) ttt_lm_deinit(lm);
    return status;
}

void ttt_lm_deinit(ttt_lm *lm)
{
    ttt_stack_deinit(&lm->stack, lm->backend);
    *lm = (ttt_lm){0};
}

/* ---- memory of a pass ---- */

/* The most that a block keeps or that a layer needs until return. */
static size_t most(const ttt_lm *lm, const ttt_pass *pass, size_t (*bytes)(const ttt_block *, const ttt_pass *))
{
    size_t largest = 0;
    for (int64_t i = 0; i < lm->stack.block_count; i++) {
        const size_t size = bytes(&lm->stack.blocks[i], pass);
        if (size > largest) largest = size;
    }
    return largest;
}

/* Measures with arena->base NULL, carves otherwise; `saved` NULL while measuring. */
static void layout(ttt_workspace *w, ttt_arena *arena, const ttt_lm *lm, const ttt_pass *pass, bool recompute)
{
    const size_t real = lm->backend->real;
    const int64_t R = pass->rows, C = lm->config.hidden_size, L = lm->stack.block_count;
    w->chunk = R < LOGITS_CHUNK ? R : LOGITS_CHUNK;
    w->h = ttt_arena_push(arena, R * C, real);
    if (pass->train) w->dh = ttt_arena_push(arena, R * C, real);
    w->logits = ttt_arena_push(arena, w->chunk * lm->config.vocab_size, real);
    w->scratch.x = ttt_arena_push(arena, R * C, real);
    if (pass->train) w->scratch.dx = ttt_arena_push(arena, R * C, real);
    w->scratch.layer = ttt_arena_push(arena, (int64_t)most(lm, pass, ttt_block_scratch_bytes), 1);
    if (recompute) w->inputs = ttt_arena_push(arena, R * C, (size_t)L * real);
    const bool each = pass->train && !recompute;
    void *shared = each ? NULL : ttt_arena_push(arena, (int64_t)most(lm, pass, ttt_block_saved_bytes), 1);
    for (int64_t i = 0; i < L; i++) {
        void *own = each ? ttt_arena_push(arena, (int64_t)ttt_block_saved_bytes(&lm->stack.blocks[i], pass), 1)
                         : shared;
        if (w->saved) w->saved[i] = own;
    }
}

size_t ttt_workspace_bytes(const ttt_lm *lm, const ttt_pass *pass, bool recompute)
{
    ttt_arena arena = {0};
    layout(&(ttt_workspace){0}, &arena, lm, pass, recompute);
    return ttt_size_add(arena.used, (size_t)pass->rows * sizeof(double));
}

ttt_status ttt_workspace_init(ttt_workspace *w, const ttt_lm *lm, const ttt_pass *pass, bool recompute)
{
    ttt_arena arena = {0};
    layout(&(ttt_workspace){0}, &arena, lm, pass, recompute);
    *w = (ttt_workspace){.backend = lm->backend,
                         .memory = lm->backend->ops->alloc(lm->backend, (int64_t)arena.used, 1),
                         .losses = ttt_alloc((size_t)pass->rows, sizeof *w->losses),
                         .saved = ttt_alloc((size_t)lm->stack.block_count, sizeof *w->saved)};
    if (!w->memory || !w->losses || !w->saved) {
        ttt_workspace_deinit(w);
        return TTT_ERR_MEMORY;
    }
    arena = (ttt_arena){.base = w->memory};
    layout(w, &arena, lm, pass, recompute);
    return TTT_OK;
}

void ttt_workspace_deinit(ttt_workspace *w)
{
    if (w->memory) w->backend->ops->free(w->backend, w->memory);
    ttt_free(w->losses);
    ttt_free(w->saved);
    *w = (ttt_workspace){0};
}

int64_t ttt_lm_grown_rows(const ttt_lm *lm, int64_t layer, int64_t tokens, bool train)
{
    const ttt_state_size size = ttt_layer_state(&lm->stack.layers[layer], lm->backend);
    return size.per_token == 0 ? 0 : ttt_grown_rows(size, tokens, train);
}

/* ---- rows through the model ---- */

void ttt_lm_reset(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights)
{
    const ttt_backend *b = pass->backend;
    for (int64_t n = 0; n < pass->run_count; n++) b->ops->zero(b, pass->runs[n].state, lm->stack.state_size);
    for (int64_t i = 0; i < lm->stack.layer_count; i++) {
        const ttt_layer *layer = &lm->stack.layers[i];
        if (layer->ops->reset) layer->ops->reset(layer, pass, weights + layer->slot);
    }
}

void ttt_lm_reset_backward(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *grads, int64_t block)
{
    for (int64_t i = 0; i < lm->stack.blocks[block].count; i++) {
        const ttt_layer *layer = &lm->stack.blocks[block].parts[i];
        if (layer->ops->reset_backward) layer->ops->reset_backward(layer, pass, grads + layer->slot);
    }
}

void ttt_lm_blocks(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights, const ttt_workspace *w,
                   const int32_t *ids, const ttt_trace *trace)
{
    const ttt_backend *b = pass->backend;
    const int64_t size = pass->rows * lm->config.hidden_size;
    b->ops->embed(b, w->h, ids, &weights[lm->stack.embedding], pass->rows);
    for (int64_t i = 0; i < lm->stack.block_count; i++) {
        if (w->inputs) b->ops->copy(b, ttt_at(b, w->inputs, i * size), w->h, size);
        ttt_block_forward(&lm->stack.blocks[i], pass, weights, w->saved[i], &w->scratch, w->h);
        if (trace) trace->rows(trace->context, pass, i, w->h);
    }
}

void ttt_lm_block_again(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights, const ttt_workspace *w,
                        int64_t block)
{
    const ttt_backend *b = pass->backend;
    const int64_t size = pass->rows * lm->config.hidden_size;
    b->ops->copy(b, w->h, ttt_at(b, w->inputs, block * size), size);
    ttt_block_forward(&lm->stack.blocks[block], pass, weights, w->saved[block], &w->scratch, w->h);
}

void ttt_lm_norm(const ttt_lm *lm, const ttt_pass *pass, const ttt_param *weights, const ttt_workspace *w)
{
    pass->backend->ops->rmsnorm(pass->backend, w->scratch.x, w->h, weights[lm->stack.norm].values, pass->rows,
                                lm->config.hidden_size, lm->config.rms_norm_eps);
}

void ttt_lm_logits(const ttt_lm *lm, const ttt_backend *backend, const ttt_param *weights, const ttt_workspace *w,
                   const void *x, int64_t rows)
{
    backend->ops->linear(backend, w->logits, x, &weights[lm->stack.head], rows, false);
}
