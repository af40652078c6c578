/* SPDX-License-Identifier: MIT
 *
 * A layer by itself: parameters, states and the memory of its last forward, around the operations of layer.h.
 */
#include <ttt/bare_layer.h>

#include "base/alloc.h"
#include "base/float_env.h"
#include "config/config.h"
#include "layer/stack.h"
#include "model/weights.h"

struct ttt_bare_layer {
    ttt_backend *backend;
    ttt_stack stack;                /* of one layer */
    char *values, *grads;           /* flat blocks */
    ttt_param *weights, *gradients; /* views into them */
    ttt_param *packed;              /* the weights as advance wants them: products packed, the rest as they are */
    char *packed_memory;
    bool packed_is_stale;

    /* Memory of the last forward. */
    char *memory;
    size_t capacity;
    void *x, *y, *dx; /* [R,C] */
    void *saved, *scratch;
    ttt_run *runs; /* [B] */
    int64_t run_capacity;
    ttt_pass pass;
};

struct ttt_bare_state {
    const ttt_bare_layer *layer;
    int64_t count, position;
    bool gradient;
    char *blocks;     /* [count, state_size] */
    void **grown;     /* [count]: what the layer keeps of every token, see ttt_run; NULL where it keeps nothing */
    int64_t capacity; /* tokens that fit in it */
};

void ttt_bare_layer_options_init(ttt_bare_layer_options *options) { *options = (ttt_bare_layer_options){.group = 8}; }

static const ttt_layer *only(const ttt_bare_layer *layer) { return layer->stack.layers; }

static const ttt_param *own(const ttt_bare_layer *layer, const ttt_param *params) { return params + only(layer)->slot; }

/* ---- making one ---- */

static ttt_status fill(ttt_bare_layer *layer, uint64_t seed)
{
    const ttt_backend *b = layer->backend;
    const ttt_params *params = &layer->stack.params;
    for (int64_t i = 0; i < params->count; i++) {
        const int64_t n = ttt_param_elements(&params->specs[i]);
        void *values = ttt_alloc((size_t)n, b->real);
        if (!values) return TTT_ERR_MEMORY;
        ttt_first_values(params, i, seed, b, values, b->dtype);
        b->ops->from(b, ttt_at(b, layer->values, params->specs[i].offset), values, b->dtype, n);
        ttt_free(values);
    }
    return TTT_OK;
}

static ttt_status init_packed(ttt_bare_layer *layer)
{
    const ttt_params *params = &layer->stack.params;
    const ttt_backend *b = layer->backend;
    TTT_TRY(ttt_weights_new(&layer->packed, params));
    ttt_weights_bind(layer->packed, params, b, layer->values);
    const size_t bytes = ttt_weights_layout(layer->packed, params, b, TTT_PRECISION_F32, TTT_WEIGHTS_INFERENCE, NULL);
    layer->packed_memory = b->ops->alloc(b, (int64_t)bytes, 1);
    if (!layer->packed_memory) return TTT_ERR_MEMORY;
    ttt_weights_layout(layer->packed, params, b, TTT_PRECISION_F32, TTT_WEIGHTS_INFERENCE, layer->packed_memory);
    layer->packed_is_stale = true;
    return TTT_OK;
}

static ttt_status init(ttt_bare_layer *layer, const char *name, const ttt_config *config,
                       const ttt_bare_layer_options *o, uint64_t seed)
{
    ttt_stack *stack = &layer->stack;
    if (o->group < 1) return ttt_fail(TTT_ERR_ARGUMENT, "group %lld: give at least 1", (long long)o->group);
    TTT_TRY(ttt_config_check_keys(config, "the configuration"));
    TTT_TRY(ttt_backend_new(&layer->backend, o->backend ? o->backend : "auto", o->threads));
    const ttt_backend *b = layer->backend;
    TTT_TRY(ttt_stack_init_layer(stack, name, config));
    TTT_TRY(ttt_stack_attach(stack, layer->backend, o->group));
    TTT_TRY(ttt_stack_reserve(stack, layer->backend));
    layer->values = b->ops->alloc(b, stack->params.size, b->real);
    layer->grads = b->ops->alloc(b, stack->params.size, b->real);
    if (!layer->values || !layer->grads) return TTT_ERR_MEMORY;
    TTT_TRY(ttt_weights_new(&layer->weights, &stack->params));
    TTT_TRY(ttt_weights_new(&layer->gradients, &stack->params));
    ttt_weights_bind(layer->weights, &stack->params, layer->backend, layer->values);
    ttt_weights_bind(layer->gradients, &stack->params, layer->backend, layer->grads);
    TTT_TRY(fill(layer, seed));
    return init_packed(layer);
}

