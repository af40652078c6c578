/* SPDX-License-Identifier: MIT
 *
 * The table of keys.
 */
#include "config/keys.h"

#include <string.h>

#include "config/forms.h"

static const char *const layer_types[] = {[TTT_LEARNER_LINEAR] = "linear", [TTT_LEARNER_MLP] = "mlp", NULL};
static const char *const time_step_schemes[] = {[TTT_STEP_RANDOM] = "random", [TTT_STEP_CONSTANT] = "constant", NULL};
static const char *const feature_maps[] = {[TTT_FEATURE_ELU1] = "elu1", [TTT_FEATURE_IDENTITY] = "identity", NULL};
static const char *const targets[] = {[TTT_TARGET_DIFFERENCE] = "v-k", [TTT_TARGET_V] = "v", NULL};
static const char *const starts[] = {[TTT_W0_LEARNED] = "learned", [TTT_W0_ZERO] = "zero", NULL};
static const char *const null[] = {"null", NULL}, *const automatic[] = {"auto", NULL},
                         *const learned[] = {"learned", NULL};

#define KEY(kind_name, member, ...)                                                                                    \
    {                                                                                                                  \
        .name = #member, .kind = &ttt_key_##kind_name, .offset = offsetof(ttt_config, member), __VA_ARGS__             \
    }
#define BOUNDS(least, most) .low = least, .high = most

const ttt_key ttt_keys[TTT_KEY_COUNT] = {
    KEY(choice, model_type, .names = ttt_form_names),
    KEY(integer, vocab_size, BOUNDS(1, INT32_MAX)),
    KEY(integer, hidden_size, BOUNDS(2, 1 << 20)),
    KEY(integer, intermediate_size, BOUNDS(1, 1 << 24)),
    KEY(integer, num_hidden_layers, BOUNDS(1, TTT_BLOCKS_MAX)),
    KEY(integer, num_attention_heads, BOUNDS(1, 1 << 20)),
    KEY(boolean, use_gate, BOUNDS(0, 1)),
    KEY(boolean, share_qk, BOUNDS(0, 1)),
    KEY(choice, ttt_layer_type, .names = layer_types),
    KEY(boolean, pre_conv, BOUNDS(0, 1)),
    KEY(layers, layers, BOUNDS(0, 0)),
    KEY(integer, mini_batch_size, BOUNDS(1, 1 << 24)),
    KEY(integer, conv_kernel, BOUNDS(1, 1 << 10)),
    KEY(integer, max_position_embeddings, BOUNDS(1, INT32_MAX)),
    KEY(token, bos_token_id, BOUNDS(-1, INT32_MAX)),
    KEY(token, eos_token_id, BOUNDS(-1, INT32_MAX)),
    KEY(token, pad_token_id, BOUNDS(-1, INT32_MAX)),
    KEY(real, rms_norm_eps, BOUNDS(0, 1)),
    KEY(real, rope_theta, BOUNDS(1e-300, 1e300)),
    KEY(real, initializer_range, BOUNDS(0, 1e3)),
    KEY(real, ttt_base_lr, BOUNDS(0, 1e6)),
    KEY(boolean, tie_word_embeddings, BOUNDS(0, 1)),

    KEY(size, num_key_value_heads, BOUNDS(0, 1 << 20), .names = null),
    KEY(size, sliding_window, BOUNDS(0, INT32_MAX), .names = null),
    KEY(integer, state_size, BOUNDS(1, 1 << 12)),
    KEY(real, expand, BOUNDS(1e-3, 1e3)),
    KEY(size, time_step_rank, BOUNDS(0, 1 << 20), .names = automatic),
    KEY(integer, mamba_conv_kernel, BOUNDS(1, 1 << 10)),
    KEY(real, time_step_min, BOUNDS(1e-30, 1e3)),
    KEY(real, time_step_max, BOUNDS(1e-30, 1e3)),
    KEY(real, time_step_floor, BOUNDS(1e-30, 1e3)),
    KEY(real, time_step_scale, BOUNDS(0, 1e3)),
    KEY(choice, time_step_init_scheme, .names = time_step_schemes),
    KEY(boolean, rescale_prenorm_residual, BOUNDS(0, 1)),
    KEY(size, head_dim, BOUNDS(0, 1 << 20), .names = null),
    KEY(real, expand_v, BOUNDS(1e-3, 1e3)),
    KEY(integer, conv_size, BOUNDS(1, 1 << 10)),
    KEY(maybe, delta_use_gate, BOUNDS(0, 1)),
    KEY(choice, linear_attention_feature_map, .names = feature_maps),
    KEY(boolean, linear_attention_normalise, BOUNDS(0, 1)),
    KEY(boolean, linear_attention_post_norm, BOUNDS(0, 1)),
    KEY(boolean, linear_attention_rope, BOUNDS(0, 1)),

    KEY(boolean, ttt_norm, BOUNDS(0, 1)),
    KEY(boolean, ttt_residual, BOUNDS(0, 1)),
    KEY(choice, ttt_target, .names = targets),
    KEY(boolean, ttt_bias, BOUNDS(0, 1)),
    KEY(boolean, ttt_position_factor, BOUNDS(0, 1)),
    KEY(boolean, ttt_rope, BOUNDS(0, 1)),
    KEY(choice, ttt_w0, .names = starts),
    KEY(rate, ttt_rate, BOUNDS(0, 1e6), .names = learned),
    KEY(real, ttt_keep, BOUNDS(0, 1), .sparse = true),
    KEY(size, ttt_keep_every, BOUNDS(0, INT32_MAX), .names = null, .sparse = true),
};

bool ttt_key_is_default(const ttt_key *key, const ttt_config *config)
{
    ttt_config defaults;
    ttt_config_init(&defaults);
    return key->kind->equal(key, config, &defaults);
}

const ttt_key *ttt_key_find(const char *name)
{
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (strcmp(ttt_keys[i].name, name) == 0) return &ttt_keys[i];
    return NULL;
}
