/* SPDX-License-Identifier: MIT
 *
 * What of a configuration only the layers know: that every part of its blocks exists, and how many parameters it makes.
 * With it reading and writing a config.json are complete.
 */
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/kind.h"
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

/* A folder without a config.json: what it is in its place. */
static ttt_status no_model(const char *folder)
{
    struct stat begun;
    char other[512], *data = ttt_path_join(folder, "checkpoint/data/data.json");
    const bool training = data && stat(data, &begun) == 0;
    ttt_free(data);
    if (training)
        return ttt_fail(TTT_ERR_IO,
                        "%s is a training run that has no checkpoint yet, %.0f minutes in: the first comes after one "
                        "minute, or with --save-every",
                        folder, difftime(time(NULL), begun.st_mtime) / 60);
    return ttt_fail(TTT_ERR_IO,
                    "%s is no model folder, which holds config.json, model.safetensors and tokenizer.json: there is no "
                    "config.json%s",
                    folder, ttt_kind_of_folder(other, sizeof other, folder, false));
}

static ttt_status load_folder(ttt_config *config, const char *folder)
{
    char *path = ttt_path_join(folder, "config.json");
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_file_exists(path) ? ttt_config_load(config, path) : no_model(folder);
    ttt_free(path);
    return status;
}

ttt_status ttt_config_load(ttt_config *config, const char *path)
{
    if (ttt_is_folder(path)) return load_folder(config, path);
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