ttt_status ttt_bare_layer_new(ttt_bare_layer **out, const char *name, const ttt_config *config,
                              const ttt_bare_layer_options *options, uint64_t seed)
{
    *out = NULL;
    ttt_bare_layer_options defaults;
    ttt_bare_layer_options_init(&defaults);
    ttt_bare_layer *layer = ttt_alloc(1, sizeof *layer);
    if (!layer) return TTT_ERR_MEMORY;
    const ttt_status status = init(layer, name, config, options ? options : &defaults, seed);
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
    char *const blocks[] = {layer->memory, layer->packed_memory, layer->values, layer->grads};
    for (int i = 0; i < 4; i++)
        if (blocks[i]) layer->backend->ops->free(layer->backend, blocks[i]);
    ttt_free(layer->runs);
    ttt_free(layer->weights);
    ttt_free(layer->gradients);
    ttt_free(layer->packed);
    ttt_stack_deinit(&layer->stack, layer->backend);
    ttt_backend_free(layer->backend);
    ttt_free(layer);
}

/* ---- parameters ---- */

static void *param_at(const ttt_bare_layer *layer, const char *block, int64_t index)
{
    return ttt_at(layer->backend, block, layer->stack.params.specs[index].offset);
}

static int64_t elements_of(const ttt_bare_layer *layer, int64_t index)
{
    return ttt_param_elements(&layer->stack.params.specs[index]);
}

int64_t ttt_bare_layer_param_count(const ttt_bare_layer *layer) { return layer->stack.params.count; }

const char *ttt_bare_layer_param_name(const ttt_bare_layer *layer, int64_t index, int64_t *elements)
{
    *elements = elements_of(layer, index);
    return layer->stack.params.specs[index].name;
}

void ttt_bare_layer_get(const ttt_bare_layer *layer, int64_t index, float *values)
{
    layer->backend->ops->to(layer->backend, values, TTT_F32, param_at(layer, layer->values, index),
                            elements_of(layer, index));
}

void ttt_bare_layer_set(ttt_bare_layer *layer, int64_t index, const float *values)
{
    layer->backend->ops->from(layer->backend, param_at(layer, layer->values, index), values, TTT_F32,
                              elements_of(layer, index));
    layer->packed_is_stale = true;
}

void ttt_bare_layer_get_gradient(const ttt_bare_layer *layer, int64_t index, float *values)
{
    layer->backend->ops->to(layer->backend, values, TTT_F32, param_at(layer, layer->grads, index),
                            elements_of(layer, index));
}

void ttt_bare_layer_zero_gradients(ttt_bare_layer *layer)
{
    layer->backend->ops->zero(layer->backend, layer->grads, layer->stack.params.size);
}

/* ---- states ---- */

static void *state_block(const ttt_bare_state *state, int64_t n)
{
    return ttt_at(state->layer->backend, state->blocks, n * state->layer->stack.state_size);
}

/* Reals of what grows, of one sequence of so many tokens. */
static int64_t grown_size(const ttt_bare_layer *layer, int64_t tokens)
{
    const ttt_state_size size = ttt_layer_state(only(layer), layer->backend);
    return ttt_grown_rows(size, tokens, true) * size.per_token;
}

/* Room for `tokens` tokens; on failure there is as much as before. */
static ttt_status state_reserve(ttt_bare_state *state, int64_t tokens)
{
    const ttt_backend *b = state->layer->backend;
    if (tokens <= state->capacity || grown_size(state->layer, tokens) == 0) return TTT_OK;
    const int64_t capacity = tokens > 2 * state->capacity ? tokens : 2 * state->capacity;
    for (int64_t n = 0; n < state->count; n++) {
        void *grown = b->ops->alloc(b, grown_size(state->layer, capacity), b->real);
        if (!grown) return TTT_ERR_MEMORY;
        if (state->capacity > 0) b->ops->copy(b, grown, state->grown[n], grown_size(state->layer, state->capacity));
        b->ops->free(b, state->grown[n]);
        state->grown[n] = grown;
    }
    state->capacity = capacity;
    return TTT_OK;
}

