/* SPDX-License-Identifier: MIT
 *
 * Tokenizers against the tiny ones of tests/unit/tokenizers, whose lines say what Hugging Face's tokenizers and
 * SentencePiece made of them (scripts/make_tokenizer_vectors.py); and what only we do: bytes that are no UTF-8,
 * streaming, saving, truncation.
 */
#include <jansson.h>
#include <ttt/tokenizer.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"
#include "text/tokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

#define FOLDER TTT_SOURCE_DIR "/tests/unit/tokenizers/"

static ttt_tokenizer *open_tiny(const char *name)
{
    char path[4096];
    ttt_tokenizer *tokenizer;
    snprintf(path, sizeof path, FOLDER "%s", name);
    CHECK_OK(ttt_tokenizer_open(&tokenizer, path));
    return tokenizer;
}

static void check_ids(const ttt_tokenizer *tokenizer, const char *text, size_t size, bool special,
                      const json_t *expected)
{
    ttt_ids ids = {0};
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, size, special, &ids));
    CHECK_EQ(ids.count, json_array_size(expected));
    for (size_t i = 0; i < ids.count; i++) CHECK_EQ(ids.data[i], json_integer_value(json_array_get(expected, i)));
    ttt_ids_deinit(&ids);
}

/* At once, and one by one: then every part that comes out is whole characters. */
static void check_text(const ttt_tokenizer *tokenizer, const json_t *list, bool skip, const json_t *expected)
{
    int32_t ids[64];
    const size_t count = json_array_size(list);
    for (size_t i = 0; i < count && i < 64; i++) ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    ttt_text text = {0}, streamed = {0};
    CHECK_OK(ttt_tokenizer_decode(tokenizer, ids, count, skip, &text));
    CHECK_STR(text.data, json_string_value(expected));
    CHECK_EQ(text.size, json_string_length(expected));
    ttt_detokenizer *detokenizer;
    CHECK_OK(ttt_detokenizer_new(&detokenizer, tokenizer, skip));
    for (size_t i = 0; i <= count; i++) {
        const size_t before = streamed.size;
        if (i < count)
            CHECK_OK(ttt_detokenizer_push(detokenizer, ids[i], &streamed));
        else
            CHECK_OK(ttt_detokenizer_finish(detokenizer, &streamed));
        CHECK_EQ(ttt_utf8_valid(streamed.data + before, streamed.size - before), streamed.size - before);
    }
    CHECK(streamed.size == text.size && (text.size == 0 || memcmp(streamed.data, text.data, text.size) == 0));
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&streamed);
    ttt_text_deinit(&text);
}

static void tiny_vectors(void)
{
    static const char *const names[] = {
        "trained.json",  "nfc.json",       "prefix.json",     "llama.json",       "first.json",
        "unknown.json",  "single.json",    "dropped.json",    "plain.model",      "rules.model",
        "suffix.model",  "starcoder.json", "llama3.json",     "qwen2.json",       "gpt4o.json",
        "deepseek.json", "bloom.json",     "falcon.json",     "unigram.model",    "t5.json",
        "words.json",    "albert.json",    "whitespace.json", "punctuation.json", "behaviors.json"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        ttt_tokenizer *tokenizer = open_tiny(names[n]);
        char path[4096];
        snprintf(path, sizeof path, FOLDER "%.*s.jsonl", (int)strcspn(names[n], "."), names[n]);
        FILE *stream = fopen(path, "r");
        CHECK(stream != NULL);
        const int failures = test_failures;
        int lines = 0;
        json_t *line;
        for (; stream && (line = json_loadf(stream, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)); lines++) {
            const json_t *text = json_object_get(line, "text"), *ids = json_object_get(line, "ids");
            if (text) {
                const char *bytes = json_string_value(text);
                const size_t size = json_string_length(text);
                if (ids) check_ids(tokenizer, bytes, size, true, ids);
                check_ids(tokenizer, bytes, size, false, json_object_get(line, "plain"));
            } else {
                check_text(tokenizer, ids, false, json_object_get(line, "decoded"));
                check_text(tokenizer, ids, true, json_object_get(line, "skipped"));
            }
            if (failures == test_failures) {
                json_decref(line);
                continue;
            }
            fprintf(stderr, "%s, line %d\n", path, lines + 1);
            json_decref(line);
            break;
        }
        CHECK(lines > 100);
        if (stream) fclose(stream);
        ttt_tokenizer_free(tokenizer);
    }
}

