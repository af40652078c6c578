/* SPDX-License-Identifier: MIT
 *
 * A model for inference: its parameters in one block, each as its operations want it, and the memory of a pass.
 */
#include "model/model.h"

#include <math.h>

#include "base/alloc.h"

/* Measures (weights NULL) or carves: every parameter packed or as values. */
static size_t params_layout(const ttt_lm *lm, ttt_precision precision, ttt_lm_weights *shapes, char *memory)
{
    ttt_arena arena = {.base = memory};
    for (int64_t i = 0; i < lm->layout.count; i++) {
        bool product;
        ttt_param *param = ttt_lm_param(lm, shapes, &lm->layout.specs[i], &product);
        if (product) {
            param->precision = precision;
            param->packed = ttt_arena_push(
                &arena, (int64_t)lm->backend->ops->packed_size(precision, param->rows, param->columns), 1);
        } else {
            param->values = ttt_arena_push(&arena, param->rows * param->columns, lm->backend->real);
        }
    }
    if (lm->config.tie_word_embeddings) shapes->head = shapes->embedding;
    return arena.used;
}

static ttt_status read_params(ttt_model *model, ttt_param_source source, void *context)
{
    const ttt_lm *lm = &model->lm;
    int64_t largest = 0;
    for (int64_t i = 0; i < lm->layout.count; i++) {
        const int64_t n = ttt_param_elements(&lm->layout.specs[i]);
        if (n > largest) largest = n;
    }
    void *values = ttt_alloc((size_t)largest, lm->backend->real);
    if (!values) return TTT_ERR_MEMORY;
    ttt_status status = TTT_OK;
    for (int64_t i = 0; i < lm->layout.count && status == TTT_OK; i++) {
        const ttt_param_spec *spec = &lm->layout.specs[i];
        bool product;
        const ttt_param *param = ttt_lm_param(lm, &model->weights, spec, &product);
        void *target = product ? values : param->values;
        status = source(context, lm, i, target);
        if (status != TTT_OK) break;
        if (!isfinite(lm->backend->ops->sum_squares(lm->backend, target, ttt_param_elements(spec))))
            status = ttt_fail(TTT_ERR_NUMERIC,
                              "tensor %s holds a value that is not a finite number: the weights are damaged",
                              spec->name);
        if (product)
            lm->backend->ops->pack(lm->backend, param->packed, param->precision, values, param->rows, param->columns);
    }
    ttt_free(values);
    return status;
}

static ttt_status build(ttt_model *model, const char *precision_name, ttt_param_source source, void *context)
{
    const ttt_lm *lm = &model->lm;
    ttt_precision precision;
    TTT_TRY(ttt_precision_read(&precision, precision_name, lm->backend->preferred));
    if (!lm->backend->ops->packed_size(precision, 1, 1))
        return ttt_fail(TTT_ERR_UNSUPPORTED, "backend %s does not compute in precision %s; use auto or f32",
                        lm->backend->name, ttt_precision_name(precision));
    TTT_TRY(ttt_lm_shapes(lm, &model->weights));
    model->memory = ttt_alloc(params_layout(lm, precision, &model->weights, NULL), 1);
    if (!model->memory) return TTT_ERR_MEMORY;
    params_layout(lm, precision, &model->weights, model->memory);
    const ttt_pass largest = {
        .backend = lm->backend, .run_count = TTT_ADVANCE_ROWS, .rows = TTT_ADVANCE_ROWS, .longest = TTT_ADVANCE_ROWS};
    TTT_TRY(ttt_workspace_init(&model->workspace, lm, &largest));
    return read_params(model, source, context);
}

ttt_status ttt_model_build(ttt_model **out, const ttt_config *config, const ttt_model_options *options,
                           ttt_param_source source, void *context)
{
    *out = NULL;
    const ttt_model_options defaults = {0};
    if (!options) options = &defaults;
    ttt_model *model = ttt_alloc(1, sizeof *model);
    if (!model) return TTT_ERR_MEMORY;
    ttt_status status = ttt_lm_init(&model->lm, config, options->backend ? options->backend : "auto", options->threads,
                                    1);
    if (status == TTT_OK) status = build(model, options->precision, source, context);
    if (status != TTT_OK) {
        ttt_model_free(model);
        return status;
    }
    *out = model;
    return TTT_OK;
}

static ttt_status first_values(void *context, const ttt_lm *lm, int64_t index, void *values)
{
    ttt_lm_first_values(lm, index, values, *(const uint64_t *)context);
    return TTT_OK;
}

ttt_status ttt_model_new(ttt_model **model, const ttt_config *config, uint64_t seed, const ttt_model_options *options)
{
    return ttt_model_build(model, config, options, first_values, &seed);
}

void ttt_model_free(ttt_model *model)
{
    if (!model) return;
    ttt_workspace_deinit(&model->workspace);
    ttt_free(model->weights.blocks);
    ttt_free(model->memory);
    ttt_lm_deinit(&model->lm);
    ttt_free(model);
}

const ttt_config *ttt_model_config(const ttt_model *model) { return &model->lm.config; }
const char *ttt_model_backend(const ttt_model *model) { return model->lm.backend->name; }
int ttt_model_threads(const ttt_model *model) { return model->lm.backend->threads; }
const char *ttt_model_isa(const ttt_model *model) { return model->lm.backend->isa; }
