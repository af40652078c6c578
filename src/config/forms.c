/* SPDX-License-Identifier: MIT
 *
 * The table of forms. Keys, defaults and names are those of ttt-lm-pytorch (ttt), transformers (llama, mistral, mamba)
 * and flash-linear-attention (delta_net, gated_deltanet).
 */
#include "config/forms.h"

#include <string.h>

#define SAME(name)                                                                                                     \
    {                                                                                                                  \
#name, #name                                                                                                   \
    }
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* ---- ttt, ttt_ext ---- */

enum { TTT_FORM_KEYS = 22 }; /* the first of ttt_keys are those of the authors' class */

#define ROTATION_FIXED                                                                                                 \
    {"rope_scaling", "null"}, {"partial_rotary_factor", "1"}, { "layer_types", "null" }

static const ttt_fixed_key ttt_fixed[] = {{"hidden_act", "silu"},
                                          ROTATION_FIXED,
                                          {"ttt_norm", "true"},
                                          {"ttt_residual", "true"},
                                          {"ttt_target", "v-k"},
                                          {"ttt_bias", "true"},
                                          {"ttt_rope", "true"},
                                          {"ttt_position_factor", "true"},
                                          {"ttt_w0", "learned"},
                                          {"ttt_rate", "learned"},
                                          {"ttt_keep", "1"},
                                          {"ttt_keep_every", "null"},
                                          {0}};
static const ttt_fixed_key ext_fixed[] = {
    {"hidden_act", "silu"}, ROTATION_FIXED, {"attention_bias", "false"}, {"mlp_bias", "false"}, {0}};
static const ttt_fixed_key ttt_written[] = {{"hidden_act", "\"silu\""},
                                            {"use_cache", "false"},
                                            {"pretraining_tp", "1"},
                                            {"scan_checkpoint_group_size", "0"},
                                            {0}};
static const ttt_form_default no_defaults[] = {{0}};
static const ttt_part_names no_names[] = {{0}};

/* ---- llama, mistral ---- */

#define LLAMA_KEYS                                                                                                     \
    SAME(vocab_size), SAME(hidden_size), SAME(intermediate_size), SAME(num_hidden_layers), SAME(num_attention_heads),  \
        SAME(num_key_value_heads), SAME(max_position_embeddings), SAME(bos_token_id), SAME(eos_token_id),              \
        SAME(pad_token_id), SAME(rms_norm_eps), SAME(rope_theta), SAME(initializer_range), SAME(tie_word_embeddings)
#define LLAMA_FIXED                                                                                                    \
    {"hidden_act", "silu"}, ROTATION_FIXED, {"attention_bias", "false"}, {"mlp_bias", "false"},                        \
    {                                                                                                                  \
        "attention_dropout", "0"                                                                                       \
    }
#define LLAMA_SIZES                                                                                                    \
    {"hidden_size", "4096"}, {"num_hidden_layers", "32"}, {"num_attention_heads", "32"},                               \
    {                                                                                                                  \
        "tie_word_embeddings", "false"                                                                                 \
    }

static const ttt_form_key llama_keys[] = {LLAMA_KEYS};
static const ttt_form_key mistral_keys[] = {LLAMA_KEYS, SAME(sliding_window)};
static const ttt_fixed_key llama_fixed[] = {LLAMA_FIXED, {"sliding_window", "null"}, {0}};
static const ttt_fixed_key mistral_fixed[] = {LLAMA_FIXED, {0}};
static const ttt_fixed_key llama_written[] = {{"attention_bias", "false"}, {"attention_dropout", "0.0"},
                                              {"hidden_act", "\"silu\""},  {"mlp_bias", "false"},
                                              {"pretraining_tp", "1"},     {0}};