static ttt_status state_new(ttt_bare_state **out, const ttt_bare_layer *layer, int64_t count, bool gradient)
{
    *out = NULL;
    if (count < 1) return ttt_fail(TTT_ERR_ARGUMENT, "states of %lld sequences: give at least 1", (long long)count);
    ttt_bare_state *state = ttt_alloc(1, sizeof *state);
    if (!state) return TTT_ERR_MEMORY;
    *state = (ttt_bare_state){.layer = layer, .count = count, .gradient = gradient};
    state->blocks = layer->backend->ops->alloc(layer->backend, count,
                                               (size_t)layer->stack.state_size * layer->backend->real);
    state->grown = ttt_alloc((size_t)count, sizeof *state->grown);
    if (!state->blocks || !state->grown) {
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
    const ttt_backend *b = state->layer->backend;
    for (int64_t n = 0; state->grown && n < state->count; n++) b->ops->free(b, state->grown[n]);
    b->ops->free(b, state->blocks);
    ttt_free(state->grown);
    ttt_free(state);
}

void ttt_bare_state_reset(ttt_bare_state *state)
{
    const ttt_bare_layer *layer = state->layer;
    const ttt_backend *b = layer->backend;
    state->position = 0;
    b->ops->zero(b, state->blocks, state->count * layer->stack.state_size);
    for (int64_t n = 0; n < state->count && state->gradient && state->capacity > 0; n++)
        b->ops->zero(b, state->grown[n], grown_size(layer, state->capacity));
    for (int64_t n = 0; n < state->count && !state->gradient && only(layer)->ops->reset; n++) {
        const ttt_run run = {.state = state_block(state, n)};
        const ttt_pass pass = {.backend = b, .runs = &run, .run_count = 1, .rate_factor = 1};
        only(layer)->ops->reset(only(layer), &pass, own(layer, layer->weights));
    }
}

static ttt_status check_state(const ttt_bare_layer *layer, const ttt_bare_state *state)
{
    if (state->layer == layer) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT, "the state is of another layer");
}

ttt_status ttt_bare_state_copy(ttt_bare_state *state, const ttt_bare_state *other)
{
    const ttt_backend *b = state->layer->backend;
    TTT_TRY(check_state(state->layer, other));
    if (state->count != other->count)
        return ttt_fail(TTT_ERR_ARGUMENT, "a state of %lld sequences cannot become one of %lld",
                        (long long)state->count, (long long)other->count);
    if (state == other) return TTT_OK;
    TTT_TRY(state_reserve(state, other->capacity));
    for (int64_t n = 0; n < state->count && other->capacity > 0; n++)
        b->ops->copy(b, state->grown[n], other->grown[n], grown_size(state->layer, other->capacity));
    b->ops->copy(b, state->blocks, other->blocks, state->count * state->layer->stack.state_size);
    state->position = other->position;
    return TTT_OK;
}

/* ---- forward, backward, advance ---- */

static void layout(ttt_bare_layer *layer, ttt_arena *arena)
{
    const ttt_pass *pass = &layer->pass;
    const int64_t n = pass->rows * only(layer)->width;
    ttt_arena saved = {0}, scratch = {0};
    only(layer)->ops->layout(only(layer), pass, &saved, &scratch);
    layer->x = ttt_arena_push(arena, n, layer->backend->real);
    layer->y = ttt_arena_push(arena, n, layer->backend->real);
    if (pass->train) layer->dx = ttt_arena_push(arena, n, layer->backend->real);
    layer->saved = ttt_arena_push(arena, (int64_t)saved.used, 1);
    layer->scratch = ttt_arena_push(arena, (int64_t)scratch.used, 1);
}

static ttt_status reserve(ttt_bare_layer *layer, int64_t sequences)
{
    if (sequences > layer->run_capacity) {
        ttt_run *runs = ttt_realloc(layer->runs, (size_t)sequences, sizeof *runs);
        if (!runs) return TTT_ERR_MEMORY;
        layer->runs = runs;
        layer->run_capacity = sequences;
    }
    ttt_arena arena = {0};
    layout(layer, &arena);
    if (arena.used > layer->capacity) {
        char *memory = layer->backend->ops->alloc(layer->backend, (int64_t)arena.used, 1);
        if (!memory) return TTT_ERR_MEMORY;
        layer->backend->ops->free(layer->backend, layer->memory);
        layer->memory = memory;
        layer->capacity = arena.used;
    }
    arena = (ttt_arena){.base = layer->memory};
    layout(layer, &arena);
    return TTT_OK;
}

