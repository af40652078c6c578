/* SPDX-License-Identifier: MIT
 *
 * Counts what inference and training ask for.
 */
#include <string.h>
#include <ttt/bench.h>

#include "model/flops.h"
#include "model/model.h"

/* Of the weights as they are kept; the rows of an untied embedding that a call reads are too few to count. */
static double weight_bytes(const ttt_model *model)
{
    const ttt_stack *stack = &model->lm.stack;
    const ttt_backend *b = model->backend;
    double bytes = 0;
    for (int64_t i = 0; i < stack->params.count; i++) {
        const int64_t slot = stack->params.specs[i].slot;
        const ttt_param *w = &model->weights[slot];
        if (slot == stack->embedding && slot != stack->head) continue;
        bytes += w->packed ? (double)b->ops->packed_size(w->precision, w->rows, w->columns)
                           : (double)(w->rows * w->columns) * (double)b->real;
    }
    return bytes;
}

/* The cache, as far as the last of the tokens sees it. */
static double cache_bytes(const ttt_model *model, int64_t tokens)
{
    double reals = 0;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) {
        const ttt_state_size size = ttt_layer_state(&model->lm.stack.layers[i], model->backend);
        const int64_t seen = size.window && size.window < tokens ? size.window : tokens;
        reals += (double)size.per_token * (double)seen;
    }
    return reals * (double)model->backend->real;
}

double ttt_model_state_bytes(const ttt_model *model, int64_t tokens)
{
    return cache_bytes(model, tokens) + (double)model->lm.stack.state_size * (double)model->backend->real;
}

void ttt_work_inference(ttt_work *work, const ttt_model *model, int64_t position, int64_t tokens)
{
    const ttt_layer_work layers = ttt_stack_work(&model->lm.stack, position, (double)tokens, false);
    *work = (ttt_work){.products = layers.products + ttt_head_work(&model->lm.config),
                       .others = layers.others,
                       .bytes = weight_bytes(model) + ttt_model_state_bytes(model, position + tokens)};
}

ttt_status ttt_work_training(ttt_work *work, const ttt_config *config, int64_t context, int64_t sequences)
{
    /* parameters: read forward, read backward; gradients: written; AdamW: reads all four blocks and writes three */
    enum { PASSES = 10 };
    const double all = (double)sequences, tokens = (double)context;
    ttt_stack stack;
    TTT_TRY(ttt_stack_init(&stack, config));
    const ttt_layer_work forward = ttt_stack_work(&stack, 0, tokens, false),
                         backward = ttt_stack_work(&stack, 0, tokens, true);
    *work = (ttt_work){.products = all * (forward.products + backward.products + 3 * tokens * ttt_head_work(config)),
                       .others = all * (forward.others + backward.others),
                       .bytes = PASSES * (double)sizeof(float) * (double)stack.params.elements};
    ttt_stack_deinit(&stack, NULL);
    return TTT_OK;
}

/* Operations per second at most of products in a precision. */
static double product_rate(const ttt_limits *limits, const char *precision)
{
    const bool bytes = precision && (strcmp(precision, "q8") == 0 || strcmp(precision, "q4") == 0);
    if (bytes) return limits->bytes;
    return precision && strcmp(precision, "bf16") == 0 && limits->bf16 > 0 ? limits->bf16 : limits->fma;
}

double ttt_work_seconds(const ttt_work *work, const ttt_limits *limits, const char *precision, bool *memory_bound)
{
    const double computing = work->products / product_rate(limits, precision) + work->others / limits->fma;
    const double reading = work->bytes / limits->read;
    if (memory_bound) *memory_bound = reading > computing;
    return reading > computing ? reading : computing;
}
