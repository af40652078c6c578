/* SPDX-License-Identifier: MIT
 *
 * The streaming detokenizer where tokens end in the middle of a character: after each id exactly the whole characters
 * read so far are out. The tokenizer is trained on words in which nothing is more frequent than the last byte of one
 * letter beside the first byte of the next, so that its one merge is a piece of two characters.
 */
#include <ttt/tokenizer.h>

#include "test.h"

static const char words[] = "ĩà ũá Ʃâ ȩã ǩä ĩå ũæ Ʃç ȩè ǩé";

static ttt_status source(void *context, const char **text, size_t *size)
{
    int *calls = context;
    *text = (*calls)++ ? NULL : words;
    *size = strlen(words);
    return TTT_OK;
}

/* Bytes of `text` that are whole characters, of the first `count`. */
static size_t whole_characters(const char *text, size_t count)
{
    while (count > 0 && ((unsigned char)text[count] & 0xc0) == 0x80) count--;
    return count;
}

static void stream(const ttt_tokenizer *tokenizer, bool merged)
{
    ttt_ids ids = {0};
    ttt_text text = {0};
    ttt_detokenizer *detokenizer = NULL;
    CHECK_OK(ttt_tokenizer_encode(tokenizer, words, strlen(words), false, &ids));
    CHECK_OK(ttt_detokenizer_new(&detokenizer, tokenizer, false));
    size_t read = 0;
    int pairs = 0;
    for (size_t i = 0; i < ids.count; i++) {
        const bool pair = merged && ids.data[i] == 257;
        pairs += pair;
        read += pair ? 2 : 1;
        CHECK_OK(ttt_detokenizer_push(detokenizer, ids.data[i], &text));
        CHECK_EQ(text.size, whole_characters(words, read));
        CHECK(text.size == 0 || memcmp(text.data, words, text.size) == 0);
    }
    CHECK_EQ(pairs, merged ? 10 : 0);
    CHECK_OK(ttt_detokenizer_finish(detokenizer, &text));
    CHECK_STR(text.data, words);

    /* A text that ends in the middle of a character: what is left comes out as one replacement. */
    text.size = 0;
    CHECK_OK(ttt_detokenizer_push(detokenizer, ids.data[0], &text));
    CHECK_EQ(text.size, 0);
    CHECK_OK(ttt_detokenizer_finish(detokenizer, &text));
    CHECK_STR(text.data, "\xef\xbf\xbd");
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&text);
    ttt_ids_deinit(&ids);
}

int main(void)
{
    ttt_tokenizer *tokenizer = NULL;
    int calls = 0;
    CHECK_OK(ttt_tokenizer_train(&tokenizer, 258, source, &calls));
    if (!tokenizer) return 1;
    CHECK_EQ(ttt_tokenizer_vocabulary(tokenizer), 258);
    stream(tokenizer, true);
    ttt_tokenizer_free(tokenizer);
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    stream(tokenizer, false);
    ttt_tokenizer_free(tokenizer);
    return test_end();
}
