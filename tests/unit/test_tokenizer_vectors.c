/* SPDX-License-Identifier: MIT
 *
 * The vectors of ../shared/data/tokenizers: texts with the ids and the decoded text that Hugging Face's tokenizers and
 * SentencePiece gave, ids with their text only, and GPT-2's list of strings and ids.
 */
#include <jansson.h>
#include <ttt/tokenizer.h>

#include "base/buffer.h"
#include "base/file.h"
#include "test.h"

#define FOLDER "data/tokenizers/"

static bool is_json(const char *path) { return strcmp(path + strlen(path) - 5, ".json") == 0; }

static bool same_ids(const json_t *expected, const ttt_ids *ids)
{
    if (json_array_size(expected) != ids->count) return false;
    for (size_t i = 0; i < ids->count; i++)
        if (json_integer_value(json_array_get(expected, i)) != ids->data[i]) return false;
    return true;
}

/* Decodes at once and one by one. */
static void check_decode(const ttt_tokenizer *tokenizer, const ttt_ids *ids, const json_t *expected)
{
    ttt_text text = {0}, streamed = {0};
    ttt_detokenizer *detokenizer;
    CHECK_OK(ttt_tokenizer_decode(tokenizer, ids->data, ids->count, false, &text));
    CHECK_EQ(text.size, json_string_length(expected));
    CHECK_STR(text.data, json_string_value(expected));
    CHECK_OK(ttt_detokenizer_new(&detokenizer, tokenizer, false));
    for (size_t i = 0; i < ids->count; i++) CHECK_OK(ttt_detokenizer_push(detokenizer, ids->data[i], &streamed));
    CHECK_OK(ttt_detokenizer_finish(detokenizer, &streamed));
    CHECK(streamed.size == text.size && (text.size == 0 || memcmp(streamed.data, text.data, text.size) == 0));
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&text);
    ttt_text_deinit(&streamed);
}

static void check_line(const ttt_tokenizer *tokenizer, const char *path, const json_t *line)
{
    const json_t *text = json_object_get(line, "text"), *expected = json_object_get(line, "ids");
    const json_t *decoded = json_object_get(line, "decoded");
    ttt_ids ids = {0};
    if (text) {
        CHECK_OK(
            ttt_tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), is_json(path), &ids));
        (void)ttt_tokenizer_truncate(tokenizer, &ids); /* the vectors of gpt2 were */
        if (!same_ids(expected, &ids)) fprintf(stderr, "%s: \"%s\"\n", path, json_string_value(text));
        CHECK(same_ids(expected, &ids));
    } else {
        ids.data = calloc(json_array_size(expected) + 1, sizeof *ids.data);
        for (; ids.count < json_array_size(expected); ids.count++)
            ids.data[ids.count] = (int32_t)json_integer_value(json_array_get(expected, ids.count));
    }
    check_decode(tokenizer, &ids, decoded);
    ttt_ids_deinit(&ids);
}

static void vectors(const char *name, const char *path)
{
    static const char *const endings[] = {".jsonl", ".decode.jsonl"};
    char file[256];
    snprintf(file, sizeof file, FOLDER "%s", path);
    const char *found = test_shared(file);
    if (!found) {
        SKIP("%s is not part of the repository", file);
        return;
    }
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_open(&tokenizer, found));
    for (int i = 0; i < 2 && tokenizer; i++) {
        snprintf(file, sizeof file, FOLDER "vectors/%s%s", name, endings[i]);
        found = test_shared(file);
        FILE *stream = found ? fopen(found, "r") : NULL;
        CHECK(stream != NULL);
        if (!stream) continue;
        json_t *line;
        int lines = 0;
        while ((line = json_loadf(stream, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL)) != NULL) {
            check_line(tokenizer, path, line);
            json_decref(line);
            lines++;
        }
        CHECK(lines >= 50);
        fclose(stream);
    }
    ttt_tokenizer_free(tokenizer);
}

/* vectors/gpt2.inp: strings with a line between them; gpt2.out: the ids of each on a line. */
static void gpt2_strings(void)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    ttt_buffer strings = {0}, lines = {0};
    const char *path = test_shared(FOLDER "vectors/gpt2.inp");
    if (!path) {
        SKIP(FOLDER "vectors/gpt2.inp is not part of the repository");
        return;
    }
    CHECK_OK(ttt_file_read(&strings, path, 1 << 20));
    CHECK_OK(ttt_file_read(&lines, test_shared(FOLDER "vectors/gpt2.out"), 1 << 20));
    ttt_tokenizer *tokenizer;
    CHECK_OK(ttt_tokenizer_open(&tokenizer, test_shared(FOLDER "gpt2/tokenizer.json")));
    const char *text = strings.data, *numbers = lines.data;
    int count = 0;
    for (const char *end; (end = strstr(text, separator)) != NULL; text = end + strlen(separator), count++) {
        ttt_ids ids = {0};
        CHECK_OK(ttt_tokenizer_encode(tokenizer, text, (size_t)(end - text), true, &ids));
        for (size_t i = 0; i < ids.count; i++) {
            char *next;
            CHECK_EQ(strtol(numbers, &next, 10), ids.data[i]);
            numbers = next;
        }
        CHECK(*numbers == '\n' || strspn(numbers, " ") == strcspn(numbers, "\n"));
        numbers = strchr(numbers, '\n') + 1;
        ttt_ids_deinit(&ids);
    }
    CHECK_EQ(count, 46);
    ttt_tokenizer_free(tokenizer);
    ttt_buffer_deinit(&strings);
    ttt_buffer_deinit(&lines);
}

int main(void)
{
    vectors("gpt2", "gpt2/tokenizer.json");
    vectors("neox", "neox/tokenizer.json");
    vectors("mistral_v1", "mistral_v1/tokenizer.model");
    vectors("mistral_v1_json", "mistral_v1/tokenizer.json");
    vectors("mistral_v3", "mistral_v3/tokenizer.model");
    gpt2_strings();
    return test_end();
}
