/* SPDX-License-Identifier: MIT
 *
 * Digests of what a model computes, for two machines, two versions or two builds to compare: logits and final state of
 * fixed tokens, and the parameters after some training steps.
 */
#include <string.h>
#include <ttt/verify.h>

#include "base/alloc.h"
#include "base/digest.h"
#include "base/rng.h"
#include "eval/verify.h"
#include "train/trainer.h"

enum { CALLS = 3, TOKENS = 83, STEPS = 10, BATCH = 2, CONTEXT = 32 };
static const int64_t calls[CALLS] = {50, 1, 32};

static void fixed_tokens(int32_t *tokens, int64_t first, int64_t count, int64_t V)
{
    for (int64_t t = 0; t < count; t++)
        tokens[t] = (int32_t)(ttt_rng_u64((ttt_rng){.stream = TTT_RNG_TEST}, (uint64_t)(first + t)) % (uint64_t)V);
}

/* ---- inference ---- */

/* Layer after layer, as other programs see it. */
static ttt_status add_state(ttt_digest *digest, const ttt_state *state)
{
    const ttt_stack *stack = &state->model->lm.stack;
    for (int64_t i = 0; i < stack->layer_count; i++) {
        ttt_state_view view;
        if (!stack->layers[i].ops->view_pieces) continue;
        const ttt_status status = ttt_state_view_read(&view, state, &stack->layers[i]);
        if (status == TTT_OK) ttt_digest_add(digest, view.values, (size_t)view.elements * state->model->backend->real);
        ttt_free(view.values);
        TTT_TRY(status);
    }
    return TTT_OK;
}

static ttt_status read_tokens(ttt_digest *digest, ttt_context *context, ttt_state *state, void *logits)
{
    const ttt_backend *b = context->backend;
    const int64_t V = context->model->lm.config.vocab_size;
    const ttt_advance_options options = {.dtype = b->dtype, .logits = &logits};
    int32_t tokens[TOKENS];
    int64_t first = 0;
    fixed_tokens(tokens, 0, TOKENS, V);
    for (int i = 0; i < CALLS; first += calls[i++]) {
        const ttt_feed feed = {.state = state, .tokens = tokens + first, .count = calls[i], .which = TTT_LOGITS_ALL};
        TTT_TRY(ttt_context_advance_as(context, &feed, 1, &options));
        ttt_digest_add(digest, logits, (size_t)(calls[i] * V) * b->real);
    }
    return add_state(digest, state);
}

static ttt_status digest_inference(ttt_digest *digest, ttt_context *context)
{
    ttt_state *state;
    TTT_TRY(ttt_state_new(&state, context->model));
    void *logits = ttt_alloc((size_t)(TOKENS * context->model->lm.config.vocab_size), context->backend->real);
    const ttt_status status = logits ? read_tokens(digest, context, state, logits) : TTT_ERR_MEMORY;
    ttt_free(logits);
    ttt_state_free(state);
    return status;
}

/* ---- training ---- */

static ttt_status digest_training(ttt_digest *digest, ttt_trainer *trainer)
{
    const ttt_lm *lm = &trainer->lm;
    int32_t tokens[BATCH * (CONTEXT + 1)];
    ttt_train_result result;
    for (int64_t s = 0; s < STEPS; s++) {
        fixed_tokens(tokens, s * BATCH * (CONTEXT + 1), BATCH * (CONTEXT + 1), lm->config.vocab_size);
        TTT_TRY(ttt_trainer_step(trainer, tokens, &result));
    }
    for (int64_t i = 0; i < lm->stack.params.count; i++) {
        const ttt_param_spec *spec = &lm->stack.params.specs[i];
        ttt_digest_add(digest, spec->name, strlen(spec->name));
        ttt_digest_add(digest, ttt_at(lm->backend, trainer->optimizer.values, spec->offset),
                       (size_t)ttt_param_elements(spec) * lm->backend->real);
    }
    return TTT_OK;
}

static ttt_status open_trainer(ttt_trainer **trainer, const ttt_model *model, const char *folder, int threads)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = model->backend->name;
    options.precision = "f32";
    options.threads = threads;
    options.steps = STEPS;
    options.batch = BATCH;
    options.context = CONTEXT;
    TTT_TRY(ttt_trainer_new_empty(trainer, &model->lm.config, &options));
    const ttt_status status = ttt_trainer_load_model(*trainer, folder);
    if (status == TTT_OK) return TTT_OK;
    ttt_trainer_free(*trainer);
    *trainer = NULL;
    return status;
}

/* ---- both ---- */

static void add_line(ttt_digests *out, const ttt_digest *digest, const char *what, const ttt_model *model)
{
    ttt_digest_line *line = &out->lines[out->count++];
    *line = (ttt_digest_line){.what = what,
                              .backend = model->backend->name,
                              .isa = ttt_bits_of(model->backend->isa, ttt_model_precision(model)),
                              .precision = ttt_model_precision(model)};
    ttt_digest_print(digest, line->digest);
}

static ttt_status add_inference(ttt_digests *out, const ttt_model *model, int threads)
{
    ttt_context *context;
    ttt_digest *digest;
    TTT_TRY(ttt_context_new(&context, model, threads));
    ttt_status status = ttt_digest_new(&digest);
    if (status == TTT_OK) status = digest_inference(digest, context);
    if (status == TTT_OK) add_line(out, digest, "inference", model);
    ttt_digest_free(digest);
    ttt_context_free(context);
    return status;
}

/* Training begins from weights that were not quantised: of others there is no line. */
static ttt_status add_training(ttt_digests *out, const ttt_model *model, const char *folder, int threads)
{
    ttt_trainer *trainer;
    ttt_digest *digest;
    const ttt_status opened = open_trainer(&trainer, model, folder, threads);
    if (opened == TTT_ERR_UNSUPPORTED) return TTT_OK;
    TTT_TRY(opened);
    ttt_status status = ttt_digest_new(&digest);
    if (status == TTT_OK) status = digest_training(digest, trainer);
    if (status == TTT_OK) add_line(out, digest, "training", model);
    ttt_digest_free(digest);
    ttt_trainer_free(trainer);
    return status;
}

static ttt_status add_precision(ttt_digests *out, const char *folder, const ttt_model_options *options)
{
    ttt_model *model;
    TTT_TRY(ttt_model_open(&model, folder, options));
    ttt_status status = add_inference(out, model, options->threads);
    if (status == TTT_OK && model->precision == TTT_PRECISION_F32)
        status = add_training(out, model, folder, options->threads);
    ttt_model_free(model);
    return status;
}

ttt_status ttt_verify_digests(ttt_digests *out, const char *folder, const ttt_model_options *options)
{
    *out = (ttt_digests){0};
    ttt_model_options one = options ? *options : (ttt_model_options){0};
    if (one.precision) return add_precision(out, folder, &one);
    for (ttt_precision p = 0; p < TTT_PRECISION_COUNT; p++) {
        one.precision = ttt_precision_name(p);
        TTT_TRY(add_precision(out, folder, &one));
    }
    return TTT_OK;
}
