/* SPDX-License-Identifier: MIT */
#include "layer/stack.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/forms.h"

enum { PART_NAME = 64, KNOWN_NAMES = 512 };
static const int64_t most_elements = INT64_C(1) << 42;

static const ttt_layer_ops *find_layer(const char *name, size_t length)
{
    for (const ttt_layer_ops *const *ops = ttt_layer_table; *ops; ops++)
        if (strlen((*ops)->name) == length && memcmp((*ops)->name, name, length) == 0) return *ops;
    return NULL;
}

/* ---- parameters ---- */

/* What a layer's parameters are called: as it says, or as the model's form does. */
static ttt_part_names names_of(const ttt_stack *stack, const ttt_layer *layer)
{
    for (const ttt_part_names *names = stack->form->parts; names->part; names++)
        if (strcmp(names->part, layer->ops->name) == 0) return *names;
    return (ttt_part_names){layer->ops->name, layer->ops->norm, layer->ops->prefix};
}

static void declare_norm(ttt_stack *stack, const ttt_layer *layer)
{
    stack->params.first_slot = layer->norm_slot;
    ttt_params_add(&stack->params, 0, names_of(stack, layer).norm, TTT_ROLE_VALUES, ttt_first_ones(),
                   TTT_SHAPE(layer->width));
}

static void declare_own(ttt_stack *stack, const ttt_layer *layer, const char *prefix)
{
    char own[TTT_PARAM_NAME];
    snprintf(own, sizeof own, "%s%s", prefix, names_of(stack, layer).prefix);
    stack->params.prefix = own;
    stack->params.first_slot = layer->slot;
    layer->ops->declare(layer, &stack->params);
    stack->params.prefix = prefix;
}

static const ttt_layer *part_of(const ttt_block *block, const ttt_layer_ops *ops)
{
    for (int64_t i = 0; i < block->count; i++)
        if (ops ? block->parts[i].ops == ops : block->parts[i].ops->is_sequence) return &block->parts[i];
    return NULL;
}

/* The order is part of what a seed means, since random streams follow it, and of the bits of the gradient's norm: the
 * sequence layer's norm, ffn, conv, and the sequence layer itself, wherever these stand in the block. */
static void declare_block(ttt_stack *stack, const ttt_block *block, const char *prefix)
{
    const ttt_layer *sequence = part_of(block, NULL);
    const ttt_layer *const around[] = {part_of(block, &ttt_layer_ffn), part_of(block, &ttt_layer_conv)};
    if (sequence) declare_norm(stack, sequence);
    for (int i = 0; i < 2; i++) {
        if (!around[i]) continue;
        declare_norm(stack, around[i]);
        declare_own(stack, around[i], prefix);
    }
    if (sequence) declare_own(stack, sequence, prefix);
}

