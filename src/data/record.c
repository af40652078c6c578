/* SPDX-License-Identifier: MIT
 * data.json is
 *   {"format": 2, "options": {"tokenizer", "valid", "parse_special"}, "train": {"bytes", "tokens"}, "valid": {...},
 *    "inputs": [{"role", "path", "bytes", "hash"}, ...]}
 * Format 1, which is read too, has the hashes of FNV-1a, format 2 those of XXH3.
 * Where an option is a file, "options" says "file": the file itself is compared by its hash, so it may be moved. */
#include "data/record.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"

enum { FORMAT = 2, RECORD_LIMIT = 1 << 28 };

struct ttt_record {
    json_t *json;
};

static const char *const part_names[2] = {"train", "valid"};

ttt_status ttt_tokenizer_spec(const char *tokenizer, bool *made, int64_t *vocabulary)
{
    *vocabulary = 0;
    const bool by_size = strcmp(tokenizer, "bpe") == 0;
    *made = by_size || strcmp(tokenizer, "byte") == 0 || strncmp(tokenizer, "bpe:", 4) == 0;
    if (by_size) *vocabulary = TTT_VOCABULARY_MOST;
    if (by_size || !*made || strcmp(tokenizer, "byte") == 0) return TTT_OK;
    char *end;
    errno = 0;
    *vocabulary = strtoll(tokenizer + 4, &end, 10);
    if (errno != 0 || end == tokenizer + 4 || *end != '\0' || *vocabulary < 257 || *vocabulary > 1 << 24)
        return ttt_fail(TTT_ERR_ARGUMENT, "tokenizer %s: bpe:N needs a vocabulary N from 257 to %d", tokenizer,
                        1 << 24);
    return TTT_OK;
}

ttt_status ttt_tokenizer_measure(ttt_texts *inputs, const char *tokenizer)
{
    bool made;
    int64_t vocabulary;
    TTT_TRY(ttt_tokenizer_spec(tokenizer, &made, &vocabulary));
    if (made) return TTT_OK;
    inputs->role = "tokenizer";
    if (!ttt_is_folder(tokenizer)) return ttt_texts_measure(inputs, tokenizer);
    ttt_status status = TTT_ERR_MEMORY;
    char *json = ttt_path_join(tokenizer, "tokenizer.json"), *model = ttt_path_join(tokenizer, "tokenizer.model");
    if (json && model) status = ttt_texts_measure(inputs, ttt_file_exists(json) ? json : model);
    ttt_free(json);
    ttt_free(model);
    return status;
}

static json_t *options_describe(const ttt_data_options *options)
{
    bool made = false;
    int64_t vocabulary;
    if (ttt_tokenizer_spec(options->tokenizer, &made, &vocabulary) != TTT_OK) return NULL;
    return json_pack("{s:s, s:o, s:b}", "tokenizer", made ? options->tokenizer : "file", "valid",
                     options->valid_text ? json_string("file") : json_real(options->valid_fraction), "parse_special",
                     (int)options->parse_special);
}

/* A path need not be UTF-8, which JSON is: bytes beyond ASCII that are not are shown as '?'. */
static json_t *path_describe(const char *path)
{
    json_t *text = json_string(path);
    if (text) return text;
    char *plain = ttt_strdup(path);
    if (!plain) return NULL;
    for (char *c = plain; *c; c++) {
        if ((unsigned char)*c >= 0x80) *c = '?';
    }
    text = json_string(plain);
    ttt_free(plain);
    return text;
}

static json_t *inputs_describe(const ttt_texts *inputs)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < inputs->input_count; i++) {
        const ttt_input *input = &inputs->inputs[i];
        char hash[TTT_HASH_TEXT];
        ttt_hash_print(hash, input->hash);
        json_t *item = json_pack("{s:s, s:o, s:I, s:s}", "role", input->role, "path", path_describe(input->path),
                                 "bytes", (json_int_t)input->size, "hash", hash);
        if (json_array_append_new(list, item) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

ttt_status ttt_record_save(const char *folder, const ttt_data_options *options, const ttt_texts *inputs,
                           const ttt_data_part parts[2])
{
    json_t *json = json_pack("{s:i, s:o, s:{s:I, s:I}, s:{s:I, s:I}, s:o}", "format", FORMAT, "options",
                             options_describe(options), part_names[0], "bytes", (json_int_t)parts[0].bytes, "tokens",
                             (json_int_t)parts[0].tokens, part_names[1], "bytes", (json_int_t)parts[1].bytes, "tokens",
                             (json_int_t)parts[1].tokens, "inputs", inputs_describe(inputs));
    return ttt_json_write(folder, "data.json", json, JSON_INDENT(2));
}

static ttt_status record_check(const json_t *json, const char *path, ttt_data_part parts[2])
{
    const json_t *format = json_object_get(json, "format");
    if (!json_is_integer(format) || json_integer_value(format) < 1)
        return ttt_fail(TTT_ERR_FORMAT, "%s: \"format\" is missing or no version: not a data folder", path);
    if (json_integer_value(format) > FORMAT)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: data folder format %lld, this version reads 1 to %d", path,
                        (long long)json_integer_value(format), FORMAT);
    for (int i = 0; i < 2; i++) {
        const json_t *part = json_object_get(json, part_names[i]);
        const json_t *bytes = json_object_get(part, "bytes"), *tokens = json_object_get(part, "tokens");
        if (!json_is_integer(bytes) || !json_is_integer(tokens) || json_integer_value(bytes) < 0 ||
            json_integer_value(tokens) < 0)
            return ttt_fail(TTT_ERR_FORMAT, "%s: \"%s\" does not count bytes and tokens", path, part_names[i]);
        parts[i] = (ttt_data_part){.bytes = json_integer_value(bytes), .tokens = json_integer_value(tokens)};
    }
    if (!json_is_object(json_object_get(json, "options")) || !json_is_array(json_object_get(json, "inputs")))
        return ttt_fail(TTT_ERR_FORMAT, "%s: \"options\" or \"inputs\" is missing", path);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json, "inputs"), i, item)
    {
        if (!json_is_string(json_object_get(item, "role")) || !json_is_string(json_object_get(item, "path")) ||
            !json_is_integer(json_object_get(item, "bytes")) || !json_is_string(json_object_get(item, "hash")))
            return ttt_fail(TTT_ERR_FORMAT, "%s: input %zu is incomplete", path, i);
    }
    return TTT_OK;
}

