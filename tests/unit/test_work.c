/* SPDX-License-Identifier: MIT
 * ttt/bench.h: what work is counted as, by hand for a small model, and the least time that follows from limits.
 */
#include <ttt/bench.h>

#include "config/config.h"
#include "test.h"

enum { V = 100, C = 32, F = 48, H = 2, D = 16, L = 3, K = 16, TILE = 16, TAPS = 4 };

static ttt_config small(bool mlp)
{
    ttt_config c;
    ttt_config_init(&c);
    c.vocab_size = V;
    c.hidden_size = C;
    c.intermediate_size = F;
    c.num_attention_heads = H;
    c.num_hidden_layers = L;
    c.mini_batch_size = K;
    c.ttt_layer_type = mlp ? TTT_LEARNER_MLP : TTT_LEARNER_LINEAR;
    c.use_gate = c.share_qk = c.pre_conv = c.tie_word_embeddings = true;
    return c;
}

static void counts(bool mlp)
{
    const ttt_config c = small(mlp);
    const double block = 4 * C * C + H * C + 3 * C * F; /* q, v, o, gate; rates; the network */
    const double learner = mlp ? 3 * 8 * D * D + 10 * TILE * D + 4 * D * D : 3 * D * D + 2 * TILE * D;
    const double backward = 2 * learner, convolutions = 3 * 2 * TAPS * C; /* before the layer, of q and of k */
    ttt_work work;
    CHECK_OK(ttt_work_training(&work, &c, 64, 2));
    CHECK_NEAR(work.products, 128.0 * 6 * (L * block + V * C), 0.5);
    CHECK_NEAR(work.others, 128.0 * L * (H * 2 * (learner + backward) + 3 * convolutions), 0.5);
    CHECK_NEAR(work.bytes, 40.0 * (double)ttt_config_parameters(&c), 0.5);

    ttt_model *model;
    ttt_state *state;
    CHECK_OK(ttt_model_new(&model, &c, 1, &(ttt_model_options){.precision = "f32", .threads = 1}));
    CHECK_OK(ttt_state_new(&state, model));
    ttt_work_inference(&work, model, 0, 64);
    CHECK_NEAR(work.products, 2 * (64 * L * block + V * C), 0.5); /* the logits of one token */
    CHECK_NEAR(work.others, 64.0 * L * (H * 2 * learner + convolutions), 0.5);
    /* every weight and the state once; packing rounds the rows up */
    const double least = 4.0 * (double)ttt_config_parameters(&c) + (double)ttt_state_bytes(state);
    CHECK(work.bytes >= least && work.bytes < 3 * least);
    CHECK_NEAR(ttt_model_state_bytes(model, 0), (double)ttt_state_bytes(state), 0.5);
    CHECK_NEAR(ttt_model_state_bytes(model, 1000), (double)ttt_state_bytes(state), 0.5); /* however long */
    CHECK_STR(ttt_model_precision(model), "f32");
    ttt_state_free(state);
    ttt_model_free(model);
}

static void least_time(void)
{
    const ttt_limits limits = {.fma = 100, .bf16 = 1000, .bytes = 500, .read = 10};
    bool memory;
    const ttt_work heavy = {.products = 1000, .others = 200, .bytes = 50};
    CHECK_NEAR(ttt_work_seconds(&heavy, &limits, "f32", &memory), 12, 1e-12);
    CHECK(!memory);
    CHECK_NEAR(ttt_work_seconds(&heavy, &limits, "bf16", &memory), 5, 1e-12); /* 1 + 2 seconds of operations */
    CHECK(memory);
    CHECK_NEAR(ttt_work_seconds(&(ttt_work){.products = 1000}, &limits, "q4", &memory), 2, 1e-12);
    const ttt_limits without = {.fma = 100, .read = 10};
    CHECK_NEAR(ttt_work_seconds(&heavy, &without, "bf16", NULL), 12, 1e-12);
}

int main(void)
{
    counts(false);
    counts(true);
    least_time();
    return test_end();
}
