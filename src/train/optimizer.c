/* SPDX-License-Identifier: MIT */
#include "train/optimizer.h"

#include <math.h>

#include "base/alloc.h"

/* Measures (memory NULL) or carves what products in `precision` read. */
static size_t packed_layout(const ttt_lm *lm, ttt_lm_weights *weights, ttt_precision precision, char *memory)
{
    const ttt_ops *ops = lm->backend->ops;
    ttt_arena arena = {.base = memory};
    for (int64_t i = 0; i < lm->layout.count; i++) {
        bool product;
        ttt_param *param = ttt_lm_param(lm, weights, &lm->layout.specs[i], &product);
        if (!product || !lm->layout.specs[i].matrix || precision == TTT_PRECISION_F32) continue;
        param->precision = precision;
        param->packed = ttt_arena_push(&arena, (int64_t)ops->packed_size(precision, param->rows, param->columns), 1);
        param->turned = ttt_arena_push(&arena, (int64_t)ops->packed_size(precision, param->columns, param->rows), 1);
    }
    if (lm->config.tie_word_embeddings) weights->head = weights->embedding;
    return arena.used;
}

ttt_status ttt_optimizer_bytes(const ttt_lm *lm, ttt_precision precision, size_t *bytes)
{
    ttt_lm_weights weights;
    TTT_TRY(ttt_lm_shapes(lm, &weights));
    *bytes = ttt_size_add(4 * (size_t)lm->layout.size * lm->backend->real,
                          packed_layout(lm, &weights, precision, NULL));
    ttt_free(weights.blocks);
    return TTT_OK;
}

static ttt_status init_packed(ttt_optimizer *optimizer, ttt_precision precision)
{
    const ttt_lm *lm = optimizer->lm;
    optimizer->packed = ttt_alloc(packed_layout(lm, &optimizer->weights, precision, NULL), 1);
    if (!optimizer->packed) return TTT_ERR_MEMORY;
    packed_layout(lm, &optimizer->weights, precision, optimizer->packed);
    packed_layout(lm, &optimizer->gradients, precision, NULL); /* a gradient has the precision only */
    return TTT_OK;
}

ttt_status ttt_optimizer_init(ttt_optimizer *optimizer, const ttt_lm *lm, ttt_precision precision)
{
    *optimizer = (ttt_optimizer){.lm = lm, .stale = true};
    char **const blocks[] = {&optimizer->values, &optimizer->grads, &optimizer->m, &optimizer->v};
    ttt_status status = TTT_OK;
    for (int i = 0; i < 4 && status == TTT_OK; i++) {
        *blocks[i] = ttt_alloc((size_t)lm->layout.size, lm->backend->real);
        if (!*blocks[i]) status = TTT_ERR_MEMORY;
    }
    if (status == TTT_OK) status = ttt_lm_bind(lm, &optimizer->weights, optimizer->values);
    if (status == TTT_OK) status = ttt_lm_bind(lm, &optimizer->gradients, optimizer->grads);
    if (status == TTT_OK) status = init_packed(optimizer, precision);
    if (status != TTT_OK) ttt_optimizer_deinit(optimizer);
    return status;
}

void ttt_optimizer_deinit(ttt_optimizer *optimizer)
{
    ttt_free(optimizer->values);
    ttt_free(optimizer->grads);
    ttt_free(optimizer->m);
    ttt_free(optimizer->v);
    ttt_free(optimizer->packed);
    ttt_free(optimizer->weights.blocks);
    ttt_free(optimizer->gradients.blocks);
    *optimizer = (ttt_optimizer){0};
}

static void pack(const ttt_backend *b, const ttt_param *param)
{
    ttt_matrix matrix = {.dtype = b->dtype, .values = param->values, .rows = param->rows, .columns = param->columns};
    b->ops->pack(b, param->packed, param->precision, &matrix, NULL);
    matrix = (ttt_matrix){
        .dtype = b->dtype, .values = param->values, .rows = param->columns, .columns = param->rows, .transposed = true};
    b->ops->pack(b, param->turned, param->precision, &matrix, NULL);
}

const ttt_lm_weights *ttt_optimizer_weights(ttt_optimizer *optimizer)
{
    const ttt_lm *lm = optimizer->lm;
    for (int64_t i = 0; optimizer->stale && i < lm->layout.count; i++) {
        bool product;
        const ttt_param *param = ttt_lm_param(lm, &optimizer->weights, &lm->layout.specs[i], &product);
        if (param->packed) pack(lm->backend, param);
    }
    optimizer->stale = false;
    return &optimizer->weights;
}

double ttt_optimizer_norm(const ttt_optimizer *optimizer)
{
    const ttt_backend *b = optimizer->lm->backend;
    return sqrt(b->ops->sum_squares(b, optimizer->grads, optimizer->lm->layout.size));
}

void ttt_optimizer_update(ttt_optimizer *optimizer, ttt_adamw options, double norm, double clip)
{
    const ttt_backend *b = optimizer->lm->backend;
    options.scale = clip > 0 && norm >= clip ? clip / norm : 1;
    b->ops->adamw(b, optimizer->values, optimizer->m, optimizer->v, optimizer->grads, optimizer->lm->layout.size,
                  &options);
    optimizer->stale = true;
}
