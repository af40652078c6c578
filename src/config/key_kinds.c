/* SPDX-License-Identifier: MIT
 *
 * The kinds of values but the list of blocks. Types in JSON are strict: a size written as 32.0 or "32" is an error that
 * names the key, since a loader that guesses turns a wrong file into wrong numbers.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "config/keys.h"

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

/* ---- a size, from 1, or a word, stored as 0 ---- */

static ttt_status bad_size(const ttt_key *key, const char *where)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be a whole number from 1 to %.0f, or %s", where, key->name, key->high,
                    key->names[0]);
}

static bool is_word(const ttt_key *key, const json_t *value)
{
    if (strcmp(key->names[0], "null") == 0) return json_is_null(value);
    return json_is_string(value) && strcmp(json_string_value(value), key->names[0]) == 0;
}

static json_t *word_to_json(const ttt_key *key)
{
    return strcmp(key->names[0], "null") == 0 ? json_null() : json_string(key->names[0]);
}

static ttt_status size_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    int64_t *place = place_in(key, config);
    const int64_t before = *place;
    if (strcmp(text, key->names[0]) == 0) {
        *place = 0;
        return TTT_OK;
    }
    if (integer_parse(key, config, text) == TTT_OK && *place > 0) return TTT_OK;
    *place = before;
    return ttt_fail(TTT_ERR_ARGUMENT, "%s=%s: must be a whole number from 1, or %s", key->name, text, key->names[0]);
}

static ttt_status size_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return integer(key, config) ? integer_print(key, config, out) : ttt_buffer_print(out, "%s", key->names[0]);
}

static ttt_status size_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!is_word(key, value) && (!json_is_integer(value) || json_integer_value(value) < 1)) return bad_size(key, where);
    *(int64_t *)place_in(key, config) = json_integer_value(value);
    return TTT_OK;
}

static json_t *size_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return integer(key, config) ? json_integer(integer(key, config)) : word_to_json(key);
}

const ttt_key_kind ttt_key_size = {
    "a whole number or a word", size_parse, size_print, size_from_json, size_to_json, integer_check, integer_equal};

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

/* ---- a rate, from 0, or a word, stored as -1 ---- */

static ttt_status rate_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    double *place = place_in(key, config), number;
    if (strcmp(text, key->names[0]) == 0) {
        *place = -1;
        return TTT_OK;
    }
    if (!ttt_number_parse(text, &number) || number < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s=%s: must be a number from 0, or %s", key->name, text, key->names[0]);
    *place = number;
    return TTT_OK;
}

static ttt_status rate_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    return real(key, config) >= 0 ? real_print(key, config, out) : ttt_buffer_print(out, "%s", key->names[0]);
}

static ttt_status rate_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!is_word(key, value) && !(json_is_number(value) && json_number_value(value) >= 0))
        return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be a number from 0 to %g, or %s", where, key->name, key->high,
                        key->names[0]);
    *(double *)place_in(key, config) = json_is_number(value) ? json_number_value(value) : -1;
    return TTT_OK;
}

static json_t *rate_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return real(key, config) >= 0 ? json_real(real(key, config)) : word_to_json(key);
}

static ttt_status rate_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    return real(key, config) == -1 ? TTT_OK : real_check(key, config, where);
}

const ttt_key_kind ttt_key_rate = {"a number or a word", rate_parse, rate_print, rate_from_json,
                                   rate_to_json,         rate_check, real_equal};

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

/* ---- true, false, or null, which leaves it to the layer ---- */

static ttt_maybe maybe(const ttt_key *key, const ttt_config *config)
{
    return *(const ttt_maybe *)ttt_key_place(key, config);
}

static ttt_status maybe_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    const bool yes = strcmp(text, "true") == 0, no = strcmp(text, "false") == 0;
    if (!yes && !no && strcmp(text, "null") != 0) return bad_text(key, text);
    *(ttt_maybe *)place_in(key, config) = yes ? TTT_YES : no ? TTT_NO : TTT_UNSAID;
    return TTT_OK;
}

static ttt_status maybe_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    static const char *const texts[] = {[TTT_UNSAID] = "null", [TTT_NO] = "false", [TTT_YES] = "true"};
    return ttt_buffer_print(out, "%s", texts[maybe(key, config)]);
}

static ttt_status maybe_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    if (!json_is_boolean(value) && !json_is_null(value)) return bad_type(key, where);
    *(ttt_maybe *)place_in(key, config) = json_is_true(value) ? TTT_YES : json_is_null(value) ? TTT_UNSAID : TTT_NO;
    return TTT_OK;
}

static json_t *maybe_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)old;
    return maybe(key, config) == TTT_UNSAID ? json_null() : json_boolean(maybe(key, config) == TTT_YES);
}

static bool maybe_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    return maybe(key, a) == maybe(key, b);
}

const ttt_key_kind ttt_key_maybe = {"true, false or null", maybe_parse, maybe_print, maybe_from_json,
                                    maybe_to_json,         NULL,        maybe_equal};

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