static const ttt_fixed_key mistral_written[] = {{"attention_dropout", "0.0"}, {"hidden_act", "\"silu\""}, {0}};
static const ttt_form_default llama_defaults[] = {LLAMA_SIZES, {"intermediate_size", "11008"}, {0}};
static const ttt_form_default mistral_defaults[] = {LLAMA_SIZES,
                                                    {"intermediate_size", "14336"},
                                                    {"num_key_value_heads", "8"},
                                                    {"sliding_window", "4096"},
                                                    {"max_position_embeddings", "131072"},
                                                    {0}};
static const ttt_part_names llama_names[] = {
    {"attention", "input_layernorm.weight", "self_attn."}, {"ffn", "post_attention_layernorm.weight", "mlp."}, {0}};

/* ---- mamba ---- */

static const ttt_form_key mamba_keys[] = {SAME(vocab_size),
                                          SAME(hidden_size),
                                          SAME(num_hidden_layers),
                                          SAME(max_position_embeddings),
                                          SAME(bos_token_id),
                                          SAME(eos_token_id),
                                          SAME(pad_token_id),
                                          {"layer_norm_epsilon", "rms_norm_eps"},
                                          SAME(initializer_range),
                                          SAME(tie_word_embeddings),
                                          SAME(state_size),
                                          SAME(expand),
                                          SAME(time_step_rank),
                                          {"conv_kernel", "mamba_conv_kernel"},
                                          SAME(time_step_min),
                                          SAME(time_step_max),
                                          SAME(time_step_floor),
                                          SAME(time_step_scale),
                                          SAME(time_step_init_scheme),
                                          SAME(rescale_prenorm_residual)};
static const ttt_fixed_key mamba_fixed[] = {
    {"use_bias", "false"}, {"use_conv_bias", "true"}, {"hidden_act", "silu"}, {0}};
static const ttt_fixed_key mamba_written[] = {
    {"hidden_act", "\"silu\""}, {"residual_in_fp32", "true"}, {"use_bias", "false"}, {"use_conv_bias", "true"}, {0}};
static const ttt_form_default mamba_defaults[] = {
    {"vocab_size", "50280"},  {"hidden_size", "768"},       {"num_hidden_layers", "32"},
    {"bos_token_id", "0"},    {"eos_token_id", "0"},        {"pad_token_id", "0"},
    {"rms_norm_eps", "1e-5"}, {"initializer_range", "0.1"}, {0}};
static const ttt_part_names mamba_names[] = {{"mamba", "norm.weight", "mixer."}, {0}};

/* ---- delta_net, gated_deltanet: head_dim, expand_k and expand_v are read and written by form_read.c ---- */

#define DELTA_KEYS                                                                                                     \
    SAME(vocab_size), SAME(hidden_size), SAME(num_hidden_layers), {"num_heads", "num_attention_heads"},                \
        {"norm_eps", "rms_norm_eps"}, {"use_gate", "delta_use_gate"}, SAME(conv_size), SAME(max_position_embeddings),  \
        SAME(bos_token_id), SAME(eos_token_id), SAME(pad_token_id), SAME(initializer_range), SAME(tie_word_embeddings)
#define DELTA_FIXED                                                                                                    \
    {"attn", "null"}, {"attnres_block_size", "null"}, {"allow_neg_eigval", "false"}, {"use_short_conv", "true"},       \
        {"qk_activation", "silu"}, {"qk_norm", "l2"}, {"use_beta", "true"}, {"hidden_act", "swish|silu"},              \
    {                                                                                                                  \
        "use_l2warp", "false"                                                                                          \
    }
#define DELTA_WRITTEN                                                                                                  \
    {"allow_neg_eigval", "false"}, {"hidden_act", "\"swish\""}, {"hidden_ratio", "4"}, { "use_short_conv", "true" }

static const ttt_form_key delta_keys[] = {DELTA_KEYS};
static const char *const delta_further[] = {"intermediate_size", "head_dim", "expand_v", NULL};
static const ttt_fixed_key delta_fixed[] = {DELTA_FIXED, {0}};
static const ttt_fixed_key delta_net_written[] = {
    DELTA_WRITTEN, {"qk_activation", "\"silu\""}, {"qk_norm", "\"l2\""}, {"use_beta", "true"}, {0}};