static ttt_status plan(ttt_bare_layer *layer, ttt_bare_state *state, int64_t T, bool train)
{
    int64_t rows;
    if (T < 1) return ttt_fail(TTT_ERR_ARGUMENT, "%lld tokens: give at least 1", (long long)T);
    if (__builtin_mul_overflow(state->count, T, &rows) || rows > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "%lld sequences of %lld tokens: more than 2^31 rows at a time",
                        (long long)state->count, (long long)T);
    TTT_TRY(check_state(layer, state));
    TTT_TRY(state_reserve(state, state->position + T));
    layer->pass = (ttt_pass){.backend = layer->backend,
                             .run_count = state->count,
                             .rows = rows,
                             .longest = T,
                             .train = train,
                             .keeps_all = true,
                             .rate_factor = 1};
    const ttt_status status = reserve(layer, state->count);
    if (status != TTT_OK) {
        layer->pass.rows = 0; /* nothing for a backward to use */
        return status;
    }
    layer->pass.runs = layer->runs;
    for (int64_t n = 0; n < state->count; n++)
        layer->runs[n] = (ttt_run){.row = n * T,
                                   .count = T,
                                   .position = state->position,
                                   .state = state_block(state, n),
                                   .grown = state->grown + n};
    return TTT_OK;
}

static const ttt_param *packed(ttt_bare_layer *layer)
{
    if (layer->packed_is_stale) ttt_weights_pack(layer->packed, &layer->stack.params, layer->backend, layer->values);
    layer->packed_is_stale = false;
    return layer->packed;
}

static ttt_status forward(ttt_bare_layer *layer, ttt_bare_state *state, const float *x, int64_t T, float *y, bool train)
{
    TTT_TRY(plan(layer, state, T, train));
    const ttt_backend *b = layer->backend;
    const int64_t n = layer->pass.rows * only(layer)->width;
    const ttt_param *weights = train ? layer->weights : packed(layer);
    const uint64_t host = ttt_float_begin();
    b->ops->from(b, layer->x, x, TTT_F32, n);
    b->ops->zero(b, layer->y, n);
    only(layer)->ops->forward(only(layer), &layer->pass, own(layer, weights), layer->saved, layer->scratch, layer->y,
                              layer->x);
    b->ops->to(b, y, TTT_F32, layer->y, n);
    ttt_float_end(host);
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
    const ttt_backend *b = layer->backend;
    const int64_t n = layer->pass.rows * only(layer)->width;
    if (n == 0 || !layer->pass.train)
        return ttt_fail(TTT_ERR_ARGUMENT, "a backward needs the forward before it: call ttt_bare_layer_forward first");
    TTT_TRY(check_state(layer, dstate));
    if (dstate->count != layer->pass.run_count)
        return ttt_fail(TTT_ERR_ARGUMENT, "the forward read %lld sequences, but the state's gradient is of %lld",
                        (long long)layer->pass.run_count, (long long)dstate->count);
    TTT_TRY(state_reserve(dstate, layer->runs->position + layer->runs->count));
    for (int64_t i = 0; i < dstate->count; i++) {
        layer->runs[i].dstate = state_block(dstate, i);
        layer->runs[i].dgrown = dstate->grown + i;
    }
    const uint64_t host = ttt_float_begin();
    b->ops->from(b, layer->y, dy, TTT_F32, n);
    only(layer)->ops->backward(only(layer), &layer->pass, own(layer, layer->weights), own(layer, layer->gradients),
                               layer->saved, layer->scratch, layer->dx, layer->y, layer->x);
    b->ops->to(b, dx, TTT_F32, layer->dx, n);
    ttt_float_end(host);
    layer->pass.rows = 0; /* what was kept is used up */
    return TTT_OK;
}

ttt_status ttt_bare_layer_reset_backward(ttt_bare_layer *layer, const ttt_bare_state *dstate)
{
    TTT_TRY(check_state(layer, dstate));
    for (int64_t n = 0; n < dstate->count && only(layer)->ops->reset_backward; n++) {
        const ttt_run run = {.dstate = state_block(dstate, n)};
        const ttt_pass pass = {.backend = layer->backend, .runs = &run, .run_count = 1, .rate_factor = 1};
        only(layer)->ops->reset_backward(only(layer), &pass, own(layer, layer->gradients));
    }
    return TTT_OK;
}
