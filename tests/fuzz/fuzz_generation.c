/* SPDX-License-Identifier: MIT
 *
 * generation_config.json: whatever the bytes, reading ends, and what it accepts can be generated with.
 */
#include <stdint.h>
#include <ttt/generate.h>

#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ttt_model *model;
static ttt_tokenizer *tokenizer;

static void forget(void)
{
    ttt_model_free(model);
    ttt_tokenizer_free(tokenizer);
}

static void make(void)
{
    ttt_config *config;
    if (ttt_config_new(&config) != TTT_OK) abort();
    static const char *const settings[][2] = {{"vocab_size", "257"},        {"hidden_size", "4"},
                                              {"intermediate_size", "4"},   {"num_hidden_layers", "1"},
                                              {"num_attention_heads", "1"}, {"bos_token_id", "0"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (ttt_config_set(config, settings[i][0], settings[i][1]) != TTT_OK) abort();
    const ttt_model_options options = {.backend = "ref", .threads = 1};
    if (ttt_model_new(&model, config, 1, &options) != TTT_OK || ttt_tokenizer_new_bytes(&tokenizer) != TTT_OK) abort();
    ttt_config_free(config);
    atexit(forget);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_folder_make()) make();
    fuzz_put("generation_config.json", data, size);
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    if (ttt_generate_options_load(&options, fuzz_folder, model, tokenizer) != TTT_OK) return 0;
    if (options.max_new_tokens < -1 || options.eos_count < 0 || options.eos_count > TTT_EOS_IDS) abort();
    for (int i = 0; i < options.eos_count; i++)
        if (options.eos[i] < 0 || options.eos[i] >= 257) abort();
    ttt_sampler *sampler;
    if (ttt_sampler_new(&sampler, &options.sampling, 257) == TTT_OK) ttt_sampler_free(sampler);
    return 0;
}
