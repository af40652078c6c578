/* SPDX-License-Identifier: MIT
 *
 * config.json: whatever the bytes, reading ends, and what it accepts has passed every check and has a number of
 * parameters. The same bytes as a list of blocks: what is taken is printed as a text that means the same.
 */
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void read_layers(const unsigned char *data, size_t size)
{
    ttt_config config, again;
    char *text = malloc(size + 1), *printed;
    if (!text) return;
    memcpy(text, data, size);
    text[size] = '\0';
    ttt_config_init(&config);
    ttt_config_init(&again);
    if (ttt_config_set(&config, "layers", text) == TTT_OK) {
        if (ttt_config_check_keys(&config, "list") != TTT_OK) abort();
        if (ttt_config_get(&config, "layers", &printed) != TTT_OK) abort();
        if (ttt_config_set(&again, "layers", printed) != TTT_OK) abort();
        if (!ttt_key_layers.equal(ttt_key_find("layers"), &config, &again)) abort();
        ttt_string_free(printed);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_config config;
    read_layers(data, size);
    if (ttt_config_parse(&config, (const char *)data, size, "input") != TTT_OK) return 0;
    if (ttt_config_check_keys(&config, "input") != TTT_OK) abort();
    if (ttt_config_check(&config, "input") == TTT_OK && ttt_config_parameters(&config) <= 0) abort();
    return 0;
}
