/* SPDX-License-Identifier: MIT
 *
 * What follows from a configuration: where every parameter lies, which fields of the blocks they are, the shapes of the
 * blocks, the table of rotations, the size of a state.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/threads.h"
#include "model/model.h"

ttt_status ttt_param_layout_init(ttt_param_layout *layout, const ttt_config *config)
{
    *layout = (ttt_param_layout){0};
    TTT_TRY(ttt_param_list(config, &layout->specs, &layout->count));
    layout->offsets = ttt_alloc((size_t)layout->count, sizeof *layout->offsets);
    if (!layout->offsets) {
        ttt_param_layout_deinit(layout);
        return TTT_ERR_MEMORY;
    }
    for (int64_t i = 0; i < layout->count; i++) {
        layout->offsets[i] = layout->size;
        layout->size += (ttt_param_elements(&layout->specs[i]) + 15) / 16 * 16;
    }
    return TTT_OK;
}

void ttt_param_layout_deinit(ttt_param_layout *layout)
{
    ttt_free(layout->specs);
    ttt_free(layout->offsets);
    *layout = (ttt_param_layout){0};
}

#define FIELD(member) offsetof(ttt_block_weights, member)

/* Which field of a block a parameter is, by the end of its name, and whether it is the matrix of a product with many
 * rows. */
static const struct {
    const char *suffix;
    size_t field;
    bool product;
} block_fields[] = {
    {"conv.norm.weight", FIELD(conv_norm), false},
    {"conv.conv.weight", FIELD(conv), false},
    {"conv.conv.bias", FIELD(conv_bias), false},
    {"seq_norm.weight", FIELD(seq_norm), false},
    {"ffn_norm.weight", FIELD(ffn_norm), false},
    {"mlp.gate_proj.weight", FIELD(gate), true},
    {"mlp.up_proj.weight", FIELD(up), true},
    {"mlp.down_proj.weight", FIELD(down), true},
    {"seq_modeling_block.q_proj.weight", FIELD(layer.q), true},
    {"seq_modeling_block.k_proj.weight", FIELD(layer.k), true},
    {"seq_modeling_block.v_proj.weight", FIELD(layer.v), true},
    {"seq_modeling_block.o_proj.weight", FIELD(layer.o), true},
    {"seq_modeling_block.g_proj.weight", FIELD(layer.gate), true},
    {"seq_modeling_block.conv_q.weight", FIELD(layer.conv_q), false},
    {"seq_modeling_block.conv_q.bias", FIELD(layer.conv_q_bias), false},
    {"seq_modeling_block.conv_k.weight", FIELD(layer.conv_k), false},
    {"seq_modeling_block.conv_k.bias", FIELD(layer.conv_k_bias), false},
    {"seq_modeling_block.learnable_ttt_lr_weight", FIELD(layer.rate), true},
    {"seq_modeling_block.learnable_ttt_lr_bias", FIELD(layer.rate_bias), false},
    {"seq_modeling_block.learnable_token_idx", FIELD(layer.token_idx), false},
    {"seq_modeling_block.post_norm.weight", FIELD(layer.post), false},
    {"seq_modeling_block.post_norm.bias", FIELD(layer.post_bias), false},
};

static ttt_param *block_field(const ttt_lm *lm, ttt_block_weights *block, const char *suffix, bool *product)
{
    for (size_t i = 0; i < sizeof block_fields / sizeof *block_fields; i++) {
        if (strcmp(suffix, block_fields[i].suffix) != 0) continue;
        *product = block_fields[i].product;
        return (ttt_param *)(void *)((char *)block + block_fields[i].field);
    }
    const ttt_learner *learner = lm->blocks[0].layer.learner;
    const size_t prefix = strlen("seq_modeling_block.");
    for (int i = 0; i < TTT_LEARNER_PARAMS && learner->params[i]; i++)
        if (strcmp(suffix + prefix, learner->params[i]) == 0) return &block->layer.learner[i];
    return NULL;
}