static void byte_tokenizer(void)
{
    static const char text[] = "\0a\xff\xc3\xa9 <|endoftext|>";
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    CHECK_EQ(ttt_tokenizer_vocabulary(tokenizer), 257);
    CHECK_EQ(ttt_tokenizer_bos(tokenizer), 0);
    CHECK_EQ(ttt_tokenizer_eos(tokenizer), 0);
    CHECK(!ttt_tokenizer_adds_bos(tokenizer) && ttt_tokenizer_is_byte_level(tokenizer));
    CHECK(ttt_tokenizer_is_json(tokenizer));
    ttt_ids ids = {0};
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, sizeof text - 1, false, &ids));
    CHECK_EQ(ids.count, sizeof text - 1);
    for (size_t i = 0; i < ids.count; i++) CHECK_EQ(ids.data[i], (unsigned char)text[i] + 1);
    ids.count = 0;
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, sizeof text - 1, true, &ids));
    CHECK_EQ(ids.count, 7);
    CHECK_EQ(ids.data[6], 0);
    ttt_text decoded = {0};
    CHECK_OK(ttt_tokenizer_decode(tokenizer, ids.data + 3, 4, true, &decoded));
    CHECK_STR(decoded.data, "\xc3\xa9 ");
    CHECK_FAILS(ttt_tokenizer_decode(tokenizer, (int32_t[]){98, 257}, 2, false, &decoded), TTT_ERR_ARGUMENT, "257");
    CHECK_FAILS(ttt_tokenizer_decode(tokenizer, (int32_t[]){-1}, 1, false, &decoded), TTT_ERR_ARGUMENT, "-1");
    CHECK_STR(decoded.data, "\xc3\xa9 "); /* a failure appends nothing */
    ttt_text_deinit(&decoded);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
}

static void not_utf8(void)
{
    static const char text[] = "ab\xe6\xb5";
    ttt_ids ids = {0};
    ttt_tokenizer *tokenizer = open_tiny("llama.json");
    CHECK_FAILS(ttt_tokenizer_encode(tokenizer, text, 4, true, &ids), TTT_ERR_FORMAT, "at byte 2");
    CHECK_FAILS(ttt_tokenizer_encode(tokenizer, "123456789\xc0\x80", 11, true, &ids), TTT_ERR_FORMAT, "at byte 9");
    CHECK_FAILS(ttt_tokenizer_encode(tokenizer, "\xed\xa0\x80", 3, true, &ids), TTT_ERR_FORMAT, "at byte 0");
    CHECK_EQ(ids.count, 0);
    ttt_tokenizer_free(tokenizer);
    tokenizer = open_tiny("nfc.json"); /* raw bytes stay; e and the accent that follow them are composed */
    ttt_text decoded = {0};
    CHECK_OK(ttt_tokenizer_encode(tokenizer,
                                  "a\xff"
                                  "e\xcc\x81\xe6",
                                  6, true, &ids));
    CHECK_OK(ttt_tokenizer_decode(tokenizer, ids.data, ids.count, true, &decoded));
    CHECK_STR(decoded.data, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
    ttt_text_deinit(&decoded);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
}

/* One piece of a million characters that all merge with one another, and one that all fall apart. */
static void long_pieces(void)
{
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    CHECK(text != NULL);
    for (int kind = 0; text && kind < 2; kind++) {
        ttt_tokenizer *tokenizer = open_tiny(kind ? "prefix.json" : "plain.model");
        memset(text, 'a', SIZE);
        ttt_ids ids = {0};
        ttt_text decoded = {0};
        CHECK_OK(ttt_tokenizer_encode(tokenizer, text, SIZE, true, &ids));
        CHECK_OK(ttt_tokenizer_decode(tokenizer, ids.data, ids.count, true, &decoded));
        const size_t prefix = decoded.size - SIZE; /* prefix.json adds a space */
        CHECK(prefix <= 1 && memcmp(decoded.data + prefix, text, SIZE) == 0);
        ttt_text_deinit(&decoded);
        ttt_ids_deinit(&ids);
        ttt_tokenizer_free(tokenizer);
    }
    free(text);
}

static void nfc(void)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"e\xcc\x81", "\xc3\xa9"},                         /* e, acute */
        {"a\xcc\x81\xcc\xa3 b", "\xe1\xba\xa1\xcc\x81 b"}, /* reordered, then composed */
        {"\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
        {"\xe2\x84\xab", "\xc3\x85"},
        {"e\xcc\x81\xffo\xcc\x88", "\xc3\xa9\xff\xc3\xb6"},
        {"a\xe1\xb7\xba\xcc\xa3", "a\xe1\xb7\xba\xcc\xa3"}, /* U+1DFA is newer than the tables of the original */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ttt_buffer out = {0};
        CHECK_OK(ttt_unicode_normalize(&out, TTT_FORM_NFC, cases[i][0], strlen(cases[i][0])));
        CHECK_STR(out.data, cases[i][1]);
        ttt_buffer_deinit(&out);
    }
}

