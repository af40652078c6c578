/* SPDX-License-Identifier: MIT
 *
 * A configuration from tensors; see infer_config.h. Only what is looked at here is checked: the result still has to
 * pass ttt_config_check, and every tensor ttt_param_match.
 */
#include "store/infer_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/standard.h"

typedef struct source {
    const ttt_tensor *tensors;
    int64_t count;
    const char *where;
} source;

static const ttt_tensor *find(const source *in, const char *name)
{
    for (int64_t i = 0; i < in->count; i++)
        if (strcmp(in->tensors[i].name, name) == 0) return &in->tensors[i];
    return NULL;
}

/* One dimension of a tensor that every model has. */
static ttt_status dimension(int64_t *size, const source *in, const char *name, int rank, int axis)
{
    const ttt_tensor *tensor = find(in, name);
    if (!tensor)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s is missing, so this is no TTT model that can be converted",
                        in->where, name);
    char shape[TTT_SHAPE_TEXT];
    if (tensor->rank != rank)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has shape %s, but %d dimensions are expected", in->where, name,
                        ttt_shape_print(shape, tensor->shape, tensor->rank), rank);
    *size = tensor->shape[axis];
    return TTT_OK;
}

#define FIRST "model.layers.0."
#define SEQ   FIRST "seq_modeling_block."

static ttt_status infer_convolutions(ttt_config *config, const source *in)
{
    config->share_qk = find(in, SEQ "conv_q.weight") != NULL;
    config->pre_conv = find(in, FIRST "conv.conv.weight") != NULL;
    if (config->share_qk) return dimension(&config->conv_kernel, in, SEQ "conv_q.weight", 3, 2);
    if (config->pre_conv) return dimension(&config->conv_kernel, in, FIRST "conv.conv.weight", 3, 2);
    return TTT_OK;
}

static bool is_tied(const source *in)
{
    const ttt_tensor *head = find(in, "lm_head.weight"), *embedding = find(in, "model.embed_tokens.weight");
    return !head || (embedding && head->dtype == embedding->dtype && head->bytes == embedding->bytes &&
                     (head->bytes == 0 || memcmp(head->data, embedding->data, head->bytes) == 0));
}

/* The names of layer i's tensors come one after another, so one past the last index is the number of layers. */
static int64_t count_layers(const source *in)
{
    int64_t layers = 0;
    for (int64_t i = 0; i < in->count; i++) {
        int64_t layer;
        if (sscanf(in->tensors[i].name, "model.layers.%9" SCNd64 ".", &layer) == 1 && layer >= layers)
            layers = layer + 1;
    }
    return layers;
}

ttt_status ttt_config_infer(ttt_config *config, const ttt_tensor *tensors, int64_t count, const char *where)
{
    const source in = {tensors, count, where};
    TTT_TRY(dimension(&config->vocab_size, &in, "model.embed_tokens.weight", 2, 0));
    TTT_TRY(dimension(&config->hidden_size, &in, "model.norm.weight", 1, 0)); /* q4 stores half the columns */
    TTT_TRY(dimension(&config->intermediate_size, &in, FIRST "mlp.gate_proj.weight", 2, 0));
    TTT_TRY(dimension(&config->num_attention_heads, &in, SEQ "ttt_norm_weight", 2, 0));
    TTT_TRY(dimension(&config->mini_batch_size, &in, SEQ "learnable_token_idx", 1, 0));
    TTT_TRY(infer_convolutions(config, &in));
    config->num_hidden_layers = count_layers(&in);
    config->ttt_layer_type = find(&in, SEQ "W2") ? TTT_LEARNER_MLP : TTT_LEARNER_LINEAR;
    config->use_gate = find(&in, SEQ "g_proj.weight") != NULL;
    config->tie_word_embeddings = is_tied(&in);
    return TTT_OK;
}

ttt_status ttt_config_complete(ttt_config *config)
{
    const ttt_standard *like = ttt_standard_like(config);
    ttt_config from;
    ttt_config_init(&from);
    if (like) TTT_TRY(ttt_config_standard(&from, like->name));
    config->max_position_embeddings = from.max_position_embeddings;
    config->bos_token_id = from.bos_token_id < config->vocab_size ? from.bos_token_id : -1;
    config->eos_token_id = from.eos_token_id < config->vocab_size ? from.eos_token_id : -1;
    config->pad_token_id = from.pad_token_id;
    config->rms_norm_eps = from.rms_norm_eps;
    config->rope_theta = from.rope_theta;
    config->initializer_range = from.initializer_range;
    config->ttt_base_lr = ttt_config_usual_rate(config);
    return TTT_OK;
}