static ttt_status record_read(ttt_record *record, const char *path, ttt_buffer *text, ttt_data_part parts[2])
{
    TTT_TRY(ttt_file_read(text, path, RECORD_LIMIT));
    json_error_t error;
    record->json = ttt_json_read(text->data, text->size, 0, &error);
    if (!record->json) return ttt_fail(ttt_json_status(&error), "%s, line %d: %s", path, error.line, error.text);
    return record_check(record->json, path, parts);
}

ttt_status ttt_record_open(ttt_record **out, const char *folder, ttt_data_part parts[2])
{
    *out = NULL;
    ttt_buffer text = {0};
    char *path = ttt_path_join(folder, "data.json");
    ttt_record *record = ttt_alloc(1, sizeof *record);
    ttt_status status = path && record ? record_read(record, path, &text, parts) : TTT_ERR_MEMORY;
    ttt_buffer_deinit(&text);
    ttt_free(path);
    if (status == TTT_OK)
        *out = record;
    else
        ttt_record_close(record);
    return status;
}

ttt_hash_kind ttt_record_hash(const ttt_record *record)
{
    return json_integer_value(json_object_get(record->json, "format")) == 1 ? TTT_HASH_FNV : TTT_HASH_XXH3;
}

void ttt_record_close(ttt_record *record)
{
    if (!record) return;
    json_decref(record->json);
    ttt_free(record);
}

static ttt_status options_compare(const json_t *then, const json_t *now)
{
    static const char *const keys[] = {"tokenizer", "valid", "parse_special"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *a = json_object_get(then, keys[i]), *b = json_object_get(now, keys[i]);
        if (json_equal(a, b)) continue;
        char *text_a = json_dumps(a, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        char *text_b = json_dumps(b, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        const ttt_status status = ttt_fail(TTT_ERR_ARGUMENT, "the data was made with %s %s, now it is %s", keys[i],
                                           text_a ? text_a : "another value", text_b ? text_b : "another value");
        free(text_a);
        free(text_b);
        return status;
    }
    return TTT_OK;
}

static ttt_status input_compare(const json_t *item, const ttt_input *input)
{
    const char *path = json_string_value(json_object_get(item, "path"));
    const char *role = json_string_value(json_object_get(item, "role"));
    char hash[TTT_HASH_TEXT];
    ttt_hash_print(hash, input->hash);
    const bool same = input->hash == 0 || (json_integer_value(json_object_get(item, "bytes")) == input->size &&
                                           strcmp(json_string_value(json_object_get(item, "hash")), hash) == 0);
    if (same && strcmp(role, input->role) == 0) return TTT_OK;
    if (strcmp(path, input->path) == 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s changed since the data was made from it", path);
    return ttt_fail(TTT_ERR_ARGUMENT, "%s is not what the data was made from, which was %s", input->path, path);
}

ttt_status ttt_record_compare(const ttt_record *record, const ttt_data_options *options, const ttt_texts *inputs)
{
    json_t *now = options_describe(options);
    if (!now) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot compare the data with the options");
    const ttt_status status = options_compare(json_object_get(record->json, "options"), now);
    json_decref(now);
    TTT_TRY(status);
    const json_t *list = json_object_get(record->json, "inputs");
    const size_t count = json_array_size(list);
    for (size_t i = 0; i < inputs->input_count; i++) {
        if (i >= count)
            return ttt_fail(TTT_ERR_ARGUMENT, "%s is new: the data was made without it", inputs->inputs[i].path);
        TTT_TRY(input_compare(json_array_get(list, i), &inputs->inputs[i]));
    }
    if (inputs->input_count < count)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s is missing: the data was made from it too",
                        json_string_value(json_object_get(json_array_get(list, inputs->input_count), "path")));
    return TTT_OK;
}