static ttt_status declare(ttt_stack *stack, const ttt_config *config)
{
    enum { EMBEDDING, NORM, HEAD, OWN };
    const int64_t V = config->vocab_size, C = config->hidden_size;
    const ttt_first normal = ttt_first_normal(config->initializer_range);
    ttt_params *params = &stack->params;
    const int64_t own = params->slots;
    params->slots += OWN;
    stack->embedding = own + EMBEDDING;
    stack->norm = own + NORM;
    stack->head = own + (config->tie_word_embeddings ? EMBEDDING : HEAD);

    params->prefix = "";
    params->first_slot = own;
    ttt_params_add(params, EMBEDDING, stack->form->embedding, TTT_ROLE_MATRIX, normal, TTT_SHAPE(V, C));
    for (int64_t i = 0; i < stack->block_count; i++) {
        char prefix[PART_NAME];
        snprintf(prefix, sizeof prefix, "%s%lld.", stack->form->blocks, (long long)i);
        params->prefix = prefix;
        declare_block(stack, &stack->blocks[i], prefix);
    }
    params->prefix = "";
    params->first_slot = own;
    ttt_params_add(params, NORM, stack->form->norm, TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(C));
    if (!config->tie_word_embeddings)
        ttt_params_add(params, HEAD, "lm_head.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(V, C));
    TTT_TRY(params->status);
    if (params->elements > most_elements)
        return ttt_fail(TTT_ERR_FORMAT, "the configuration's sizes make more than 4 x 10^12 parameters");
    return TTT_OK;
}

/* ---- layers ---- */

static ttt_status init_part(ttt_stack *stack, ttt_layer *layer, const ttt_layer_ops *ops, const ttt_config *config)
{
    *layer = (ttt_layer){.ops = ops,
                         .width = config->hidden_size,
                         .number = layer - stack->layers,
                         .norm_slot = stack->params.slots,
                         .slot = stack->params.slots + 1};
    stack->params.slots += 1 + ops->slots;
    return ops->init(layer, config);
}

static ttt_status unknown_part(int64_t block, const char *name, size_t length)
{
    char known[KNOWN_NAMES] = "";
    size_t used = 0;
    for (const ttt_layer_ops *const *ops = ttt_layer_table; *ops && used < sizeof known; ops++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", (*ops)->name);
    return ttt_fail(TTT_ERR_UNSUPPORTED,
                    "block %lld of layers has the part \"%.*s\", which does not exist; there are %s", (long long)block,
                    (int)(length < PART_NAME ? length : PART_NAME), name, known);
}

/* Parts are parted by "+". */
static ttt_status init_block(ttt_stack *stack, const ttt_config *config, int64_t index)
{
    ttt_block *block = &stack->blocks[index];
    *block = (ttt_block){
        .parts = stack->layers + stack->layer_count, .width = config->hidden_size, .eps = config->rms_norm_eps};
    for (const char *name = ttt_config_block(config, index); *name;) {
        const size_t length = strcspn(name, "+");
        const ttt_layer_ops *ops = find_layer(name, length);
        if (!ops) return unknown_part(index, name, length);
        TTT_TRY(init_part(stack, &block->parts[block->count], ops, config));
        block->count++;
        stack->layer_count++;
        name += length + (name[length] == '+');
    }
    return TTT_OK;
}

static ttt_status init(ttt_stack *stack, const ttt_config *config)
{
    stack->form = ttt_form_of(config);
    stack->blocks = ttt_alloc((size_t)config->num_hidden_layers, sizeof *stack->blocks);
    stack->layers = ttt_alloc((size_t)config->num_hidden_layers * TTT_BLOCK_PARTS, sizeof *stack->layers);
    if (!stack->blocks || !stack->layers) return TTT_ERR_MEMORY;
    for (; stack->block_count < config->num_hidden_layers; stack->block_count++)
        TTT_TRY(init_block(stack, config, stack->block_count));
    return declare(stack, config);
}

ttt_status ttt_stack_init(ttt_stack *stack, const ttt_config *config)
{
    *stack = (ttt_stack){0};
    const ttt_status status = init(stack, config);
    if (status != TTT_OK) ttt_stack_deinit(stack, NULL);
    return status;
}

static ttt_status init_layer(ttt_stack *stack, const char *name, const ttt_config *config)
{
    stack->layers = ttt_alloc(1, sizeof *stack->layers);
    if (!stack->layers) return TTT_ERR_MEMORY;
    const ttt_layer_ops *ops = find_layer(name, strlen(name));
    if (!ops) return ttt_fail(TTT_ERR_UNSUPPORTED, "there is no layer %.64s", name);
    TTT_TRY(init_part(stack, stack->layers, ops, config));
    stack->layer_count = 1;
    stack->params.prefix = "";
    stack->params.first_slot = stack->layers->slot;
    ops->declare(stack->layers, &stack->params);
    return stack->params.status;
}

ttt_status ttt_stack_init_layer(ttt_stack *stack, const char *name, const ttt_config *config)
{
    *stack = (ttt_stack){0};
    const ttt_status status = init_layer(stack, name, config);
    if (status != TTT_OK) ttt_stack_deinit(stack, NULL);
    return status;
}

ttt_status ttt_stack_attach(ttt_stack *stack, const ttt_backend *backend, int64_t group)
{
    enum { ALIGNMENT = 16 };
    for (int64_t i = 0; i < stack->layer_count; i++) {
        ttt_layer *layer = &stack->layers[i];
        if (layer->ops->attach) TTT_TRY(layer->ops->attach(layer, backend, &stack->rotations, group));
        layer->state_offset = stack->state_size;
        stack->state_size += (ttt_layer_state(layer, backend).fixed + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return TTT_OK;
}

ttt_status ttt_stack_reserve(const ttt_stack *stack, ttt_backend *backend)
{
    if (stack->layer_count > 0)
        TTT_TRY(ttt_backend_reserve(backend, TTT_NORM_SCRATCH * (size_t)stack->layers[0].width * backend->real));
    for (int64_t i = 0; i < stack->layer_count; i++) {
        const ttt_layer *layer = &stack->layers[i];
        if (layer->ops->scratch_bytes) TTT_TRY(ttt_backend_reserve(backend, layer->ops->scratch_bytes(layer, backend)));
    }
    return TTT_OK;
}

void ttt_stack_deinit(ttt_stack *stack, const ttt_backend *backend)
{
    for (int64_t i = 0; i < stack->layer_count; i++) stack->layers[i].ops->deinit(&stack->layers[i]);
    ttt_rotations_deinit(&stack->rotations, backend);
    ttt_params_deinit(&stack->params);
    ttt_free(stack->blocks);
    ttt_free(stack->layers);
    *stack = (ttt_stack){0};
}
