/* SPDX-License-Identifier: MIT
 *
 * From ids to text, one id at a time: decoding many is pushing them in turn, so that both can only give the same. What
 * is held back are bytes that do not yet make a character, or, with Hugging Face's byte fallback, a whole run of
 * <0xHH> tokens, because its last byte can still make all of it invalid.
 */
#include <string.h>

#include "base/alloc.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

struct ttt_detokenizer {
    const ttt_tokenizer *tokenizer;
    bool skip_special;
    bool started;       /* a token has been decoded */
    bool text_seen;     /* SentencePiece: some text came out, or a leading space was dropped */
    size_t strip_left;  /* characters that may still be dropped at the start of the text */
    ttt_buffer pending; /* bytes held back */
    ttt_buffer token, swap;
};

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static ttt_status text_append(ttt_text *text, const char *bytes, size_t size)
{
    ttt_buffer buffer = {.data = text->data, .size = text->size, .capacity = text->capacity};
    const ttt_status status = ttt_buffer_append(&buffer, bytes, size);
    *text = (ttt_text){.data = buffer.data, .size = buffer.size, .capacity = buffer.capacity};
    return status;
}

/* Moves the characters of `pending` out; each invalid part becomes one U+FFFD, or one for each byte. What may still
 * become a character stays, unless this is the end of the run. */
static ttt_status drain(ttt_detokenizer *detokenizer, bool each_byte, bool end, ttt_text *text)
{
    ttt_buffer *pending = &detokenizer->pending;
    size_t done = 0;
    while (done < pending->size) {
        uint32_t code;
        int length = ttt_utf8_decode(pending->data + done, pending->size - done, &code);
        if (length == 0 && !end) break;
        if (length > 0) {
            TTT_TRY(text_append(text, pending->data + done, (size_t)length));
        } else {
            if (each_byte) length = 1;
            if (length == 0) length = (int)(pending->size - done);
            TTT_TRY(text_append(text, replacement, strlen(replacement)));
        }
        done += (size_t)(length < 0 ? -length : length);
    }
    pending->size -= done;
    if (pending->size > 0) memmove(pending->data, pending->data + done, pending->size);
    return TTT_OK;
}

/* Appends text of TTT_DECODE_STEPS, less what the Strip decoder takes from its start. */
static ttt_status append_stripped(ttt_detokenizer *detokenizer, const char *bytes, size_t size, ttt_text *text)
{
    const ttt_buffer *strip = &detokenizer->tokenizer->decode.strip;
    while (detokenizer->strip_left > 0 && size > 0) {
        const bool same = size >= strip->size && memcmp(bytes, strip->data, strip->size) == 0;
        detokenizer->strip_left = same ? detokenizer->strip_left - 1 : 0;
        if (!same) break;
        bytes += strip->size;
        size -= strip->size;
    }
    return text_append(text, bytes, size);
}

