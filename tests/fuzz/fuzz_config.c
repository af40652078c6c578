/* SPDX-License-Identifier: MIT
 *
 * config.json: whatever the bytes, reading ends, and what it accepts has passed every check and has a number of
 * parameters, and is read back as the same from what is written of it. The same bytes as a list of blocks: what is
 * taken is printed as a text that means the same.
 */
#include <stdlib.h>
#include <string.h>

#include "config/forms.h"

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

static void write_and_read(const ttt_config *config)
{
    ttt_config before = *config, after;
    ttt_buffer text = {0};
    if (ttt_config_print(config, NULL, "float32", &text) != TTT_OK) abort();
    if (ttt_config_parse(&after, text.data, text.size, "written") != TTT_OK) abort();
    ttt_buffer_deinit(&text);
    ttt_config_resolve(&before);
    ttt_config_resolve(&after);
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_form_key_name(ttt_form_of(config), &ttt_keys[i]) &&
            !ttt_keys[i].kind->equal(&ttt_keys[i], &before, &after))
            abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    ttt_config config;
    read_layers(data, size);
    if (ttt_config_parse(&config, (const char *)data, size, "input") != TTT_OK) return 0;
    if (ttt_config_check_keys(&config, "input") != TTT_OK) abort();
    if (ttt_config_check(&config, "input") != TTT_OK) return 0;
    if (ttt_config_parameters(&config) <= 0) abort();
    write_and_read(&config);
    return 0;
}
