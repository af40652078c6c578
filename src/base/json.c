/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/kind.h"

enum { NUMBER_LIMIT = 1000 }; /* digits of a number that is looked at; a longer one is left to the parser */

size_t ttt_byte_order_mark(const char *bytes, size_t size)
{
    return size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Whether these characters are a number as JSON writes them: else they are left for the parser to refuse. */
static bool is_number(const char *text, size_t size)
{
    size_t i = 0;
    if (i < size && text[i] == '-') i++;
    size_t digits = strspn(text + i, "0123456789");
    if (digits == 0 || (digits > 1 && text[i] == '0')) return false;
    i += digits;
    if (i < size && text[i] == '.') {
        digits = strspn(text + ++i, "0123456789");
        if (digits == 0) return false;
        i += digits;
    }
    if (i < size && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (text[i] == '-' || text[i] == '+') i++;
        digits = strspn(text + i, "0123456789");
        if (digits == 0) return false;
        i += digits;
    }
    return i == size;
}

/* A number as the parser can take it. */
static ttt_status append_number(ttt_buffer *out, const char *text, size_t size)
{
    char copy[NUMBER_LIMIT + 1];
    if (size > NUMBER_LIMIT) return ttt_buffer_append(out, text, size);
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (!is_number(copy, size)) return ttt_buffer_append(out, text, size);
    /* Digits alone decide: strtod would ask the locale for its point. */
    if (strspn(copy + (copy[0] == '-'), "0123456789") + (copy[0] == '-') == size) {
        char wide[NUMBER_LIMIT + 1];
        const size_t digits = size - (copy[0] == '-');
        if (digits <= 18) return ttt_buffer_append(out, text, size);
        if (digits > 308) return ttt_buffer_print(out, "\"%s\"", copy);
        snprintf(wide, sizeof wide, "%lld", strtoll(copy, NULL, 10));
        return ttt_buffer_print(out, strcmp(wide, copy) == 0 || strcmp(copy, "-0") == 0 ? "%s" : "%s.0", copy);
    }
    json_t *value = json_loadb(copy, size, JSON_DECODE_ANY, NULL);
    json_decref(value);
    return ttt_buffer_print(out, value ? "%s" : "\"%s\"", copy);
}

/* The same text with the numbers that are too large written otherwise. */
static ttt_status tame_numbers(ttt_buffer *out, const char *bytes, size_t size)
{
    size_t done = 0;
    for (size_t i = 0; i < size;) {
        if (bytes[i] == '"') {
            for (i++; i < size && bytes[i] != '"'; i++) i += bytes[i] == '\\';
            i++;
        } else if (in_number(bytes[i]) && bytes[i] != 'e' && bytes[i] != 'E') {
            const size_t start = i;
            while (i < size && in_number(bytes[i])) i++;
            TTT_TRY(ttt_buffer_append(out, bytes + done, start - done));
            size_t next = i;
            while (next < size && bytes[next] && strchr(" \t\r\n", bytes[next])) next++;
            done = start;
            if (next < size && bytes[next] == ':') continue; /* no number can be a key */
            TTT_TRY(append_number(out, bytes + start, i - start));
            done = i;
        } else {
            i++;
        }
    }
    return done < size ? ttt_buffer_append(out, bytes + done, size - done) : TTT_OK;
}

/* As which jansson shows it in some cases; in others it says nothing, or nothing has been set. */
static void set_out_of_memory(json_error_t *error)
{
    *error = (json_error_t){.line = -1, .column = -1, .text = "out of memory"};
    error->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory;
}

ttt_status ttt_json_status(const json_error_t *error)
{
    return json_error_code(error) == json_error_out_of_memory ? TTT_ERR_MEMORY : TTT_ERR_FORMAT;
}

json_t *ttt_json_read(const char *bytes, size_t size, size_t flags, json_error_t *error)
{
    json_error_t unused;
    if (!error) error = &unused;
    const size_t mark = ttt_byte_order_mark(bytes, size);
    flags |= JSON_REJECT_DUPLICATES;
    set_out_of_memory(error);
    json_t *root = json_loadb(size > mark ? bytes + mark : "", size - mark, flags, error);
    if (root) return root;
    if (!*error->text) set_out_of_memory(error);
    if (json_error_code(error) != json_error_numeric_overflow) {
        const bool memory = ttt_json_status(error) == TTT_ERR_MEMORY;
        const char *kind = memory ? NULL : ttt_kind_name_not_tokenizer(bytes, size);
        if (kind) snprintf(error->text, sizeof error->text, "this is no JSON but %s", kind);
        if (strstr(error->text, "JSON_ALLOW_NUL"))
            snprintf(error->text, sizeof error->text, "%s", "\\u0000 in a string is not supported");
        return NULL;
    }
    ttt_buffer tamed = {0};
    set_out_of_memory(error);
    if (tame_numbers(&tamed, bytes + mark, size - mark) == TTT_OK)
        root = json_loadb(tamed.data, tamed.size, flags, error);
    if (!root && !*error->text) set_out_of_memory(error);
    ttt_buffer_deinit(&tamed);
    return root;
}

ttt_status ttt_json_write(const char *folder, const char *name, json_t *value, size_t flags)
{
    char *text = value ? json_dumps(value, flags) : NULL;
    json_decref(value);
    if (!text) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot write %s/%s", folder, name);
    const ttt_status status = ttt_file_write_in(folder, name, text, strlen(text));
    free(text);
    return status;
}
