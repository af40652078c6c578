/* SPDX-License-Identifier: MIT
 *
 * Counts what inference and training ask for.
 */
#include <string.h>
#include <ttt/bench.h>

#include "backend/learner_ops.h"
#include "model/model.h"

static double learners(const ttt_config *c, int64_t tokens, bool backward)
{
    const ttt_learner_dims dims = {.heads = c->num_attention_heads,
                                   .key_size = c->hidden_size / c->num_attention_heads,
                                   .value_size = c->hidden_size / c->num_attention_heads,
                                   .mini_batch = c->mini_batch_size};
    return (double)(tokens * c->num_hidden_layers) *
           ttt_maps_work(c->ttt_layer_type == TTT_LEARNER_MLP ? &ttt_mlp_maps : &ttt_linear_maps, &dims, backward)
               .flops;
}

/* Parameters of the products in all blocks: attention's five or fewer, and the network's three. */
static double block_parameters(const ttt_config *c)
{
    const double C = (double)c->hidden_size, F = (double)c->intermediate_size, H = (double)c->num_attention_heads;
    const double square = 3 + (c->share_qk ? 0 : 1) + (c->use_gate ? 1 : 0); /* q, v, o; k; gate */
    return (double)c->num_hidden_layers * (square * C * C + H * C + 3 * C * F);
}

static double head_parameters(const ttt_config *c) { return (double)c->vocab_size * (double)c->hidden_size; }

/* Of the weights as they are kept; the rows of an untied embedding that a call reads are too few to count. */
static double weight_bytes(const ttt_model *model)
{
    const ttt_lm *lm = &model->lm;
    double bytes = 0;
    for (int64_t i = 0; i < lm->layout.count; i++) {
        bool product;
        ttt_lm_weights weights = model->weights;
        const ttt_param *param = ttt_lm_param(lm, &weights, &lm->layout.specs[i], &product);
        const bool table = strcmp(lm->layout.specs[i].name, "model.embed_tokens.weight") == 0;
        if (product)
            bytes += (double)lm->backend->ops->packed_size(param->precision, param->rows, param->columns);
        else if (!table)
            bytes += (double)(param->rows * param->columns) * (double)lm->backend->real;
    }
    return bytes;
}

void ttt_work_inference(ttt_work *work, const ttt_model *model, int64_t tokens)
{
    const ttt_config *c = &model->lm.config;
    *work = (ttt_work){.products = 2 * ((double)tokens * block_parameters(c) + head_parameters(c)),
                       .others = learners(c, tokens, false),
                       .bytes = weight_bytes(model) + (double)model->lm.state_size * (double)model->lm.backend->real};
}

void ttt_work_training(ttt_work *work, const ttt_config *config, int64_t context, int64_t sequences)
{
    /* parameters: read forward, read backward; gradients: written; AdamW: reads all four blocks and writes three */
    enum { PASSES = 10 };
    const int64_t tokens = context * sequences;
    *work = (ttt_work){.products = 6 * (double)tokens * (block_parameters(config) + head_parameters(config)),
                       .others = learners(config, tokens, false) + learners(config, tokens, true),
                       .bytes = PASSES * (double)sizeof(float) * (double)ttt_config_parameters(config)};
}

/* Operations per second at most of products in a precision. */
static double product_rate(const ttt_limits *limits, const char *precision)
{
    const bool bytes = precision && (strcmp(precision, "q8") == 0 || strcmp(precision, "q4") == 0);
    if (bytes) return limits->bytes;
    return precision && strcmp(precision, "bf16") == 0 && limits->amx > 0 ? limits->amx : limits->fma;
}

double ttt_work_seconds(const ttt_work *work, const ttt_limits *limits, const char *precision, bool *memory_bound)
{
    const double computing = work->products / product_rate(limits, precision) + work->others / limits->fma;
    const double reading = work->bytes / limits->read;
    if (memory_bound) *memory_bound = reading > computing;
    return reading > computing ? reading : computing;
}