static const ttt_fixed_key gated_written[] = {DELTA_WRITTEN, {0}};
static const ttt_form_default delta_net_defaults[] = {
    {"num_attention_heads", "16"}, {"tie_word_embeddings", "false"}, {"delta_use_gate", "false"}, {0}};
static const ttt_form_default gated_defaults[] = {{"num_attention_heads", "6"},
                                                  {"num_hidden_layers", "21"},
                                                  {"tie_word_embeddings", "false"},
                                                  {"delta_use_gate", "true"},
                                                  {0}};
static const ttt_part_names delta_names[] = {{"delta_net", "attn_norm.weight", "attn."},
                                             {"gated_deltanet", "attn_norm.weight", "attn."},
                                             {"ffn", "mlp_norm.weight", "mlp."},
                                             {0}};

/* ---- the table ---- */

#define MODEL_NAMES .embedding = "model.embed_tokens.weight", .blocks = "model.layers.", .norm = "model.norm.weight"

const ttt_form ttt_forms[TTT_MODEL_TYPES] = {
    [TTT_MODEL_TTT] = {.name = "ttt",
                       .architecture = "TTTForCausalLM",
                       .key_count = TTT_FORM_KEYS,
                       .whole_heads = "num_attention_heads",
                       .defaults = no_defaults,
                       .fixed = ttt_fixed,
                       .written = ttt_written,
                       MODEL_NAMES,
                       .parts = no_names},
    [TTT_MODEL_LLAMA] = {.name = "llama",
                         .architecture = "LlamaForCausalLM",
                         .block = "attention+ffn",
                         .keys = llama_keys,
                         .key_count = COUNT(llama_keys),
                         .whole_heads = "num_attention_heads",
                         .defaults = llama_defaults,
                         .fixed = llama_fixed,
                         .written = llama_written,
                         MODEL_NAMES,
                         .parts = llama_names,
                         .read = ttt_form_llama_read,
                         .write = ttt_form_llama_write},
    [TTT_MODEL_MISTRAL] = {.name = "mistral",
                           .architecture = "MistralForCausalLM",
                           .block = "attention+ffn",
                           .keys = mistral_keys,
                           .key_count = COUNT(mistral_keys),
                           .whole_heads = "num_attention_heads",
                           .defaults = mistral_defaults,
                           .fixed = mistral_fixed,
                           .written = mistral_written,
                           MODEL_NAMES,
                           .parts = llama_names,
                           .read = ttt_form_llama_read,
                           .write = ttt_form_llama_write},
    [TTT_MODEL_MAMBA] = {.name = "mamba",
                         .architecture = "MambaForCausalLM",
                         .block = "mamba",
                         .keys = mamba_keys,
                         .key_count = COUNT(mamba_keys),
                         .defaults = mamba_defaults,
                         .fixed = mamba_fixed,
                         .written = mamba_written,
                         .embedding = "backbone.embeddings.weight",
                         .blocks = "backbone.layers.",
                         .norm = "backbone.norm_f.weight",
                         .parts = mamba_names,
                         .read = ttt_form_mamba_read,
                         .write = ttt_form_mamba_write},
    [TTT_MODEL_DELTA_NET] = {.name = "delta_net",
                             .architecture = "DeltaNetForCausalLM",
                             .block = "delta_net+ffn",
                             .keys = delta_keys,
                             .key_count = COUNT(delta_keys),
                             .further = delta_further,
                             .defaults = delta_net_defaults,
                             .fixed = delta_fixed,
                             .written = delta_net_written,
                             .embedding = "model.embeddings.weight",
                             .blocks = "model.layers.",
                             .norm = "model.norm.weight",
                             .parts = delta_names,
                             .read = ttt_form_delta_net_read,
                             .write = ttt_form_delta_net_write},
    [TTT_MODEL_GATED_DELTANET] = {.name = "gated_deltanet",
                                  .architecture = "GatedDeltaNetForCausalLM",
                                  .block = "gated_deltanet+ffn",
                                  .keys = delta_keys,
                                  .key_count = COUNT(delta_keys),
                                  .further = delta_further,
                                  .defaults = gated_defaults,
                                  .fixed = delta_fixed,
                                  .written = gated_written,
                                  .embedding = "model.embeddings.weight",
                                  .blocks = "model.layers.",
                                  .norm = "model.norm.weight",
                                  .parts = delta_names,
                                  .read = ttt_form_gated_deltanet_read,
                                  .write = ttt_form_gated_deltanet_write},
    [TTT_MODEL_TTT_EXT] = {.name = "ttt_ext",
                           .architecture = "TTTExtForCausalLM",
                           .key_count = TTT_KEY_COUNT,
                           .whole_heads = "num_attention_heads",
                           .defaults = no_defaults,
                           .fixed = ext_fixed,
                           .written = ttt_written,
                           MODEL_NAMES,
                           .parts = no_names},
};

