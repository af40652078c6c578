/* SPDX-License-Identifier: MIT
 *
 * The library's own sequence layers, as layer_checks.h has it: a line of the table for each, with the keys that change
 * what it computes. New layers of a program are in test_new_layer.c.
 */
#include "layer_checks.h"

int main(void)
{
    static const struct {
        const char *layers, *keys; /* KEY=VALUE, blanks between */
        int64_t length;
    } models[] = {
        {"ttt_linear+ffn,conv+ttt_mlp", "", 18},
        {"ttt_linear+ffn,ttt_mlp", "mini_batch_size=1 ttt_target=v ttt_bias=false ttt_rate=0.05", 18},
        {"ttt_linear+ffn,ttt_mlp", "mini_batch_size=40 ttt_residual=false ttt_position_factor=false", 36},
        {"ttt_linear+ffn", "mini_batch_size=64 ttt_norm=false ttt_residual=false ttt_bias=false ttt_w0=zero", 40},
        {"linear_attention+ffn", "", 40},
        {"linear_attention+ffn,linear_attention",
         "linear_attention_feature_map=identity linear_attention_normalise=false linear_attention_post_norm=true "
         "linear_attention_rope=true",
         20},
        {"delta_net+ffn,gated_deltanet", "", 40},
        {"gated_deltanet+ffn,delta_net+ffn", "head_dim=3 expand_v=2 conv_size=2 delta_use_gate=true", 35},
        {"attention+ffn", "", 18},
        {"attention+ffn,attention", "num_key_value_heads=1", 140}, /* more than two blocks of keys */
        {"attention+ffn", "sliding_window=1", 9},
        {"ttt_linear+ffn,conv+attention+ffn", "sliding_window=5", 18}, /* the paper's two kinds in one model */
        {"attention+ffn,conv+attention", "sliding_window=67 num_key_value_heads=1", 150},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        ttt_config config = config_of(models[i].layers);
        char keys[256], *rest = keys;
        snprintf(keys, sizeof keys, "%s", models[i].keys);
        for (char *key = strtok_r(keys, " ", &rest); key; key = strtok_r(NULL, " ", &rest)) {
            char *value = strchr(key, '=');
            *value++ = '\0';
            CHECK_OK(ttt_config_set(&config, key, value));
        }
        printf("%s %s\n", models[i].layers, models[i].keys);
        check_layers(&config, models[i].length, "test_layers");
    }
    return test_end();
}
