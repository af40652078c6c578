/* SPDX-License-Identifier: MIT
 *
 * The TTT layer by itself. It is the layer of a language model of one block; the rest of that model is never computed.
 */
#include <string.h>
#include <ttt/bare_layer.h>

#include "base/alloc.h"
#include "model/model.h"

struct ttt_bare_layer {
    ttt_lm lm;
    char *values, *grads; /* flat blocks */
    ttt_lm_weights weights, gradients;
    ttt_lm_weights packed; /* the weights as advance wants them: products packed, the rest as they are */
    char *packed_memory;
    bool packed_is_stale;
    int64_t first, count; /* the layer's parameters in lm.layout */

    /* Memory of the last forward. */
    char *memory;
    size_t capacity;
    void *x, *y, *dx; /* [R,C] */
    ttt_layer_saved saved;
    ttt_layer_scratch scratch;
    ttt_run *runs; /* [B] */
    int64_t run_capacity;
    ttt_pass pass;
};

struct ttt_bare_state {
    const ttt_bare_layer *layer;
    int64_t count, position;
    bool gradient;
    char *blocks; /* [count, state_size] */
};

static const char prefix[] = "model.layers.0.seq_modeling_block.";
static const ttt_layer_shape *shape_of(const ttt_bare_layer *layer) { return &layer->lm.blocks[0].layer; }

void ttt_bare_layer_options_init(ttt_bare_layer_options *options)
{
    *options = (ttt_bare_layer_options){.mini_batch = 16,
                                        .conv_kernel = 4,
                                        .layer = "ttt_linear",
                                        .share_qk = true,
                                        .use_gate = true,
                                        .base_lr = 1,
                                        .rope_theta = 10000,
                                        .group = 8};
}

/* Measures with memory NULL, else packs: the present weights as inference's products want them. */
static size_t pack(ttt_bare_layer *layer, char *memory)
{
    const ttt_backend *b = layer->lm.backend;
    ttt_arena arena = {.base = memory};
    for (int64_t i = layer->first; i < layer->first + layer->count; i++) {
        bool product;
        ttt_param *param = ttt_lm_param(&layer->lm, &layer->packed, &layer->lm.layout.specs[i], &product);
        void *values = ttt_at(b, layer->values, layer->lm.layout.offsets[i]);
        if (!product) continue;
        param->packed = ttt_arena_push(&arena,
                                       (int64_t)b->ops->packed_size(TTT_PRECISION_F32, param->rows, param->columns), 1);
        param->values = NULL;
        const ttt_matrix matrix = {.dtype = b->dtype, .values = values, .rows = param->rows, .columns = param->columns};
        if (memory) b->ops->pack(b, param->packed, TTT_PRECISION_F32, &matrix, NULL);
    }
    return arena.used;
}

static ttt_status init_packed(ttt_bare_layer *layer)
{
    TTT_TRY(ttt_lm_bind(&layer->lm, &layer->packed, layer->values));
    layer->packed_memory = ttt_alloc(pack(layer, NULL), 1);
    layer->packed_is_stale = true;
    return layer->packed_memory ? TTT_OK : TTT_ERR_MEMORY;
}

