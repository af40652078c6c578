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
            param->precision = lm->layout.specs[i].matrix ? precision : TTT_PRECISION_F32;
            param->packed = ttt_arena_push(
                &arena, (int64_t)lm->backend->ops->packed_size(param->precision, param->rows, param->columns), 1);
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
    const ttt_backend *b = lm->backend;
    for (int64_t i = 0; i < lm->layout.count; i++) {
        const ttt_param_spec *spec = &lm->layout.specs[i];
        const int64_t n = ttt_param_elements(spec);
        bool product, finite = true;
        const ttt_param *param = ttt_lm_param(lm, &model->weights, spec, &product);
        ttt_matrix matrix;
        TTT_TRY(source(context, lm, i, &matrix));
        if (product) {
            b->ops->pack(b, param->packed, param->precision, &matrix, &finite);
        } else {
            b->ops->from(b, param->values, matrix.values, matrix.dtype, n);
            finite = isfinite(b->ops->sum_squares(b, param->values, n));
        }
        if (!finite)
            return ttt_fail(TTT_ERR_NUMERIC,
                            "tensor %s holds a value that is not a finite number: the weights are damaged", spec->name);
    }
    return TTT_OK;
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

typedef struct beginning {
    uint64_t seed;
    void *values; /* of the parameter asked for last */
} beginning;

static ttt_status first_values(void *context, const ttt_lm *lm, int64_t index, ttt_matrix *matrix)
{
    beginning *first = context;
    const ttt_param_spec *spec = &lm->layout.specs[index];
    const int64_t n = ttt_param_elements(spec), columns = spec->shape[spec->rank - 1];
    ttt_free(first->values);
    first->values = ttt_alloc((size_t)n, lm->backend->real);
    if (!first->values) return TTT_ERR_MEMORY;
    ttt_lm_first_values(lm, index, first->values, first->seed);
    *matrix = (ttt_matrix){
        .dtype = lm->backend->dtype, .values = first->values, .rows = n / columns, .columns = columns};
    return TTT_OK;
}

ttt_status ttt_model_new(ttt_model **model, const ttt_config *config, uint64_t seed, const ttt_model_options *options)
{
    beginning first = {.seed = seed};
    const ttt_status status = ttt_model_build(model, config, options, first_values, &first);
    ttt_free(first.values);
    return status;
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
int64_t ttt_model_vocabulary(const ttt_model *model) { return model->lm.config.vocab_size; }
const char *ttt_model_backend(const ttt_model *model) { return model->lm.backend->name; }
int ttt_model_threads(const ttt_model *model) { return model->lm.backend->threads; }
const char *ttt_model_precision(const ttt_model *model) { return ttt_precision_name(model->weights.head.precision); }
const char *ttt_model_isa(const ttt_model *model) { return model->lm.backend->isa; }
