/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST = 256, LINE = 512 };

void ttt_bytes_free(ttt_bytes *bytes)
{
    free(bytes->data);
    *bytes = (ttt_bytes){0};
}

static bool reserve(ttt_bytes *bytes, size_t more)
{
    if (bytes->failed) return false;
    if (more <= bytes->capacity - bytes->size) return true;
    size_t capacity = bytes->capacity ? bytes->capacity : LEAST;
    while (capacity - bytes->size < more) {
        if (capacity > SIZE_MAX / 2) return !(bytes->failed = true);
        capacity *= 2;
    }
    char *data = realloc(bytes->data, capacity);
    if (!data) return !(bytes->failed = true);
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

void ttt_bytes_add(ttt_bytes *bytes, const void *data, size_t size)
{
    if (size == 0 || !reserve(bytes, size)) return;
    memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
}

void ttt_bytes_add_text(ttt_bytes *bytes, const char *text) { ttt_bytes_add(bytes, text, strlen(text)); }

void ttt_bytes_print(ttt_bytes *bytes, const char *format, ...)
{
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size < 0 || size >= LINE)
        bytes->failed = true;
    else
        ttt_bytes_add(bytes, line, (size_t)size);
}

static int add(const char *data, size_t size, void *bytes)
{
    ttt_bytes_add(bytes, data, size);
    return ((ttt_bytes *)bytes)->failed ? -1 : 0;
}

void ttt_bytes_add_json(ttt_bytes *bytes, json_t *value)
{
    if (!value || json_dump_callback(value, add, bytes, JSON_COMPACT | JSON_ENCODE_ANY) != 0) bytes->failed = true;
    json_decref(value);
}

void ttt_bytes_drop(ttt_bytes *bytes, size_t count)
{
    memmove(bytes->data, bytes->data + count, bytes->size - count);
    bytes->size -= count;
}

/* Bytes of the character at the start of a text: 1 to 4; 0 if there is none. */
static size_t character(const unsigned char *text, size_t size)
{
    const unsigned char c = text[0];
    const size_t length = c < 0x80                ? 1
                          : c >= 0xc2 && c < 0xe0 ? 2
                          : c >= 0xe0 && c < 0xf0 ? 3
                          : c >= 0xf0 && c < 0xf5 ? 4
                                                  : 0;
    if (length == 0 || length > size) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    const bool overlong = (c == 0xe0 && text[1] < 0xa0) || (c == 0xf0 && text[1] < 0x90);
    const bool surrogate = c == 0xed && text[1] >= 0xa0, beyond = c == 0xf4 && text[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

json_t *ttt_json_text(const char *text, size_t size)
{
    json_t *string = json_stringn(text, size);
    if (string) return string;
    ttt_bytes valid = {0};
    for (size_t i = 0, length; i < size; i += length ? length : 1) {
        length = character((const unsigned char *)text + i, size - i);
        ttt_bytes_add(&valid, length ? text + i : "\xef\xbf\xbd", length ? length : 3);
    }
    if (!valid.failed) string = json_stringn(valid.data ? valid.data : "", valid.size);
    ttt_bytes_free(&valid);
    return string;
}
