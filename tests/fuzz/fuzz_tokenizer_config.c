/* SPDX-License-Identifier: MIT
 *
 * tokenizer_config.json beside a sound tokenizer: whatever the bytes, reading ends, and what it accepts encodes and
 * decodes.
 */
#include "folder.h"
#include "tokenize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make(void)
{
    ttt_tokenizer *bytes;
    if (ttt_tokenizer_new_bytes(&bytes) != TTT_OK || ttt_tokenizer_save(bytes, fuzz_folder) != TTT_OK) abort();
    ttt_tokenizer_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (fuzz_folder_make()) make();
    fuzz_put("tokenizer_config.json", data, size);
    ttt_tokenizer *tokenizer;
    if (ttt_tokenizer_open(&tokenizer, fuzz_folder) != TTT_OK) return 0;
    if (ttt_tokenizer_bos(tokenizer) >= ttt_tokenizer_vocabulary(tokenizer) ||
        ttt_tokenizer_eos(tokenizer) >= ttt_tokenizer_vocabulary(tokenizer))
        abort();
    fuzz_use(tokenizer);
    return 0;
}
