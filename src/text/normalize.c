/* SPDX-License-Identifier: MIT
 *
 * Normalization before splitting: the steps of a tokenizer.json, and what SentencePiece does to white space.
 */
#include <string.h>

#include "text/charsmap.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

const char *ttt_text_find(const char *text, size_t size, const ttt_buffer *part)
{
    const char *const end = text + size;
    for (; (size_t)(end - text) >= part->size; text++) {
        text = memchr(text, part->data[0], (size_t)(end - text) - part->size + 1);
        if (!text || memcmp(text, part->data, part->size) == 0) return text;
    }
    return NULL;
}

ttt_status ttt_text_replace(ttt_buffer *out, const char *text, size_t size, const ttt_buffer *from,
                            const ttt_buffer *to)
{
    const char *end = text + size, *match;
    while (text < end && (match = ttt_text_find(text, (size_t)(end - text), from)) != NULL) {
        TTT_TRY(ttt_buffer_append(out, text, (size_t)(match - text)));
        TTT_TRY(ttt_buffer_append(out, to->data, to->size));
        text = match + from->size;
    }
    return ttt_buffer_append(out, text, (size_t)(end - text));
}

static bool is_space(const char *text, size_t size)
{
    uint32_t code;
    return ttt_utf8_decode(text, size, &code) == (int)size && ttt_unicode_class(code) == TTT_CHAR_SPACE;
}

static ttt_status strip(const ttt_normal *step, ttt_buffer *out, const char *text, size_t size)
{
    uint32_t code;
    for (int length; step->left && size > 0 && (length = ttt_utf8_decode(text, size, &code)) > 0;) {
        if (ttt_unicode_class(code) != TTT_CHAR_SPACE) break;
        text += length;
        size -= (size_t)length;
    }
    for (size_t length = 1; step->right && length <= 3 && length <= size;) {
        const bool space = is_space(text + size - length, length);
        size -= space ? length : 0;
        length = space ? 1 : length + 1;
    }
    return ttt_buffer_append(out, text, size);
}

static ttt_status replace_regex(const ttt_normal *step, ttt_buffer *out, const char *text, size_t size)
{
    ttt_regex_search search = {0};
    size_t done = 0, start = 0, end = 0;
    bool found = false;
    ttt_status status = ttt_regex_begin(&search, step->pattern, text, size);
    for (;;) {
        if (status == TTT_OK) status = ttt_regex_next(&search, &start, &end, &found);
        if (status != TTT_OK || !found) break;
        status = ttt_buffer_append(out, text + done, start - done);
        if (status == TTT_OK) status = ttt_buffer_append(out, step->to.data, step->to.size);
        done = end;
    }
    ttt_regex_search_deinit(&search);
    return status == TTT_OK ? ttt_buffer_append(out, text + done, size - done) : status;
}

static ttt_status normalize_step(const ttt_normal *step, ttt_buffer *out, const char *text, size_t size)
{
    switch (step->kind) {
    case TTT_NORMAL_FORM: return ttt_unicode_normalize(out, step->form, text, size);
    case TTT_NORMAL_LOWER: return ttt_unicode_lower(out, text, size);
    case TTT_NORMAL_STRIP: return strip(step, out, text, size);
    case TTT_NORMAL_STRIP_MARKS: return ttt_unicode_strip_marks(out, text, size);
    case TTT_NORMAL_REPLACE: return ttt_text_replace(out, text, size, &step->from, &step->to);
    case TTT_NORMAL_REPLACE_REGEX: return replace_regex(step, out, text, size);
    case TTT_NORMAL_CHARSMAP: return ttt_charsmap_normalize(&step->from, out, text, size);
    default:
        if (size > 0) TTT_TRY(ttt_buffer_append(out, step->to.data, step->to.size));
        return ttt_buffer_append(out, text, size);
    }
}

ttt_status ttt_tokenizer_normalize(const ttt_tokenizer *tokenizer, ttt_buffer *out, const char *text, size_t size)
{
    ttt_buffer buffers[2] = {{0}, {0}}; /* a step reads one and writes the other */
    ttt_status status = TTT_OK;
    for (size_t i = 0; i < tokenizer->normal_count && status == TTT_OK; i++) {
        ttt_buffer *target = i + 1 == tokenizer->normal_count ? out : &buffers[i % 2];
        if (target != out) target->size = 0;
        status = normalize_step(&tokenizer->normals[i], target, text, size);
        text = target->data;
        size = target->size;
    }
    if (tokenizer->normal_count == 0) status = ttt_buffer_append(out, text, size);
    ttt_buffer_deinit(&buffers[0]);
    ttt_buffer_deinit(&buffers[1]);
    return status;
}
