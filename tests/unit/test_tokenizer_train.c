/* SPDX-License-Identifier: MIT
 *
 * Training: the same tokens and merges as Hugging Face's BpeTrainer on the same text (trained.json), in one document or
 * several, and at the edges: no text, a text with fewer pairs than asked for, bytes that are no UTF-8, failures.
 */
#include <jansson.h>
#include <ttt/tokenizer.h>

#include "base/file.h"
#include "fault.h"
#include "test.h"
#include "text/tokenizer.h"

#define FOLDER TTT_SOURCE_DIR "/tests/unit/tokenizers/"

/* A list of texts that ends with NULL; a size of 0 means strlen. */
struct texts {
    const char *const *list;
    size_t size;
    ttt_status status; /* at the end */
};

static ttt_status next_text(void *context, const char **text, size_t *size)
{
    struct texts *texts = context;
    *text = *texts->list;
    if (!*text) return texts->status == TTT_OK ? TTT_OK : ttt_fail(texts->status, "the source failed");
    *size = texts->size ? texts->size : strlen(*text);
    texts->list++;
    return TTT_OK;
}

static ttt_status train(ttt_tokenizer **tokenizer, int64_t vocabulary, const char *const *list)
{
    struct texts texts = {.list = list};
    return ttt_tokenizer_train(tokenizer, vocabulary, next_text, &texts);
}

static void same_as_hugging_face(void)
{
    ttt_buffer text = {0}, json = {0};
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_file_read(&text, FOLDER "train.txt", 1 << 20));
    CHECK_OK(ttt_file_read(&json, FOLDER "trained.json", 1 << 20));
    json_t *expected = json_loadb(json.data, json.size, 0, NULL);
    const json_t *model = json_object_get(expected, "model");
    CHECK_OK(train(&tokenizer, (int64_t)json_object_size(json_object_get(model, "vocab")),
                   (const char *const[]){text.data, NULL}));
    json_t *written = json_loadb(tokenizer->source.data, tokenizer->source.size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *ours = json_object_get(written, "model");
    CHECK(json_equal(json_object_get(ours, "vocab"), json_object_get(model, "vocab")));
    CHECK(json_equal(json_object_get(ours, "merges"), json_object_get(model, "merges")));
    static const char *const parts[] = {"added_tokens", "normalizer", "pre_tokenizer", "decoder"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK(json_equal(json_object_get(written, parts[i]), json_object_get(expected, parts[i])));
    CHECK_EQ(ttt_tokenizer_eos(tokenizer), 0);
    CHECK_EQ(ttt_tokenizer_bos(tokenizer), 0);
    json_decref(expected);
    json_decref(written);
    ttt_tokenizer_free(tokenizer);
    ttt_buffer_deinit(&text);
    ttt_buffer_deinit(&json);
}

static void check_encode(const ttt_tokenizer *tokenizer, const char *text, size_t count, const int32_t *expected)
{
    ttt_ids ids = {0};
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, strlen(text), false, &ids));
    CHECK_EQ(ids.count, count);
    for (size_t i = 0; i < count && i < ids.count; i++) CHECK_EQ(ids.data[i], expected[i]);
    ttt_ids_deinit(&ids);
}

static void small_texts(void)
{
    ttt_tokenizer *tokenizer;
    CHECK_OK(train(&tokenizer, 300, (const char *const[]){NULL})); /* no text at all */
    CHECK_EQ(ttt_tokenizer_vocabulary(tokenizer), 257);
    check_encode(tokenizer, "!A\xff", 3, (const int32_t[]){1, 33, 188}); /* the order of the byte alphabet */
    ttt_tokenizer_free(tokenizer);

    /* Documents are not joined: "ab" three times, "bc" twice, and never "ba". */
    CHECK_OK(train(&tokenizer, 300, (const char *const[]){"ab", "abc", "abc", NULL}));
    CHECK_EQ(ttt_tokenizer_vocabulary(tokenizer), 259); /* ab, abc: nothing is left to merge */
    check_encode(tokenizer, "abc", 1, (const int32_t[]){258});
    check_encode(tokenizer, "abab", 2, (const int32_t[]){257, 257});
    ttt_tokenizer_free(tokenizer);

    /* Equally frequent: the pair with the smaller ids. A run of one letter is merged from the left. */
    CHECK_OK(train(&tokenizer, 259, (const char *const[]){"zy", "xw", "vvvvv", NULL}));
    check_encode(tokenizer, "vvvvv", 3, (const int32_t[]){257, 257, 86});
    check_encode(tokenizer, "xwzy", 3, (const int32_t[]){258, 90, 89});
    ttt_tokenizer_free(tokenizer);

    CHECK_OK(train(&tokenizer, 258, (const char *const[]){"\xff\xfe\xff\xfe", NULL}));
    check_encode(tokenizer, "\xff\xfe", 1, (const int32_t[]){257});
    ttt_tokenizer_free(tokenizer);
}

static void failures(void)
{
    static const char *const list[] = {"abcabc abcd", NULL};
    ttt_tokenizer *tokenizer;
    CHECK_FAILS(train(&tokenizer, 256, list), TTT_ERR_ARGUMENT, "256");
    struct texts texts = {.list = list, .status = TTT_ERR_IO};
    CHECK_FAILS(ttt_tokenizer_train(&tokenizer, 300, next_text, &texts), TTT_ERR_IO, "the source failed");
    CHECK(tokenizer == NULL);
    const int64_t before = fault_count(TTT_CALL_ALLOC);
    CHECK_OK(train(&tokenizer, 260, list));
    ttt_tokenizer_free(tokenizer);
    const int64_t count = fault_count(TTT_CALL_ALLOC) - before;
    for (int64_t nth = 1; nth <= count; nth++) {
        fault_at(TTT_CALL_ALLOC, nth, 0);
        const ttt_status status = train(&tokenizer, 260, list);
        fault_at(TTT_CALL_ALLOC, 0, 0);
        CHECK_EQ(status, TTT_ERR_MEMORY);
    }
}

int main(void)
{
    same_as_hugging_face();
    small_texts();
    failures();
    return test_end();
}
