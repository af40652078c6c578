/* SPDX-License-Identifier: MIT
 *
 * Configurations as values: defaults, keys from text and back, and what must fit together.
 */
#include "config/config.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "config/forms.h"

void ttt_config_init(ttt_config *config)
{
    *config = (ttt_config){
        .vocab_size = 32000,
        .hidden_size = 2048,
        .intermediate_size = 5504,
        .num_hidden_layers = 24,
        .num_attention_heads = 32,
        .mini_batch_size = 16,
        .conv_kernel = 4,
        .max_position_embeddings = 2048,
        .bos_token_id = 1,
        .eos_token_id = 2,
        .pad_token_id = -1,
        .rms_norm_eps = 1e-6,
        .rope_theta = 10000,
        .initializer_range = 0.02,
        .ttt_base_lr = 1,
        .ttt_layer_type = TTT_LEARNER_LINEAR,
        .tie_word_embeddings = true,
        .model_type = TTT_MODEL_TTT,
        .state_size = 16,
        .expand = 2,
        .mamba_conv_kernel = 4,
        .time_step_min = 1e-3,
        .time_step_max = 0.1,
        .time_step_floor = 1e-4,
        .time_step_scale = 1,
        .expand_v = 1,
        .conv_size = 4,
        .linear_attention_normalise = true,
        .ttt_norm = true,
        .ttt_residual = true,
        .ttt_bias = true,
        .ttt_position_factor = true,
        .ttt_rope = true,
        .ttt_rate = -1,
        .ttt_keep = 1,
    };
}

int64_t ttt_config_product(int64_t size, double factor)
{
    const double product = (double)size * factor, whole = round(product);
    if (!(whole >= 1 && whole <= 0x1p40) || fabs(product - whole) > 1e-9 * whole) return 0;
    return (int64_t)whole;
}

void ttt_config_resolve(ttt_config *config)
{
    const int64_t heads = config->num_attention_heads, C = config->hidden_size;
    const char *block = config->layers.kinds == 1 ? config->layers.kind[0] : "";
    if (config->num_key_value_heads == 0) config->num_key_value_heads = heads;
    if (config->head_dim == 0 && heads > 0) config->head_dim = C / heads;
    if (config->time_step_rank == 0) config->time_step_rank = (C + 15) / 16;
    if (config->delta_use_gate == TTT_UNSAID && strstr(block, "gated_deltanet"))
        config->delta_use_gate = TTT_YES;
    else if (config->delta_use_gate == TTT_UNSAID && strstr(block, "delta_net"))
        config->delta_use_gate = TTT_NO;
}

ttt_status ttt_config_new(ttt_config **config)
{
    *config = ttt_alloc(1, sizeof **config);
    if (!*config) return TTT_ERR_MEMORY;
    ttt_config_init(*config);
    return TTT_OK;
}

ttt_status ttt_config_copy(ttt_config **config, const ttt_config *from)
{
    *config = ttt_alloc(1, sizeof **config);
    if (!*config) return TTT_ERR_MEMORY;
    **config = *from;
    return TTT_OK;
}

void ttt_config_free(ttt_config *config) { ttt_free(config); }

/* ---- keys ---- */

const char *ttt_config_key(int64_t index) { return index >= 0 && index < TTT_KEY_COUNT ? ttt_keys[index].name : NULL; }

static ttt_status no_key(const char *name)
{
    ttt_buffer names = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i < TTT_KEY_COUNT && status == TTT_OK; i++)
        status = ttt_buffer_print(&names, "%s%s", i ? ", " : "", ttt_keys[i].name);
    if (status == TTT_OK) status = ttt_fail(TTT_ERR_ARGUMENT, "there is no key %s; the keys are %s", name, names.data);
    ttt_buffer_deinit(&names);
    return status;
}

/* Among the keys of one value that a model of this form has. */
static const ttt_fixed_key *find_fixed(const ttt_config *config, const char *name)
{
    for (const ttt_fixed_key *fixed = ttt_form_of(config)->fixed; fixed->name; fixed++)
        if (strcmp(fixed->name, name) == 0) return fixed;
    return NULL;
}

/* Blocks that are all alike are as many as num_hidden_layers says. */
static void fit_blocks(ttt_config *config)
{
    const int64_t count = config->num_hidden_layers;
    if (config->layers.kinds == 1 && count >= 1 && count <= TTT_BLOCKS_MAX)
        ttt_layers_fill(&config->layers, config->layers.kind[0], count);
}

ttt_status ttt_config_set(ttt_config *config, const char *name, const char *value)
{
    const ttt_key *key = ttt_key_find(name);
    if (key) {
        TTT_TRY(key->kind->parse(key, config, value));
        fit_blocks(config);
        if (key->offset != offsetof(ttt_config, model_type)) ttt_config_settle(config);
        return TTT_OK;
    }
    const ttt_fixed_key *fixed = find_fixed(config, name);
    if (!fixed) return no_key(name);
    const size_t length = strcspn(fixed->values, "|");
    if (strlen(value) == length && memcmp(fixed->values, value, length) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s=%s: this version supports only %.*s", name, value, (int)length,
                    fixed->values);
}

static ttt_status apply(ttt_config *config, const char *setting)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting) return ttt_fail(TTT_ERR_ARGUMENT, "the setting \"%s\" is not KEY=VALUE", setting);
    char *key = ttt_strdup(setting);
    if (!key) return TTT_ERR_MEMORY;
    key[equals - setting] = '\0';
    const ttt_status status = ttt_config_set(config, key, equals + 1);
    ttt_free(key);
    return status;
}

