/* SPDX-License-Identifier: MIT
 *
 * data.json of a data folder that is sound otherwise: whatever the bytes, opening refuses them or the folder can be
 * read to its last token and compared with options.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/data.h>

#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "A text of some words, part of which is held out.\n";

static void make(char inputs[256])
{
    fuzz_put("text.txt", text, sizeof text - 1);
    snprintf(inputs, 256, "%s", fuzz_path("text.txt"));
    const char *const texts[] = {inputs};
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = texts;
    options.text_count = 1;
    options.tokenizer = "byte";
    options.valid_fraction = 0.25;
    if (ttt_data_prepare(fuzz_path("data"), &options) != TTT_OK) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char input[256];
    if (fuzz_folder_make()) make(input);
    fuzz_put("data/data.json", data, size);
    ttt_data *opened;
    if (ttt_data_open(&opened, fuzz_path("data")) != TTT_OK) return 0;
    for (int split = 0; split < 2; split++) {
        int32_t ids[sizeof text];
        const int64_t count = ttt_data_tokens(opened, (ttt_split)split);
        if (count < 0 || count > (int64_t)sizeof text || ttt_data_bytes(opened, (ttt_split)split) < 0) abort();
        if (ttt_data_read(opened, (ttt_split)split, 0, count, ids) != TTT_OK) abort();
        for (int64_t i = 0; i < count; i++)
            if (ids[i] < 0 || ids[i] > 256) abort();
    }
    const char *const texts[] = {input};
    ttt_data_options options;
    ttt_data_options_init(&options);
    options.texts = texts;
    options.text_count = 1;
    options.tokenizer = "byte";
    options.valid_fraction = 0.25;
    (void)!ttt_data_check(opened, &options);
    ttt_data_close(opened);
    return 0;
}
