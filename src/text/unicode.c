/* SPDX-License-Identifier: MIT
 *
 * Normalization form C by utf8proc, run by run. ASCII never changes, and nothing before an ASCII character reacts with
 * it, so each run is one ASCII character and the others that follow it; nearly all text is copied. Characters that
 * the Unicode version of Hugging Face's tokenizers does not know end a run too and are copied.
 */
#include "text/unicode.h"

#include <utf8proc.h>

#include "base/alloc.h"
#include "text/utf8.h"

enum { NEWER_THAN_NFC = 8 };

/* `codes` has room for utf8proc's result: it asks for the size first. */
static ttt_status normalize(ttt_buffer *out, const char *text, size_t size)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
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

/* Whether the character at `text` may react with its neighbours in form C; *length is its size. All below U+0300 are
 * their own form and only ever begin a composition. */
static bool reacts(const char *text, size_t size, size_t *length)
{
    uint32_t code;
    const int decoded = ttt_utf8_decode(text, size, &code);
    *length = decoded > 0 ? (size_t)decoded : 1;
    return decoded > 0 && code >= 0x300 && !(ttt_unicode_bits(code) & NEWER_THAN_NFC);
}

ttt_status ttt_unicode_nfc(ttt_buffer *out, const char *text, size_t size)
{
    size_t done = 0, i = 0, previous = 0; /* previous: where the character before i starts */
    while (i < size) {
        size_t length;
        if (!reacts(text + i, size - i, &length)) {
            previous = i;
            i += length;
            continue;
        }
        uint32_t code;
        size_t start = i, end = i + length;
        if (i > done && ttt_utf8_decode(text + previous, i - previous, &code) > 0 &&
            !(ttt_unicode_bits(code) & NEWER_THAN_NFC))
            start = previous;
        while (end < size && reacts(text + end, size - end, &length)) end += length;
        TTT_TRY(ttt_buffer_append(out, text + done, start - done));
        TTT_TRY(normalize(out, text + start, end - start));
        done = previous = i = end;
    }
    return ttt_buffer_append(out, text + done, size - done);
}