static bool is_among(const char *key, const char *const *settings, size_t count)
{
    const size_t length = strlen(key);
    for (size_t i = 0; i < count; i++)
        if (strncmp(settings[i], key, length) == 0 && settings[i][length] == '=') return true;
    return false;
}

ttt_status ttt_config_apply(ttt_config *config, const char *const *settings, size_t count)
{
    for (size_t i = 0; i < count; i++) TTT_TRY(apply(config, settings[i]));
    for (int i = 1; i < TTT_KEY_COUNT; i++) /* the first is the model_type */
        if (is_among(ttt_keys[i].name, settings, count) && !ttt_form_key_name(ttt_form_of(config), &ttt_keys[i]))
            return ttt_fail(TTT_ERR_ARGUMENT,
                            "%s means nothing in a model of model_type %s: no part of it has this key",
                            ttt_keys[i].name, ttt_form_of(config)->name);
    return TTT_OK;
}

ttt_status ttt_config_get(const ttt_config *config, const char *name, char **value)
{
    *value = NULL;
    const ttt_key *key = ttt_key_find(name);
    const ttt_fixed_key *fixed = key ? NULL : find_fixed(config, name);
    if (!key && !fixed) return no_key(name);
    ttt_buffer text = {0};
    ttt_status status = ttt_buffer_append(&text, "", 0); /* a text, even if there is nothing to print */
    if (status == TTT_OK)
        status = key ? key->kind->print(key, config, &text)
                     : ttt_buffer_append(&text, fixed->values, strcspn(fixed->values, "|"));
    if (status == TTT_OK) *value = text.data;
    if (status != TTT_OK) ttt_buffer_deinit(&text);
    return status;
}

static ttt_status other_kind(const ttt_config *config, const char *name, const char *wanted)
{
    const ttt_key *key = ttt_key_find(name);
    if (!key && !find_fixed(config, name)) return no_key(name);
    return ttt_fail(TTT_ERR_ARGUMENT, "%s is asked for as %s, but is %s", name, wanted,
                    key ? key->kind->must_be : "a key of one value");
}

ttt_status ttt_config_get_integer(const ttt_config *config, const char *name, int64_t *value)
{
    const ttt_key *key = ttt_key_find(name);
    const void *place = key ? ttt_key_place(key, config) : NULL;
    *value = 0;
    if (key && key->kind == &ttt_key_boolean)
        *value = *(const bool *)place;
    else if (key && (key->kind == &ttt_key_integer || key->kind == &ttt_key_size || key->kind == &ttt_key_token))
        *value = *(const int64_t *)place;
    else
        return other_kind(config, name, ttt_key_integer.must_be);
    return TTT_OK;
}

ttt_status ttt_config_get_real(const ttt_config *config, const char *name, double *value)
{
    const ttt_key *key = ttt_key_find(name);
    *value = 0;
    if (!key || (key->kind != &ttt_key_real && key->kind != &ttt_key_rate))
        return other_kind(config, name, ttt_key_real.must_be);
    *value = *(const double *)ttt_key_place(key, config);
    return TTT_OK;
}

ttt_status ttt_config_get_string(const ttt_config *config, const char *name, const char **value)
{
    const ttt_key *key = ttt_key_find(name);
    *value = NULL;
    if (!key || key->kind != &ttt_key_choice) return other_kind(config, name, ttt_key_choice.must_be);
    *value = key->names[*(const int *)ttt_key_place(key, config)];
    return TTT_OK;
}

/* ---- checks ---- */

/* Heads share the width, where a layer of the model needs it. */
static ttt_status check_heads(const ttt_config *config, const char *where)
{
    const char *name = ttt_form_of(config)->whole_heads;
    const int64_t width = config->hidden_size, heads = config->num_attention_heads;
    if (name && width % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: %s %" PRId64 " does not divide hidden_size %" PRId64, where, name, heads,
                        width);
    const bool implied = ttt_form_key_name(ttt_form_of(config), ttt_key_find("head_dim")) && config->head_dim == 0;
    if (!name && implied && width % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: heads are %" PRId64 " and hidden_size is %" PRId64
                        ", so that head_dim does not follow from them: set it",
                        where, heads, width);
    if (name && width / heads % 2 != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: hidden_size %" PRId64 " over %s %" PRId64 " gives heads of odd size %" PRId64
                        ", and rotary embedding turns pairs",
                        where, width, name, heads, width / heads);
    return TTT_OK;
}

ttt_status ttt_config_check_keys(const ttt_config *config, const char *where)
{
    const ttt_form *form = ttt_form_of(config);
    for (int i = 0; i < form->key_count; i++) { /* by the names of the file first */
        const ttt_key key = ttt_form_key_at(form, i);
        if (key.kind->check) TTT_TRY(key.kind->check(&key, config, where));
    }
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_keys[i].kind->check) TTT_TRY(ttt_keys[i].kind->check(&ttt_keys[i], config, where));
    TTT_TRY(check_heads(config, where));
    const char *lacking = ttt_form_lacks(form, config);
    if (!lacking) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: a model of model_type %s cannot have this %s, only one of ttt_ext", where,
                    form->name, lacking);
}
