/* SPDX-License-Identifier: MIT
 *
 * Configurations as values: defaults, keys from text and back, and what must fit together.
 */
#include "config/config.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "config/keys.h"

void ttt_config_init(ttt_config *config)
{
    *config = (ttt_config){
        .vocab_size = 32000,
        .hidden_size = 2048,
        .intermediate_size = 5504,
        .num_hidden_layers = 24,
        .num_attention_heads = 32,
        .mini_batch_size = 16,
        .conv_kernel = 4,
        .max_position_embeddings = 2048,
        .bos_token_id = 1,
        .eos_token_id = 2,
        .pad_token_id = -1,
        .rms_norm_eps = 1e-6,
        .rope_theta = 10000,
        .initializer_range = 0.02,
        .ttt_base_lr = 1,
        .ttt_layer_type = TTT_LEARNER_LINEAR,
        .tie_word_embeddings = true,
        .model_type = TTT_MODEL_TTT,
    };
}

static ttt_status no_key(const char *name)
{
    ttt_buffer names = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i < TTT_KEY_COUNT && status == TTT_OK; i++)
        status = ttt_buffer_print(&names, "%s%s", i ? ", " : "", ttt_keys[i].name);
    if (status == TTT_OK) status = ttt_fail(TTT_ERR_ARGUMENT, "there is no key %s; the keys are %s", name, names.data);
    ttt_buffer_deinit(&names);
    return status;
}

ttt_status ttt_config_set(ttt_config *config, const char *name, const char *value)
{
    const ttt_key *key = ttt_key_find(name);
    if (key) return key->kind->parse(key, config, value);
    for (int i = 0; i < TTT_FIXED_COUNT; i++) {
        if (strcmp(ttt_fixed_keys[i].name, name) != 0) continue;
        if (strcmp(ttt_fixed_keys[i].value, value) == 0) return TTT_OK;
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s=%s: this version supports only %s", name, value,
                        ttt_fixed_keys[i].value);
    }
    return no_key(name);
}

ttt_status ttt_config_check_keys(const ttt_config *config, const char *where)
{
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_keys[i].kind->check) TTT_TRY(ttt_keys[i].kind->check(&ttt_keys[i], config, where));
    const int64_t width = config->hidden_size, heads = config->num_attention_heads;
    if (width % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: num_attention_heads %" PRId64 " does not divide hidden_size %" PRId64,
                        where, heads, width);
    if (width / heads % 2 != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: hidden_size %" PRId64 " over num_attention_heads %" PRId64
                        " gives heads of odd size %" PRId64 ", and rotary embedding turns pairs",
                        where, width, heads, width / heads);
    return TTT_OK;
}
