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
#include "config/forms.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

/* ---- reading ---- */

/* Whether a JSON value is what `text` says: a name, or null, true, false, or a number. */
static bool says(const json_t *value, const char *text, size_t length)
{
    if (json_is_string(value))
        return json_string_length(value) == length && !memcmp(json_string_value(value), text, length);
    if (json_is_number(value)) {
        char *end;
        const double number = strtod(text, &end);
        return end == text + length && number == json_number_value(value);
    }
    const char *word = json_is_true(value)    ? "true"
                       : json_is_false(value) ? "false"
                       : json_is_null(value)  ? "null"
                                              : "";
    return strlen(word) == length && memcmp(word, text, length) == 0;
}

/* Keys that would change the model are refused unless they say what this version does anyway. */
static ttt_status check_fixed(const ttt_form *form, const ttt_fixed_key *fixed, const json_t *value, const char *where)
{
    for (const char *text = fixed->values; *text;) {
        const size_t length = strcspn(text, "|");
        if (says(value, text, length)) return TTT_OK;
        text += length + (text[length] == '|');
    }
    char *shown = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    if (!shown) return ttt_fail(TTT_ERR_MEMORY, "out of memory while reading %s", where);
    const char *bar = strchr(fixed->values, '|');
    const ttt_status status = ttt_fail(TTT_ERR_UNSUPPORTED,
                                       "%s: %s %.64s is not supported in a model of model_type %s, only %.*s%s%s",
                                       where, fixed->name, shown, form->name, (int)strcspn(fixed->values, "|"),
                                       fixed->values, bar ? " or " : "", bar ? bar + 1 : "");
    free(shown);
    return status;
}

/* Weights that other programs quantised are in forms of their own. */
static ttt_status check_quantization(const json_t *object, const char *where)
{
    const json_t *value = json_object_get(object, "quantization_config"),
                 *method = json_object_get(value, "quant_method");
    if (!value || json_is_null(value) || (json_is_string(method) && strcmp(json_string_value(method), "ttt") == 0))
        return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED,
                    "%s: quantization_config with quant_method \"%.64s\" is not supported, only ttt's own: take the "
                    "weights before they were quantised, and ttt convert --weights",
                    where, json_is_string(method) ? json_string_value(method) : "");
}

static ttt_status read_type(ttt_config *config, const json_t *object, const char *where)
{
    const ttt_key *key = ttt_key_find("model_type");
    const json_t *value = json_object_get(object, key->name);
    const char *why;
    if (json_is_string(value) && ttt_form_known_stranger(json_string_value(value), &why))
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: model_type \"%.64s\" is not supported: %s", where,
                        json_string_value(value), why);
    if (value) return key->kind->from_json(key, config, value, where);
    if (json_object_get(object, "d_model") && json_object_get(object, "n_layer"))
        return ttt_fail(
            TTT_ERR_UNSUPPORTED,
            "%s: d_model and n_layer without model_type are mamba_ssm's own form, which is not supported, only "
            "that of transformers (model_type \"mamba\"): the folders called -hf have it",
            where);
    return TTT_OK;
}

/* rope_parameters, which transformers 5 writes in place of rope_theta. */
static ttt_status read_rotation(ttt_config *config, const json_t *object, const char *where)
{
    json_t *value = json_object_get(object, "rope_parameters"), *part;
    const json_t *theta = json_object_get(value, "rope_theta"), *type = json_object_get(value, "rope_type");
    const json_t *beside = json_object_get(object, "rope_theta");
    const char *name;
    if (!value || json_is_null(value)) return TTT_OK;
    if (!json_is_object(value)) return ttt_fail(TTT_ERR_FORMAT, "%s: rope_parameters must be an object or null", where);
    json_object_foreach(value, name, part)
    {
        if (part != theta && part != type)
            return ttt_fail(TTT_ERR_UNSUPPORTED,
                            "%s: rope_parameters with %.64s is not supported, only rope_theta and rope_type default",
                            where, name);
    }
    if (type && !says(type, "default", 7))
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "%s: rope_parameters with rope_type \"%.64s\" is not supported, only default", where,
                        json_is_string(type) ? json_string_value(type) : "");
    if (!theta) return TTT_OK;
    if (!json_is_number(theta)) return ttt_fail(TTT_ERR_FORMAT, "%s: rope_theta must be a number", where);
    if (json_is_number(beside) && json_number_value(beside) != json_number_value(theta))
        return ttt_fail(TTT_ERR_FORMAT, "%s: rope_theta is %g, and %g in rope_parameters", where,
                        json_number_value(beside), json_number_value(theta));
    config->rope_theta = json_number_value(theta);
    return TTT_OK;
}