static ttt_status init(ttt_bare_layer *layer, const ttt_bare_layer_options *o, uint64_t seed)
{
    ttt_config config;
    ttt_config_init(&config);
    config.vocab_size = config.intermediate_size = config.num_hidden_layers = 1;
    config.bos_token_id = config.eos_token_id = -1;
    config.hidden_size = o->width;
    config.num_attention_heads = o->heads;
    config.mini_batch_size = o->mini_batch;
    config.conv_kernel = o->conv_kernel;
    const bool mlp = o->layer && strcmp(o->layer, "ttt_mlp") == 0;
    if (!mlp && (!o->layer || strcmp(o->layer, "ttt_linear") != 0))
        return ttt_fail(TTT_ERR_ARGUMENT, "there is no layer \"%s\"; there are ttt_linear and ttt_mlp",
                        o->layer ? o->layer : "");
    config.ttt_layer_type = mlp ? TTT_LEARNER_MLP : TTT_LEARNER_LINEAR;
    config.share_qk = o->share_qk;
    config.use_gate = o->use_gate;
    config.ttt_base_lr = o->base_lr;
    config.rope_theta = o->rope_theta;
    if (o->group < 1) return ttt_fail(TTT_ERR_ARGUMENT, "group %lld: give at least 1", (long long)o->group);
    TTT_TRY(ttt_lm_init(&layer->lm, &config, o->backend ? o->backend : "auto", o->threads, o->group));
    layer->values = ttt_alloc((size_t)layer->lm.layout.size, layer->lm.backend->real);
    layer->grads = ttt_alloc((size_t)layer->lm.layout.size, layer->lm.backend->real);
    if (!layer->values || !layer->grads) return TTT_ERR_MEMORY;
    TTT_TRY(ttt_lm_bind(&layer->lm, &layer->weights, layer->values));
    TTT_TRY(ttt_lm_bind(&layer->lm, &layer->gradients, layer->grads));
    const ttt_param_layout *layout = &layer->lm.layout;
    for (int64_t i = 0; i < layout->count; i++) {
        ttt_lm_first_values(&layer->lm, i, ttt_at(layer->lm.backend, layer->values, layout->offsets[i]), seed);
        if (strncmp(layout->specs[i].name, prefix, sizeof prefix - 1) != 0) continue;
        if (layer->count++ == 0) layer->first = i;
    }
    return init_packed(layer);
}

ttt_status ttt_bare_layer_new(ttt_bare_layer **out, const ttt_bare_layer_options *options, uint64_t seed)
{
    *out = NULL;
    ttt_bare_layer *layer = ttt_alloc(1, sizeof *layer);
    if (!layer) return TTT_ERR_MEMORY;
    const ttt_status status = init(layer, options, seed);
    if (status != TTT_OK) {
        ttt_bare_layer_free(layer);
        return status;
    }
    *out = layer;
    return TTT_OK;
}

void ttt_bare_layer_free(ttt_bare_layer *layer)
{
    if (!layer) return;
    ttt_free(layer->memory);
    ttt_free(layer->runs);
    ttt_free(layer->weights.blocks);
    ttt_free(layer->gradients.blocks);
    ttt_free(layer->packed.blocks);
    ttt_free(layer->packed_memory);
    ttt_free(layer->values);
    ttt_free(layer->grads);
    ttt_lm_deinit(&layer->lm);
    ttt_free(layer);
}

/* ---- parameters ---- */

static void *param_at(const ttt_bare_layer *layer, const char *block, int64_t index)
{
    return ttt_at(layer->lm.backend, block, layer->lm.layout.offsets[layer->first + index]);
}

int64_t ttt_bare_layer_param_count(const ttt_bare_layer *layer) { return layer->count; }

const char *ttt_bare_layer_param_name(const ttt_bare_layer *layer, int64_t index, int64_t *elements)
{
    const ttt_param_spec *spec = &layer->lm.layout.specs[layer->first + index];
    *elements = ttt_param_elements(spec);
    return spec->name + sizeof prefix - 1;
}

void ttt_bare_layer_get(const ttt_bare_layer *layer, int64_t index, float *values)
{
    int64_t n;
    (void)ttt_bare_layer_param_name(layer, index, &n);
    layer->lm.backend->ops->to(layer->lm.backend, values, TTT_F32, param_at(layer, layer->values, index), n);
}

void ttt_bare_layer_set(ttt_bare_layer *layer, int64_t index, const float *values)
{
    int64_t n;
    (void)ttt_bare_layer_param_name(layer, index, &n);
    layer->lm.backend->ops->from(layer->lm.backend, param_at(layer, layer->values, index), values, TTT_F32, n);
    layer->packed_is_stale = true;
}

void ttt_bare_layer_get_gradient(const ttt_bare_layer *layer, int64_t index, float *values)
{
    int64_t n;
    (void)ttt_bare_layer_param_name(layer, index, &n);
    layer->lm.backend->ops->to(layer->lm.backend, values, TTT_F32, param_at(layer, layer->grads, index), n);
}

