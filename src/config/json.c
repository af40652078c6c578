/* SPDX-License-Identifier: MIT
 *
 * config.json to and from ttt_config, over the table of keys.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "config/keys.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

/* Keys that would change the model are refused unless they say what this version does anyway. */
static ttt_status check_fixed(const ttt_fixed_key *fixed, const json_t *value, const char *where)
{
    if (json_is_string(value)) {
        if (strcmp(json_string_value(value), fixed->value) == 0) return TTT_OK;
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s \"%.64s\" is not supported, only %s", where, fixed->name,
                        json_string_value(value), fixed->value);
    }
    if (json_is_true(value) && strcmp(fixed->value, "true") == 0) return TTT_OK;
    if (json_is_null(value) && strcmp(fixed->value, "null") == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: this value of %s is not supported, only %s", where, fixed->name,
                    fixed->value);
}

/* Of the list of blocks of a ttt_ext the length is the number of layers, unless that is said. */
static ttt_status read_object(ttt_config *config, const json_t *object, const char *where)
{
    if (!json_is_object(object)) return ttt_fail(TTT_ERR_FORMAT, "%s: not a JSON object", where);
    for (int i = 0; i < TTT_FIXED_COUNT; i++) {
        const json_t *value = json_object_get(object, ttt_fixed_keys[i].name);
        if (value) TTT_TRY(check_fixed(&ttt_fixed_keys[i], value, where));
    }
    ttt_config_init(config);
    const char *type = json_string_value(json_object_get(object, "model_type"));
    const size_t blocks = json_array_size(json_object_get(object, "layers"));
    if (blocks > 0 && type && strcmp(type, "ttt_ext") == 0) config->num_hidden_layers = (int64_t)blocks;
    for (int i = 0; i < TTT_KEY_COUNT; i++) {
        const json_t *value = json_object_get(object, ttt_keys[i].name);
        if (ttt_keys[i].of == TTT_KEY_EXTENDED && config->model_type == TTT_MODEL_TTT) continue;
        if (value) TTT_TRY(ttt_keys[i].kind->from_json(&ttt_keys[i], config, value, where));
    }
    return ttt_config_check_keys(config, where);
}

static ttt_status parse_text(json_t **object, const char *text, size_t size, const char *where)
{
    json_error_t error;
    *object = ttt_json_read(text, size, 0, &error);
    if (*object) return TTT_OK;
    return ttt_fail(ttt_json_status(&error), "%s: line %d: %s", where, error.line, error.text);
}

ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where)
{
    json_t *object;
    TTT_TRY(parse_text(&object, text, size, where));
    const ttt_status status = read_object(config, object, where);
    json_decref(object);
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
        const bool read = back != NULL, same = read && json_equal(back, object);
        json_decref(back);
        if (same) return text;
        free(text);
        if (!read) return NULL; /* memory is short: more digits would not help */
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
    const bool extended = config->model_type == TTT_MODEL_TTT_EXT;
    bool ok = set(object, "architectures", json_pack("[s]", extended ? "TTTExtForCausalLM" : "TTTForCausalLM"));
    if (q8 || q4)
        ok = set(object, "quantization_config",
                 json_pack("{s:s, s:i, s:i}", "quant_method", "ttt", "bits", q8 ? 8 : 4, "group_size", 32)) &&
             ok;
    ok = set(object, "hidden_act", json_string("silu")) && ok;
    ok = set(object, "torch_dtype", json_string(dtype)) && ok;
    if (json_object_get(object, "dtype")) ok = set(object, "dtype", json_string(dtype)) && ok;
    if (!json_object_get(object, "use_cache")) ok = set(object, "use_cache", json_false()) && ok;
    if (!json_object_get(object, "pretraining_tp")) ok = set(object, "pretraining_tp", json_integer(1)) && ok;
    if (!json_object_get(object, "scan_checkpoint_group_size"))
        ok = set(object, "scan_checkpoint_group_size", json_integer(0)) && ok;
    for (int i = 0; i < TTT_KEY_COUNT; i++) {
        const char *name = ttt_keys[i].name;
        if (ttt_keys[i].of != TTT_KEY_EVERYWHERE && !extended) continue;
        ok = set(object, name, ttt_keys[i].kind->to_json(&ttt_keys[i], config, json_object_get(object, name))) && ok;
    }
    if (config->layers.count == 0) json_object_del(object, "layers"); /* ttt_layer_type and pre_conv say it */
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