/* Of the list of blocks of a ttt_ext the length is the number of layers, unless that is said. */
static ttt_status read_keys(ttt_config *config, const json_t *object, const char *where)
{
    const ttt_form *form = ttt_form_of(config);
    for (const ttt_form_default *absent = form->defaults; absent->key; absent++) {
        const ttt_key *key = ttt_key_find(absent->key);
        TTT_TRY(key->kind->parse(key, config, absent->text));
    }
    const size_t blocks = json_array_size(json_object_get(object, "layers"));
    if (blocks > 0 && config->model_type == TTT_MODEL_TTT_EXT) config->num_hidden_layers = (int64_t)blocks;
    for (int i = 0; i < form->key_count; i++) {
        const ttt_key key = ttt_form_key_at(form, i);
        const json_t *value = json_object_get(object, key.name);
        if (value) TTT_TRY(key.kind->from_json(&key, config, value, where));
    }
    return form->read ? form->read(config, object, where) : TTT_OK;
}

static ttt_status read_object(ttt_config *config, const json_t *object, const char *where)
{
    if (!json_is_object(object)) return ttt_fail(TTT_ERR_FORMAT, "%s: not a JSON object", where);
    ttt_config_init(config);
    TTT_TRY(read_type(config, object, where));
    const ttt_form *form = ttt_form_of(config);
    for (const ttt_fixed_key *fixed = form->fixed; fixed->name; fixed++) {
        const json_t *value = json_object_get(object, fixed->name);
        if (value) TTT_TRY(check_fixed(form, fixed, value, where));
    }
    TTT_TRY(check_quantization(object, where));
    TTT_TRY(read_keys(config, object, where));
    if (ttt_form_key_name(form, ttt_key_find("rope_theta"))) TTT_TRY(read_rotation(config, object, where));
    if (form->block) ttt_layers_fill(&config->layers, form->block, config->num_hidden_layers);
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

/* ---- writing ---- */

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

/* Of a file of another form only what no form knows is kept. */
static void drop_foreign(json_t *object, const ttt_form *form)
{
    const char *type = json_string_value(json_object_get(object, "model_type"));
    for (const ttt_form *other = ttt_forms; other < ttt_forms + TTT_MODEL_TYPES; other++) {
        if (other == form || strcmp(other->name, type ? type : "ttt") != 0) continue;
        for (int i = 0; i < other->key_count; i++) json_object_del(object, ttt_form_key_at(other, i).name);
        for (const ttt_fixed_key *key = other->fixed; key->name; key++) json_object_del(object, key->name);
        for (const ttt_fixed_key *key = other->written; key->name; key++) json_object_del(object, key->name);
        static const char *const implied[] = {"head_dim", "expand_k", "expand_v", "intermediate_size", "num_v_heads"};
        for (size_t i = 0; i < sizeof implied / sizeof *implied; i++) json_object_del(object, implied[i]);
    }
}

static bool fill_type(json_t *object, const char *dtype)
{
    const bool q8 = strcmp(dtype, "q8") == 0, q4 = strcmp(dtype, "q4") == 0;
    json_object_del(object, "quantization_config");
    if ((q8 || q4) && !set(object, "quantization_config",
                           json_pack("{s:s, s:i, s:i}", "quant_method", "ttt", "bits", q8 ? 8 : 4, "group_size", 32)))
        return false;
    if (q8 || q4) dtype = "float32";
    if (json_object_get(object, "dtype") && !set(object, "dtype", json_string(dtype))) return false;
    return set(object, "torch_dtype", json_string(dtype));
}

static bool fill_object(json_t *object, const ttt_config *config, const char *dtype)
{
    const ttt_form *form = ttt_form_of(config);
    drop_foreign(object, form);
    if (ttt_form_key_name(form, ttt_key_find("rope_theta")))
        json_object_del(object, "rope_parameters"); /* rope_theta says it to all versions of transformers */
    bool ok = fill_type(object, dtype);
    for (int i = 0; i < form->key_count; i++) {
        const ttt_key key = ttt_form_key_at(form, i);
        if (key.sparse && ttt_key_is_default(&key, config))
            json_object_del(object, key.name);
        else
            ok = set(object, key.name, key.kind->to_json(&key, config, json_object_get(object, key.name))) && ok;
    }
    ok = set(object, "model_type", json_string(form->name)) && ok;
    ok = set(object, "architectures", json_pack("[s]", form->architecture)) && ok;
    for (const ttt_fixed_key *key = form->written; key->name; key++)
        if (!json_object_get(object, key->name))
            ok = set(object, key->name, json_loads(key->values, JSON_DECODE_ANY, NULL)) && ok;
    if (form->write) ok = form->write(object, config) && ok;
    if (form->block || config->layers.count == 0) json_object_del(object, "layers"); /* the rest says it */
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
