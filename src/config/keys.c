/* SPDX-License-Identifier: MIT
 *
 * The table of keys and the kinds of values. Types in JSON are strict: a size written as 32.0 or "32" is an error that
 * names the key, since a loader that guesses turns a wrong file into wrong numbers.
 */
#include "config/keys.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "config/standard.h"

static const char *const layer_types[] = {[TTT_LEARNER_LINEAR] = "linear", [TTT_LEARNER_MLP] = "mlp", NULL};
static const char *const model_types[] = {[TTT_MODEL_TTT] = "ttt", [TTT_MODEL_TTT_EXT] = "ttt_ext", NULL};

#define KEY(kind_name, member, ...)                                                                                    \
    {                                                                                                                  \
        .name = #member, .kind = &ttt_key_##kind_name, .offset = offsetof(ttt_config, member), __VA_ARGS__             \
    }
#define BOUNDS(least, most) .low = least, .high = most

const ttt_key ttt_keys[TTT_KEY_COUNT] = {
    KEY(choice, model_type, .names = model_types),
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
};

const ttt_fixed_key ttt_fixed_keys[TTT_FIXED_COUNT] = {
    {"hidden_act", "silu"}, {"rope_scaling", "null"}, {"ttt_norm", "true"},  {"ttt_residual", "true"},
    {"ttt_bias", "true"},   {"ttt_rope", "true"},     {"ttt_target", "v-k"}, {"ttt_position_factor", "true"},
    {"ttt_w0", "learned"},  {"ttt_rate", "learned"},
};

const ttt_key *ttt_key_find(const char *name)
{
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (strcmp(ttt_keys[i].name, name) == 0) return &ttt_keys[i];
    return NULL;
}

static void *place_in(const ttt_key *key, ttt_config *config) { return (char *)config + key->offset; }

static ttt_status bad_text(const ttt_key *key, const char *text)
{
    return ttt_fail(TTT_ERR_ARGUMENT, "%s=%s: must be %s", key->name, text, key->kind->must_be);
}

static ttt_status bad_type(const ttt_key *key, const char *where)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be %s", where, key->name, key->kind->must_be);
}

/* ---- whole numbers ---- */

static int64_t integer(const ttt_key *key, const ttt_config *config)
{
    return *(const int64_t *)ttt_key_place(key, config);
}

static ttt_status integer_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text)) return bad_text(key, text);
    *(int64_t *)place_in(key, config) = number;
    return TTT_OK;
}

static ttt_status integer_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return ttt_buffer_print(out, "%" PRId64, integer(key, config));
}

static ttt_status integer_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!json_is_integer(value)) return bad_type(key, where);
    *(int64_t *)place_in(key, config) = json_integer_value(value);
    return TTT_OK;
}

static json_t *integer_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return json_integer(integer(key, config));
}

static ttt_status integer_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    const int64_t value = integer(key, config);
    if (value >= (int64_t)key->low && value <= (int64_t)key->high) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %" PRId64 ", but must be from %.0f to %.0f", where, key->name, value,
                    key->low, key->high);
}

static bool integer_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    return integer(key, a) == integer(key, b);
}

const ttt_key_kind ttt_key_integer = {"a whole number", integer_parse, integer_print, integer_from_json,
                                      integer_to_json,  integer_check, integer_equal};

/* ---- ids of tokens, -1 for none ---- */

static ttt_status token_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    return integer_parse(key, config, strcmp(text, "null") == 0 ? "-1" : text);
}

static ttt_status token_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return integer(key, config) < 0 ? ttt_buffer_print(out, "null") : integer_print(key, config, out);
}

/* Of a list of end-of-text tokens the first one counts. */
static ttt_status token_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (json_is_array(value) && strcmp(key->name, "eos_token_id") == 0) value = json_array_get(value, 0);
    if (!json_is_null(value)) return integer_from_json(key, config, value, where);
    *(int64_t *)place_in(key, config) = -1;
    return TTT_OK;
}

/* A list in `old` is kept while its first still holds. */
static json_t *token_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    const int64_t token = integer(key, config);
    const json_t *first = json_array_get(old, 0);
    if (json_is_integer(first) && json_integer_value(first) == token) return json_incref(old);
    return token < 0 ? json_null() : json_integer(token);
}

