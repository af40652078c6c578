/* SPDX-License-Identifier: MIT
 *
 * Configurations as values: defaults, the standard sizes, fields from text, and the checks that keep every later size
 * computation inside 64 bits.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"
#include "model/config_fields.h"

#define FIELD(kind, name, low, high)                                                                                   \
    {                                                                                                                  \
#name, TTT_FIELD_##kind, offsetof(ttt_config, name), low, high                                                 \
    }

const ttt_field ttt_fields[TTT_FIELD_COUNT] = {
    FIELD(INTEGER, vocab_size, 1, INT32_MAX),
    FIELD(INTEGER, hidden_size, 2, 1 << 20),
    FIELD(INTEGER, intermediate_size, 1, 1 << 24),
    FIELD(INTEGER, num_hidden_layers, 1, 10000),
    FIELD(INTEGER, num_attention_heads, 1, 1 << 20),
    FIELD(INTEGER, mini_batch_size, 1, 1 << 24),
    FIELD(INTEGER, conv_kernel, 1, 1 << 10),
    FIELD(INTEGER, max_position_embeddings, 1, INT32_MAX),
    FIELD(TOKEN, bos_token_id, -1, INT32_MAX),
    FIELD(TOKEN, eos_token_id, -1, INT32_MAX),
    FIELD(TOKEN, pad_token_id, -1, INT32_MAX),
    FIELD(REAL, rms_norm_eps, 0, 1),
    FIELD(REAL, rope_theta, 1e-300, 1e300),
    FIELD(REAL, initializer_range, 0, 1e3),
    FIELD(REAL, ttt_base_lr, 0, 1e6),
    FIELD(LEARNER, ttt_layer_type, 0, 0),
    FIELD(BOOLEAN, use_gate, 0, 0),
    FIELD(BOOLEAN, share_qk, 0, 0),
    FIELD(BOOLEAN, pre_conv, 0, 0),
    FIELD(BOOLEAN, tie_word_embeddings, 0, 0),
};

const ttt_fixed_key ttt_fixed_keys[TTT_FIXED_COUNT] = {
    {"model_type", "ttt"},           {"hidden_act", "silu"}, {"rope_scaling", "null"}, {"ttt_norm", "true"},
    {"ttt_residual", "true"},        {"ttt_bias", "true"},   {"ttt_rope", "true"},     {"ttt_target", "v-k"},
    {"ttt_position_factor", "true"}, {"ttt_w0", "learned"},  {"ttt_rate", "learned"},
};

const char *ttt_learner_name(ttt_learner_kind kind) { return kind == TTT_LEARNER_MLP ? "mlp" : "linear"; }

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
    };
}

ttt_status ttt_config_standard(ttt_config *config, const char *name)
{
    static const struct {
        const char *name;
        int64_t layers, hidden, heads, intermediate, vocabulary, context;
    } standard[] = {
        {"tiny", 4, 256, 4, 688, 4096, 256},       {"small", 8, 384, 6, 1024, 8192, 512},
        {"125m", 12, 768, 12, 2048, 32000, 2048},  {"350m", 24, 1024, 16, 2736, 32000, 2048},
        {"760m", 24, 1536, 16, 4096, 32000, 2048}, {"1b", 24, 2048, 32, 5504, 32000, 2048},
    };
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        if (strcmp(standard[i].name, name) != 0) continue;
        ttt_config_init(config);
        config->num_hidden_layers = standard[i].layers;
        config->hidden_size = standard[i].hidden;
        config->num_attention_heads = standard[i].heads;
        config->intermediate_size = standard[i].intermediate;
        config->vocab_size = standard[i].vocabulary;
        config->max_position_embeddings = standard[i].context;
        config->use_gate = config->share_qk = config->pre_conv = true;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "there is no standard configuration %s; there are tiny, small, 125m, 350m, 760m and 1b", name);
}

static ttt_status set_integer(int64_t *field, const char *key, const char *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(value, &end, 10);
    if (end == value || *end || errno || isspace((unsigned char)*value))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s is to be set to %s, but must be a whole number", key, value);
    *field = number;
    return TTT_OK;
}

static ttt_status set_real(double *field, const char *key, const char *value)
{
    char *end;
    const double number = strtod(value, &end);
    if (end == value || *end || !isfinite(number) || isspace((unsigned char)*value))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s is to be set to %s, but must be a number", key, value);
    *field = number;
    return TTT_OK;
}

static ttt_status set_field(ttt_config *config, const ttt_field *field, const char *value)
{
    void *place = (char *)config + field->offset;
    const bool first = strcmp(value, field->kind == TTT_FIELD_LEARNER ? "linear" : "false") == 0;
    const bool second = strcmp(value, field->kind == TTT_FIELD_LEARNER ? "mlp" : "true") == 0;
    switch (field->kind) {
    case TTT_FIELD_TOKEN:
        if (strcmp(value, "null") == 0) value = "-1";
        return set_integer(place, field->key, value);
    case TTT_FIELD_INTEGER: return set_integer(place, field->key, value);
    case TTT_FIELD_REAL: return set_real(place, field->key, value);
    case TTT_FIELD_LEARNER:
        if (!first && !second)
            return ttt_fail(TTT_ERR_ARGUMENT, "%s is to be set to %s, but must be linear or mlp", field->key, value);
        *(ttt_learner_kind *)place = second ? TTT_LEARNER_MLP : TTT_LEARNER_LINEAR;
        break;
    case TTT_FIELD_BOOLEAN:
        if (!first && !second)
            return ttt_fail(TTT_ERR_ARGUMENT, "%s is to be set to %s, but must be true or false", field->key, value);
        *(bool *)place = second;
        break;
    }
    return TTT_OK;
}

ttt_status ttt_config_set(ttt_config *config, const char *key, const char *value)
{
    for (int i = 0; i < TTT_FIELD_COUNT; i++)
        if (strcmp(ttt_fields[i].key, key) == 0) return set_field(config, &ttt_fields[i], value);
    for (int i = 0; i < TTT_FIXED_COUNT; i++) {
        if (strcmp(ttt_fixed_keys[i].key, key) != 0) continue;
        if (strcmp(ttt_fixed_keys[i].value, value) == 0) return TTT_OK;
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s is to be set to %s; this version supports only %s", key, value,
                        ttt_fixed_keys[i].value);
    }
    ttt_buffer keys = {0};
    for (int i = 0; i < TTT_FIELD_COUNT; i++) {
        const ttt_status status = ttt_buffer_print(&keys, "%s%s", i ? ", " : "", ttt_fields[i].key);
        if (status != TTT_OK) {
            ttt_buffer_deinit(&keys);
            return status;
        }
    }
    const ttt_status status = ttt_fail(TTT_ERR_ARGUMENT, "there is no key %s; the keys are %s", key, keys.data);
    ttt_buffer_deinit(&keys);
    return status;
}

static ttt_status check_field(const ttt_config *config, const ttt_field *field, const char *where)
{
    const void *place = (const char *)config + field->offset;
    if (field->kind == TTT_FIELD_INTEGER || field->kind == TTT_FIELD_TOKEN) {
        const int64_t value = *(const int64_t *)place;
        if (value < (int64_t)field->low || value > (int64_t)field->high)
            return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %" PRId64 ", but must be from %.0f to %.0f", where, field->key,
                            value, field->low, field->high);
        if (field->kind == TTT_FIELD_TOKEN && value >= config->vocab_size)
            return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %" PRId64 ", but vocab_size is %" PRId64, where, field->key,
                            value, config->vocab_size);
    }
    if (field->kind == TTT_FIELD_REAL) {
        const double value = *(const double *)place;
        if (!(value >= field->low && value <= field->high))
            return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %g, but must be from %g to %g", where, field->key, value,
                            field->low, field->high);
    }
    return TTT_OK;
}

ttt_status ttt_config_check(const ttt_config *config, const char *where)
{
    for (int i = 0; i < TTT_FIELD_COUNT; i++) TTT_TRY(check_field(config, &ttt_fields[i], where));
    const int64_t width = config->hidden_size, heads = config->num_attention_heads;
    if (width % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: num_attention_heads %" PRId64 " does not divide hidden_size %" PRId64,
                        where, heads, width);
    if (width / heads % 2 != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: hidden_size %" PRId64 " over num_attention_heads %" PRId64
                        " gives heads of odd size %" PRId64 ", and rotary embedding turns pairs",
                        where, width, heads, width / heads);
    if (config->ttt_layer_type != TTT_LEARNER_LINEAR && config->ttt_layer_type != TTT_LEARNER_MLP)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: ttt_layer_type is neither linear nor mlp", where);
    if (ttt_config_parameters(config) > INT64_C(1) << 42)
        return ttt_fail(TTT_ERR_FORMAT, "%s: these sizes make more than 4 x 10^12 parameters", where);
    return TTT_OK;
}
