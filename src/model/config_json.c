/* SPDX-License-Identifier: MIT
 *
 * config.json to and from ttt_config. Types are strict: a size written as 32.0 or "32" is an error that names the key,
 * since a loader that guesses turns a wrong file into wrong numbers.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "model/config_fields.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

static ttt_status wrong_type(const char *where, const char *key, const char *expected)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be %s", where, key, expected);
}

/* null is no token; of a list of end-of-text tokens the first one counts. */
static ttt_status read_token(int64_t *field, const ttt_field *key, const json_t *value, const char *where)
{
    if (json_is_array(value) && strcmp(key->key, "eos_token_id") == 0) value = json_array_get(value, 0);
    if (json_is_null(value))
        *field = -1;
    else if (json_is_integer(value))
        *field = json_integer_value(value);
    else
        return wrong_type(where, key->key, "a whole number or null");
    return TTT_OK;
}

static ttt_status read_field(ttt_config *config, const ttt_field *field, const json_t *value, const char *where)
{
    void *place = (char *)config + field->offset;
    switch (field->kind) {
    case TTT_FIELD_TOKEN: return read_token(place, field, value, where);
    case TTT_FIELD_INTEGER:
        if (!json_is_integer(value)) return wrong_type(where, field->key, "a whole number");
        *(int64_t *)place = json_integer_value(value);
        break;
    case TTT_FIELD_REAL:
        if (!json_is_number(value)) return wrong_type(where, field->key, "a number");
        *(double *)place = json_number_value(value);
        break;
    case TTT_FIELD_BOOLEAN:
        if (!json_is_boolean(value)) return wrong_type(where, field->key, "true or false");
        *(bool *)place = json_is_true(value);
        break;
    case TTT_FIELD_LEARNER:
        if (!json_is_string(value)) return wrong_type(where, field->key, "\"linear\" or \"mlp\"");
        if (strcmp(json_string_value(value), "linear") != 0 && strcmp(json_string_value(value), "mlp") != 0)
            return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s is \"%.64s\"; \"linear\" and \"mlp\" are supported", where,
                            field->key, json_string_value(value));
        TTT_TRY(ttt_config_set(config, field->key, json_string_value(value)));
        break;
    }
    return TTT_OK;
}

/* Keys that would change the model are refused unless they say what this version does anyway. */
static ttt_status check_fixed(const ttt_fixed_key *fixed, const json_t *value, const char *where)
{
    if (json_is_string(value)) {
        if (strcmp(json_string_value(value), fixed->value) == 0) return TTT_OK;
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s \"%.64s\" is not supported, only %s", where, fixed->key,
                        json_string_value(value), fixed->value);
    }
    if (json_is_true(value) && strcmp(fixed->value, "true") == 0) return TTT_OK;
    if (json_is_null(value) && strcmp(fixed->value, "null") == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: this value of %s is not supported, only %s", where, fixed->key,
                    fixed->value);
}

/* `layers` names the layer of each block; only as many times the one that ttt_layer_type says anyway. */
static ttt_status check_layers(const ttt_config *config, const json_t *layers, const char *where)
{
    if (!layers || json_is_null(layers)) return TTT_OK;
    const char *expected = config->ttt_layer_type == TTT_LEARNER_MLP ? "ttt_mlp" : "ttt_linear";
    if (!json_is_array(layers)) return wrong_type(where, "layers", "a list of layer names");
    if ((int64_t)json_array_size(layers) != config->num_hidden_layers)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %zu names and num_hidden_layers is %lld", where,
                        json_array_size(layers), (long long)config->num_hidden_layers);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *name = json_string_value(json_array_get(layers, i));
        if (!name) return wrong_type(where, "layers", "a list of layer names");
        if (strcmp(name, expected) != 0)
            return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: layer %zu of layers is %.64s; only %s is supported here", where,
                            i, name, expected);
    }
    return TTT_OK;
}

static ttt_status read_object(ttt_config *config, const json_t *object, const char *where)
{
    if (!json_is_object(object)) return ttt_fail(TTT_ERR_FORMAT, "%s: not a JSON object", where);
    for (int i = 0; i < TTT_FIXED_COUNT; i++) {
        const json_t *value = json_object_get(object, ttt_fixed_keys[i].key);
        if (value) TTT_TRY(check_fixed(&ttt_fixed_keys[i], value, where));
    }
    ttt_config_init(config);
    for (int i = 0; i < TTT_FIELD_COUNT; i++) {
        const json_t *value = json_object_get(object, ttt_fields[i].key);
        if (value) TTT_TRY(read_field(config, &ttt_fields[i], value, where));
    }
    TTT_TRY(check_layers(config, json_object_get(object, "layers"), where));
    return ttt_config_check(config, where);
}

static ttt_status parse_text(json_t **object, const char *text, size_t size, const char *where)
{
    json_error_t error;
    *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (*object) return TTT_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while reading", where);
    return ttt_fail(TTT_ERR_FORMAT, "%s: line %d: %s", where, error.line, error.text);
}

ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where)
{
    json_t *object;
    TTT_TRY(parse_text(&object, text, size, where));
    const ttt_status status = read_object(config, object, where);
    json_decref(object);
    return status;
}

