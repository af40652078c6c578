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
#include "config/keys.h"

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
    };
}

int64_t ttt_config_product(int64_t size, double factor)
{
    const double product = (double)size * factor, whole = round(product);
    if (!(whole >= 1 && whole <= 0x1p40) || fabs(product - whole) > 1e-9 * whole) return 0;
    return (int64_t)whole;
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

static const ttt_fixed_key *find_fixed(const char *name)
{
    for (int i = 0; i < TTT_FIXED_COUNT; i++)
        if (strcmp(ttt_fixed_keys[i].name, name) == 0) return &ttt_fixed_keys[i];
    return NULL;
}

ttt_status ttt_config_set(ttt_config *config, const char *name, const char *value)
{
    const ttt_key *key = ttt_key_find(name);
    if (key) {
        TTT_TRY(key->kind->parse(key, config, value));
        if (key->of == TTT_KEY_FLAG && !ttt_key_is_default(key, config)) config->model_type = TTT_MODEL_TTT_EXT;
        return TTT_OK;
    }
    const ttt_fixed_key *fixed = find_fixed(name);
    if (!fixed) return no_key(name);
    if (strcmp(fixed->value, value) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s=%s: this version supports only %s", name, value, fixed->value);
}

ttt_status ttt_config_get(const ttt_config *config, const char *name, char **value)
{
    *value = NULL;
    const ttt_key *key = ttt_key_find(name);
    const ttt_fixed_key *fixed = key ? NULL : find_fixed(name);
    if (!key && !fixed) return no_key(name);
    ttt_buffer text = {0};
    ttt_status status = ttt_buffer_append(&text, "", 0); /* a text, even if there is nothing to print */
    if (status == TTT_OK)
        status = key ? key->kind->print(key, config, &text) : ttt_buffer_print(&text, "%s", fixed->value);
    if (status == TTT_OK) *value = text.data;
    if (status != TTT_OK) ttt_buffer_deinit(&text);
    return status;
}

static ttt_status other_kind(const char *name, const char *wanted)
{
    const ttt_key *key = ttt_key_find(name);
    if (!key && !find_fixed(name)) return no_key(name);
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
        return other_kind(name, ttt_key_integer.must_be);
    return TTT_OK;
}

ttt_status ttt_config_get_real(const ttt_config *config, const char *name, double *value)
{
    const ttt_key *key = ttt_key_find(name);
    *value = 0;
    if (!key || (key->kind != &ttt_key_real && key->kind != &ttt_key_rate))
        return other_kind(name, ttt_key_real.must_be);
    *value = *(const double *)ttt_key_place(key, config);
    return TTT_OK;
}

ttt_status ttt_config_get_string(const ttt_config *config, const char *name, const char **value)
{
    const ttt_key *key = ttt_key_find(name);
    *value = NULL;
    if (!key || key->kind != &ttt_key_choice) return other_kind(name, ttt_key_choice.must_be);
    *value = key->names[*(const int *)ttt_key_place(key, config)];
    return TTT_OK;
}

/* ---- checks ---- */

/* What the authors' class does not compute belongs to no ttt folder. */
static ttt_status check_flag(const ttt_key *key, const ttt_config *config, const char *where)
{
    ttt_config defaults;
    ttt_buffer text = {0};
    ttt_config_init(&defaults);
    if (key->kind->equal(key, config, &defaults)) return TTT_OK;
    ttt_status status = ttt_buffer_print(&text, "%s ", key->name);
    if (status == TTT_OK) status = key->kind->print(key, config, &text);
    if (status == TTT_OK) status = ttt_buffer_print(&text, " is not supported in the model_type ttt, only ");
    if (status == TTT_OK) status = key->kind->print(key, &defaults, &text);
    if (status == TTT_OK)
        status = ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s; the model_type ttt_ext has both", where, text.data);
    ttt_buffer_deinit(&text);
    return status;
}

ttt_status ttt_config_check_keys(const ttt_config *config, const char *where)
{
    for (int i = 0; i < TTT_KEY_COUNT; i++) {
        const ttt_key *key = &ttt_keys[i];
        if (key->kind->check) TTT_TRY(key->kind->check(key, config, where));
        if (key->of == TTT_KEY_FLAG && config->model_type == TTT_MODEL_TTT) TTT_TRY(check_flag(key, config, where));
    }
    const int64_t width = config->hidden_size, heads = config->num_attention_heads;
    if (width % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: num_attention_heads %" PRId64 " does not divide hidden_size %" PRId64,
                        where, heads, width);
    if (width / heads % 2 != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: hidden_size %" PRId64 " over num_attention_heads %" PRId64
                        " gives heads of odd size %" PRId64 ", and rotary embedding turns pairs",
                        where, width, heads, width / heads);
    return TTT_OK;
}
