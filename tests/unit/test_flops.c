/* SPDX-License-Identifier: MIT
 *
 * MATH (flops): of every part, what ttt_config_flops says is what the table there says, and what the operations that
 * ref is called for count; and attention's share grows with the context as it must.
 */
#include <math.h>
#include <string.h>

#include "backend/timed.h"
#include "model/context.h"
#include "model/model.h"
#include "test.h"

enum { V = 50, C = 32, F = 48, H = 4, D = 8, K = 5, TOKENS = 23, BLOCKS = 2, WINDOW = 7, TAPS = 4 };

typedef struct part_case {
    const char *layers, *settings[4];
    double forward; /* of a token of one block beside its matrices, attention's at n = 0 */
    double visible; /* and for each visible token */
    bool windowed;
} part_case;

static const part_case cases[] = {
    {"2*ttt_linear", {0}, H * 2 * (3 * D * D + 2 * K * D), 0, false},
    {"2*ttt_mlp", {0}, H * 2 * (28 * D * D + 10 * K * D), 0, false},
    {"2*ttt_linear", {"mini_batch_size=64"}, H * 2 * (3 * D * D + 2 * 16 * D), 0, false},
    {"2*ttt_linear", {"share_qk=true", "use_gate=true"}, H * 2 * (3 * D * D + 2 * K * D) + 4 * TAPS *C, 0, false},
    {"2*ttt_linear", {"ttt_rate=1", "ttt_bias=false"}, H * 2 * (3 * D * D + 2 * K * D), 0, false},
    {"2*conv+ffn", {0}, 2 * TAPS *C, 0, false},
    {"2*attention", {0}, 0, 4 * H *D, false},
    {"2*attention", {"num_key_value_heads=2"}, 0, 4 * H *D, false},
    {"2*attention", {"sliding_window=7"}, 0, 4 * H *D, true},
    {"2*mamba", {0}, 6 * 2 * C * 16 + 2 * 4 * 2 * C, 0, false},
    {"2*linear_attention", {"linear_attention_normalise=false"}, 4 * H *D *D, 0, false},
    {"2*linear_attention", {0}, 4 * H *D *D + 4 * H *D, 0, false},
    {"2*delta_net", {0}, 6 * H *D *D + 2 * TAPS * 3 * C, 0, false},
    {"2*gated_deltanet", {"head_dim=6", "expand_v=2"}, 7 * H * 6 * 12 + 2 * TAPS *H *(6 + 6 + 12), 0, false},
};

static ttt_status configure(ttt_config *config, const part_case *part)
{
    ttt_config_init(config);
    config->vocab_size = V;
    config->hidden_size = C;
    config->intermediate_size = F;
    config->num_attention_heads = H;
    config->mini_batch_size = K;
    CHECK_OK(ttt_config_set(config, "layers", part->layers));
    for (const char *const *setting = part->settings; *setting; setting++) {
        char key[64];
        const char *equals = strchr(*setting, '=');
        snprintf(key, sizeof key, "%.*s", (int)(equals - *setting), *setting);
        CHECK_OK(ttt_config_set(config, key, equals + 1));
    }
    return ttt_config_check(config, "x");
}

/* Twice the elements of every matrix, the tied head's too. */
static double matrices(const ttt_config *config)
{
    ttt_stack stack;
    double elements = 0;
    CHECK_OK(ttt_stack_init(&stack, config));
    for (int64_t i = 0; i < stack.params.count; i++)
        if (stack.params.specs[i].role != TTT_ROLE_VALUES)
            elements += (double)ttt_param_elements(&stack.params.specs[i]);
    ttt_stack_deinit(&stack, NULL);
    return 2 * elements;
}

/* ---- what ref was called for ---- */

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0) return true;
    return false;
}

/* FLOPs of the operations that are counted. One that is in neither list is an error: say there what it is. */
static double counted(const ttt_backend *backend)
{
    static const char *const products[] = {"linear", "conv", "scan", "attention", "delta", NULL};
    static const char *const others[] = {"zero",
                                         "fill",
                                         "copy",
                                         "copy_rows",
                                         "transpose",
                                         "add",
                                         "embed",
                                         "rmsnorm",
                                         "norm_gate",
                                         "swiglu",
                                         "silu",
                                         "rotate",
                                         "rotate_at",
                                         "rate",
                                         "conv_tail",
                                         "silu_l2",
                                         "position_factor",
                                         "keys_write",
                                         "keys_read",
                                         "pack",
                                         "cross_entropy",
                                         "elu1",
                                         "decay",
                                         NULL};
    const ttt_profile profile = ttt_timed_profile(backend);
    double sum = 0;
    for (size_t i = 0; i < profile.count; i++) {
        const ttt_profile_row *row = &profile.rows[i];
        if (row->calls == 0 || row->flops == 0 || is_one_of(row->operation, others)) continue;
        const bool product = strncmp(row->operation, "learner_", 8) == 0 || is_one_of(row->operation, products);
        if (!product) fprintf(stderr, "%s: not known to be counted or not\n", row->operation);
        CHECK(product);
        sum += row->flops;
    }
    return sum;
}

static double run(const ttt_config *config)
{
    ttt_model *model;
    ttt_context *context;
    ttt_state *state;
    int32_t tokens[TOKENS];
    static float logits[TOKENS * V];
    CHECK_OK(ttt_model_new(&model, config, 1, &(ttt_model_options){.backend = "ref", .threads = 1}));
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_timed_start(context->backend));
    for (int i = 0; i < TOKENS; i++) tokens[i] = i % V;
    ttt_feed feed = {.state = state, .tokens = tokens, .count = TOKENS, .which = TTT_LOGITS_ALL, .logits = logits};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    const double flops = counted(context->backend);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
    return flops;
}

static void check_part(const part_case *part)
{
    ttt_config config;
    ttt_flops flops;
    CHECK_OK(configure(&config, part));
    const double T = TOKENS, W = WINDOW, fixed = matrices(&config) + BLOCKS * part->forward;
    const double mean = part->windowed ? W - W * (W - 1) / (2 * T) : (T + 1) / 2;
    CHECK_OK(ttt_config_flops(&config, TOKENS, &flops));
    CHECK_NEAR(flops.forward, fixed + BLOCKS * part->visible * mean, 1e-6 * fixed);
    CHECK_NEAR(flops.decode, fixed + BLOCKS * part->visible * (part->windowed ? W : T), 1e-6 * fixed);
    CHECK_NEAR(flops.growth, part->windowed ? 0 : BLOCKS * part->visible, 1e-9);
    CHECK_NEAR(flops.training, 3 * flops.forward, 1e-9);
    CHECK_NEAR(run(&config), T * flops.forward, 1e-6 * T * fixed);
    if (!part->windowed) return;
    CHECK_OK(ttt_config_flops(&config, WINDOW - 1, &flops)); /* a window that is not full yet */
    CHECK_NEAR(flops.growth, BLOCKS * part->visible, 1e-9);
    CHECK_NEAR(flops.forward, fixed + BLOCKS * part->visible * W / 2, 1e-6 * fixed);
}

int main(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_part(&cases[i]);
    ttt_config config;
    ttt_flops flops;
    ttt_config_init(&config);
    CHECK_FAILS(ttt_config_flops(&config, 0, &flops), TTT_ERR_ARGUMENT, "1 token or more");
    return test_end();
}