ttt_status ttt_config_load(ttt_config *config, const char *path)
{
    ttt_buffer text = {0};
    ttt_status status = ttt_file_read(&text, path, CONFIG_BYTES_MAX);
    if (status == TTT_OK) status = ttt_config_parse(config, text.data, text.size, path);
    ttt_buffer_deinit(&text);
    return status;
}

/* jansson writes reals with a fixed number of digits: take the fewest that read back as the same values, so that 1e-6
 * stays 1e-6. */
static char *dump_shortest(const json_t *object)
{
    for (size_t digits = 6; digits <= 17; digits++) {
        char *text = json_dumps(object, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(digits));
        if (!text) return NULL;
        json_t *back = json_loads(text, 0, NULL);
        const bool same = back && json_equal(back, object);
        json_decref(back);
        if (same) return text;
        free(text);
    }
    return NULL;
}

/* The value of a field; NULL on failure. A list of end-of-text tokens in `old` is kept while its first still holds. */
static json_t *field_value(const ttt_config *config, const ttt_field *field, json_t *old)
{
    const void *place = (const char *)config + field->offset;
    switch (field->kind) {
    case TTT_FIELD_INTEGER: return json_integer(*(const int64_t *)place);
    case TTT_FIELD_TOKEN: {
        const int64_t token = *(const int64_t *)place;
        const json_t *first = json_array_get(old, 0);
        if (json_is_integer(first) && json_integer_value(first) == token) return json_incref(old);
        return token < 0 ? json_null() : json_integer(token);
    }
    case TTT_FIELD_REAL: return json_real(*(const double *)place);
    case TTT_FIELD_BOOLEAN: return json_boolean(*(const bool *)place);
    case TTT_FIELD_LEARNER: return json_string(ttt_learner_name(*(const ttt_learner_kind *)place));
    }
    return NULL;
}

/* Takes `value`, which may be NULL: then, as when memory is short, the answer is false. */
static bool set(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

static bool fill_object(json_t *object, const ttt_config *config, const char *dtype)
{
    const bool q8 = strcmp(dtype, "q8") == 0, q4 = strcmp(dtype, "q4") == 0;
    json_object_del(object, "quantization_config");
    if (q8 || q4) dtype = "float32";
    bool ok = set(object, "architectures", json_pack("[s]", "TTTForCausalLM"));
    if (q8 || q4)
        ok = set(object, "quantization_config",
                 json_pack("{s:s, s:i, s:i}", "quant_method", "ttt", "bits", q8 ? 8 : 4, "group_size", 32)) &&
             ok;
    ok = set(object, "model_type", json_string("ttt")) && ok;
    ok = set(object, "hidden_act", json_string("silu")) && ok;
    ok = set(object, "torch_dtype", json_string(dtype)) && ok;
    if (json_object_get(object, "dtype")) ok = set(object, "dtype", json_string(dtype)) && ok;
    if (!json_object_get(object, "use_cache")) ok = set(object, "use_cache", json_false()) && ok;
    if (!json_object_get(object, "pretraining_tp")) ok = set(object, "pretraining_tp", json_integer(1)) && ok;
    if (!json_object_get(object, "scan_checkpoint_group_size"))
        ok = set(object, "scan_checkpoint_group_size", json_integer(0)) && ok;
    json_object_del(object, "layers"); /* says no more than ttt_layer_type, and might contradict its new value */
    for (int i = 0; i < TTT_FIELD_COUNT; i++) {
        const char *key = ttt_fields[i].key;
        ok = set(object, key, field_value(config, &ttt_fields[i], json_object_get(object, key))) && ok;
    }
    return ok;
}

static ttt_status load_base(json_t **object, const char *base)
{
    ttt_buffer text = {0};
    ttt_status status = ttt_file_read(&text, base, CONFIG_BYTES_MAX);
    if (status == TTT_OK) status = parse_text(object, text.data, text.size, base);
    ttt_buffer_deinit(&text);
    if (status == TTT_OK && !json_is_object(*object)) {
        json_decref(*object);
        status = ttt_fail(TTT_ERR_FORMAT, "%s: not a JSON object", base);
    }
    return status;
}

ttt_status ttt_config_print(const ttt_config *config, const char *base, const char *dtype, ttt_buffer *out)
{
    json_t *object = NULL;
    if (base)
        TTT_TRY(load_base(&object, base));
    else
        object = json_object();
    char *text = object && fill_object(object, config, dtype) ? dump_shortest(object) : NULL;
    json_decref(object);
    if (!text) return ttt_fail(TTT_ERR_MEMORY, "out of memory while writing a configuration");
    const ttt_status status = ttt_buffer_print(out, "%s\n", text);
    free(text);
    return status;
}

ttt_status ttt_config_save(const ttt_config *config, const char *path, const char *base, const char *dtype)
{
    TTT_TRY(ttt_config_check(config, path));
    ttt_buffer out = {0};
    ttt_status status = ttt_config_print(config, base, dtype, &out);
    if (status == TTT_OK) status = ttt_file_write(path, out.data, out.size);
    ttt_buffer_deinit(&out);
    return status;
}
