/* SPDX-License-Identifier: MIT
 *
 * config.json: whatever the bytes, reading ends, and what it accepts has passed every check and has a number of
 * parameters.
 */
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_config config;
    if (ttt_config_parse(&config, (const char *)data, size, "input") != TTT_OK) return 0;
    if (ttt_config_check_keys(&config, "input") != TTT_OK) abort();
    if (ttt_config_check(&config, "input") == TTT_OK && ttt_config_parameters(&config) <= 0) abort();
    return 0;
}
