/* SPDX-License-Identifier: MIT
 *
 * A profile counts every operation of the table, its work and its bytes, and changes nothing of what is computed.
 */
#include "backend/timed.h"
#include "base/rng.h"
#include "test.h"
#include "train/trainer.h"

enum { T = 24, BATCH = 4, V = 29, C = 32, F = 48, H = 4, L = 2 };

static int32_t tokens[BATCH * (T + 1)];

static ttt_config small_config(ttt_learner_kind learner)
{
    ttt_config config;
    ttt_config_init(&config);
    config.vocab_size = V;
    config.hidden_size = C;
    config.intermediate_size = F;
    config.num_hidden_layers = L;
    config.num_attention_heads = H;
    config.ttt_layer_type = learner;
    config.use_gate = config.share_qk = config.pre_conv = true;
    return config;
}

/* Of the table only what loads and what measures is left as it was. */
static void test_table(const char *name)
{
    ttt_backend *b;
    CHECK_OK(ttt_backend_new(&b, name, 1));
    typedef void function(void);
    enum { FUNCTIONS = sizeof(ttt_ops) / sizeof(function *) };
    const ttt_ops inner = *b->ops;
    CHECK_EQ(ttt_timed_profile(b).count, 0);
    CHECK_OK(ttt_timed_start(b));
    int same = 0;
    for (size_t i = 0; i < FUNCTIONS; i++)
        same += memcmp((const char *)&inner + i * sizeof(function *), (const char *)b->ops + i * sizeof(function *),
                       sizeof(function *)) == 0;
    CHECK(b->ops->from == inner.from && b->ops->to == inner.to && b->ops->packed_size == inner.packed_size);
    CHECK_EQ(same, 10); /* and alloc, free, sync, attention_scratch, delta_saved_size, what ends in scratch_bytes */
    for (int i = 0; i < TTT_LEARNER_COUNT; i++) {
        CHECK(b->ops->learner[i]->forward != inner.learner[i]->forward);
        CHECK(b->ops->learner[i]->backward != inner.learner[i]->backward);
        CHECK(b->ops->learner[i]->reset == inner.learner[i]->reset);
    }
    ttt_backend_free(b);
}

static const ttt_profile_row *row(const ttt_profile *profile, const char *operation)
{
    for (size_t i = 0; i < profile->count; i++)
        if (strcmp(profile->rows[i].operation, operation) == 0) return &profile->rows[i];
    fprintf(stderr, "no row %s\n", operation);
    exit(1);
}

static ttt_trainer *trained(ttt_learner_kind learner, bool profile, ttt_train_result *result)
{
    ttt_train_options o;
    ttt_train_options_init(&o);
    o.context = T;
    o.batch = BATCH;
    o.accumulate = 2;
    o.steps = 10;
    o.profile = profile;
    const ttt_config config = small_config(learner);
    ttt_trainer *trainer;
    CHECK_OK(ttt_trainer_new(&trainer, &config, &o));
    for (int i = 0; i < 2; i++) CHECK_OK(ttt_trainer_step(trainer, tokens, result));
    return trainer;
}

static void test_training(ttt_learner_kind learner)
{
    ttt_train_result plain, timed;
    ttt_trainer *a = trained(learner, false, &plain), *b = trained(learner, true, &timed);
    CHECK(plain.loss == timed.loss && plain.grad_norm == timed.grad_norm);
    CHECK_EQ(ttt_trainer_profile(a).count, 0);

    const ttt_profile p = ttt_trainer_profile(b);
    const double rows = 2 * BATCH * T, real = sizeof(float), size = (double)b->lm.stack.params.size;
    const double matrices = L * (4 * C * C + H * C + 3 * C * F) + V * C; /* q, v, o, gate of the layer */
    CHECK_NEAR(row(&p, "linear")->flops, 2 * rows * matrices, 0);
    CHECK_NEAR(row(&p, "linear_backward_input")->flops, 2 * rows * matrices, 0);
    CHECK_NEAR(row(&p, "linear_backward_weight")->flops, 2 * rows * matrices, 0);
    CHECK_EQ(row(&p, "adamw")->calls, 2);
    CHECK_NEAR(row(&p, "adamw")->bytes, 2 * 7 * size * real, 0);
    CHECK_EQ(row(&p, "embed")->calls, 4);                                     /* two updates of two passes */
    CHECK_NEAR(row(&p, "rotate")->bytes, 2 * 2 * real * L * 2 * rows * C, 0); /* q and k, forward and backward */
    CHECK_NEAR(row(&p, "cross_entropy")->bytes, 2 * real * rows * V, 0);
    const bool mlp = learner == TTT_LEARNER_MLP;
    CHECK_EQ(row(&p, "learner_mlp.forward")->calls, mlp ? 4 * L : 0);
    CHECK_EQ(row(&p, "learner_linear.backward")->calls, mlp ? 0 : 4 * L);
    double seconds = 0;
    for (size_t i = 0; i < p.count; i++) {
        CHECK(p.rows[i].calls > 0 ? p.rows[i].seconds >= 0 && p.rows[i].bytes > 0 : p.rows[i].seconds == 0);
        seconds += p.rows[i].seconds;
    }
    CHECK(seconds <= p.seconds * (1 + 1e-9)); /* nothing is counted twice */
    ttt_trainer_free(a);
    ttt_trainer_free(b);
}

int main(void)
{
    const ttt_rng rng = {.seed = 5, .stream = TTT_RNG_TEST};
    for (int i = 0; i < BATCH * (T + 1); i++) tokens[i] = (int32_t)(ttt_rng_u64(rng, (uint64_t)i) % V);
    test_table("cpu");
    test_table("ref");
    test_training(TTT_LEARNER_LINEAR);
    test_training(TTT_LEARNER_MLP);
    return test_end();
}
