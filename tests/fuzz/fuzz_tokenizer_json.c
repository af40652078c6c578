/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a tokenizer.json.
 */
#include "tokenize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return fuzz_tokenize(data, size); }
