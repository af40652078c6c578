/* SPDX-License-Identifier: MIT
 *
 * Normalization forms by utf8proc, run by run. ASCII never changes, and nothing before an ASCII character reacts with
 * it, so each run is one ASCII character and the others that follow it; nearly all text is copied. Characters that
 * the Unicode version of Hugging Face's tokenizers does not know end a run too and are copied.
 */
#include "text/unicode.h"

#include <utf8proc.h>

#include "base/alloc.h"
#include "text/utf8.h"

enum { NEWER_THAN_NFC = 8, CAPITAL_DOTTED_I = 0x130 };

static const struct form {
    utf8proc_option_t options;
    uint32_t lowest; /* all characters below it are their own form, and only ever begin a composition */
} forms[] = {
    [TTT_FORM_NFC] = {UTF8PROC_STABLE | UTF8PROC_COMPOSE, 0x300},
    [TTT_FORM_NFD] = {UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, 0xc0},
    [TTT_FORM_NFKC] = {UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT, 0xa0},
    [TTT_FORM_NFKD] = {UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, 0xa0},
};

static bool within(const ttt_unicode_range *ranges, size_t count, uint32_t code)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code < ranges[middle].first)
            high = middle;
        else if (code > ranges[middle].last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

bool ttt_unicode_is_punctuation(uint32_t code)
{
    return within(ttt_unicode_punctuation, ttt_unicode_punctuation_count, code);
}

bool ttt_unicode_is_mark(uint32_t code)
{
    return code >= 0x300 && within(ttt_unicode_marks, ttt_unicode_marks_count, code);
}

/* `codes` has room for utf8proc's result: it asks for the size first. */
static ttt_status normalize(ttt_buffer *out, utf8proc_option_t options, const char *text, size_t size)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)text;
    const utf8proc_ssize_t needed = utf8proc_decompose(bytes, (utf8proc_ssize_t)size, NULL, 0, options);
    if (needed < 0) return ttt_fail(TTT_ERR_FORMAT, "cannot normalize the text: %s", utf8proc_errmsg(needed));
    utf8proc_int32_t *codes = ttt_alloc((size_t)needed + 1, sizeof *codes);
    if (!codes) return TTT_ERR_MEMORY;
    utf8proc_ssize_t length = utf8proc_decompose(bytes, (utf8proc_ssize_t)size, codes, needed, options);
    if (length >= 0) length = utf8proc_reencode(codes, length, options);
    const ttt_status status = length < 0
                                  ? ttt_fail(TTT_ERR_FORMAT, "cannot normalize the text: %s", utf8proc_errmsg(length))
                                  : ttt_buffer_append(out, codes, (size_t)length);
    ttt_free(codes);
    return status;
}

/* Whether a character is left alone because it is too new. */
static bool is_new(const struct form *form, uint32_t code)
{
    return (ttt_unicode_bits(code) & NEWER_THAN_NFC) != 0 ||
           (form != &forms[TTT_FORM_NFC] && code >= ttt_unicode_new_compatible[0].first &&
            within(ttt_unicode_new_compatible, ttt_unicode_new_compatible_count, code));
}

/* Whether the character at `text` may change or react with its neighbours; *length is its size. */
static bool reacts(const struct form *form, const char *text, size_t size, size_t *length)
{
    uint32_t code;
    const int decoded = ttt_utf8_decode(text, size, &code);
    *length = decoded > 0 ? (size_t)decoded : 1;
    return decoded > 0 && code >= form->lowest && !is_new(form, code);
}

ttt_status ttt_unicode_normalize(ttt_buffer *out, ttt_form kind, const char *text, size_t size)
{
    const struct form *form = &forms[kind];
    size_t done = 0, i = 0, previous = 0; /* previous: where the character before i starts */
    while (i < size) {
        size_t length;
        if (!reacts(form, text + i, size - i, &length)) {
            previous = i;
            i += length;
            continue;
        }
        uint32_t code;
        size_t start = i, end = i + length;
        if (i > done && ttt_utf8_decode(text + previous, i - previous, &code) > 0 && !is_new(form, code))
            start = previous;
        while (end < size && reacts(form, text + end, size - end, &length)) end += length;
        TTT_TRY(ttt_buffer_append(out, text + done, start - done));
        TTT_TRY(normalize(out, form->options, text + start, end - start));
        done = previous = i = end;
    }
    return ttt_buffer_append(out, text + done, size - done);
}

ttt_status ttt_unicode_lower(ttt_buffer *out, const char *text, size_t size)
{
    TTT_TRY(ttt_buffer_reserve(out, out->size + size));
    for (size_t i = 0, length; i < size; i += length) {
        char character[4];
        uint32_t code;
        const int decoded = ttt_utf8_decode(text + i, size - i, &code);
        length = decoded > 0 ? (size_t)decoded : 1;
        if (decoded <= 0 || (ttt_unicode_bits(code) & NEWER_THAN_NFC)) {
            TTT_TRY(ttt_buffer_append(out, text + i, length));
        } else if (code == CAPITAL_DOTTED_I) { /* the one letter that becomes two */
            TTT_TRY(ttt_buffer_append(out, "i\u0307", 3));
        } else {
            const int lower = ttt_utf8_encode((uint32_t)utf8proc_tolower((utf8proc_int32_t)code), character);
            TTT_TRY(ttt_buffer_append(out, character, (size_t)lower));
        }
    }
    return TTT_OK;
}

ttt_status ttt_unicode_strip_marks(ttt_buffer *out, const char *text, size_t size)
{
    size_t done = 0;
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t code;
        const int decoded = ttt_utf8_decode(text + i, size - i, &code);
        length = decoded > 0 ? (size_t)decoded : 1;
        if (decoded <= 0 || !ttt_unicode_is_mark(code)) continue;
        TTT_TRY(ttt_buffer_append(out, text + done, i - done));
        done = i + length;
    }
    return ttt_buffer_append(out, text + done, size - done);
}
