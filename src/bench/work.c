/* SPDX-License-Identifier: MIT
 *
 * Counts what inference and training ask for.
 */
#include <string.h>
#include <ttt/bench.h>

#include "model/model.h"

/* Operations of one token in all layers. */
static ttt_layer_work token_work(const ttt_stack *stack, bool backward)
{
    ttt_layer_work sum = {0};
    for (int64_t i = 0; i < stack->layer_count; i++) {
        const ttt_layer *layer = &stack->layers[i];
        const ttt_layer_work one = layer->ops->work ? layer->ops->work(layer, backward) : (ttt_layer_work){0};
        sum.products += one.products;
        sum.others += one.others;
    }
    return sum;
}

static double head_work(const ttt_config *c) { return 2 * (double)c->vocab_size * (double)c->hidden_size; }

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

void ttt_work_inference(ttt_work *work, const ttt_model *model, int64_t tokens)
{
    const ttt_layer_work layers = token_work(&model->lm.stack, false);
    *work = (ttt_work){.products = (double)tokens * layers.products + head_work(&model->lm.config),
                       .others = (double)tokens * layers.others,
                       .bytes = weight_bytes(model) +
                                (double)model->lm.stack.state_size * (double)model->backend->real};
}

ttt_status ttt_work_training(ttt_work *work, const ttt_config *config, int64_t context, int64_t sequences)
{
    /* parameters: read forward, read backward; gradients: written; AdamW: reads all four blocks and writes three */
    enum { PASSES = 10 };
    const double tokens = (double)(context * sequences);
    ttt_stack stack;
    TTT_TRY(ttt_stack_init(&stack, config));
    const ttt_layer_work forward = token_work(&stack, false), backward = token_work(&stack, true);
    *work = (ttt_work){.products = tokens * (forward.products + backward.products + 3 * head_work(config)),
                       .others = tokens * (forward.others + backward.others),
                       .bytes = PASSES * (double)sizeof(float) * (double)stack.params.elements};
    ttt_stack_deinit(&stack, NULL);
    return TTT_OK;
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
