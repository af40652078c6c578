/* SPDX-License-Identifier: MIT
 *
 * tiny and small are for a laptop; the sizes and rates of the others are the paper's.
 */
#include "config/standard.h"

#include <string.h>

#include "base/error.h"

static const ttt_standard standard[] = {
    {"tiny", 4, 256, 4, 688, 4096, 256, 2048, 3e-3},
    {"small", 8, 384, 6, 1024, 8192, 512, 8192, 2e-3},
    {"125m", 12, 768, 12, 2048, 32000, 2048, 524288, 3e-3},
    {"350m", 24, 1024, 16, 2736, 32000, 2048, 524288, 1.5e-3},
    {"760m", 24, 1536, 16, 4096, 32000, 2048, 524288, 1.25e-3},
    {"1b", 24, 2048, 32, 5504, 32000, 2048, 524288, 1e-3},
};
enum { STANDARDS = sizeof standard / sizeof *standard };

const char *ttt_config_standard_name(int64_t index)
{
    return index >= 0 && index < STANDARDS ? standard[index].name : NULL;
}

const ttt_standard *ttt_standard_find(const char *name)
{
    for (int i = 0; i < STANDARDS; i++)
        if (strcmp(standard[i].name, name) == 0) return &standard[i];
    return NULL;
}

const ttt_standard *ttt_standard_like(const ttt_config *config)
{
    for (int i = 0; i < STANDARDS; i++)
        if (standard[i].hidden == config->hidden_size && standard[i].layers == config->num_hidden_layers &&
            standard[i].heads == config->num_attention_heads && standard[i].intermediate == config->intermediate_size)
            return &standard[i];
    return NULL;
}

static ttt_status no_standard(const char *name)
{
    ttt_buffer names = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i < STANDARDS && status == TTT_OK; i++)
        status = ttt_buffer_print(&names, "%s%s", i == 0 ? "" : i + 1 < STANDARDS ? ", " : " and ", standard[i].name);
    if (status == TTT_OK)
        status = ttt_fail(TTT_ERR_ARGUMENT, "there is no standard configuration %s; there are %s", name, names.data);
    ttt_buffer_deinit(&names);
    return status;
}

ttt_status ttt_config_standard(ttt_config *config, const char *name)
{
    const ttt_standard *found = ttt_standard_find(name);
    if (!found) return no_standard(name);
    ttt_config_init(config);
    config->num_hidden_layers = found->layers;
    config->hidden_size = found->hidden;
    config->num_attention_heads = found->heads;
    config->intermediate_size = found->intermediate;
    config->vocab_size = found->vocabulary;
    config->max_position_embeddings = found->context;
    config->use_gate = config->share_qk = config->pre_conv = true;
    return TTT_OK;
}

double ttt_config_usual_rate(const ttt_config *config)
{
    static const struct {
        const char *part;
        double rate;
    } rates[] = {{"ttt_linear", 1}, {"ttt_mlp", 0.1}};
    double least = 1;
    for (int64_t i = 0; i < TTT_BLOCKS_MAX && ttt_config_block(config, i); i++)
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
            if (strstr(ttt_config_block(config, i), rates[r].part) && rates[r].rate < least) least = rates[r].rate;
    return least;
}
