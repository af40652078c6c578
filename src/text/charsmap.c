/* SPDX-License-Identifier: MIT */
#include "text/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "text/utf8.h"

enum { SHORT_GRAPHEME = 6 };

static bool unit_at(const ttt_buffer *charsmap, size_t trie_size, size_t index, uint32_t *unit)
{
    if (index >= trie_size / sizeof *unit) return false;
    const unsigned char *p = (const unsigned char *)charsmap->data + sizeof *unit + index * sizeof *unit;
    *unit = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return true;
}

static size_t unit_offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 512) >> 6); }

static size_t trie_bytes(const ttt_buffer *charsmap)
{
    uint32_t size = 0;
    if (charsmap->size < sizeof size) return 0;
    const unsigned char *p = (const unsigned char *)charsmap->data;
    size = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return size <= charsmap->size - sizeof size ? size : 0;
}

size_t ttt_charsmap_match(const ttt_buffer *charsmap, bool longest, const char *text, size_t size, const char **to,
                          size_t *to_size)
{
    const size_t bytes = trie_bytes(charsmap), strings = sizeof(uint32_t) + bytes;
    size_t length = 0, place = 0;
    uint32_t unit;
    if (bytes == 0 || !unit_at(charsmap, bytes, 0, &unit)) return 0;
    size_t position = unit_offset(unit);
    for (size_t i = 0; i < size && (longest || length == 0); i++) {
        const unsigned char c = (unsigned char)text[i];
        position ^= c;
        if (!unit_at(charsmap, bytes, position, &unit) || (unit & 0x800000ffu) != c) break;
        position ^= unit_offset(unit);
        uint32_t value;
        if (!(unit >> 8 & 1) || !unit_at(charsmap, bytes, position, &value)) continue;
        length = i + 1;
        place = value & 0x7fffffffu;
    }
    if (length == 0 || place >= charsmap->size - strings) return 0;
    *to = charsmap->data + strings + place;
    *to_size = strnlen(*to, charsmap->size - strings - place);
    return length;
}

static size_t character(const char *text, size_t size, uint32_t *code)
{
    const int length = ttt_utf8_decode(text, size, code);
    if (length > 0) return (size_t)length;
    *code = 0xfffd;
    return 1;
}

/* The bytes of the grapheme that `text` begins with. */
static size_t grapheme(const char *text, size_t size)
{
    uint32_t left, right;
    utf8proc_int32_t state = 0;
    size_t end = character(text, size, &left);
    while (end < size) {
        const size_t length = character(text + end, size - end, &right);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)left, (utf8proc_int32_t)right, &state)) break;
        left = right;
        end += length;
    }
    return end;
}

ttt_status ttt_charsmap_normalize(const ttt_buffer *charsmap, ttt_buffer *out, const char *text, size_t size)
{
    const char *to;
    size_t to_size;
    for (size_t at = 0, whole; at < size; at += whole) {
        whole = grapheme(text + at, size - at);
        if (whole < SHORT_GRAPHEME && ttt_charsmap_match(charsmap, false, text + at, whole, &to, &to_size) > 0) {
            TTT_TRY(ttt_buffer_append(out, to, to_size));
            continue;
        }
        for (size_t i = 0, length; i < whole; i += length) {
            uint32_t code;
            length = character(text + at + i, whole - i, &code);
            const bool mapped = ttt_charsmap_match(charsmap, false, text + at + i, length, &to, &to_size) > 0;
            TTT_TRY(ttt_buffer_append(out, mapped ? to : text + at + i, mapped ? to_size : length));
        }
    }
    return TTT_OK;
}

ttt_status ttt_charsmap_decode(ttt_buffer *out, const char *base64, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int count = 0;
    TTT_TRY(ttt_buffer_reserve(out, out->size + size));
    while (size > 0 && base64[size - 1] == '=') size--;
    for (size_t i = 0; i < size; i++) {
        const char *digit = base64[i] ? strchr(alphabet, base64[i]) : NULL;
        if (!digit) return ttt_fail(TTT_ERR_FORMAT, "the precompiled_charsmap is not base64 at character %zu", i);
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        count += 6;
        if (count < 8) continue;
        count -= 8;
        TTT_TRY(ttt_buffer_append(out, &(char){(char)(bits >> count & 0xff)}, 1));
    }
    return TTT_OK;
}
