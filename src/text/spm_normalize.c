/* SPDX-License-Identifier: MIT
 *
 * SentencePiece's normalization: a map of characters, if the model has one (models trained with nmt_nfkc do), then
 * white space.
 */
#include <string.h>

#include "text/charsmap.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* What the next part of the text becomes, and how many bytes of the text that takes. */
static size_t normalize_prefix(const ttt_sentencepiece *settings, const char *text, size_t size, const char **to,
                               size_t *to_size)
{
    size_t length;
    *to = text;
    if (ttt_trie_match(&settings->user_defined, text, size, &length) < 0) {
        const size_t mapped = ttt_charsmap_match(&settings->charsmap, true, text, size, to, to_size);
        if (mapped > 0) return mapped;
        uint32_t code;
        const int decoded = ttt_utf8_decode(text, size, &code);
        length = decoded > 0 ? (size_t)decoded : 1; /* a rule of the map may have ended inside a character */
    }
    *to_size = length;
    return length;
}

/* Appends a mapped part with every space as its mark. */
static ttt_status append_marked(ttt_buffer *out, const char *text, size_t size, const char *mark)
{
    for (size_t i = 0; i < size;) {
        const char *space = memchr(text + i, ' ', size - i);
        const size_t end = space ? (size_t)(space - text) : size;
        TTT_TRY(ttt_buffer_append(out, text + i, end - i));
        if (space) TTT_TRY(ttt_buffer_append(out, mark, strlen(mark)));
        i = end + (space ? 1 : 0);
    }
    return TTT_OK;
}

static ttt_status append_normalized(const ttt_sentencepiece *settings, ttt_buffer *out, const char *text, size_t size,
                                    const char *mark)
{
    bool after_space = true; /* in front of the text as well: leading spaces go */
    while (size > 0) {
        const char *to;
        size_t to_size;
        const size_t length = normalize_prefix(settings, text, size, &to, &to_size);
        while (settings->remove_extra && after_space && to_size > 0 && *to == ' ') {
            to++;
            to_size--;
        }
        TTT_TRY(append_marked(out, to, to_size, mark));
        if (to_size > 0) after_space = to[to_size - 1] == ' ';
        text += length;
        size -= length;
    }
    return TTT_OK;
}

/* Whether all of the text becomes spaces, which are then removed. */
static size_t leading_spaces(const ttt_sentencepiece *settings, const char *text, size_t size)
{
    size_t done = 0;
    while (settings->remove_extra && done < size) {
        const char *to;
        size_t to_size;
        const size_t length = normalize_prefix(settings, text + done, size - done, &to, &to_size);
        if (to_size != 1 || *to != ' ') break;
        done += length;
    }
    return done;
}

ttt_status ttt_sentencepiece_normalize(const ttt_sentencepiece *settings, ttt_buffer *out, const char *text,
                                       size_t size)
{
    const char *mark = settings->escape ? "\u2581" : " ";
    const size_t start = out->size, skipped = leading_spaces(settings, text, size);
    text += skipped;
    size -= skipped;
    if (size == 0) return TTT_OK;
    if (settings->dummy_prefix && !settings->suffix) TTT_TRY(ttt_buffer_append(out, mark, strlen(mark)));
    const bool plain = !settings->remove_extra && settings->charsmap.size == 0;
    TTT_TRY(plain ? append_marked(out, text, size, mark) : append_normalized(settings, out, text, size, mark));
    const size_t length = strlen(mark);
    while (settings->remove_extra && out->size - start >= length &&
           memcmp(out->data + out->size - length, mark, length) == 0)
        out->size -= length;
    if (settings->dummy_prefix && settings->suffix) TTT_TRY(ttt_buffer_append(out, mark, strlen(mark)));
    return TTT_OK;
}
