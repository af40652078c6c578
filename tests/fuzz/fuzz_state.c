/* SPDX-License-Identifier: MIT
 *
 * State files: whatever the bytes, reading ends. As a checksum stops nearly every change, the bytes are also taken with
 * the checksum that they should have, as a state of models made here: what is loaded then goes on, and is what it says.
 */
#include <stdlib.h>
#include <string.h>

#include "model/state.h"
#include "small_config.h"
#include "store/state_file.h"

enum { V = 29, MORE = 3, MODELS = 2 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static ttt_model *models[MODELS];
static ttt_context *contexts[MODELS];

/* Only the first is one of which no tensor tells how many tokens were read. */
static void make_models(void)
{
    static const char *const layers[MODELS] = {"conv+ttt_linear+ffn,mamba", "attention,ttt_linear"};
    for (int i = 0; i < MODELS && !contexts[i]; i++) {
        ttt_config config = small_config(V, 8, 2, 1);
        const ttt_model_options options = {.backend = "cpu", .precision = "f32", .threads = 1};
        if (ttt_config_set(&config, "layers", layers[i]) != TTT_OK ||
            ttt_model_new(&models[i], &config, 1, &options) != TTT_OK ||
            ttt_context_new(&contexts[i], models[i], 1) != TTT_OK)
            abort();
    }
}

/* Whatever differs from itself is not finite, and then was not loaded. */
static void load(const ttt_state_file *file, int model)
{
    static const int32_t ids[MORE] = {1, 2, 3};
    const ttt_state_info *info = ttt_state_file_info(file);
    ttt_state *state;
    if (ttt_state_file_load(file, models[model], &state) != TTT_OK) return;
    if (ttt_state_position(state) != info->position || ttt_state_frozen(state) != info->frozen) abort();
    for (int64_t i = 0; i < ttt_state_file_pieces(file); i++)
        if (ttt_state_file_difference(file, file, i).largest != 0) abort();
    const ttt_feed feed = {.state = state, .tokens = ids, .count = MORE};
    if (ttt_context_advance(contexts[model], &feed, 1) == TTT_OK && ttt_state_position(state) != info->position + MORE)
        abort();
    if (info->tokens && ttt_context_rollback(contexts[model], state, info->position / 2, NULL) != TTT_OK) abort();
    ttt_state_free(state);
}

static void take(const unsigned char *data, size_t size, int model)
{
    ttt_state_file *file;
    if (ttt_state_file_parse(&file, data, size, "input") != TTT_OK) return;
    load(file, model);
    ttt_state_file_close(file);
}

/* Puts `text` behind the first `key` in the header. */
static void put(unsigned char *bytes, size_t size, const char *key, const char *text)
{
    const size_t length = strlen(key), more = strlen(text);
    for (size_t i = 0; i + length + more <= size && i < 4096; i++) {
        if (memcmp(bytes + i, key, length) != 0) continue;
        memcpy(bytes + i + length, text, more);
        return;
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char sum[TTT_DIGEST_TEXT];
    make_models();
    take(data, size, 0);
    if (size < TTT_STATE_CHECKSUM_AT + TTT_STATE_CHECKSUM) return 0;
    unsigned char *bytes = malloc(size);
    if (!bytes) abort();
    for (int model = 0; model < MODELS; model++) {
        memcpy(bytes, data, size);
        put(bytes, size, "\"fingerprint\":\"", ttt_model_fingerprint(models[model]));
        if (ttt_state_checksum(sum, bytes, size) != TTT_OK) abort();
        memcpy(bytes + TTT_STATE_CHECKSUM_AT, sum, TTT_STATE_CHECKSUM);
        take(bytes, size, model);
    }
    free(bytes);
    return 0;
}
