/* SPDX-License-Identifier: MIT
 *
 * What one update is made of, beside its gradient: the schedule, the first steps of AdamW, clipping, accumulation and
 * the warm-up of the mlp's inner rate, each against what it must be by its formula. In double.
 */
#include "train/trainer.h"

#include <ttt/train.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "small_config.h"
#include "test.h"

enum { T = 24, BATCH = 4, V = 19 };

static int32_t tokens[BATCH * (T + 1)];

static ttt_config learner_config(ttt_learner_kind learner)
{
    ttt_config config = small_config(V, 16, 2, 1);
    config.ttt_layer_type = learner;
    config.ttt_base_lr = learner == TTT_LEARNER_MLP ? 0.1 : 1;
    config.use_gate = config.share_qk = config.pre_conv = true;
    return config;
}

static ttt_train_options small_options(void)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = "ref";
    options.threads = 1;
    options.context = T;
    options.batch = BATCH;
    options.accumulate = 1;
    options.steps = 10;
    options.rate = 1e-3;
    options.warmup = 0;
    options.schedule = TTT_SCHEDULE_CONSTANT;
    return options;
}

static ttt_trainer *trainer_new(const ttt_config *config, const ttt_train_options *options)
{
    ttt_trainer *trainer = NULL;
    CHECK_OK(ttt_trainer_new(&trainer, config, options));
    if (!trainer) exit(1);
    return trainer;
}

static double *values_of(const ttt_trainer *trainer) { return (double *)(void *)trainer->optimizer.values; }

/* n updates on the same tokens; the parameters afterwards, as a new block. */
static double *train(const ttt_config *config, const ttt_train_options *options, int n, ttt_train_result *last)
{
    ttt_trainer *trainer = trainer_new(config, options);
    for (int i = 0; i < n; i++) CHECK_OK(ttt_trainer_step(trainer, tokens, last));
    CHECK_EQ(ttt_trainer_step_count(trainer), n);
    const size_t size = (size_t)trainer->lm.stack.params.size;
    double *values = ttt_alloc(size, sizeof *values);
    if (!values) exit(1);
    memcpy(values, values_of(trainer), size * sizeof *values);
    ttt_trainer_free(trainer);
    return values;
}

static void test_schedule(void)
{
    ttt_train_options o = small_options();
    o.steps = 100;
    o.warmup = 0.1;
    o.final_rate = 1e-5;
    for (int kind = TTT_SCHEDULE_COSINE; kind <= TTT_SCHEDULE_LINEAR; kind++) {
        o.schedule = (ttt_schedule)kind;
        CHECK_NEAR(ttt_train_rate(&o, 0), 0, 0);
        CHECK_NEAR(ttt_train_rate(&o, 5), 0.5e-3, 1e-18);
        CHECK_NEAR(ttt_train_rate(&o, 10), 1e-3, 1e-18);
    }
    const double middle = (1e-3 + 1e-5) / 2;
    o.schedule = TTT_SCHEDULE_COSINE;
    CHECK_NEAR(ttt_train_rate(&o, 55), middle, 1e-17);
    CHECK_NEAR(ttt_train_rate(&o, 40), 1e-5 + (1e-3 - 1e-5) * 0.75, 1e-17); /* a third of the way, cos = 1/2 */
    CHECK_NEAR(ttt_train_rate(&o, 100), 1e-5, 1e-17);
    o.schedule = TTT_SCHEDULE_LINEAR;
    CHECK_NEAR(ttt_train_rate(&o, 55), middle, 1e-17);
    o.schedule = TTT_SCHEDULE_CONSTANT;
    CHECK_NEAR(ttt_train_rate(&o, 99), 1e-3, 0);
}