static ttt_status token_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    TTT_TRY(integer_check(key, config, where));
    if (integer(key, config) < config->vocab_size) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %" PRId64 ", but vocab_size is %" PRId64, where, key->name,
                    integer(key, config), config->vocab_size);
}

const ttt_key_kind ttt_key_token = {
    "a whole number or null", token_parse, token_print, token_from_json, token_to_json, token_check, integer_equal};

/* ---- real numbers ---- */

static double real(const ttt_key *key, const ttt_config *config) { return *(const double *)ttt_key_place(key, config); }

static ttt_status real_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    double number;
    if (!ttt_number_parse(text, &number)) return bad_text(key, text);
    *(double *)place_in(key, config) = number;
    return TTT_OK;
}

static ttt_status real_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    char text[TTT_NUMBER_TEXT];
    return ttt_buffer_print(out, "%s", ttt_number_print(text, real(key, config)));
}

static ttt_status real_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!json_is_number(value)) return bad_type(key, where);
    *(double *)place_in(key, config) = json_number_value(value);
    return TTT_OK;
}

static json_t *real_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return json_real(real(key, config));
}

static ttt_status real_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    const double value = real(key, config);
    if (value >= key->low && value <= key->high) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s is %g, but must be from %g to %g", where, key->name, value, key->low,
                    key->high);
}

static bool real_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    return real(key, a) == real(key, b);
}

const ttt_key_kind ttt_key_real = {"a number",   real_parse, real_print, real_from_json,
                                   real_to_json, real_check, real_equal};

/* ---- true and false ---- */

static bool boolean(const ttt_key *key, const ttt_config *config) { return *(const bool *)ttt_key_place(key, config); }

static ttt_status boolean_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    const bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0) return bad_text(key, text);
    *(bool *)place_in(key, config) = yes;
    return TTT_OK;
}

static ttt_status boolean_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return ttt_buffer_print(out, "%s", boolean(key, config) ? "true" : "false");
}

static ttt_status boolean_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!json_is_boolean(value)) return bad_type(key, where);
    *(bool *)place_in(key, config) = json_is_true(value);
    return TTT_OK;
}

static json_t *boolean_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return json_boolean(boolean(key, config));
}

static bool boolean_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    return boolean(key, a) == boolean(key, b);
}

const ttt_key_kind ttt_key_boolean = {"true or false", boolean_parse, boolean_print, boolean_from_json,
                                      boolean_to_json, NULL,          boolean_equal};

/* ---- one of several names: an enum of the names' order ---- */

static int choice(const ttt_key *key, const ttt_config *config) { return *(const int *)ttt_key_place(key, config); }

static int choice_find(const ttt_key *key, const char *name)
{
    for (int i = 0; key->names[i]; i++)
        if (strcmp(key->names[i], name) == 0) return i;
    return -1;
}

/* "linear or mlp" */
static const char *choice_names(const ttt_key *key, char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; key->names[i] && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? " or " : "", key->names[i]);
    return text;
}

static ttt_status choice_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    char names[128];
    const int found = choice_find(key, text);
    if (found < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s=%s: must be %s", key->name, text, choice_names(key, names, sizeof names));
    *(int *)place_in(key, config) = found;
    return TTT_OK;
}

static ttt_status choice_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return ttt_buffer_print(out, "%s", key->names[choice(key, config)]);
}

static ttt_status choice_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    char names[128];
    choice_names(key, names, sizeof names);
    if (!json_is_string(value)) return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be %s", where, key->name, names);
    const int found = choice_find(key, json_string_value(value));
    if (found < 0)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s \"%.64s\" is not supported, only %s", where, key->name,
                        json_string_value(value), names);
    *(int *)place_in(key, config) = found;
    return TTT_OK;
}

static json_t *choice_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return json_string(key->names[choice(key, config)]);
}

static bool choice_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    return choice(key, a) == choice(key, b);
}

const ttt_key_kind ttt_key_choice = {"a name",       choice_parse, choice_print, choice_from_json,
                                     choice_to_json, NULL,         choice_equal};

/* ---- the blocks ---- */

