/* SPDX-License-Identifier: MIT
 *
 * A host program whose threads flush subnormal numbers to zero, or round another way: a model is made, reads and
 * trains with the same bits as elsewhere, on any number of threads, and the host finds its threads as they were.
 */
#include "base/float_env.h"
#include "model/context.h"
#include "model/model.h"
#include "small_config.h"
#include "test.h"
#include "train/trainer.h"

enum { V = 23, T = 40, BATCH = 2, STEPS = 2 };

typedef struct results {
    float logits[T * V];
    double loss[STEPS], norm[STEPS];
} results;

static ttt_config full_config(void)
{
    ttt_config config = small_config(V, 32, 2, 1);
    config.use_gate = config.share_qk = config.pre_conv = true;
    return config;
}

static void infer(results *r, const ttt_config *config, const char *backend, const char *precision, int threads)
{
    ttt_model *model;
    ttt_context *context;
    ttt_state *state;
    int32_t tokens[T];
    for (int i = 0; i < T; i++) tokens[i] = i * 7 % V;
    CHECK_OK(ttt_model_new(&model, config, 1, &(ttt_model_options){.backend = backend, .precision = precision}));
    CHECK_OK(ttt_context_new(&context, model, threads));
    CHECK_OK(ttt_state_new(&state, model));
    const ttt_feed feed = {.state = state, .tokens = tokens, .count = T, .which = TTT_LOGITS_ALL, .logits = r->logits};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

static void train(results *r, const ttt_config *config, const char *backend, int threads)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = backend;
    options.threads = threads;
    options.context = T;
    options.batch = BATCH;
    options.steps = 10;
    options.warmup = 0;
    ttt_trainer *trainer;
    int32_t tokens[BATCH * (T + 1)];
    for (int i = 0; i < BATCH * (T + 1); i++) tokens[i] = i * 5 % V;
    CHECK_OK(ttt_trainer_new(&trainer, config, &options));
    for (int i = 0; i < STEPS; i++) {
        ttt_train_result result;
        CHECK_OK(ttt_trainer_step(trainer, tokens, &result));
        r->loss[i] = result.loss;
        r->norm[i] = result.grad_norm;
    }
    ttt_trainer_free(trainer);
}

int main(void)
{
#if defined(__x86_64__)
    const uint64_t hosts[] = {TTT_FLOAT_ENV, TTT_FLOAT_ENV | 0x8040, (TTT_FLOAT_ENV & ~0x6000) | 0x4000};
#elif defined(__aarch64__)
    const uint64_t hosts[] = {TTT_FLOAT_ENV, 1u << 24, 1u << 22};
#else
    const uint64_t hosts[] = {TTT_FLOAT_ENV};
#endif
    static const char *const backends[] = {"cpu", "cpu", "ref"}, *const precisions[] = {"f32", "q8", "f32"};
    const ttt_config config = full_config();
    for (int p = 0; p < 3; p++) {
        static results first, now;
        for (size_t h = 0; h < sizeof hosts / sizeof *hosts; h++) {
            for (int threads = 1; threads <= 3; threads += 2) {
                results *r = h == 0 && threads == 1 ? &first : &now;
                memset(r, 0, sizeof *r);
                ttt_float_set(hosts[h]);
                const uint64_t host = ttt_float_get(); /* valgrind keeps the rounding alone */
                infer(r, &config, backends[p], precisions[p], threads);
                train(r, &config, backends[p], threads);
                const uint64_t after = ttt_float_get();
                ttt_float_set(TTT_FLOAT_ENV);
                CHECK_EQ(after, host);
                CHECK(memcmp(r->logits, first.logits, sizeof r->logits) == 0);
                CHECK(memcmp(r->loss, first.loss, sizeof r->loss) == 0);
                CHECK(memcmp(r->norm, first.norm, sizeof r->norm) == 0);
            }
        }
        CHECK(first.norm[1] > 0);
    }
    return test_end();
}
