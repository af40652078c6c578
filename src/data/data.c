/* SPDX-License-Identifier: MIT
 * A data folder, opened: the token files of both parts, the tokenizer, and the record of what it was made from. */
#include <ttt/data.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/hash.h"
#include "data/order.h"
#include "data/record.h"
#include "data/token_file.h"

struct ttt_data {
    ttt_tokenizer *tokenizer;
    ttt_record *record;
    ttt_data_part parts[2];
    ttt_token_file files[2]; /* both indexed by ttt_split */
};

static ttt_status part_open(ttt_data *data, const char *folder, ttt_split split)
{
    ttt_token_file *file = &data->files[split];
    char *path = ttt_path_join(folder, split == TTT_SPLIT_TRAIN ? "train.tokens" : "valid.tokens");
    if (!path) return TTT_ERR_MEMORY;
    ttt_status status = ttt_token_file_open(file, path);
    if (status == TTT_OK && file->vocabulary != ttt_tokenizer_vocabulary(data->tokenizer))
        status = ttt_fail(TTT_ERR_FORMAT, "%s: a vocabulary of %lld, but the tokenizer beside it has %lld", path,
                          (long long)file->vocabulary, (long long)ttt_tokenizer_vocabulary(data->tokenizer));
    if (status == TTT_OK && file->count != data->parts[split].tokens)
        status = ttt_fail(TTT_ERR_FORMAT, "%s: %lld tokens, but data.json says %lld", path, (long long)file->count,
                          (long long)data->parts[split].tokens);
    ttt_free(path);
    return status;
}

static ttt_status open_all(ttt_data *data, const char *folder)
{
    TTT_TRY(ttt_record_open(&data->record, folder, data->parts));
    TTT_TRY(ttt_tokenizer_open(&data->tokenizer, folder));
    TTT_TRY(part_open(data, folder, TTT_SPLIT_TRAIN));
    return part_open(data, folder, TTT_SPLIT_VALID);
}

ttt_status ttt_data_open(ttt_data **out, const char *folder)
{
    *out = NULL;
    ttt_data *data = ttt_alloc(1, sizeof *data);
    if (!data) return TTT_ERR_MEMORY;
    const ttt_status status = open_all(data, folder);
    if (status == TTT_OK)
        *out = data;
    else
        ttt_data_close(data);
    return status;
}

void ttt_data_close(ttt_data *data)
{
    if (!data) return;
    for (int split = 0; split < 2; split++) ttt_token_file_close(&data->files[split]);
    ttt_tokenizer_free(data->tokenizer);
    ttt_record_close(data->record);
    ttt_free(data);
}

bool ttt_data_is_folder(const char *path) { return ttt_folder_has(path, "data.json"); }

const ttt_tokenizer *ttt_data_tokenizer(const ttt_data *data) { return data->tokenizer; }
int64_t ttt_data_tokens(const ttt_data *data, ttt_split split) { return data->parts[split].tokens; }
int64_t ttt_data_bytes(const ttt_data *data, ttt_split split) { return data->parts[split].bytes; }

uint64_t ttt_data_fingerprint(const ttt_data *data)
{
    uint64_t both[2];
    for (int split = 0; split < 2; split++) both[split] = data->files[split].hash;
    return ttt_hash(TTT_HASH_XXH3, both, sizeof both);
}

static ttt_status measure(ttt_texts *inputs, const ttt_data_options *options)
{
    inputs->role = "text";
    for (size_t i = 0; i < options->text_count; i++) TTT_TRY(ttt_texts_measure(inputs, options->texts[i]));
    inputs->role = "valid";
    if (options->valid_text) TTT_TRY(ttt_texts_measure(inputs, options->valid_text));
    return ttt_tokenizer_measure(inputs, options->tokenizer);
}

ttt_status ttt_data_check(const ttt_data *data, const ttt_data_options *options)
{
    ttt_texts inputs = {.hash = ttt_record_hash(data->record)};
    ttt_status status = measure(&inputs, options);
    if (status == TTT_OK) status = ttt_record_compare(data->record, options, &inputs);
    ttt_texts_deinit(&inputs);
    return status;
}

ttt_status ttt_data_read(const ttt_data *data, ttt_split split, int64_t first, int64_t count, int32_t *ids)
{
    const ttt_token_file *file = &data->files[split];
    if (first < 0 || count < 0 || first > file->count || count > file->count - first)
        return ttt_fail(TTT_ERR_ARGUMENT, "%lld tokens from number %lld on are outside the text of %lld",
                        (long long)count, (long long)first, (long long)file->count);
    return ttt_token_file_read(file, first, count, ids);
}

ttt_status ttt_data_sequences(const ttt_data *data, ttt_split split, int64_t context, int64_t *count)
{
    const int64_t tokens = data->files[split].count;
    if (context < 1) return ttt_fail(TTT_ERR_ARGUMENT, "a context of %lld is impossible", (long long)context);
    *count = context < tokens ? tokens / (context + 1) : 0;
    if (*count == 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "the %s text of %lld tokens is shorter than one sequence of %llu (context + 1); give more text "
                        "or a smaller context",
                        split == TTT_SPLIT_TRAIN ? "training" : "held-out", (long long)tokens,
                        (unsigned long long)context + 1);
    return TTT_OK;
}

ttt_status ttt_data_batch(const ttt_data *data, ttt_split split, int64_t context, int64_t batch, int64_t first,
                          uint64_t seed, int32_t *ids)
{
    int64_t count;
    TTT_TRY(ttt_data_sequences(data, split, context, &count));
    if (first < 0 || batch < 0 || first > INT64_MAX - batch)
        return ttt_fail(TTT_ERR_ARGUMENT, "a batch of %lld sequences from number %lld on is impossible",
                        (long long)batch, (long long)first);
    for (int64_t b = 0; b < batch; b++) {
        const int64_t number = first + b;
        const int64_t sequence = ttt_order(seed, number / count, count, number % count);
        TTT_TRY(
            ttt_token_file_read(&data->files[split], sequence * (context + 1), context + 1, ids + b * (context + 1)));
    }
    return TTT_OK;
}
