/* SPDX-License-Identifier: MIT
 *
 * Every kind of step but two finds matches; what becomes of them is the same for all. Metaspace and the byte level
 * change the text first, and cut it by scanners of their own.
 */
#include "text/split.h"

#include <string.h>

#include "base/alloc.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* One step at work on one piece. */
typedef struct cutting {
    ttt_splitter *splitter;
    const ttt_split_step *step;
    size_t number; /* of the step */
    const char *text;
    size_t size;
    bool first;
    size_t start, end; /* what is not yet handed on */
    bool held;         /* there is something */
    bool matched;      /* the part before was a match */
} cutting;

static ttt_status run(ttt_splitter *splitter, size_t number, const char *text, size_t size, bool first);

/* Hands what is held to the next step. */
static ttt_status hand_on(cutting *c)
{
    if (!c->held || c->start == c->end) return TTT_OK;
    c->held = false;
    return run(c->splitter, c->number + 1, c->text + c->start, c->end - c->start, c->first && c->start == 0);
}

/* The next part of the text; parts follow one another without gaps. */
static ttt_status part(cutting *c, size_t start, size_t end, bool match)
{
    const bool before = c->matched;
    match = match != c->step->invert;
    c->matched = match;
    bool joins = false; /* to what is held */
    switch (c->step->behavior) {
    case TTT_SPLIT_WITH_PREVIOUS: joins = match && !before; break;
    case TTT_SPLIT_WITH_NEXT: joins = !match && before; break;
    case TTT_SPLIT_CONTIGUOUS: joins = match == before; break;
    default: break;
    }
    if (joins && c->held) {
        c->end = end;
        return TTT_OK;
    }
    TTT_TRY(hand_on(c));
    c->held = !match || c->step->behavior != TTT_SPLIT_REMOVED;
    c->start = start;
    c->end = end;
    return TTT_OK;
}

static bool is_punctuation(uint32_t code)
{
    if (code < 0x80) return code > ' ' && code < 0x7f && ttt_unicode_class(code) == TTT_CHAR_OTHER;
    return ttt_unicode_is_punctuation(code);
}

static bool is_match(const ttt_split_step *step, uint32_t code)
{
    switch (step->kind) {
    case TTT_SPLIT_SPACES: return ttt_unicode_class(code) == TTT_CHAR_SPACE;
    case TTT_SPLIT_NUMBERS: return ttt_unicode_class(code) == TTT_CHAR_NUMBER;
    default: return is_punctuation(code);
    }
}

static size_t character(const char *text, size_t size, uint32_t *code)
{
    const int length = ttt_utf8_decode(text, size, code);
    if (length > 0) return (size_t)length;
    *code = 0xfffd;
    return 1;
}

static ttt_status cut_characters(cutting *c)
{
    size_t done = 0;
    for (size_t i = 0, length; i < c->size; i += length) {
        uint32_t code;
        length = character(c->text + i, c->size - i, &code);
        if (!is_match(c->step, code)) continue;
        if (done < i) TTT_TRY(part(c, done, i, false));
        TTT_TRY(part(c, i, i + length, true));
        done = i + length;
    }
    return done < c->size ? part(c, done, c->size, false) : TTT_OK;
}

/* Runs of \w, of spaces and of the rest; all but the spaces are kept. */
static ttt_status cut_words(cutting *c)
{
    int kind = 0; /* of the run: 0 spaces, 1 words, 2 the rest */
    size_t start = 0;
    for (size_t i = 0, length; i < c->size; i += length) {
        uint32_t code;
        length = character(c->text + i, c->size - i, &code);
        const int next = ttt_unicode_is_word(code) ? 1 : ttt_unicode_class(code) == TTT_CHAR_SPACE ? 0 : 2;
        if (next == kind) continue;
        if (kind != 0) TTT_TRY(part(c, start, i, true));
        kind = next;
        start = i;
    }
    return kind != 0 ? part(c, start, c->size, true) : TTT_OK;
}

static ttt_status cut_text(cutting *c)
{
    size_t done = 0;
    const char *match;
    while ((match = ttt_text_find(c->text + done, c->size - done, &c->step->text)) != NULL) {
        const size_t at = (size_t)(match - c->text);
        if (done < at) TTT_TRY(part(c, done, at, false));
        done = at + c->step->text.size;
        TTT_TRY(part(c, at, done, true));
    }
    return done < c->size ? part(c, done, c->size, false) : TTT_OK;
}

static ttt_status cut_regex(cutting *c)
{
    ttt_regex_search *search = &c->splitter->searches[c->number];
    size_t done = 0, start, end;
    bool found;
    TTT_TRY(ttt_regex_begin(search, c->step->regex, c->text, c->size));
    for (;;) {
        TTT_TRY(ttt_regex_next(search, &start, &end, &found));
        if (!found) break;
        if (done < start) TTT_TRY(part(c, done, start, false));
        TTT_TRY(part(c, start, end, true));
        done = end;
    }
    return done < c->size ? part(c, done, c->size, false) : TTT_OK;
}

