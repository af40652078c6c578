/* SPDX-License-Identifier: MIT
 *
 * MATH (block): for each part, h += part(RMSNorm(h)). Norms are recomputed in the backward from the h that went into
 * them.
 */
#include "layer/layer.h"

/* What is kept of part `index`: the h that went into it, and what the layer keeps itself. */
typedef struct part_saved {
    void *in; /* [R,C]; NULL unless training */
    void *layer;
} part_saved;

static part_saved carve(ttt_arena *arena, const ttt_block *block, int64_t index, const ttt_pass *pass)
{
    part_saved saved = {.in = pass->train ? ttt_layer_reals(arena, pass, pass->rows, block->width) : NULL};
    ttt_arena inner = {.base = arena->base ? arena->base + arena->used : NULL}, scratch = {0};
    block->parts[index].ops->layout(&block->parts[index], pass, &inner, &scratch);
    saved.layer = ttt_arena_push(arena, (int64_t)inner.used, 1);
    return saved;
}

size_t ttt_block_saved_bytes(const ttt_block *block, const ttt_pass *pass)
{
    ttt_arena arena = {0};
    for (int64_t i = 0; i < block->count; i++) carve(&arena, block, i, pass);
    return arena.used;
}

size_t ttt_block_scratch_bytes(const ttt_block *block, const ttt_pass *pass)
{
    size_t most = 0;
    for (int64_t i = 0; i < block->count; i++) {
        ttt_arena saved = {0}, scratch = {0};
        block->parts[i].ops->layout(&block->parts[i], pass, &saved, &scratch);
        if (scratch.used > most) most = scratch.used;
    }
    return most;
}

static void normalise(const ttt_block *block, const ttt_layer *part, const ttt_pass *pass, const ttt_param *weights,
                      void *x, const void *h)
{
    pass->backend->ops->rmsnorm(pass->backend, x, h, weights[part->norm_slot].values, pass->rows, block->width,
                                block->eps);
}

void ttt_block_forward(const ttt_block *block, const ttt_pass *pass, const ttt_param *weights, void *saved,
                       const ttt_block_scratch *scratch, void *h)
{
    const ttt_backend *b = pass->backend;
    ttt_arena arena = {.base = saved};
    for (int64_t i = 0; i < block->count; i++) {
        const ttt_layer *part = &block->parts[i];
        const part_saved kept = carve(&arena, block, i, pass);
        if (kept.in) b->ops->copy(b, kept.in, h, pass->rows * block->width);
        normalise(block, part, pass, weights, scratch->x, h);
        part->ops->forward(part, pass, weights + part->slot, kept.layer, scratch->layer, h, scratch->x);
    }
}

void ttt_block_backward(const ttt_block *block, const ttt_pass *pass, const ttt_param *weights, const ttt_param *grads,
                        void *saved, const ttt_block_scratch *scratch, void *dh)
{
    const ttt_backend *b = pass->backend;
    part_saved kept[TTT_BLOCK_PARTS];
    ttt_arena arena = {.base = saved};
    for (int64_t i = 0; i < block->count; i++) kept[i] = carve(&arena, block, i, pass);
    for (int64_t i = block->count - 1; i >= 0; i--) {
        const ttt_layer *part = &block->parts[i];
        normalise(block, part, pass, weights, scratch->x, kept[i].in);
        part->ops->backward(part, pass, weights + part->slot, grads + part->slot, kept[i].layer, scratch->layer,
                            scratch->dx, dh, scratch->x);
        b->ops->rmsnorm_backward(b, dh, grads[part->norm_slot].values, scratch->dx, kept[i].in,
                                 weights[part->norm_slot].values, pass->rows, block->width, block->eps);
    }
}
