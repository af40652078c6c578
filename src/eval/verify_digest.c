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
#include "model/model.h"
#include "train/trainer.h"

enum { CALLS = 3, TOKENS = 83, STEPS = 10, BATCH = 2, CONTEXT = 32 };
static const int64_t calls[CALLS] = {50, 1, 32};

static void fixed_tokens(int32_t *tokens, int64_t first, int64_t count, int64_t V)
{
    for (int64_t t = 0; t < count; t++)
        tokens[t] = (int32_t)(ttt_rng_u64((ttt_rng){.stream = TTT_RNG_TEST}, (uint64_t)(first + t)) % (uint64_t)V);
}

/* ---- inference ---- */

/* One layer: weight by weight that of all heads, then likewise the open sums, as inspection sees them. */
static ttt_status add_learner(ttt_digest *digest, const ttt_state *state, int64_t layer)
{
    const ttt_lm *lm = &state->model->lm;
    const ttt_backend *b = lm->backend;
    const ttt_layer_shape *shape = &lm->blocks[layer].layer;
    const ttt_learner_ops *ops = shape->learner->ops(b);
    const int64_t all = ops->weights_size(ops, &shape->dims), H = shape->dims.heads;
    char *weights = ttt_alloc((size_t)(2 * all * H), b->real);
    if (!weights) return TTT_ERR_MEMORY;
    for (int64_t h = 0; h < H; h++)
        ops->weights(ops, b, &shape->dims,
                     ttt_at(b, state->block, shape->state_offset + h * ops->state_size(ops, &shape->dims)),
                     ttt_at(b, weights, h * 2 * all));
    int64_t offset = 0;
    for (int64_t half = 0; half < 2; half++, offset = 0) {
        for (int p = 0; offset < all; p++) {
            const ttt_param *param = &state->model->weights.blocks[layer].layer.learner[p];
            const int64_t size = param->rows * param->columns / H;
            for (int64_t h = 0; h < H; h++)
                ttt_digest_add(digest, ttt_at(b, weights, (2 * h + half) * all + offset), (size_t)size * b->real);
            offset += size;
        }
    }
    ttt_free(weights);
    return TTT_OK;
}

/* Per layer: what was learned, and the tails of the convolutions. */
static ttt_status add_state(ttt_digest *digest, const ttt_state *state)
{
    const ttt_lm *lm = &state->model->lm;
    const ttt_backend *b = lm->backend;
    const int64_t C = lm->config.hidden_size, W = lm->config.conv_kernel;
    for (int64_t i = 0; i < lm->config.num_hidden_layers; i++) {
        const ttt_layer_shape *shape = &lm->blocks[i].layer;
        const size_t tail = (size_t)((W - 1) * C) * b->real;
        if (lm->blocks[i].pre_conv) ttt_digest_add(digest, ttt_at(b, state->block, lm->blocks[i].conv_offset), tail);
        TTT_TRY(add_learner(digest, state, i));
        const ttt_learner_ops *ops = shape->learner->ops(b);
        const int64_t learners = shape->dims.heads * ops->state_size(ops, &shape->dims);
        if (shape->share_qk) ttt_digest_add(digest, ttt_at(b, state->block, shape->state_offset + learners), tail);
    }
    return TTT_OK;
}

static ttt_status read_tokens(ttt_digest *digest, ttt_model *model, ttt_state *state, void *logits)
{
    const ttt_backend *b = model->lm.backend;
    const int64_t V = model->lm.config.vocab_size;
    int32_t tokens[TOKENS];
    int64_t first = 0;
    fixed_tokens(tokens, 0, TOKENS, V);
    for (int i = 0; i < CALLS; first += calls[i++]) {
        const ttt_feed feed = {
            .state = state, .tokens = tokens + first, .count = calls[i], .which = TTT_LOGITS_ALL, .logits = logits};
        TTT_TRY(ttt_model_advance_as(model, &feed, 1, b->dtype, NULL, NULL));
        ttt_digest_add(digest, logits, (size_t)(calls[i] * V) * b->real);
    }
    return add_state(digest, state);
}

static ttt_status digest_inference(ttt_digest *digest, ttt_model *model)
{
    ttt_state *state;
    TTT_TRY(ttt_state_new(&state, model));
    void *logits = ttt_alloc((size_t)(TOKENS * model->lm.config.vocab_size), model->lm.backend->real);
    const ttt_status status = logits ? read_tokens(digest, model, state, logits) : TTT_ERR_MEMORY;
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
    for (int64_t i = 0; i < lm->layout.count; i++) {
        const ttt_param_spec *spec = &lm->layout.specs[i];
        ttt_digest_add(digest, spec->name, strlen(spec->name));
        ttt_digest_add(digest, ttt_at(lm->backend, trainer->optimizer.values, lm->layout.offsets[i]),
                       (size_t)ttt_param_elements(spec) * lm->backend->real);
    }
    return TTT_OK;
}

static ttt_status open_trainer(ttt_trainer **trainer, const ttt_model *model, const char *folder)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = model->lm.backend->name;
    options.precision = "f32";
    options.products = "own";
    options.threads = model->lm.backend->threads;
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

static void name_line(ttt_digest_line *line, const char *what, const ttt_model *model)
{
    *line = (ttt_digest_line){.what = what,
                              .backend = model->lm.backend->name,
                              .isa = model->lm.backend->isa,
                              .precision = ttt_model_precision(model)};
}

/* Training begins from weights that were not quantised. */
static ttt_status add_training(ttt_digests *out, ttt_digest *digest, const ttt_model *model, const char *folder)
{
    ttt_trainer *trainer;
    const ttt_status opened = open_trainer(&trainer, model, folder);
    if (opened == TTT_ERR_UNSUPPORTED) return TTT_OK;
    TTT_TRY(opened);
    const ttt_status status = digest_training(digest, trainer);
    ttt_trainer_free(trainer);
    if (status != TTT_OK) return status;
    ttt_digest_line *line = &out->lines[out->count++];
    name_line(line, "training", model);
    ttt_digest_print(digest, line->digest);
    return TTT_OK;
}

static ttt_status add_precision(ttt_digests *out, const char *folder, const ttt_model_options *options)
{
    ttt_model *model;
    ttt_digest *digest = NULL, *training = NULL;
    TTT_TRY(ttt_model_open(&model, folder, options));
    ttt_status status = ttt_digest_new(&digest);
    if (status == TTT_OK) status = digest_inference(digest, model);
    if (status == TTT_OK) {
        ttt_digest_line *line = &out->lines[out->count++];
        name_line(line, "inference", model);
        ttt_digest_print(digest, line->digest);
    }
    if (status == TTT_OK && strcmp(ttt_model_precision(model), "f32") == 0) {
        status = ttt_digest_new(&training);
        if (status == TTT_OK) status = add_training(out, training, model, folder);
    }
    ttt_digest_free(training);
    ttt_digest_free(digest);
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
