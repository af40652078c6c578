/* SPDX-License-Identifier: MIT
 *
 * MATH (model): embedding, blocks; and the memory a pass works in.
 */
#include "base/alloc.h"
#include "model/model.h"

enum { LOGITS_CHUNK = 256 };

/* Measures with arena->base NULL, carves otherwise; `saved` NULL while measuring. */
static void workspace_layout(ttt_workspace *w, ttt_arena *arena, const ttt_lm *lm, const ttt_pass *pass)
{
    const size_t real = lm->backend->real;
    const int64_t R = pass->rows, C = lm->config.hidden_size;
    w->chunk = R < LOGITS_CHUNK ? R : LOGITS_CHUNK;
    w->h = ttt_arena_push(arena, R * C, real);
    if (pass->train) w->dh = ttt_arena_push(arena, R * C, real);
    w->logits = ttt_arena_push(arena, w->chunk * lm->config.vocab_size, real);
    w->losses = ttt_arena_push(arena, R, sizeof *w->losses);
    w->scratch = ttt_block_scratch_layout(arena, &lm->blocks[0], pass);
    const int64_t L = lm->config.num_hidden_layers;
    if (pass->recompute) w->inputs = ttt_arena_push(arena, R * C, (size_t)L * real);
    ttt_block_saved saved = {0};
    for (int64_t i = 0; i < L; i++) {
        if (i == 0 || (pass->train && !pass->recompute)) saved = ttt_block_saved_layout(arena, &lm->blocks[i], pass);
        if (w->saved) w->saved[i] = saved;
    }
}

size_t ttt_workspace_bytes(const ttt_lm *lm, const ttt_pass *pass)
{
    ttt_arena arena = {0};
    workspace_layout(&(ttt_workspace){0}, &arena, lm, pass);
    return arena.used;
}

ttt_status ttt_workspace_init(ttt_workspace *workspace, const ttt_lm *lm, const ttt_pass *pass)
{
    *workspace = (ttt_workspace){.memory = ttt_alloc(ttt_workspace_bytes(lm, pass), 1),
                                 .saved = ttt_alloc((size_t)lm->config.num_hidden_layers, sizeof *workspace->saved)};
    if (!workspace->memory || !workspace->saved) {
        ttt_workspace_deinit(workspace);
        return TTT_ERR_MEMORY;
    }
    ttt_arena arena = {.base = workspace->memory};
    workspace_layout(workspace, &arena, lm, pass);
    return TTT_OK;
}

void ttt_workspace_deinit(ttt_workspace *workspace)
{
    ttt_free(workspace->memory);
    ttt_free(workspace->saved);
    *workspace = (ttt_workspace){0};
}

void ttt_lm_blocks_forward(const ttt_lm *lm, const ttt_pass *pass, const ttt_lm_weights *weights,
                           const ttt_workspace *workspace, const int32_t *ids, const ttt_trace *trace)
{
    const ttt_backend *b = lm->backend;
    const int64_t size = pass->rows * lm->config.hidden_size;
    b->ops->embed(b, workspace->h, ids, &weights->embedding, pass->rows);
    for (int64_t i = 0; i < lm->config.num_hidden_layers; i++) {
        if (pass->inspection) pass->inspection->layer = i;
        if (pass->recompute) b->ops->copy(b, ttt_at(b, workspace->inputs, i * size), workspace->h, size);
        ttt_block_forward(pass, &lm->blocks[i], &weights->blocks[i], &workspace->saved[i], &workspace->scratch,
                          workspace->h);
        if (trace) trace->rows(trace->context, pass, i, workspace->h);
    }
}

void ttt_lm_reset(const ttt_lm *lm, const ttt_pass *pass, const ttt_lm_weights *weights)
{
    for (int64_t n = 0; n < pass->run_count; n++)
        lm->backend->ops->zero(lm->backend, pass->runs[n].state, lm->state_size);
    for (int64_t i = 0; i < lm->config.num_hidden_layers; i++)
        ttt_layer_reset(pass, &lm->blocks[i].layer, &weights->blocks[i].layer);
}
