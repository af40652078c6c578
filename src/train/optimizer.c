/* SPDX-License-Identifier: MIT */
#include "train/optimizer.h"

#include "base/alloc.h"

ttt_status ttt_optimizer_bytes(const ttt_lm *lm, ttt_precision precision, size_t *bytes)
{
    const ttt_params *params = &lm->stack.params;
    ttt_param *weights;
    TTT_TRY(ttt_weights_new(&weights, params));
    *bytes = ttt_size_add(4 * (size_t)params->size * lm->backend->real,
                          ttt_weights_layout(weights, params, lm->backend, precision, TTT_WEIGHTS_TRAINING, NULL));
    ttt_free(weights);
    return TTT_OK;
}

static ttt_status init_packed(ttt_optimizer *o, ttt_precision precision)
{
    const ttt_backend *b = o->lm->backend;
    const size_t bytes = ttt_weights_layout(o->weights, o->params, b, precision, TTT_WEIGHTS_TRAINING, NULL);
    o->packed = b->ops->alloc(b, (int64_t)bytes, 1);
    if (!o->packed) return TTT_ERR_MEMORY;
    ttt_weights_layout(o->weights, o->params, b, precision, TTT_WEIGHTS_TRAINING, o->packed);
    ttt_weights_layout(o->gradients, o->params, b, precision, TTT_WEIGHTS_TRAINING,
                       NULL); /* of these only the precision */
    return TTT_OK;
}

ttt_status ttt_optimizer_init(ttt_optimizer *o, const ttt_lm *lm, ttt_precision precision)
{
    *o = (ttt_optimizer){.lm = lm, .params = &lm->stack.params, .stale = true};
    char **const blocks[] = {&o->values, &o->grads, &o->m, &o->v};
    ttt_status status = TTT_OK;
    for (int i = 0; i < 4 && status == TTT_OK; i++) {
        *blocks[i] = lm->backend->ops->alloc(lm->backend, o->params->size, lm->backend->real);
        if (!*blocks[i]) status = TTT_ERR_MEMORY;
    }
    if (status == TTT_OK) status = ttt_weights_new(&o->weights, o->params);
    if (status == TTT_OK) status = ttt_weights_new(&o->gradients, o->params);
    if (status == TTT_OK) {
        ttt_weights_bind(o->weights, o->params, lm->backend, o->values);
        ttt_weights_bind(o->gradients, o->params, lm->backend, o->grads);
        status = init_packed(o, precision);
    }
    if (status != TTT_OK) ttt_optimizer_deinit(o);
    return status;
}

void ttt_optimizer_deinit(ttt_optimizer *o)
{
    char *const blocks[] = {o->values, o->grads, o->m, o->v, o->packed};
    for (int i = 0; i < 5; i++)
        if (blocks[i]) o->lm->backend->ops->free(o->lm->backend, blocks[i]);
    ttt_free(o->weights);
    ttt_free(o->gradients);
    *o = (ttt_optimizer){0};
}

const ttt_param *ttt_optimizer_weights(ttt_optimizer *o)
{
    if (o->stale) ttt_weights_pack(o->weights, o->params, o->lm->backend, o->values);
    o->stale = false;
    return o->weights;
}

void ttt_optimizer_update(ttt_optimizer *o, ttt_adamw options, double norm, double clip, int64_t first, int64_t end)
{
    const ttt_backend *b = o->lm->backend;
    options.scale = clip > 0 && norm >= clip ? clip / norm : 1;
    b->ops->adamw(b, ttt_at(b, o->values, first), ttt_at(b, o->m, first), ttt_at(b, o->v, first),
                  ttt_at(b, o->grads, first), end - first, &options);
}
