/* SPDX-License-Identifier: MIT
 *
 * One layer on ref, in double throughout: its parameters by name, and one sequence forward and backward.
 */
#ifndef TTT_TEST_ONE_LAYER_H
#define TTT_TEST_ONE_LAYER_H

#include "base/alloc.h"
#include "base/rng.h"
#include "config/config.h"
#include "layer/stack.h"
#include "model/weights.h"
#include "test.h"

typedef struct one_layer {
    ttt_backend *b;
    ttt_stack stack;
    double *values, *grads; /* flat blocks */
    ttt_param *w, *g;       /* views into them */
    bool frozen;
    double rate_factor; /* of a pass */
    double *state;      /* after the last run */
} one_layer;

static inline void *one_layer_memory(size_t bytes)
{
    void *memory = calloc(bytes + 1, 1);
    if (!memory) abort();
    return memory;
}

static inline double one_layer_normal(uint64_t stream, uint64_t index)
{
    return ttt_rng_normal((ttt_rng){.seed = 11, .stream = TTT_RNG_TEST + (stream << 8)}, index);
}

/* n numbers around `mean`; the same for the same stream. */
static inline void one_layer_fill(double *x, int64_t n, double mean, double deviation, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) x[i] = mean + deviation * one_layer_normal(stream, (uint64_t)i);
}

/* A number that depends on a name alone. */
static inline uint64_t one_layer_stream(const char *name)
{
    uint64_t hash = 1469598103934665603u;
    for (; *name; name++) hash = (hash ^ (uint64_t)(unsigned char)*name) * 1099511628211u;
    return hash >> 16;
}

static inline double *one_layer_param(const one_layer *l, double *block, const char *name, int64_t *elements)
{
    for (int64_t i = 0; i < l->stack.params.count; i++) {
        const ttt_param_spec *spec = &l->stack.params.specs[i];
        if (strcmp(spec->name, name) != 0) continue;
        if (elements) *elements = ttt_param_elements(spec);
        return block + spec->offset;
    }
    return NULL;
}

/* A layer far from its first values; a parameter's values follow from its name. */
static inline one_layer one_layer_new(const char *name, const ttt_config *config)
{
    one_layer l = {.rate_factor = 1};
    CHECK_OK(ttt_backend_new(&l.b, "ref", 1));
    CHECK_OK(ttt_stack_init_layer(&l.stack, name, config));
    CHECK_OK(ttt_stack_attach(&l.stack, l.b, 2));
    CHECK_OK(ttt_stack_reserve(&l.stack, l.b));
    const ttt_params *params = &l.stack.params;
    l.values = one_layer_memory((size_t)params->size * sizeof(double));
    l.grads = one_layer_memory((size_t)params->size * sizeof(double));
    CHECK_OK(ttt_weights_new(&l.w, params));
    CHECK_OK(ttt_weights_new(&l.g, params));
    ttt_weights_bind(l.w, params, l.b, l.values);
    ttt_weights_bind(l.g, params, l.b, l.grads);
    for (int64_t i = 0; i < params->count; i++) {
        const ttt_param_spec *spec = &params->specs[i];
        const bool scale = strstr(spec->name, "norm") && strstr(spec->name, "weight");
        one_layer_fill(l.values + spec->offset, ttt_param_elements(spec), scale ? 1 : 0, scale ? 0.2 : 0.4,
                       one_layer_stream(spec->name));
    }
    return l;
}

static inline void one_layer_free(one_layer *l)
{
    free(l->state);
    free(l->values);
    free(l->grads);
    ttt_free(l->w);
    ttt_free(l->g);
    ttt_stack_deinit(&l->stack, l->b);
    ttt_backend_free(l->b);
}

/* y [T,C] of x; with dy also dx and the gradients of all parameters (which are zero before). */
static inline void one_layer_run(one_layer *l, int64_t T, double *y, const double *x, double *dx, const double *dy)
{
    const ttt_layer *layer = l->stack.layers;
    const size_t state_bytes = (size_t)l->stack.state_size * sizeof(double),
                 bytes = (size_t)(T * layer->width) * sizeof(double);
    free(l->state);
    l->state = one_layer_memory(state_bytes);
    const ttt_run run = {.count = T, .frozen = l->frozen, .state = l->state, .dstate = one_layer_memory(state_bytes)};
    ttt_pass pass = {.backend = l->b,
                     .runs = &run,
                     .run_count = 1,
                     .rows = T,
                     .longest = T,
                     .train = dy,
                     .rate_factor = l->rate_factor};
    ttt_arena saved = {0}, scratch = {0};
    const ttt_param *w = l->w + layer->slot, *g = l->g + layer->slot;
    layer->ops->layout(layer, &pass, &saved, &scratch);
    void *saved_memory = one_layer_memory(saved.used), *scratch_memory = one_layer_memory(scratch.used);
    if (layer->ops->reset) layer->ops->reset(layer, &pass, w);
    memset(y, 0, bytes);
    layer->ops->forward(layer, &pass, w, saved_memory, scratch_memory, y, x);
    if (dy) {
        memset(l->grads, 0, (size_t)l->stack.params.size * sizeof(double));
        memset(dx, 0xff, bytes);
        layer->ops->backward(layer, &pass, w, g, saved_memory, scratch_memory, dx, dy, x);
        if (layer->ops->reset_backward) layer->ops->reset_backward(layer, &pass, g);
    }
    free(run.dstate);
    free(saved_memory);
    free(scratch_memory);
}

#endif