ttt_param *ttt_lm_param(const ttt_lm *lm, ttt_lm_weights *weights, const ttt_param_spec *spec, bool *product)
{
    *product = false;
    if (spec->layer >= 0) {
        const char *suffix = spec->name + strlen("model.layers.");
        return block_field(lm, &weights->blocks[spec->layer], strchr(suffix, '.') + 1, product);
    }
    if (strcmp(spec->name, "model.norm.weight") == 0) return &weights->norm;
    *product = true;
    return strcmp(spec->name, "lm_head.weight") == 0 ? &weights->head : &weights->embedding;
}

ttt_status ttt_lm_shapes(const ttt_lm *lm, ttt_lm_weights *weights)
{
    *weights = (ttt_lm_weights){.blocks = ttt_alloc((size_t)lm->config.num_hidden_layers, sizeof *weights->blocks)};
    if (!weights->blocks) return TTT_ERR_MEMORY;
    for (int64_t i = 0; i < lm->layout.count; i++) {
        const ttt_param_spec *spec = &lm->layout.specs[i];
        bool product;
        ttt_param *param = ttt_lm_param(lm, weights, spec, &product);
        param->columns = spec->shape[spec->rank - 1];
        param->rows = ttt_param_elements(spec) / param->columns;
    }
    return TTT_OK;
}

ttt_status ttt_lm_bind(const ttt_lm *lm, ttt_lm_weights *weights, void *values)
{
    TTT_TRY(ttt_lm_shapes(lm, weights));
    for (int64_t i = 0; i < lm->layout.count; i++) {
        bool product;
        ttt_lm_param(lm, weights, &lm->layout.specs[i], &product)->values = ttt_at(lm->backend, values,
                                                                                   lm->layout.offsets[i]);
    }
    if (lm->config.tie_word_embeddings) weights->head = weights->embedding;
    return TTT_OK;
}

/* ---- first values ---- */

typedef struct filling {
    const ttt_lm *lm;
    const ttt_param_spec *spec;
    void *values;
    ttt_rng rng;
} filling;

enum { FILL_CHUNK = 4096 };

/* A standard normal cut at two has this standard deviation. */
static const double cut_deviation = 0.87962566103423978;

/* Index `index` of a truncated normal: drawn again, from another stream, until it lies inside. */
static double truncated(ttt_rng rng, uint64_t index)
{
    double x;
    while (fabs(x = ttt_rng_normal(rng, index)) > 2) rng.stream += (uint64_t)1 << 48;
    return x / cut_deviation;
}

/* Values [first, first + count), first even. */
static void first_values(const filling *f, double *values, int64_t first, int64_t count)
{
    for (int64_t i = 0; i < count; i += 2) {
        double pair[2] = {0, 0};
        const uint64_t index = (uint64_t)(first + i);
        switch (f->spec->init) {
        case TTT_INIT_ZEROS: break;
        case TTT_INIT_ONES: pair[0] = pair[1] = 1; break;
        case TTT_INIT_NORMAL: ttt_rng_normal_pair(f->rng, index / 2, pair); break;
        case TTT_INIT_TRUNCATED:
            pair[0] = truncated(f->rng, index);
            pair[1] = truncated(f->rng, index + 1);
            break;
        }
        const double scale = f->spec->std > 0 ? f->spec->std : 1;
        values[i] = scale * pair[0];
        if (i + 1 < count) values[i + 1] = scale * pair[1];
    }
}

static void fill_chunk(void *context, int64_t item, int thread)
{
    (void)thread;
    const filling *f = context;
    double chunk[FILL_CHUNK];
    const int64_t first = item * FILL_CHUNK, total = ttt_param_elements(f->spec);
    const int64_t count = total - first < FILL_CHUNK ? total - first : FILL_CHUNK;
    first_values(f, chunk, first, count);
    f->lm->backend->ops->from(f->lm->backend, ttt_at(f->lm->backend, f->values, first), chunk, TTT_F64, count);
}

void ttt_lm_first_values(const ttt_lm *lm, int64_t index, void *values, uint64_t seed)
{
    const ttt_param_spec *spec = &lm->layout.specs[index];
    filling f = {.lm = lm,
                 .spec = spec,
                 .values = values,
                 .rng = {.seed = seed, .stream = TTT_RNG_INIT + ((uint64_t)index << 8)}};
    ttt_backend_parallel(lm->backend, (ttt_param_elements(spec) + FILL_CHUNK - 1) / FILL_CHUNK, fill_chunk, &f);
}