static bool same_bytes(const char *path, const char *other)
{
    ttt_buffer a = {0}, b = {0};
    const bool same = ttt_file_read(&a, path, 1 << 20) == TTT_OK && ttt_file_read(&b, other, 1 << 20) == TTT_OK &&
                      a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
    ttt_buffer_deinit(&a);
    ttt_buffer_deinit(&b);
    return same;
}

/* A folder is opened by what it holds, and saved as it was; the configuration is written if there was none. */
static void folders(void)
{
#define SAVED TTT_BINARY_DIR "/test_tokenizer"
    static const char config[] =
        "{\"bos_token\": {\"content\": \"</s>\"}, \"eos_token\": \"<s>\", \"add_bos_token\": true}";
    unlink(SAVED "/tokenizer.json");
    unlink(SAVED "/tokenizer.model");
    unlink(SAVED "/tokenizer_config.json");
    ttt_tokenizer *tokenizer = open_tiny("plain.model");
    CHECK_EQ(ttt_tokenizer_bos(tokenizer), 1);
    CHECK_EQ(ttt_tokenizer_eos(tokenizer), 2);
    CHECK(!ttt_tokenizer_adds_bos(tokenizer) && !ttt_tokenizer_is_json(tokenizer));
    CHECK_OK(ttt_tokenizer_save(tokenizer, SAVED));
    ttt_tokenizer_free(tokenizer);
    CHECK(same_bytes(FOLDER "plain.model", SAVED "/tokenizer.model"));
    CHECK_OK(ttt_tokenizer_open(&tokenizer, SAVED));
    CHECK_EQ(ttt_tokenizer_bos(tokenizer), 1);
    ttt_tokenizer_free(tokenizer);

    tokenizer = open_tiny("llama.json");
    CHECK_OK(ttt_tokenizer_save(tokenizer, SAVED)); /* now both are there: tokenizer.json counts */
    ttt_tokenizer_free(tokenizer);
    CHECK_OK(ttt_file_write(SAVED "/tokenizer_config.json", config, strlen(config)));
    CHECK_OK(ttt_tokenizer_open(&tokenizer, SAVED));
    CHECK(ttt_tokenizer_is_json(tokenizer) && ttt_tokenizer_adds_bos(tokenizer));
    CHECK_EQ(ttt_tokenizer_bos(tokenizer), 2);
    CHECK_EQ(ttt_tokenizer_eos(tokenizer), 1);
    CHECK_OK(ttt_tokenizer_save(tokenizer, SAVED "/again"));
    ttt_tokenizer_free(tokenizer);
    CHECK(same_bytes(SAVED "/tokenizer_config.json", SAVED "/again/tokenizer_config.json"));
    CHECK(same_bytes(FOLDER "llama.json", SAVED "/again/tokenizer.json"));

    CHECK_FAILS(ttt_tokenizer_open(&tokenizer, TTT_BINARY_DIR "/bin"), TTT_ERR_IO, "neither tokenizer.json nor");
    CHECK_FAILS(ttt_tokenizer_open(&tokenizer, SAVED "/none"), TTT_ERR_IO, "none");
    CHECK(tokenizer == NULL);
#undef SAVED
}

static void truncation(void)
{
    for (int left = 0; left < 2; left++) {
        char json[512];
        snprintf(json, sizeof json,
                 "{\"truncation\":{\"max_length\":3,\"direction\":\"%s\"},\"pre_tokenizer\":null,"
                 "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"d\":3},\"merges\":[]}}",
                 left ? "Left" : "Right");
        ttt_tokenizer *tokenizer;
        CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
        ttt_ids ids = {0};
        CHECK_OK(ttt_tokenizer_encode(tokenizer, "abcd", 4, true, &ids));
        CHECK_EQ(ids.count, 4);
        CHECK(ttt_tokenizer_truncate(tokenizer, &ids));
        CHECK_EQ(ids.count, 3);
        CHECK_EQ(ids.data[0], left);
        CHECK(!ttt_tokenizer_truncate(tokenizer, &ids));
        ttt_ids_deinit(&ids);
        ttt_tokenizer_free(tokenizer);
    }
}

int main(void)
{
    tiny_vectors();
    byte_tokenizer();
    not_utf8();
    long_pieces();
    nfc();
    folders();
    truncation();
    return test_end();
}
