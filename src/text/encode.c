/* SPDX-License-Identifier: MIT
 *
 * From text to ids, in the order that Hugging Face defines: cut at the added tokens that are matched as written,
 * normalize what lies between, cut at those that are matched after normalization, split into pieces (split.c), encode
 * these.
 */
#include <string.h>

#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

/* One call of ttt_tokenizer_encode. Each stage has its own buffer, because its input may lie in the one before. */
typedef struct encoding {
    const ttt_tokenizer *tokenizer;
    bool parse_special;
    ttt_ids *ids;
    ttt_bpe_scratch scratch;
    ttt_unigram_scratch paths;
    ttt_splitter splitter;
    ttt_buffer normal;
} encoding;

typedef ttt_status (*stage)(encoding *encoder, const char *text, size_t size, bool first);

/* The character that ends at `end`, or 0xfffd if there is none. */
static uint32_t character_before(const char *start, const char *end, size_t *length)
{
    for (*length = 1; *length <= 4 && *length <= (size_t)(end - start); (*length)++) {
        uint32_t code;
        if (ttt_utf8_decode(end - *length, *length, &code) == (int)*length) return code;
    }
    return 0xfffd;
}

static uint32_t character_after(const char *text, const char *end, size_t *length)
{
    uint32_t code;
    const int decoded = text < end ? ttt_utf8_decode(text, (size_t)(end - text), &code) : -1;
    *length = decoded > 0 ? (size_t)decoded : 1;
    return decoded > 0 ? code : 0xfffd;
}

static bool stands_alone(const char *start, const char *end, const char *match, const char *match_end)
{
    size_t length;
    return !ttt_unicode_is_word(character_before(start, match, &length)) &&
           !ttt_unicode_is_word(character_after(match_end, end, &length));
}

/* Widens a match by the white space beside it, to the left only as far as `done`. */
static void widen(const ttt_added *added, const char *done, const char *end, const char **match, const char **match_end)
{
    size_t length;
    while (added->left_trim && *match > done &&
           ttt_unicode_class(character_before(done, *match, &length)) == TTT_CHAR_SPACE)
        *match -= length;
    while (added->right_trim && ttt_unicode_class(character_after(*match_end, end, &length)) == TTT_CHAR_SPACE)
        *match_end += length;
}

/* Cuts at the added tokens in `trie`; what lies between goes to `next`. A match that does not count (a special token
 * that is not asked for, a part of a word) is text, and the search goes on behind it. */
static ttt_status cut(encoding *encoder, const ttt_trie *trie, const char *text, size_t size, bool first, stage next)
{
    const char *p = text, *done = text, *const end = text + size;
    for (;;) {
        size_t length;
        const int32_t index = ttt_trie_find(trie, &p, end, &length);
        if (index < 0) break;
        const ttt_added *added = &encoder->tokenizer->added[index];
        const char *match = p, *match_end = p + length;
        p = match_end;
        if (added->special && !encoder->parse_special) continue;
        if (added->single_word && !stands_alone(text, end, match, match_end)) continue;
        widen(added, done, end, &match, &match_end);
        if (match > done) TTT_TRY(next(encoder, done, (size_t)(match - done), first && done == text));
        TTT_TRY(ttt_ids_append(encoder->ids, added->id));
        done = match_end;
    }
    return done < end ? next(encoder, done, (size_t)(end - done), first && done == text) : TTT_OK;
}

static ttt_status encode_piece(encoding *encoder, const char *text, size_t size)
{
    const ttt_tokenizer *t = encoder->tokenizer;
    if (t->is_unigram) return ttt_unigram_encode(&t->unigram, &t->tokens, &encoder->paths, text, size, encoder->ids);
    return ttt_bpe_encode(&t->bpe, &encoder->scratch, text, size, encoder->ids);
}

static ttt_status take_piece(void *context, const char *text, size_t size) { return encode_piece(context, text, size); }

static ttt_status encode_split(encoding *encoder, const char *text, size_t size, bool first)
{
    return ttt_split_text(&encoder->splitter, text, size, first);
}

static ttt_status encode_normalized(encoding *encoder, const char *text, size_t size, bool first)
{
    const ttt_tokenizer *tokenizer = encoder->tokenizer;
    if (tokenizer->normal_count > 0) {
        encoder->normal.size = 0;
        TTT_TRY(ttt_tokenizer_normalize(tokenizer, &encoder->normal, text, size));
        text = encoder->normal.data;
        size = encoder->normal.size;
    }
    return cut(encoder, &tokenizer->added_normal, text, size, first, encode_split);
}

/* SentencePiece: user-defined symbols are cut out of the normalized text, and no merge crosses them (of a Unigram model
 * they are pieces that always win). */
static ttt_status encode_sentencepiece(encoding *encoder, const char *text, size_t size, bool first)
{
    (void)first;
    const ttt_sentencepiece *settings = &encoder->tokenizer->sentencepiece;
    encoder->normal.size = 0;
    TTT_TRY(ttt_sentencepiece_normalize(settings, &encoder->normal, text, size));
    if (encoder->tokenizer->is_unigram) return encode_piece(encoder, encoder->normal.data, encoder->normal.size);
    const char *p = encoder->normal.data, *done = p, *const end = p + encoder->normal.size;
    for (;;) {
        size_t length;
        const int32_t id = ttt_trie_find(&settings->user_defined, &p, end, &length);
        if (id < 0) break;
        TTT_TRY(encode_piece(encoder, done, (size_t)(p - done)));
        TTT_TRY(ttt_ids_append(encoder->ids, id));
        done = p += length;
    }
    return encode_piece(encoder, done, (size_t)(end - done));
}

ttt_status ttt_tokenizer_encode(const ttt_tokenizer *tokenizer, const char *text, size_t size, bool parse_special,
                                ttt_ids *ids)
{
    if (size == 0) return TTT_OK;
    if (!ttt_tokenizer_is_byte_level(tokenizer)) {
        const size_t valid = ttt_utf8_valid(text, size);
        if (valid < size) return ttt_fail(TTT_ERR_FORMAT, "the text is not UTF-8 at byte %zu", valid);
    }
    const size_t count = ids->count;
    encoding encoder = {.tokenizer = tokenizer,
                        .parse_special = parse_special,
                        .ids = ids,
                        .splitter = {.steps = tokenizer->splits, .count = tokenizer->split_count, .sink = take_piece}};
    encoder.splitter.context = &encoder;
    const stage next = tokenizer->kind == TTT_TEXT_SENTENCEPIECE ? encode_sentencepiece : encode_normalized;
    const ttt_status status = cut(&encoder, &tokenizer->added_raw, text, size, true, next);
    if (status != TTT_OK) ids->count = count;
    ttt_bpe_scratch_deinit(&encoder.scratch);
    ttt_unigram_scratch_deinit(&encoder.paths);
    ttt_splitter_deinit(&encoder.splitter);
    ttt_buffer_deinit(&encoder.normal);
    return status;
}
