/* SPDX-License-Identifier: MIT
 *
 * Normalization before splitting: the steps of a tokenizer.json, and what SentencePiece does to white space.
 */
#include <string.h>

#include "text/tokenizer.h"
#include "text/unicode.h"

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

static ttt_status normalize_step(const ttt_normal *step, ttt_buffer *out, const char *text, size_t size)
{
    switch (step->kind) {
    case TTT_NORMAL_NFC: return ttt_unicode_nfc(out, text, size);
    case TTT_NORMAL_REPLACE: return ttt_text_replace(out, text, size, &step->from, &step->to);
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
