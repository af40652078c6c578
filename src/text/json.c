/* SPDX-License-Identifier: MIT
 *
 * Checked access to JSON, for the readers of tokenizer.json and tokenizer_config.json.
 */
#include "base/json.h"
#include "text/json.h"

ttt_status ttt_json_parse(json_t **root, const char *bytes, size_t size)
{
    json_error_t error;
    *root = ttt_json_read(bytes, size, 0, &error);
    if (!*root)
        return ttt_fail(ttt_json_status(&error), "line %d, column %d: %s", error.line, error.column, error.text);
    if (json_is_object(*root)) return TTT_OK;
    json_decref(*root);
    *root = NULL;
    return ttt_fail(TTT_ERR_FORMAT, "a JSON object is expected");
}

static ttt_status fail_type(const char *where, const char *key, const char *expected)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: '%s' must be %s", where, key, expected);
}

ttt_status ttt_json_bool(const json_t *object, const char *where, const char *key, bool *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return TTT_OK;
    if (!json_is_boolean(member)) return fail_type(where, key, "true or false");
    *value = json_is_true(member);
    return TTT_OK;
}

ttt_status ttt_json_count(const json_t *object, const char *where, const char *key, int64_t limit, int64_t *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return TTT_OK;
    const json_int_t number = json_integer_value(member);
    if (!json_is_integer(member) || number < 0 || number >= limit)
        return ttt_fail(TTT_ERR_FORMAT, "%s: '%s' must be an integer from 0 to %lld", where, key, (long long)limit - 1);
    *value = number;
    return TTT_OK;
}

ttt_status ttt_json_string(const json_t *object, const char *where, const char *key, ttt_buffer *value)
{
    const json_t *member = json_object_get(object, key);
    if (!member || json_is_null(member)) return TTT_OK;
    if (!json_is_string(member)) return fail_type(where, key, "a string");
    value->size = 0;
    return ttt_buffer_append(value, json_string_value(member), json_string_length(member));
}

ttt_status ttt_json_type(const json_t *object, const char *where, const char **type)
{
    *type = json_string_value(json_object_get(object, "type"));
    return *type ? TTT_OK : ttt_fail(TTT_ERR_FORMAT, "%s is no object with a 'type'", where);
}
