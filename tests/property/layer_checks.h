/* SPDX-License-Identifier: MIT
 *
 * What holds for every layer, on ref: its gradients are those of the loss, by central differences and in segments; it
 * learns; saved and loaded it goes on with the same bits; and any split of a sequence gives the same bits, through the
 * pieces of its state as from a file.
 */
#ifndef TTT_TESTS_PROPERTY_LAYER_CHECKS_H
#define TTT_TESTS_PROPERTY_LAYER_CHECKS_H

#include "base/alloc.h"
#include "base/rng.h"
#include "config/config.h"
#include "model/context.h"
#include "test.h"
#include "train/trainer.h"

enum { V = 13, LONGEST = 200, BATCH = 2 };

static int64_t T = 18; /* of a sequence */
static int32_t tokens[BATCH * (LONGEST + 1)];

static ttt_config config_of(const char *layers)
{
    ttt_config config;
    ttt_config_init(&config);
    config.vocab_size = V;
    config.hidden_size = 8;
    config.intermediate_size = 12;
    config.num_attention_heads = 2;
    config.mini_batch_size = 4;
    config.initializer_range = 0.3;
    CHECK_OK(ttt_config_set(&config, "layers", layers));
    return config;
}

static ttt_trainer *trainer_of(const ttt_config *config, int64_t segment, bool recompute)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = "ref";
    options.context = T;
    options.batch = BATCH;
    options.segment = segment;
    options.recompute = recompute;
    options.steps = 30;
    options.rate = 1e-2;
    options.seed = 2;
    ttt_trainer *trainer = NULL;
    CHECK_OK(ttt_trainer_new(&trainer, config, &options));
    if (!trainer) exit(1);
    return trainer;
}

static double *doubles(char *block) { return (double *)(void *)block; }

/* Every parameter along a random direction. */
static void differences(const ttt_config *config)
{
    const double step = 1e-6;
    ttt_trainer *t = trainer_of(config, 0, false);
    const ttt_params *params = &t->lm.stack.params;
    double loss, norm;
    CHECK_OK(ttt_trainer_gradients(t, tokens, &loss, &norm));
    double *gradient = ttt_alloc((size_t)params->size, sizeof *gradient);
    memcpy(gradient, t->optimizer.grads, (size_t)params->size * sizeof *gradient);
    for (int64_t p = 0; p < params->count; p++) {
        const int64_t at = params->specs[p].offset, n = ttt_param_elements(&params->specs[p]);
        double sides[2], expected = 0, size = 1e-6;
        for (int side = 0; side < 2; side++) {
            for (int64_t i = 0; i < n; i++) {
                const double d = ttt_rng_normal((ttt_rng){.seed = 8, .stream = TTT_RNG_TEST}, (uint64_t)i);
                doubles(t->optimizer.values)[at + i] += (side ? -2 : 1) * step * d;
                if (side == 0) expected += d * gradient[at + i];
                if (side == 0) size += fabs(d * gradient[at + i]);
            }
            CHECK_OK(ttt_trainer_gradients(t, tokens, &sides[side], &norm));
        }
        for (int64_t i = 0; i < n; i++)
            doubles(t->optimizer.values)[at + i] += step * ttt_rng_normal((ttt_rng){.seed = 8, .stream = TTT_RNG_TEST},
                                                                          (uint64_t)i);
        if (fabs((sides[0] - sides[1]) / (2 * step) - expected) > 1e-6 * size)
            fprintf(stderr, "%s:\n", params->specs[p].name);
        CHECK_NEAR((sides[0] - sides[1]) / (2 * step), expected, 1e-6 * size);
    }
    ttt_free(gradient);
    ttt_trainer_free(t);
}