/* The end of a run of <0xHH> tokens: its text if all of it is UTF-8, else one U+FFFD for each byte. */
static ttt_status flush_run(ttt_detokenizer *detokenizer, ttt_text *text)
{
    ttt_buffer *pending = &detokenizer->pending;
    const size_t size = pending->size;
    pending->size = 0;
    if (ttt_utf8_valid(pending->data, size) == size) return append_stripped(detokenizer, pending->data, size, text);
    for (size_t i = 0; i < size; i++) TTT_TRY(append_stripped(detokenizer, replacement, strlen(replacement), text));
    return TTT_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The byte that "<0xHH>" names, or -1. */
static int byte_named(const char *token, size_t size)
{
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
    const int high = hex_digit(token[3]), low = hex_digit(token[4]);
    return high >= 0 && low >= 0 ? high * 16 + low : -1;
}

/* Runs one Replace over detokenizer->token. */
static ttt_status replace_in_token(ttt_detokenizer *detokenizer, const ttt_buffer *from, const ttt_buffer *to)
{
    detokenizer->swap.size = 0;
    TTT_TRY(ttt_text_replace(&detokenizer->swap, detokenizer->token.data, detokenizer->token.size, from, to));
    const ttt_buffer old = detokenizer->token;
    detokenizer->token = detokenizer->swap;
    detokenizer->swap = old;
    return TTT_OK;
}

static ttt_status push_steps(ttt_detokenizer *detokenizer, const char *bytes, size_t size, ttt_text *text)
{
    const ttt_decode *decode = &detokenizer->tokenizer->decode;
    ttt_buffer *token = &detokenizer->token;
    token->size = 0;
    TTT_TRY(ttt_buffer_append(token, bytes, size));
    for (size_t i = 0; i < decode->replace_count; i++)
        TTT_TRY(replace_in_token(detokenizer, &decode->replaces[i].from, &decode->replaces[i].to));
    if (decode->metaspace) {
        const ttt_buffer space = {.data = (char[]){" "}, .size = detokenizer->started || decode->keep_first ? 1 : 0};
        TTT_TRY(replace_in_token(detokenizer, &decode->replacement, &space));
    }
    const int byte = decode->byte_fallback ? byte_named(token->data, token->size) : -1;
    if (byte >= 0) return ttt_buffer_append(&detokenizer->pending, &(char){(char)byte}, 1);
    if (detokenizer->pending.size > 0) TTT_TRY(flush_run(detokenizer, text));
    return append_stripped(detokenizer, token->data, token->size, text);
}

/* SentencePiece drops one U+2581 at the start of the text, or, if it removes extra spaces, one from each piece until
 * text appears. */
static ttt_status push_sentencepiece(ttt_detokenizer *detokenizer, uint32_t id, const char *bytes, size_t size,
                                     ttt_text *text)
{
    static const char space_mark[] = "\u2581";
    const ttt_sentencepiece *settings = &detokenizer->tokenizer->sentencepiece;
    if (settings->types[id] == TTT_PIECE_BYTE) {
        const char byte = (char)byte_named(bytes, size);
        TTT_TRY(ttt_buffer_append(&detokenizer->pending, &byte, 1));
        detokenizer->text_seen = true;
        return drain(detokenizer, true, false, text);
    }
    TTT_TRY(drain(detokenizer, true, true, text));
    if (settings->types[id] == TTT_PIECE_CONTROL) return TTT_OK;
    if (settings->types[id] == TTT_PIECE_UNKNOWN) {
        detokenizer->text_seen = detokenizer->text_seen || settings->unknown_surface.size > 0;
        return text_append(text, settings->unknown_surface.data, settings->unknown_surface.size);
    }
    const size_t mark = strlen(space_mark);
    if (!detokenizer->text_seen && (settings->dummy_prefix || settings->remove_extra) && size >= mark &&
        memcmp(bytes, space_mark, mark) == 0) {
        bytes += mark;
        size -= mark;
        if (!settings->remove_extra) detokenizer->text_seen = true;
    }
    const ttt_buffer from = {.data = (char[]){"\u2581"}, .size = mark}, to = {.data = (char[]){" "}, .size = 1};
    if (size > 0) detokenizer->text_seen = true;
    detokenizer->token.size = 0;
    TTT_TRY(ttt_text_replace(&detokenizer->token, bytes, size, &from, &to));
    return text_append(text, detokenizer->token.data, detokenizer->token.size);
}

static ttt_status push(ttt_detokenizer *detokenizer, uint32_t id, ttt_text *text)
{
    const ttt_tokenizer *tokenizer = detokenizer->tokenizer;
    size_t size;
    const char *bytes = ttt_strings_get(&tokenizer->tokens, id, &size);
    if (tokenizer->kind == TTT_TEXT_SENTENCEPIECE) return push_sentencepiece(detokenizer, id, bytes, size, text);
    bool mapped;
    switch (tokenizer->decode.kind) {
    case TTT_DECODE_STEPS: return push_steps(detokenizer, bytes, size, text);
    case TTT_DECODE_BYTE_LEVEL:
        TTT_TRY(ttt_byte_level_read(&detokenizer->pending, bytes, size, &mapped));
        return drain(detokenizer, false, false, text);
    default: /* no decoder: tokens with a space between */
        if (detokenizer->started) TTT_TRY(text_append(text, " ", 1));
        return text_append(text, bytes, size);
    }
}

ttt_status ttt_detokenizer_push(ttt_detokenizer *detokenizer, int32_t id, ttt_text *text)
{
    const ttt_tokenizer *tokenizer = detokenizer->tokenizer;
    if (id < 0 || (uint32_t)id >= tokenizer->tokens.count)
        return ttt_fail(TTT_ERR_ARGUMENT, "the token id %ld is not in [0, %lu), the tokenizer's vocabulary", (long)id,
                        (unsigned long)tokenizer->tokens.count);
    if (!ttt_strings_has(&tokenizer->tokens, (uint32_t)id)) return TTT_OK; /* a hole in the vocabulary */
    if (detokenizer->skip_special && tokenizer->special[id]) return TTT_OK;
    TTT_TRY(push(detokenizer, (uint32_t)id, text));
    detokenizer->started = true;
    return TTT_OK;
}

ttt_status ttt_detokenizer_finish(ttt_detokenizer *detokenizer, ttt_text *text)
{
    const ttt_tokenizer *tokenizer = detokenizer->tokenizer;
    if (tokenizer->kind == TTT_TEXT_SENTENCEPIECE) return drain(detokenizer, true, true, text);
    return tokenizer->decode.kind == TTT_DECODE_STEPS ? flush_run(detokenizer, text)
                                                      : drain(detokenizer, false, true, text);
}

static void detokenizer_init(ttt_detokenizer *detokenizer, const ttt_tokenizer *tokenizer, bool skip_special)
{
    *detokenizer = (ttt_detokenizer){
        .tokenizer = tokenizer, .skip_special = skip_special, .strip_left = tokenizer->decode.strip_count};
}

static void detokenizer_deinit(ttt_detokenizer *detokenizer)
{
    ttt_buffer_deinit(&detokenizer->pending);
    ttt_buffer_deinit(&detokenizer->token);
    ttt_buffer_deinit(&detokenizer->swap);
}

ttt_status ttt_detokenizer_new(ttt_detokenizer **detokenizer, const ttt_tokenizer *tokenizer, bool skip_special)
{
    *detokenizer = ttt_alloc(1, sizeof **detokenizer);
    if (!*detokenizer) return TTT_ERR_MEMORY;
    detokenizer_init(*detokenizer, tokenizer, skip_special);
    return TTT_OK;
}

void ttt_detokenizer_free(ttt_detokenizer *detokenizer)
{
    if (!detokenizer) return;
    detokenizer_deinit(detokenizer);
    ttt_free(detokenizer);
}

ttt_status ttt_tokenizer_decode(const ttt_tokenizer *tokenizer, const int32_t *ids, size_t count, bool skip_special,
                                ttt_text *text)
{
    ttt_detokenizer detokenizer;
    detokenizer_init(&detokenizer, tokenizer, skip_special);
    const size_t size = text->size;
    ttt_status status = text_append(text, "", 0); /* so that an empty text is a string too */
    for (size_t i = 0; i < count && status == TTT_OK; i++) status = ttt_detokenizer_push(&detokenizer, ids[i], text);
    if (status == TTT_OK) status = ttt_detokenizer_finish(&detokenizer, text);
    detokenizer_deinit(&detokenizer);
    if (status != TTT_OK && text->data) {
        text->size = size;
        text->data[size] = '\0';
    }
    return status;
}
