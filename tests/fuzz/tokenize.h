/* SPDX-License-Identifier: MIT
 *
 * What the tokenizer targets do with their input: load it, and if it is accepted, encode and decode short texts. What
 * is encoded must decode, in one go and one by one to the same.
 */
#ifndef TTT_FUZZ_TOKENIZE_H
#define TTT_FUZZ_TOKENIZE_H

#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"

static void fuzz_decode(const ttt_tokenizer *tokenizer, const int32_t *ids, size_t count)
{
    ttt_text whole = {0}, streamed = {0};
    ttt_detokenizer *detokenizer;
    if (ttt_tokenizer_decode(tokenizer, ids, count, false, &whole) != TTT_OK) abort();
    if (ttt_detokenizer_new(&detokenizer, tokenizer, false) != TTT_OK) abort();
    for (size_t i = 0; i < count; i++)
        if (ttt_detokenizer_push(detokenizer, ids[i], &streamed) != TTT_OK) abort();
    if (ttt_detokenizer_finish(detokenizer, &streamed) != TTT_OK) abort();
    if (whole.size != streamed.size || (whole.size && memcmp(whole.data, streamed.data, whole.size) != 0)) abort();
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&whole);
    ttt_text_deinit(&streamed);
}

/* Uses it, and frees it. */
static void fuzz_use(ttt_tokenizer *tokenizer)
{
    static const char *const texts[] = {"Hello  world's\n\n 12 <s>abab</s>",
                                        "e\xcc\x81\xe2\x96\x81 \xf0\x9f\x9a\x80\xe6\x88\x91", "\xff a\xc3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ttt_ids ids = {0};
        if (ttt_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]), i == 0, &ids) == TTT_OK)
            fuzz_decode(tokenizer, ids.data, ids.count);
        ttt_ids_deinit(&ids);
    }
    const int32_t count = (int32_t)ttt_tokenizer_vocabulary(tokenizer);
    int32_t some[64];
    for (int32_t i = 0; i < 64; i++) some[i] = i * 7 % count;
    fuzz_decode(tokenizer, some, 64);
    ttt_tokenizer_free(tokenizer);
}

static inline int fuzz_tokenize(const uint8_t *data, size_t size)
{
    ttt_tokenizer *tokenizer;
    if (ttt_tokenizer_load(&tokenizer, (const char *)data, size) == TTT_OK) fuzz_use(tokenizer);
    return 0;
}

#endif