static ttt_status cut(cutting *c)
{
    switch (c->step->kind) {
    case TTT_SPLIT_WORDS: TTT_TRY(cut_words(c)); break;
    case TTT_SPLIT_TEXT: TTT_TRY(cut_text(c)); break;
    case TTT_SPLIT_REGEX: TTT_TRY(cut_regex(c)); break;
    default: TTT_TRY(cut_characters(c)); break;
    }
    return hand_on(c);
}

/* Puts `prefix` before the text, in `buffer`, unless it begins with it. */
static ttt_status add_prefix(ttt_buffer *buffer, const char **text, size_t *size, const char *prefix, size_t length)
{
    if (*size >= length && memcmp(*text, prefix, length) == 0) return TTT_OK;
    buffer->size = 0;
    TTT_TRY(ttt_buffer_append(buffer, prefix, length));
    TTT_TRY(ttt_buffer_append(buffer, *text, *size));
    *text = buffer->data;
    *size = buffer->size;
    return TTT_OK;
}

/* The steps behind the byte level see its alphabet, in which a byte may be a letter, a number or anything else. */
static ttt_status hand_on_bytes(ttt_splitter *splitter, size_t number, const char *text, size_t size)
{
    if (number + 1 == splitter->count) return splitter->sink(splitter->context, text, size);
    splitter->alphabet.size = 0;
    splitter->mapped = true;
    TTT_TRY(ttt_byte_level_write(&splitter->alphabet, text, size));
    const ttt_status status = run(splitter, number + 1, splitter->alphabet.data, splitter->alphabet.size, false);
    splitter->mapped = false;
    return status;
}

/* A piece of the last step. */
static ttt_status finish(ttt_splitter *splitter, const char *text, size_t size)
{
    bool mapped;
    if (!splitter->mapped) return splitter->sink(splitter->context, text, size);
    splitter->bytes.size = 0;
    TTT_TRY(ttt_byte_level_read(&splitter->bytes, text, size, &mapped));
    return splitter->sink(splitter->context, splitter->bytes.data, splitter->bytes.size);
}

static ttt_status cut_byte_level(ttt_splitter *splitter, size_t number, const char *text, size_t size)
{
    const ttt_split_step *step = &splitter->steps[number];
    if (step->prefix != TTT_PREFIX_NEVER) TTT_TRY(add_prefix(&splitter->buffers[number], &text, &size, " ", 1));
    while (size > 0) {
        const size_t length = step->pieces ? ttt_byte_level_piece(text, size) : size;
        TTT_TRY(hand_on_bytes(splitter, number, text, length));
        text += length;
        size -= length;
    }
    return TTT_OK;
}

/* Spaces become the mark, and every mark begins a piece. */
static ttt_status cut_metaspace(ttt_splitter *splitter, size_t number, const char *text, size_t size, bool first)
{
    const ttt_split_step *step = &splitter->steps[number];
    const ttt_buffer *mark = &step->text, space = {.data = (char[]){" "}, .size = 1};
    ttt_buffer *buffer = &splitter->buffers[number];
    const bool begins = (size > 0 && *text == ' ') || (size >= mark->size && memcmp(text, mark->data, mark->size) == 0);
    const bool prefix = step->prefix == TTT_PREFIX_ALWAYS || (step->prefix == TTT_PREFIX_FIRST && first);
    buffer->size = 0;
    if (prefix && !begins) TTT_TRY(ttt_buffer_append(buffer, mark->data, mark->size));
    TTT_TRY(ttt_text_replace(buffer, text, size, &space, mark));
    text = buffer->data;
    size = buffer->size;
    while (step->pieces && size > mark->size) {
        const char *next = ttt_text_find(text + 1, size - 1, mark);
        if (!next) break;
        TTT_TRY(run(splitter, number + 1, text, (size_t)(next - text), first));
        first = false;
        size -= (size_t)(next - text);
        text = next;
    }
    return run(splitter, number + 1, text, size, first);
}

/* Step `number` and all that follow. */
static ttt_status run(ttt_splitter *splitter, size_t number, const char *text, size_t size, bool first)
{
    if (size == 0) return TTT_OK;
    if (number == splitter->count) return finish(splitter, text, size);
    const ttt_split_step *step = &splitter->steps[number];
    if (step->kind == TTT_SPLIT_BYTE_LEVEL) return cut_byte_level(splitter, number, text, size);
    if (step->kind == TTT_SPLIT_METASPACE) return cut_metaspace(splitter, number, text, size, first);
    cutting c = {.splitter = splitter, .step = step, .number = number, .text = text, .size = size, .first = first};
    return cut(&c);
}

ttt_status ttt_split_text(ttt_splitter *splitter, const char *text, size_t size, bool first)
{
    return run(splitter, 0, text, size, first);
}

void ttt_splitter_deinit(ttt_splitter *splitter)
{
    for (size_t i = 0; i < TTT_SPLIT_STEPS; i++) {
        ttt_buffer_deinit(&splitter->buffers[i]);
        ttt_regex_search_deinit(&splitter->searches[i]);
    }
    ttt_buffer_deinit(&splitter->alphabet);
    ttt_buffer_deinit(&splitter->bytes);
}

void ttt_splits_free(ttt_split_step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ttt_buffer_deinit(&steps[i].text);
        ttt_regex_free(steps[i].regex);
    }
    ttt_free(steps);
}