/* Segments and blocks computed again: the gradients of the whole. */
static void segments(const ttt_config *config)
{
    static const int64_t lengths[] = {1, 5, 16};
    ttt_trainer *whole = trainer_of(config, 0, false), *again = trainer_of(config, 0, true);
    const int64_t size = whole->lm.stack.params.size;
    double loss, other, norm;
    CHECK_OK(ttt_trainer_gradients(whole, tokens, &loss, &norm));
    CHECK_OK(ttt_trainer_gradients(again, tokens, &other, &norm));
    CHECK(loss == other && memcmp(whole->optimizer.grads, again->optimizer.grads, (size_t)size * sizeof(double)) == 0);
    ttt_trainer_free(again);
    for (int k = 0; k < 3; k++) {
        ttt_trainer *cut = trainer_of(config, lengths[k], k == 1);
        double worst = 0;
        CHECK_OK(ttt_trainer_gradients(cut, tokens, &other, &norm));
        CHECK_NEAR(other, loss, 1e-13);
        for (int64_t i = 0; i < size; i++)
            worst = fmax(worst, fabs(doubles(whole->optimizer.grads)[i] - doubles(cut->optimizer.grads)[i]));
        CHECK_NEAR(worst, 0, 1e-13);
        ttt_trainer_free(cut);
    }
    ttt_trainer_free(whole);
}

/* It learns; saved and loaded it goes on with the same bits; and as a model it reads alike in any split. */
static void trains(const ttt_config *config, const char *name)
{
    char folder[4096], file[4200];
    snprintf(folder, sizeof folder, "%s/%s", TTT_BINARY_DIR, name);
    snprintf(file, sizeof file, "%s.safetensors", folder);
    ttt_trainer *t = trainer_of(config, 0, false), *loaded;
    ttt_train_result first, last = {0}, later;
    CHECK_OK(ttt_trainer_step(t, tokens, &first));
    for (int i = 0; i < 20; i++) CHECK_OK(ttt_trainer_step(t, tokens, &last));
    CHECK(last.loss < (T < 20 ? 0.8 : 1) * first.loss); /* short ones are known by heart soon */
    CHECK_OK(ttt_trainer_save(t, file, NULL));
    CHECK_OK(ttt_trainer_save_model(t, folder));
    CHECK_OK(ttt_trainer_load(&loaded, file, &(ttt_train_options){.backend = "ref"}, NULL));
    CHECK_OK(ttt_trainer_step(t, tokens, &last));
    CHECK_OK(ttt_trainer_step(loaded, tokens, &later));
    CHECK(last.loss == later.loss && last.grad_norm == later.grad_norm);
    ttt_trainer_free(t);
    ttt_trainer_free(loaded);

    static float whole[LONGEST * V], split[LONGEST * V];
    ttt_model *model;
    ttt_context *context;
    ttt_state *state, *other;
    CHECK_OK(ttt_model_open(&model, folder, &(ttt_model_options){.backend = "ref"}));
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_new(&other, model));
    ttt_feed feed = {.state = state, .tokens = tokens, .count = T, .which = TTT_LOGITS_ALL, .logits = whole};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    for (int64_t at = 0, n = 1; at < T; at += n, n = n % 4 + 1) {
        n = T - at < n ? T - at : n;
        ttt_state_table table;
        CHECK_OK(ttt_state_table_init(&table, model, at));
        double *values = ttt_alloc((size_t)table.elements, sizeof *values);
        ttt_state_export(other, &table, values);
        ttt_state_reset(other);
        CHECK_OK(ttt_state_import(other, at, &table, values)); /* through its pieces, as from a file */
        ttt_state_table_deinit(&table);
        ttt_free(values);
        feed = (ttt_feed){
            .state = other, .tokens = tokens + at, .count = n, .which = TTT_LOGITS_ALL, .logits = split + at * V};
        CHECK_OK(ttt_context_advance(context, &feed, 1));
    }
    CHECK(memcmp(whole, split, (size_t)(T * V) * sizeof *whole) == 0);
    CHECK_OK(ttt_state_copy(state, other));
    CHECK_EQ(ttt_state_position(state), T);
    ttt_state_free(state);
    ttt_state_free(other);
    ttt_context_free(context);
    ttt_model_free(model);
}

/* All of it, for a model of sequences of `length` tokens; `name`: of the program, for its files. */
static void check_layers(const ttt_config *config, int64_t length, const char *name)
{
    T = length;
    for (int i = 0; i < BATCH * (T + 1); i++)
        tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 6, .stream = TTT_RNG_TEST}, (uint64_t)i) % V);
    differences(config);
    segments(config);
    trains(config, name);
}

#endif