void ttt_bare_layer_zero_gradients(ttt_bare_layer *layer)
{
    layer->lm.backend->ops->zero(layer->lm.backend, layer->grads, layer->lm.layout.size);
}

/* ---- states ---- */

static void *state_block(const ttt_bare_state *state, int64_t n)
{
    return ttt_at(state->layer->lm.backend, state->blocks, n * state->layer->lm.state_size);
}

static ttt_status state_new(ttt_bare_state **out, const ttt_bare_layer *layer, int64_t count, bool gradient)
{
    *out = NULL;
    if (count < 1) return ttt_fail(TTT_ERR_ARGUMENT, "states of %lld sequences: give at least 1", (long long)count);
    ttt_bare_state *state = ttt_alloc(1, sizeof *state);
    if (!state) return TTT_ERR_MEMORY;
    *state = (ttt_bare_state){.layer = layer, .count = count, .gradient = gradient};
    state->blocks = ttt_alloc((size_t)count * (size_t)layer->lm.state_size, layer->lm.backend->real);
    if (!state->blocks) {
        ttt_bare_state_free(state);
        return TTT_ERR_MEMORY;
    }
    ttt_bare_state_reset(state);
    *out = state;
    return TTT_OK;
}

ttt_status ttt_bare_state_new(ttt_bare_state **state, const ttt_bare_layer *layer, int64_t count)
{
    return state_new(state, layer, count, false);
}

ttt_status ttt_bare_state_new_gradient(ttt_bare_state **state, const ttt_bare_layer *layer, int64_t count)
{
    return state_new(state, layer, count, true);
}

void ttt_bare_state_free(ttt_bare_state *state)
{
    if (!state) return;
    ttt_free(state->blocks);
    ttt_free(state);
}

void ttt_bare_state_reset(ttt_bare_state *state)
{
    const ttt_lm *lm = &state->layer->lm;
    state->position = 0;
    lm->backend->ops->zero(lm->backend, state->blocks, state->count * lm->state_size);
    for (int64_t n = 0; n < state->count && !state->gradient; n++) {
        const ttt_run run = {.state = state_block(state, n)};
        const ttt_pass pass = {.backend = lm->backend, .runs = &run, .run_count = 1};
        ttt_layer_reset(&pass, shape_of(state->layer), &state->layer->weights.blocks[0].layer);
    }
}

void ttt_bare_state_copy(ttt_bare_state *state, const ttt_bare_state *other)
{
    const ttt_lm *lm = &state->layer->lm;
    const int64_t count = state->count < other->count ? state->count : other->count;
    if (state == other) return;
    lm->backend->ops->copy(lm->backend, state->blocks, other->blocks, count * lm->state_size);
    state->position = other->position;
}

/* ---- forward, backward, advance ---- */

static void layout(ttt_bare_layer *layer, ttt_arena *arena)
{
    const ttt_pass *pass = &layer->pass;
    const int64_t n = pass->rows * layer->lm.config.hidden_size;
    layer->x = ttt_arena_push(arena, n, layer->lm.backend->real);
    layer->y = ttt_arena_push(arena, n, layer->lm.backend->real);
    if (pass->train) layer->dx = ttt_arena_push(arena, n, layer->lm.backend->real);
    layer->saved = ttt_layer_saved_layout(arena, shape_of(layer), pass);
    layer->scratch = ttt_layer_scratch_layout(arena, shape_of(layer), pass);
}

