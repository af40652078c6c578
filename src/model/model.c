/* SPDX-License-Identifier: MIT
 *
 * How a model is made: its parameters in one block, each as its operations want it, and a fingerprint of it all.
 */
#include "model/model.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "config/config.h"

/* ---- the fingerprint: configuration, precision, and every parameter as its source has it ---- */

static ttt_status begin_fingerprint(const ttt_model *model, ttt_digest **digest)
{
    ttt_buffer text = {0};
    ttt_status status = ttt_config_print(&model->lm.config, NULL, "float32", &text);
    if (status == TTT_OK) status = ttt_digest_new(digest);
    if (status == TTT_OK) {
        const char *const names[] = {ttt_precision_name(model->precision), ttt_dtype_name(model->backend->dtype)};
        ttt_digest_add(*digest, text.data, text.size);
        for (int i = 0; i < 2; i++) ttt_digest_add(*digest, names[i], strlen(names[i]) + 1);
    }
    ttt_buffer_deinit(&text);
    return status;
}

static void add_matrix(ttt_digest *digest, const ttt_matrix *m)
{
    const size_t bytes = ttt_precision_is_blocks(m->precision)
                             ? (size_t)(m->rows * ttt_code_bytes(m->precision, m->columns))
                             : (size_t)(m->rows * m->columns) * ttt_dtype_bytes(m->dtype);
    ttt_digest_add(digest, m->values, bytes);
    if (m->scales) ttt_digest_add(digest, m->scales, (size_t)(m->rows * ttt_blocks(m->columns)) * sizeof(uint16_t));
}

/* ---- parameters ---- */

static ttt_status read_params(const ttt_model *model, const ttt_backend *loader, ttt_digest *digest,
                              ttt_param_source source, void *context)
{
    const ttt_params *params = &model->lm.stack.params;
    for (int64_t i = 0; i < params->count; i++) {
        const ttt_param_spec *spec = &params->specs[i];
        const ttt_param *w = &model->weights[spec->slot];
        const int64_t n = ttt_param_elements(spec);
        bool finite = true;
        ttt_matrix matrix;
        TTT_TRY(source(context, params, i, &matrix));
        add_matrix(digest, &matrix);
        if (w->packed) {
            loader->ops->pack(loader, w->packed, w->precision, &matrix, &finite);
        } else {
            loader->ops->from(loader, w->values, matrix.values, matrix.dtype, n);
            finite = isfinite(ttt_sum_squares(loader, w->values, n));
        }
        if (!finite)
            return ttt_fail(TTT_ERR_NUMERIC,
                            "tensor %s holds a value that is not a finite number: the weights are damaged", spec->name);
    }
    return TTT_OK;
}

static ttt_status choose_precision(ttt_model *model, const char *name)
{
    TTT_TRY(ttt_precision_read(&model->precision, name, model->backend->preferred));
    if (model->backend->ops->packed_size(model->precision, 1, 1)) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "backend %s does not compute in precision %s; use auto or f32",
                    model->backend->name, ttt_precision_name(model->precision));
}

static ttt_status make_weights(ttt_model *model, const ttt_backend *loader, ttt_param_source source, void *context)
{
    const ttt_params *params = &model->lm.stack.params;
    TTT_TRY(ttt_weights_new(&model->weights, params));
    const size_t bytes = ttt_weights_layout(model->weights, params, loader, model->precision, TTT_WEIGHTS_INFERENCE,
                                            NULL);
    model->memory = loader->ops->alloc(loader, (int64_t)bytes, 1);
    if (!model->memory) return TTT_ERR_MEMORY;
    ttt_weights_layout(model->weights, params, loader, model->precision, TTT_WEIGHTS_INFERENCE, model->memory);
    ttt_digest *digest;
    TTT_TRY(begin_fingerprint(model, &digest));
    const ttt_status status = read_params(model, loader, digest, source, context);
    if (status == TTT_OK) ttt_digest_print(digest, model->fingerprint);
    ttt_digest_free(digest);
    return status;
}

static ttt_status build(ttt_model *model, const ttt_config *config, const ttt_model_options *options,
                        ttt_param_source source, void *context)
{
    const char *name = options->backend ? options->backend : "auto";
    ttt_backend *loader;
    TTT_TRY(ttt_backend_new(&model->backend, name, 1));
    TTT_TRY(ttt_lm_init(&model->lm, config, model->backend, 1));
    TTT_TRY(choose_precision(model, options->precision));
    TTT_TRY(ttt_backend_new(&loader, name, options->threads));
    const ttt_status status = make_weights(model, loader, source, context);
    ttt_backend_free(loader);
    return status;
}

ttt_status ttt_model_build(ttt_model **out, const ttt_config *config, const ttt_model_options *options,
                           ttt_param_source source, void *context)
{
    *out = NULL;
    const ttt_model_options defaults = {0};
    ttt_model *model = ttt_alloc(1, sizeof *model);
    if (!model) return TTT_ERR_MEMORY;
    const ttt_status status = build(model, config, options ? options : &defaults, source, context);
    if (status != TTT_OK) {
        ttt_model_free(model);
        return status;
    }
    *out = model;
    return TTT_OK;
}

/* ---- a model without a folder ---- */

typedef struct beginning {
    uint64_t seed;
    const ttt_backend *backend;
    void *values; /* of the parameter asked for last */
} beginning;

static ttt_status first_values(void *context, const ttt_params *params, int64_t index, ttt_matrix *matrix)
{
    beginning *first = context;
    const ttt_param_spec *spec = &params->specs[index];
    const ttt_dtype dtype = first->backend->dtype;
    ttt_free(first->values);
    first->values = ttt_alloc((size_t)ttt_param_elements(spec), ttt_dtype_bytes(dtype));
    if (!first->values) return TTT_ERR_MEMORY;
    ttt_first_values(params, index, first->seed, first->backend, first->values, dtype);
    *matrix = (ttt_matrix){
        .dtype = dtype, .values = first->values, .rows = ttt_param_rows(spec), .columns = ttt_param_columns(spec)};
    return TTT_OK;
}

ttt_status ttt_model_new(ttt_model **model, const ttt_config *config, uint64_t seed, const ttt_model_options *options)
{
    *model = NULL;
    ttt_backend *backend;
    TTT_TRY(ttt_backend_new(&backend, options && options->backend ? options->backend : "auto",
                            options ? options->threads : 0));
    beginning first = {.seed = seed, .backend = backend};
    const ttt_status status = ttt_model_build(model, config, options, first_values, &first);
    ttt_free(first.values);
    ttt_backend_free(backend);
    return status;
}

void ttt_model_free(ttt_model *model)
{
    if (!model) return;
    ttt_free(model->weights);
    if (model->memory) model->backend->ops->free(model->backend, model->memory);
    ttt_lm_deinit(&model->lm);
    ttt_backend_free(model->backend);
    ttt_free(model);
}

const ttt_config *ttt_model_config(const ttt_model *model) { return &model->lm.config; }
int64_t ttt_model_vocabulary(const ttt_model *model) { return model->lm.config.vocab_size; }
const char *ttt_model_backend(const ttt_model *model) { return model->backend->name; }
const char *ttt_model_precision(const ttt_model *model) { return ttt_precision_name(model->precision); }
const char *ttt_model_isa(const ttt_model *model) { return model->backend->isa; }
const char *ttt_model_fingerprint(const ttt_model *model) { return model->fingerprint; }