/* ---- shapes ---- */

/* MATH (rotate): the angle of position t mod K, pair i is (t mod K) theta^(-2i/D). */
static ttt_status make_rotation(ttt_lm *lm, int64_t D)
{
    const int64_t K = lm->config.mini_batch_size;
    double *table = ttt_alloc((size_t)(K * D), sizeof *table);
    lm->rotation = ttt_alloc((size_t)(K * D), lm->backend->real);
    if (!table || !lm->rotation) {
        ttt_free(table);
        return TTT_ERR_MEMORY;
    }
    for (int64_t t = 0; t < K; t++) {
        for (int64_t i = 0; i < D / 2; i++) {
            const double angle = (double)t * pow(lm->config.rope_theta, -2 * (double)i / (double)D);
            table[t * D + 2 * i] = cos(angle);
            table[t * D + 2 * i + 1] = sin(angle);
        }
    }
    lm->backend->ops->from(lm->backend, lm->rotation, table, TTT_F64, K * D);
    ttt_free(table);
    return TTT_OK;
}

static ttt_status make_shapes(ttt_lm *lm, int64_t group)
{
    const ttt_config *c = &lm->config;
    const int64_t D = c->hidden_size / c->num_attention_heads;
    if (D > 1024)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "heads of size %lld are not supported: use more heads, at most 1024 columns each",
                        (long long)D);
    lm->blocks = ttt_alloc((size_t)c->num_hidden_layers, sizeof *lm->blocks);
    if (!lm->blocks) return TTT_ERR_MEMORY;
    TTT_TRY(make_rotation(lm, D));
    for (int64_t i = 0; i < c->num_hidden_layers; i++) {
        ttt_block_shape *block = &lm->blocks[i];
        *block = (ttt_block_shape){.width = c->hidden_size,
                                   .hidden = c->intermediate_size,
                                   .taps = c->conv_kernel,
                                   .pre_conv = c->pre_conv,
                                   .eps = c->rms_norm_eps};
        block->layer = (ttt_layer_shape){.width = c->hidden_size,
                                         .taps = c->conv_kernel,
                                         .share_qk = c->share_qk,
                                         .use_gate = c->use_gate,
                                         .base_lr = c->ttt_base_lr,
                                         .dims = {.heads = c->num_attention_heads,
                                                  .key_size = D,
                                                  .value_size = D,
                                                  .mini_batch = c->mini_batch_size,
                                                  .group = group},
                                         .learner = ttt_learner_get(c->ttt_layer_type),
                                         .rotation = lm->rotation,
                                         .state_offset = lm->state_size};
        block->conv_offset = lm->state_size + ttt_layer_state_size(&block->layer, lm->backend);
        lm->state_size += (ttt_block_state_size(block, lm->backend) + 15) / 16 * 16;
    }
    const ttt_learner_dims *dims = &lm->blocks[0].layer.dims;
    const ttt_learner_ops *ops = lm->blocks[0].layer.learner->ops(lm->backend);
    TTT_TRY(ops->supports(ops, dims));
    TTT_TRY(ttt_backend_reserve(lm->backend, ops->scratch_bytes(ops, dims)));
    return ttt_backend_reserve(lm->backend, TTT_NORM_SCRATCH * (size_t)c->hidden_size * lm->backend->real);
}

ttt_status ttt_lm_init(ttt_lm *lm, const ttt_config *config, const char *backend, int threads, int64_t group)
{
    *lm = (ttt_lm){.config = *config};
    ttt_status status = ttt_config_check(config, "the configuration");
    if (status == TTT_OK) status = ttt_backend_new(&lm->backend, backend, threads);
    if (status == TTT_OK) status = ttt_param_layout_init(&lm->layout, config);
    if (status == TTT_OK) status = make_shapes(lm, group);
    if (status != TTT_OK) ttt_lm_deinit(lm);
    return status;
}

void ttt_lm_deinit(ttt_lm *lm)
{
    ttt_param_layout_deinit(&lm->layout);
    ttt_free(lm->blocks);
    ttt_free(lm->rotation);
    ttt_backend_free(lm->backend);
    *lm = (ttt_lm){0};
}