const char *const ttt_form_names[TTT_MODEL_TYPES + 1] = {
    [TTT_MODEL_TTT] = "ttt",         [TTT_MODEL_LLAMA] = "llama",         [TTT_MODEL_MISTRAL] = "mistral",
    [TTT_MODEL_MAMBA] = "mamba",     [TTT_MODEL_DELTA_NET] = "delta_net", [TTT_MODEL_GATED_DELTANET] = "gated_deltanet",
    [TTT_MODEL_TTT_EXT] = "ttt_ext",
};

bool ttt_form_known_stranger(const char *model_type, const char **why)
{
    static const struct {
        const char *name, *why;
    } strangers[] = {
        {"mamba2", "its blocks are Mamba-2's, with one decay a head, and ttt's are Mamba-1's"},
        {"falcon_mamba", "it normalises b, c and the time step, which Mamba-1 does not"},
        {"jamba", "it mixes Mamba with experts, which ttt has not"},
        {"qwen2", "its attention has biases, and ttt's has none"},
    };
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        *why = strangers[i].why;
        if (strcmp(model_type, strangers[i].name) == 0) return true;
    }
    return false;
}

/* ---- what follows from it ---- */

ttt_key ttt_form_key_at(const ttt_form *form, int index)
{
    if (!form->keys) return ttt_keys[index];
    ttt_key key = *ttt_key_find(form->keys[index].key);
    key.name = form->keys[index].name;
    return key;
}

const char *ttt_form_key_name(const ttt_form *form, const ttt_key *key)
{
    for (int i = 0; i < form->key_count; i++) {
        const ttt_key own = ttt_form_key_at(form, i);
        if (own.offset == key->offset) return own.name;
    }
    for (const char *const *further = form->further; further && *further; further++)
        if (strcmp(*further, key->name) == 0) return key->name;
    return NULL;
}

const char *ttt_form_lacks(const ttt_form *form, const ttt_config *config)
{
    const ttt_layers *layers = &config->layers;
    if (form == &ttt_forms[TTT_MODEL_TTT_EXT]) return NULL;
    if (form->block) {
        if (layers->kinds != 1 || strcmp(layers->kind[0], form->block) != 0) return "layers";
        const bool windowed = config->sliding_window && form == &ttt_forms[TTT_MODEL_LLAMA];
        return windowed ? "sliding_window" : NULL;
    }
    if (layers->count > 0) return "layers";
    for (const ttt_fixed_key *fixed = form->fixed; fixed->name; fixed++) { /* what the learner departs in */
        const ttt_key *key = ttt_key_find(fixed->name);
        if (key && !ttt_key_is_default(key, config)) return key->name;
    }
    return NULL;
}

void ttt_config_settle(ttt_config *config)
{
    if (!ttt_form_lacks(ttt_form_of(config), config)) return;
    int type = 0;
    while (ttt_form_lacks(&ttt_forms[type], config)) type++;
    config->model_type = (ttt_model_type)type;
}
