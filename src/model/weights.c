/* SPDX-License-Identifier: MIT */
#include "model/weights.h"

#include "base/alloc.h"
#include "base/arena.h"

ttt_status ttt_weights_new(ttt_param **weights, const ttt_params *params)
{
    *weights = ttt_alloc((size_t)params->slots, sizeof **weights);
    if (!*weights) return TTT_ERR_MEMORY;
    for (int64_t i = 0; i < params->count; i++) {
        const ttt_param_spec *spec = &params->specs[i];
        ttt_param *param = &(*weights)[spec->slot];
        param->rows = ttt_param_rows(spec);
        param->columns = ttt_param_columns(spec);
    }
    return TTT_OK;
}

void ttt_weights_bind(ttt_param *weights, const ttt_params *params, const ttt_backend *backend, void *values)
{
    for (int64_t i = 0; i < params->count; i++)
        weights[params->specs[i].slot].values = ttt_at(backend, values, params->specs[i].offset);
}

static void *push_packed(ttt_arena *arena, const ttt_backend *backend, ttt_precision precision, int64_t rows,
                         int64_t columns)
{
    return ttt_arena_push(arena, (int64_t)backend->ops->packed_size(precision, rows, columns), 1);
}

size_t ttt_weights_layout(ttt_param *weights, const ttt_params *params, const ttt_backend *backend,
                          ttt_precision precision, ttt_weights_use use, char *memory)
{
    ttt_arena arena = {.base = memory};
    for (int64_t i = 0; i < params->count; i++) {
        const ttt_param_spec *spec = &params->specs[i];
        ttt_param *w = &weights[spec->slot];
        const bool matrix = spec->role == TTT_ROLE_MATRIX;
        if (use == TTT_WEIGHTS_TRAINING) {
            if (!matrix || precision == TTT_PRECISION_F32) continue;
            w->precision = precision;
            w->packed = push_packed(&arena, backend, precision, w->rows, w->columns);
            w->turned = push_packed(&arena, backend, precision, w->columns, w->rows);
        } else if (spec->role != TTT_ROLE_VALUES) {
            w->precision = matrix ? precision : TTT_PRECISION_F32;
            w->packed = push_packed(&arena, backend, w->precision, w->rows, w->columns);
            w->values = NULL;
        } else if (!w->values) {
            w->values = ttt_arena_push(&arena, w->rows * w->columns, backend->real);
        }
    }
    return arena.used;
}

void ttt_weights_pack(const ttt_param *weights, const ttt_params *params, const ttt_backend *backend,
                      const void *values)
{
    for (int64_t i = 0; i < params->count; i++) {
        const ttt_param *w = &weights[params->specs[i].slot];
        const void *at = ttt_at(backend, values, params->specs[i].offset);
        const ttt_matrix matrix = {.dtype = backend->dtype, .values = at, .rows = w->rows, .columns = w->columns};
        const ttt_matrix turned = {
            .dtype = backend->dtype, .values = at, .rows = w->columns, .columns = w->rows, .transposed = true};
        if (w->packed) backend->ops->pack(backend, w->packed, w->precision, &matrix, NULL);
        if (w->turned) backend->ops->pack(backend, w->turned, w->precision, &turned, NULL);
    }
}