static ttt_status plan(ttt_bare_layer *layer, const ttt_bare_state *state, int64_t T, bool train)
{
    if (T < 1) return ttt_fail(TTT_ERR_ARGUMENT, "%lld tokens: give at least 1", (long long)T);
    if (state->count > layer->run_capacity) {
        ttt_run *runs = ttt_realloc(layer->runs, (size_t)state->count, sizeof *runs);
        if (!runs) return TTT_ERR_MEMORY;
        layer->runs = runs;
        layer->run_capacity = state->count;
    }
    for (int64_t n = 0; n < state->count; n++)
        layer->runs[n] = (ttt_run){
            .row = n * T, .count = T, .position = state->position, .state = state_block(state, n)};
    layer->pass = (ttt_pass){.backend = layer->lm.backend,
                             .runs = layer->runs,
                             .run_count = state->count,
                             .rows = state->count * T,
                             .longest = T,
                             .train = train};
    ttt_arena arena = {0};
    layout(layer, &arena);
    if (arena.used > layer->capacity) {
        char *memory = ttt_alloc(arena.used, 1);
        if (!memory) {
            layer->pass.rows = 0;
            return TTT_ERR_MEMORY;
        }
        ttt_free(layer->memory);
        layer->memory = memory;
        layer->capacity = arena.used;
    }
    arena = (ttt_arena){.base = layer->memory};
    layout(layer, &arena);
    return TTT_OK;
}

static ttt_status forward(ttt_bare_layer *layer, ttt_bare_state *state, const float *x, int64_t T, float *y, bool train)
{
    TTT_TRY(plan(layer, state, T, train));
    const ttt_backend *b = layer->lm.backend;
    const int64_t n = layer->pass.rows * layer->lm.config.hidden_size;
    const ttt_lm_weights *weights = train ? &layer->weights : &layer->packed;
    if (!train && layer->packed_is_stale) pack(layer, layer->packed_memory);
    layer->packed_is_stale = layer->packed_is_stale && train;
    b->ops->from(b, layer->x, x, TTT_F32, n);
    b->ops->zero(b, layer->y, n);
    ttt_layer_forward(&layer->pass, shape_of(layer), &weights->blocks[0].layer, &layer->saved, &layer->scratch,
                      layer->y, layer->x);
    b->ops->to(b, y, TTT_F32, layer->y, n);
    state->position += T;
    return TTT_OK;
}

ttt_status ttt_bare_layer_advance(ttt_bare_layer *layer, ttt_bare_state *state, const float *x, int64_t T, float *y)
{
    return forward(layer, state, x, T, y, false);
}

ttt_status ttt_bare_layer_forward(ttt_bare_layer *layer, ttt_bare_state *state, const float *x, int64_t T, float *y)
{
    return forward(layer, state, x, T, y, true);
}

ttt_status ttt_bare_layer_backward(ttt_bare_layer *layer, ttt_bare_state *dstate, const float *dy, float *dx)
{
    const ttt_backend *b = layer->lm.backend;
    const int64_t n = layer->pass.rows * layer->lm.config.hidden_size;
    if (n == 0 || !layer->pass.train)
        return ttt_fail(TTT_ERR_ARGUMENT, "a backward needs the forward before it: call ttt_bare_layer_forward first");
    if (dstate->count != layer->pass.run_count)
        return ttt_fail(TTT_ERR_ARGUMENT, "the forward read %lld sequences, but the state's gradient is of %lld",
                        (long long)layer->pass.run_count, (long long)dstate->count);
    for (int64_t i = 0; i < dstate->count; i++) layer->runs[i].dstate = state_block(dstate, i);
    b->ops->from(b, layer->y, dy, TTT_F32, n);
    ttt_layer_backward(&layer->pass, shape_of(layer), &layer->weights.blocks[0].layer,
                       &layer->gradients.blocks[0].layer, &layer->saved, &layer->scratch, layer->dx, layer->y,
                       layer->x);
    b->ops->to(b, dx, TTT_F32, layer->dx, n);
    layer->pass.rows = 0; /* what was kept is used up */
    return TTT_OK;
}

void ttt_bare_layer_reset_backward(ttt_bare_layer *layer, const ttt_bare_state *dstate)
{
    for (int64_t n = 0; n < dstate->count; n++) {
        const ttt_run run = {.dstate = state_block(dstate, n)};
        const ttt_pass pass = {.backend = layer->lm.backend, .runs = &run, .run_count = 1};
        ttt_layer_reset_backward(&pass, shape_of(layer), &layer->gradients.blocks[0].layer);
    }
}
