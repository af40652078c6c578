/* SPDX-License-Identifier: MIT
 *
 * safetensors files: whatever the bytes, parsing ends, and every byte of every tensor that it shows can be read.
 */
#include <stdlib.h>

#include "store/safetensors.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_safetensors *file;
    if (ttt_safetensors_parse(&file, data, size, "input") != TTT_OK) return 0;
    size_t total = 0;
    volatile unsigned char sink = 0;
    for (int64_t i = 0; i < ttt_safetensors_count(file); i++) {
        const ttt_tensor *tensor = ttt_safetensors_at(file, i);
        const unsigned char *bytes = tensor->data;
        for (size_t k = 0; k < tensor->bytes; k++) sink ^= bytes[k];
        total += tensor->bytes;
        if (ttt_safetensors_find(file, tensor->name) != tensor) abort();
    }
    (void)sink;
    if (total > size) abort();
    ttt_safetensors_close(file);
    return 0;
}