static ttt_status layers_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    ttt_layers layers = {0};
    (void)key;
    if (strcmp(text, "null") == 0) {
        config->layers = layers;
        return TTT_OK;
    }
    const ttt_status status = ttt_layers_parse(&layers, text, config->pre_conv);
    const double before = ttt_config_usual_rate(config);
    if (status == TTT_OK) ttt_config_take_layers(config, &layers);
    if (ttt_config_usual_rate(config) != before) config->ttt_base_lr = ttt_config_usual_rate(config);
    return status == TTT_ERR_FORMAT ? TTT_ERR_ARGUMENT : status;
}

static ttt_status layers_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    (void)key;
    return ttt_layers_print(config, out);
}

/* The list of a ttt folder may only repeat what ttt_layer_type says. */
static ttt_status layers_repeat(const ttt_key *key, const ttt_config *config, const json_t *list, const char *where)
{
    const char *name = config->ttt_layer_type == TTT_LEARNER_MLP ? "ttt_mlp" : "ttt_linear";
    if ((int64_t)json_array_size(list) != config->num_hidden_layers)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %zu blocks and num_hidden_layers is %" PRId64, where,
                        json_array_size(list), config->num_hidden_layers);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) return bad_type(key, where);
        if (strcmp(text, name) != 0 && strcmp(text, ttt_config_block(config, (int64_t)i)) != 0)
            return ttt_fail(TTT_ERR_UNSUPPORTED,
                            "%s: block %zu of layers is \"%.64s\", but ttt_layer_type says \"%s\"; of the model_types "
                            "only ttt_ext has a list of its own",
                            where, i, text, name);
    }
    return TTT_OK;
}

static ttt_status layers_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    ttt_layers layers = {0};
    if (json_is_null(value)) return TTT_OK;
    if (!json_is_array(value) || json_array_size(value) == 0) return bad_type(key, where);
    if (config->model_type == TTT_MODEL_TTT) return layers_repeat(key, config, value, where);
    if (config->ttt_layer_type != TTT_LEARNER_LINEAR || config->pre_conv)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: layers says what the blocks are: ttt_layer_type and pre_conv beside it must be absent or "
                        "\"linear\" and false",
                        where);
    const int64_t count = config->num_hidden_layers;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *block = json_array_get(value, i);
        if (!json_is_string(block)) return bad_type(key, where);
        TTT_TRY(ttt_layers_add(&layers, json_string_value(block), json_string_length(block), where));
    }
    if (layers.count != count)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %" PRId64 " blocks and num_hidden_layers is %" PRId64, where,
                        layers.count, count);
    ttt_config_take_layers(config, &layers);
    return TTT_OK;
}

static json_t *layers_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)key;
    (void)old;
    if (config->layers.count == 0) return json_null();
    json_t *list = json_array();
    for (int64_t i = 0; i < config->layers.count && list; i++) {
        if (json_array_append_new(list, json_string(ttt_config_block(config, i))) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static ttt_status layers_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    const int64_t count = config->layers.count;
    (void)key;
    if (count == 0) return TTT_OK;
    if (config->model_type != TTT_MODEL_TTT_EXT)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers needs the model_type ttt_ext", where);
    if (config->ttt_layer_type != TTT_LEARNER_LINEAR || config->pre_conv)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: layers says what the blocks are: leave ttt_layer_type linear and pre_conv false", where);
    if (count == config->num_hidden_layers) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %" PRId64 " blocks and num_hidden_layers is %" PRId64, where, count,
                    config->num_hidden_layers);
}

static bool layers_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    (void)key;
    const bool lists = a->layers.count || b->layers.count;
    for (int64_t i = 0; i < (lists ? TTT_BLOCKS_MAX : 1); i++) {
        const char *block = ttt_config_block(a, i), *other = ttt_config_block(b, i);
        if (!block != !other || (block && strcmp(block, other) != 0)) return false;
    }
    return a->num_hidden_layers == b->num_hidden_layers;
}

const ttt_key_kind ttt_key_layers = {"a list of blocks, such as \"ttt_linear+ffn\"",
                                     layers_parse,
                                     layers_print,
                                     layers_from_json,
                                     layers_to_json,
                                     layers_check,
                                     layers_equal};
