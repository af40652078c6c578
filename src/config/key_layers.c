/* SPDX-License-Identifier: MIT
 *
 * The list of blocks as a kind of value.
 */
#include <inttypes.h>
#include <string.h>

#include "config/keys.h"
#include "config/standard.h"

static ttt_status not_blocks(const char *where)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: layers must be %s", where, ttt_key_layers.must_be);
}

static ttt_status layers_parse(const ttt_key *key, ttt_config *config, const char *text)
{
    ttt_layers layers = {0};
    (void)key;
    if (strcmp(text, "null") == 0) {
        config->layers = layers;
        return TTT_OK;
    }
    const ttt_status status = ttt_layers_parse(&layers, text, config->pre_conv);
    const double before = ttt_config_usual_rate(config);
    if (status == TTT_OK) ttt_config_take_layers(config, &layers);
    if (config->model_type == TTT_MODEL_MAMBA) config->rescale_prenorm_residual = true; /* as mamba_ssm trains */
    if (ttt_config_usual_rate(config) != before) config->ttt_base_lr = ttt_config_usual_rate(config);
    return status == TTT_ERR_FORMAT ? TTT_ERR_ARGUMENT : status;
}

static ttt_status layers_print(const ttt_key *key, const ttt_config *config, ttt_buffer *out)
{
    (void)key;
    return ttt_layers_print(config, out);
}

/* The list of a ttt folder may only repeat what ttt_layer_type says. */
static ttt_status layers_repeat(const ttt_config *config, const json_t *list, const char *where)
{
    const char *name = config->ttt_layer_type == TTT_LEARNER_MLP ? "ttt_mlp" : "ttt_linear";
    if ((int64_t)json_array_size(list) != config->num_hidden_layers)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %zu blocks and num_hidden_layers is %" PRId64, where,
                        json_array_size(list), config->num_hidden_layers);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) return not_blocks(where);
        if (strcmp(text, name) != 0 && strcmp(text, ttt_config_block(config, (int64_t)i)) != 0)
            return ttt_fail(TTT_ERR_UNSUPPORTED,
                            "%s: block %zu of layers is \"%.64s\", but ttt_layer_type says \"%s\"; of the model_types "
                            "only ttt_ext has a list of its own",
                            where, i, text, name);
    }
    return TTT_OK;
}

static ttt_status layers_from_json(const ttt_key *key, ttt_config *config, const json_t *value, const char *where)
{
    ttt_layers layers = {0};
    (void)key;
    if (json_is_null(value)) return TTT_OK;
    if (!json_is_array(value) || json_array_size(value) == 0) return not_blocks(where);
    if (config->model_type == TTT_MODEL_TTT) return layers_repeat(config, value, where);
    if (config->ttt_layer_type != TTT_LEARNER_LINEAR || config->pre_conv)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: layers says what the blocks are: ttt_layer_type and pre_conv beside it must be absent or "
                        "\"linear\" and false",
                        where);
    const int64_t count = config->num_hidden_layers;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *block = json_array_get(value, i);
        if (!json_is_string(block)) return not_blocks(where);
        TTT_TRY(ttt_layers_add(&layers, json_string_value(block), json_string_length(block), where));
    }
    if (layers.count != count)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %" PRId64 " blocks and num_hidden_layers is %" PRId64, where,
                        layers.count, count);
    ttt_config_take_layers(config, &layers);
    return TTT_OK;
}

static json_t *layers_to_json(const ttt_key *key, const ttt_config *config, json_t *old)
{
    (void)key;
    (void)old;
    if (config->layers.count == 0) return json_null();
    json_t *list = json_array();
    for (int64_t i = 0; i < config->layers.count && list; i++) {
        if (json_array_append_new(list, json_string(ttt_config_block(config, i))) == 0) continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static ttt_status layers_check(const ttt_key *key, const ttt_config *config, const char *where)
{
    const int64_t count = config->layers.count;
    (void)key;
    if (count == 0) return TTT_OK;
    if (config->ttt_layer_type != TTT_LEARNER_LINEAR || config->pre_conv)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: layers says what the blocks are: leave ttt_layer_type linear and pre_conv false", where);
    if (count == config->num_hidden_layers) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: layers has %" PRId64 " blocks and num_hidden_layers is %" PRId64, where, count,
                    config->num_hidden_layers);
}

static bool layers_equal(const ttt_key *key, const ttt_config *a, const ttt_config *b)
{
    (void)key;
    const bool lists = a->layers.count || b->layers.count;
    for (int64_t i = 0; i < (lists ? TTT_BLOCKS_MAX : 1); i++) {
        const char *block = ttt_config_block(a, i), *other = ttt_config_block(b, i);
        if (!block != !other || (block && strcmp(block, other) != 0)) return false;
    }
    return a->num_hidden_layers == b->num_hidden_layers;
}

const ttt_key_kind ttt_key_layers = {"a list of blocks, such as \"ttt_linear+ffn\"",
                                     layers_parse,
                                     layers_print,
                                     layers_from_json,
                                     layers_to_json,
                                     layers_check,
                                     layers_equal};
