/* SPDX-License-Identifier: MIT
 *
 * A configuration from tensors; see infer_config.h. Only what is looked at here is checked: the result still has to
 * pass ttt_config_check, and every tensor ttt_param_match.
 */
#include "store/infer_config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/standard.h"
#include "store/param_match.h"

typedef struct source {
    const ttt_tensor *tensors;
    int64_t count;
    const char *where;
} source;

static int compare_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const ttt_tensor *)tensor)->name);
}

static const ttt_tensor *find(const source *in, const char *name)
{
    return in->count ? bsearch(name, in->tensors, (size_t)in->count, sizeof *in->tensors, compare_name) : NULL;
}

/* One dimension of a tensor that every model has. */
static ttt_status dimension(int64_t *size, const source *in, const char *name, int rank, int axis)
{
    const ttt_tensor *tensor = find(in, name);
    char hint[TTT_NAME_HINT];
    if (!tensor)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s is missing, so this is no TTT model that can be converted%s",
                        in->where, name, ttt_name_hint(hint, in->tensors, in->count, name));
    char shape[TTT_SHAPE_TEXT];
    if (tensor->rank != rank)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has shape %s, but %d dimensions are expected", in->where, name,
                        ttt_shape_print(shape, tensor->shape, tensor->rank), rank);
    *size = tensor->shape[axis];
    return TTT_OK;
}

enum { NAME = 128 };

/* "model.layers.{block}.{rest}" */
static const char *block_name(char name[NAME], int64_t block, const char *rest)
{
    snprintf(name, NAME, "model.layers.%" PRId64 ".%s", block, rest);
    return name;
}

static bool has(const source *in, int64_t block, const char *rest)
{
    char name[NAME];
    return find(in, block_name(name, block, rest)) != NULL;
}

static ttt_status block_dimension(int64_t *size, const source *in, int64_t block, const char *rest, int rank, int axis)
{
    char name[NAME];
    return dimension(size, in, block_name(name, block, rest), rank, axis);
}

#define CONV  "conv.conv.weight"
#define FFN   "mlp.gate_proj.weight"
#define TTT   "seq_modeling_block.W1"
#define SHARE "seq_modeling_block.conv_q.weight"

/* The first block that has a tensor, or the first of all. */
static int64_t first_with(const source *in, int64_t blocks, const char *rest)
{
    for (int64_t i = 0; i < blocks; i++)
        if (has(in, i, rest)) return i;
    return 0;
}

static ttt_status infer_convolutions(ttt_config *config, const source *in, int64_t blocks)
{
    const int64_t share = first_with(in, blocks, SHARE), conv = first_with(in, blocks, CONV);
    config->share_qk = has(in, share, SHARE);
    if (config->share_qk) return block_dimension(&config->conv_kernel, in, share, SHARE, 3, 2);
    if (has(in, conv, CONV)) return block_dimension(&config->conv_kernel, in, conv, CONV, 3, 2);
    return TTT_OK;
}

/* What each block is made of. Names do not tell the order of parts: it is taken for the usual one. */
static ttt_status infer_layers(ttt_config *config, const source *in, int64_t blocks)
{
    ttt_layers layers = {0};
    for (int64_t i = 0; i < blocks; i++) {
        const char *ttt = has(in, i, "seq_modeling_block.W2") ? "+ttt_mlp" : has(in, i, TTT) ? "+ttt_linear" : "";
        char text[TTT_BLOCK_TEXT];
        snprintf(text, sizeof text, "%s%s%s", has(in, i, CONV) ? "+conv" : "", ttt, has(in, i, FFN) ? "+ffn" : "");
        if (!*text)
            return ttt_fail(TTT_ERR_FORMAT,
                            "%s: the tensors of model.layers.%" PRId64 " are those of no block that is "
                            "known",
                            in->where, i);
        TTT_TRY(ttt_layers_add(&layers, text + 1, strlen(text + 1), in->where));
    }
    ttt_config_take_layers(config, &layers);
    return TTT_OK;
}

static bool is_tied(const source *in)
{
    const ttt_tensor *head = find(in, "lm_head.weight"), *embedding = find(in, "model.embed_tokens.weight");
    return !head || (embedding && head->dtype == embedding->dtype && head->bytes == embedding->bytes &&
                     (head->bytes == 0 || memcmp(head->data, embedding->data, head->bytes) == 0));
}

/* The names of block i's tensors come one after another, so one past the last index is the number of blocks. */
static ttt_status count_blocks(int64_t *blocks, const source *in)
{
    *blocks = 0;
    for (int64_t i = 0; i < in->count; i++) {
        int64_t block;
        if (sscanf(in->tensors[i].name, "model.layers.%9" SCNd64 ".", &block) == 1 && block >= *blocks)
            *blocks = block + 1;
    }
    if (*blocks > 0 && *blocks <= TTT_BLOCKS_MAX) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: %" PRId64 " blocks (model.layers.N), but a model has 1 to %d", in->where,
                    *blocks, TTT_BLOCKS_MAX);
}

ttt_status ttt_config_infer(ttt_config *config, const ttt_tensor *tensors, int64_t count, const char *where)
{
    const source in = {tensors, count, where};
    int64_t blocks;
    TTT_TRY(dimension(&config->vocab_size, &in, "model.embed_tokens.weight", 2, 0));
    TTT_TRY(dimension(&config->hidden_size, &in, "model.norm.weight", 1, 0)); /* q4 stores half the columns */
    TTT_TRY(count_blocks(&blocks, &in));
    const int64_t ffn = first_with(&in, blocks, FFN), ttt = first_with(&in, blocks, TTT);
    TTT_TRY(block_dimension(&config->intermediate_size, &in, ffn, FFN, 2, 0));
    TTT_TRY(block_dimension(&config->num_attention_heads, &in, ttt, "seq_modeling_block.ttt_norm_weight", 2, 0));
    TTT_TRY(block_dimension(&config->mini_batch_size, &in, ttt, "seq_modeling_block.learnable_token_idx", 1, 0));
    TTT_TRY(infer_convolutions(config, &in, blocks));
    if (config->layers.count == 0) TTT_TRY(infer_layers(config, &in, blocks));
    config->use_gate = has(&in, ttt, "seq_modeling_block.g_proj.weight");
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
