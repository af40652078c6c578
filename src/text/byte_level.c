/* SPDX-License-Identifier: MIT
 *
 * The scanner that stands for GPT-2's regular expression, and the byte alphabet: bytes that Latin-1 prints stand for
 * themselves, the other 68 are, in order, U+0100 and up.
 */
#include "text/byte_level.h"

#include "text/unicode.h"
#include "text/utf8.h"

static unsigned class_of(const char *text, const char *end, size_t *length)
{
    uint32_t code;
    const int decoded = ttt_utf8_decode(text, (size_t)(end - text), &code);
    *length = decoded > 0 ? (size_t)decoded : 1;
    return decoded > 0 ? ttt_unicode_class(code) : TTT_CHAR_OTHER;
}

/* 's 't 'm 'd 're 've 'll: the length, or 0. */
static size_t contraction(const char *text, size_t size)
{
    if (size < 2) return 0;
    const char a = text[1], b = size > 2 ? text[2] : '\0';
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* A run of spaces: all of it at the end of the text, else without its last character, which begins the next piece. */
static size_t spaces(const char *text, const char *end)
{
    const char *last = text, *p = text;
    size_t length;
    while (p < end && class_of(p, end, &length) == TTT_CHAR_SPACE) {
        last = p;
        p += length;
    }
    return (size_t)((p == end || last == text ? p : last) - text);
}

size_t ttt_byte_level_piece(const char *text, size_t size)
{
    const char *end = text + size, *p = text;
    size_t length;
    if (*p == '\'') {
        length = contraction(text, size);
        if (length) return length;
    }
    if (*p == ' ' && size > 1 && class_of(p + 1, end, &length) != TTT_CHAR_SPACE) p++;
    const unsigned class = class_of(p, end, &length);
    if (class == TTT_CHAR_SPACE) return spaces(text, end);
    do p += length;
    while (p < end && class_of(p, end, &length) == class);
    return (size_t)(p - text);
}

static bool prints(unsigned byte) { return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174; }

unsigned ttt_byte_level_char(unsigned char byte)
{
    if (prints(byte)) return byte;
    unsigned code = 0x100;
    for (unsigned i = 0; i < byte; i++) code += !prints(i);
    return code;
}

/* The inverse; -1 for a character that stands for no byte. */
static int byte_of(uint32_t code)
{
    if (code < 0x100) return prints(code) ? (int)code : -1;
    code -= 0x100; /* the bytes that do not print: 0-32, 127-160, 173 */
    if (code <= 32) return (int)code;
    if (code <= 66) return (int)code - 33 + 127;
    return code == 67 ? 173 : -1;
}

ttt_status ttt_byte_level_write(ttt_buffer *out, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char character[4];
        const int length = ttt_utf8_encode(ttt_byte_level_char((unsigned char)bytes[i]), character);
        TTT_TRY(ttt_buffer_append(out, character, (size_t)length));
    }
    return TTT_OK;
}

ttt_status ttt_byte_level_read(ttt_buffer *out, const char *text, size_t size, bool *mapped)
{
    const size_t start = out->size;
    TTT_TRY(ttt_buffer_reserve(out, start + size));
    *mapped = true;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        const int length = ttt_utf8_decode(text + i, size - i, &code);
        const int byte = length > 0 ? byte_of(code) : -1;
        if (byte < 0) {
            *mapped = false;
            out->size = start;
            return ttt_buffer_append(out, text, size);
        }
        out->data[out->size++] = (char)byte;
        i += (size_t)length;
    }
    out->data[out->size] = '\0';
    return TTT_OK;
}
