/* SPDX-License-Identifier: MIT
 * Golden folders here, and every golden folder of ../shared, against the backend TTT_TEST_BACKEND names, in the
 * precision TTT_TEST_PRECISION names, quantity by quantity, in one call and in splits. */
#include <ttt/verify.h>

#include "cpu/isa.h"
#include "test.h"

static const char *const folders[] = {"linear_transformer",
                                      "linear_transformer_untied",
                                      "mlp_transformer",
                                      "linear_mamba",
                                      "linear_mamba_preconv",
                                      "mlp_mamba_preconv",
                                      "linear_k4",
                                      "linear_k64_batch",
                                      "linear_d96",
                                      "mlp_d64",
                                      "linear_small",
                                      "ext_linear_attention",
                                      "ext_linear_attention_theorem1",
                                      "ext_ablation_hybrid",
                                      "ext_hybrid",
                                      "delta_net",
                                      "gated_deltanet",
                                      "ext_ttt_ablation_a",
                                      "ext_ttt_ablation_b",
                                      "ext_ttt_theorem1",
                                      "mamba",
                                      "llama",
                                      "llama_gqa_untied",
                                      "mistral_window"};

static void verify(const char *folder, const char *name, const ttt_model_options *options)
{
    char golden[4300];
    snprintf(golden, sizeof golden, "%s/golden.safetensors", folder);
    ttt_verification *v;
    CHECK_OK(ttt_verify(&v, folder, golden, options));
    if (!v) return;
    double worst = 0;
    for (int64_t i = 0; i < v->count; i++) {
        const ttt_quantity *q = &v->quantities[i];
        if (!q->ok)
            fprintf(stderr, "%s: %s: %.3g of its magnitude, tolerance %.3g\n", name, q->name, q->max_rel, q->tolerance);
        if (q->tolerance > 0 && q->max_rel / q->tolerance > worst) worst = q->max_rel / q->tolerance;
        CHECK(q->ok);
    }
    CHECK(v->ok && v->count > 30);
    printf("%s: %lld quantities, largest difference %.2g of its tolerance\n", name, (long long)v->count, worst);
    ttt_verification_free(v);
}

/* Queries, keys and what is read are brought to one length head by head, in these folders by six to sixteen columns: a
 * short vector has what bf16 rounds many times over, on ref as on cpu, and no bound holds that MATH (bf16) knows. */
static bool rounds_far(const char *name, const ttt_model_options *options)
{
    static const char *const far[] = {"delta_net", "gated_deltanet", "ext_hybrid", "ext_ablation_hybrid"};
    if (!options->precision || strcmp(options->precision, "bf16") != 0) return false;
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        if (strcmp(name, far[i]) == 0) return true;
    return false;
}

static void verify_shared(const char *name, const ttt_model_options *options)
{
    if (rounds_far(name, options)) {
        SKIP("%s: bf16 rounds further than its tolerances know", name);
        return;
    }
    char relative[128], folder[4200];
    snprintf(relative, sizeof relative, "goldens/%s/config.json", name);
    const char *config = test_shared(relative);
    if (!config) {
        SKIP("%s: ../shared/goldens is not part of the repository", name);
        return;
    }
    snprintf(folder, sizeof folder, "%.*s", (int)(strlen(config) - strlen("/config.json")), config);
    verify(folder, name, options);
}

int main(void)
{
    const char *backend = getenv("TTT_TEST_BACKEND");
    const ttt_model_options options = {.backend = backend ? backend : "ref", .precision = getenv("TTT_TEST_PRECISION")};
    ttt_isa isa;
    if (ttt_isa_choose(&isa) != TTT_OK) {
        SKIP("%s", ttt_error_detail());
        return test_end();
    }
    verify(TTT_SOURCE_DIR "/tests/golden/linear_mamba_preconv", "linear_mamba_preconv", &options);
    verify(TTT_SOURCE_DIR "/tests/golden/mlp_transformer", "mlp_transformer", &options);
    verify(TTT_SOURCE_DIR "/tests/golden/linear_k64_batch", "linear_k64_batch", &options);
    /* an untied head, convolutions of three, queries and keys shared without a gate, a mini-batch longer than a tile */
    verify(TTT_SOURCE_DIR "/tests/golden/mlp_share_k17", "mlp_share_k17", &options);
    /* grouped queries and a window, without gradients, which training steps show too */
    verify(TTT_SOURCE_DIR "/tests/golden/mistral_window", "mistral_window", &options);
    /* what is read and kept; gradients and training are in ../shared's */
    if (!rounds_far("gated_deltanet", &options))
        verify(TTT_SOURCE_DIR "/tests/golden/gated_deltanet", "gated_deltanet", &options);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) verify_shared(folders[i], &options);
    return test_end();
}
