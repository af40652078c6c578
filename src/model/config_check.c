/* SPDX-License-Identifier: MIT
 *
 * What of a configuration only the layers know: that every part of its blocks exists, and how many parameters it makes.
 * With it reading and writing a config.json are complete.
 */
#include <string.h>

#include "base/file.h"
#include "config/config.h"
#include "layer/stack.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

ttt_status ttt_config_check(const ttt_config *config, const char *where)
{
    TTT_TRY(ttt_config_check_keys(config, where));
    ttt_stack stack;
    const ttt_status status = ttt_stack_init(&stack, config);
    if (status == TTT_OK) ttt_stack_deinit(&stack, NULL);
    return status == TTT_OK || status == TTT_ERR_MEMORY ? status : ttt_fail_prefix(status, "%s", where);
}

int64_t ttt_config_parameters(const ttt_config *config)
{
    ttt_stack stack;
    if (ttt_stack_init(&stack, config) != TTT_OK) return -1;
    const int64_t elements = stack.params.elements;
    ttt_stack_deinit(&stack, NULL);
    return elements;
}

ttt_status ttt_config_load(ttt_config *config, const char *path)
{
    ttt_buffer text = {0};
    ttt_status status = ttt_file_read(&text, path, CONFIG_BYTES_MAX);
    if (status == TTT_OK) status = ttt_config_parse(config, text.data, text.size, path);
    if (status == TTT_OK) status = ttt_config_check(config, path);
    ttt_buffer_deinit(&text);
    return status;
}

ttt_status ttt_config_save(const ttt_config *config, const char *path, const char *base, const char *dtype)
{
    TTT_TRY(ttt_config_check(config, path));
    ttt_buffer out = {0};
    ttt_status status = ttt_config_print(config, base, dtype, &out);
    if (status == TTT_OK) status = ttt_file_write(path, out.data, out.size);
    ttt_buffer_deinit(&out);
    return status;
}