/* With bias correction the first update is rate * (g / (|g| + eps) + decay p), whatever the betas. */
static void test_first_update(double clip)
{
    const ttt_config config = learner_config(TTT_LEARNER_LINEAR);
    ttt_train_options o = small_options();
    o.clip = clip;
    ttt_trainer *trainer = trainer_new(&config, &o);
    const int64_t size = trainer->lm.stack.params.size;
    double *before = ttt_alloc((size_t)size, sizeof *before);
    if (!before) exit(1);
    memcpy(before, values_of(trainer), (size_t)size * sizeof *before);
    ttt_train_result result;
    CHECK_OK(ttt_trainer_step(trainer, tokens, &result));
    CHECK_NEAR(result.loss, log(V), 0.1);
    CHECK_NEAR(result.rate, o.rate, 0);
    const double *g = (const double *)(void *)trainer->optimizer.grads;
    double squares = 0, worst = 0;
    for (int64_t i = 0; i < size; i++) squares += g[i] * g[i];
    CHECK_NEAR(result.grad_norm, sqrt(squares), 1e-12 * result.grad_norm);
    const double scale = clip > 0 && clip < result.grad_norm ? clip / result.grad_norm : 1;
    for (int64_t i = 0; i < size; i++) {
        const double slope = scale * g[i];
        const double expected = before[i] - o.rate * (slope / (fabs(slope) + o.eps) + o.decay * before[i]);
        worst = fmax(worst, fabs(values_of(trainer)[i] - expected));
    }
    CHECK_NEAR(worst, 0, 1e-14);
    ttt_free(before);
    ttt_trainer_free(trainer);
}

/* Passes over parts of a batch add up to the pass over the whole, to rounding. */
static void test_accumulation(void)
{
    const ttt_config config = learner_config(TTT_LEARNER_LINEAR);
    ttt_train_options o = small_options();
    ttt_train_result whole, parts;
    double *one = train(&config, &o, 1, &whole);
    for (o.accumulate = 2; o.accumulate <= BATCH; o.accumulate *= 2) {
        double *other = train(&config, &o, 1, &parts);
        CHECK_NEAR(parts.loss, whole.loss, 1e-14);
        CHECK_NEAR(parts.grad_norm, whole.grad_norm, 1e-13);
        ttt_free(other);
    }
    o.accumulate = 3;
    ttt_trainer *trainer;
    CHECK_FAILS(ttt_trainer_new(&trainer, &config, &o), TTT_ERR_ARGUMENT, "accumulate 3");
    ttt_free(one);
}

/* The first update of a warm-up has rate 0 and the mlp a tenth of its inner rate; the linear learner all of it. */
static void test_warmup(ttt_learner_kind learner)
{
    ttt_config config = learner_config(learner);
    ttt_train_options o = small_options();
    ttt_train_result warm, full, tenth;
    ttt_free(train(&config, &o, 1, &full));
    o.warmup = 0.5;
    double *after = train(&config, &o, 1, &warm);
    ttt_trainer *fresh = trainer_new(&config, &o);
    CHECK(memcmp(after, values_of(fresh), (size_t)fresh->lm.stack.params.size * sizeof *after) == 0);
    ttt_trainer_free(fresh);
    ttt_free(after);
    o.warmup = 0;
    config.ttt_base_lr *= 0.1;
    ttt_free(train(&config, &o, 1, &tenth));
    CHECK_NEAR(warm.rate, 0, 0);
    CHECK(full.loss != tenth.loss);
    CHECK_NEAR(warm.loss, learner == TTT_LEARNER_MLP ? tenth.loss : full.loss, 1e-15);
}

/* The same tokens again and again are learned, and a rate that is far too large is noticed, naming the step. */
static void test_learning(void)
{
    const ttt_config config = learner_config(TTT_LEARNER_MLP);
    ttt_train_options o = small_options();
    ttt_train_result first, last;
    o.rate = 1e-2;
    ttt_free(train(&config, &o, 1, &first));
    ttt_free(train(&config, &o, 10, &last));
    CHECK(last.loss < first.loss - 0.3);

    ttt_trainer *trainer = trainer_new(&config, &o);
    values_of(trainer)[trainer->lm.stack.params.size / 2] = (double)NAN;
    CHECK_FAILS(ttt_trainer_step(trainer, tokens, &last), TTT_ERR_NUMERIC, "update 1");
    CHECK_EQ(ttt_trainer_step_count(trainer), 0);
    tokens[7] = V;
    CHECK_FAILS(ttt_trainer_step(trainer, tokens, &last), TTT_ERR_ARGUMENT, "of the batch has id");
    ttt_trainer_free(trainer);
}

int main(void)
{
    const ttt_rng rng = {.seed = 11, .stream = TTT_RNG_TEST};
    for (int i = 0; i < BATCH * (T + 1); i++) tokens[i] = (int32_t)(ttt_rng_u64(rng, (uint64_t)i) % V);
    test_schedule();
    test_first_update(1);
    test_first_update(1e-3);
    test_accumulation();
    test_warmup(TTT_LEARNER_LINEAR);
    test_warmup(TTT_LEARNER_MLP);
    test_learning();
    return test_end();
}
