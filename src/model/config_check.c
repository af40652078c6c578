/* SPDX-License-Identifier: MIT
 *
 * What of a configuration only the model layer knows: that every part of its blocks exists, and how many parameters it
 * makes. With it reading and writing a config.json are complete.
 */
#include <string.h>

#include "base/file.h"
#include "config/config.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

static ttt_status check_parts(const ttt_config *config, int64_t block, const char *where)
{
    static const char *const known[] = {"conv", "ffn", "ttt_linear", "ttt_mlp"};
    for (const char *part = ttt_config_block(config, block), *end; *part; part = *end ? end + 1 : end) {
        end = part + strcspn(part, "+");
        size_t i = 0;
        const size_t length = (size_t)(end - part), count = sizeof known / sizeof *known;
        while (i < count && !(strlen(known[i]) == length && memcmp(known[i], part, length) == 0)) i++;
        if (i == count)
            return ttt_fail(TTT_ERR_UNSUPPORTED,
                            "%s: block %lld of layers has the part \"%.*s\", which does not exist; there are conv, "
                            "ffn, ttt_linear and ttt_mlp",
                            where, (long long)block, (int)length, part);
    }
    return TTT_OK;
}

ttt_status ttt_config_check(const ttt_config *config, const char *where)
{
    TTT_TRY(ttt_config_check_keys(config, where));
    for (int64_t i = 0; i < config->num_hidden_layers; i++) TTT_TRY(check_parts(config, i, where));
    if (config->layers.count)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: blocks of several kinds in one model are not supported yet", where);
    if (ttt_config_parameters(config) > INT64_C(1) << 42)
        return ttt_fail(TTT_ERR_FORMAT, "%s: these sizes make more than 4 x 10^12 parameters", where);
    return TTT_OK;
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
