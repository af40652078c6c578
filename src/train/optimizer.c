/* SPDX-License-Identifier: MIT */
#include "train/optimizer.h"

#include <math.h>

#include "base/alloc.h"

size_t ttt_optimizer_bytes(const ttt_lm *lm) { return 4 * (size_t)lm->layout.size * lm->backend->real; }

ttt_status ttt_optimizer_init(ttt_optimizer *optimizer, const ttt_lm *lm)
{
    *optimizer = (ttt_optimizer){.lm = lm};
    char **const blocks[] = {&optimizer->values, &optimizer->grads, &optimizer->m, &optimizer->v};
    ttt_status status = TTT_OK;
    for (int i = 0; i < 4 && status == TTT_OK; i++) {
        *blocks[i] = ttt_alloc((size_t)lm->layout.size, lm->backend->real);
        if (!*blocks[i]) status = TTT_ERR_MEMORY;
    }
    if (status == TTT_OK) status = ttt_lm_bind(lm, &optimizer->weights, optimizer->values);
    if (status == TTT_OK) status = ttt_lm_bind(lm, &optimizer->gradients, optimizer->grads);
    if (status != TTT_OK) ttt_optimizer_deinit(optimizer);
    return status;
}

void ttt_optimizer_deinit(ttt_optimizer *optimizer)
{
    ttt_free(optimizer->values);
    ttt_free(optimizer->grads);
    ttt_free(optimizer->m);
    ttt_free(optimizer->v);
    ttt_free(optimizer->weights.blocks);
    ttt_free(optimizer->gradients.blocks);
    *optimizer = (ttt_optimizer){0};
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
}
