/* SPDX-License-Identifier: MIT */
#include "model/flops.h"

/* Tokens that `tokens` tokens from `position` on see, one at t those from 0 to t, at most `window` (0: all). */
static double visible(int64_t position, double tokens, int64_t window)
{
    const double first = (double)position, last = first + tokens, W = (double)window; /* at t it is t + 1 */
    if (window == 0 || last <= W) return (last * (last + 1) - first * (first + 1)) / 2;
    if (first >= W) return tokens * W;
    return (W * (W + 1) - first * (first + 1)) / 2 + (last - W) * W;
}

ttt_layer_work ttt_stack_work(const ttt_stack *stack, int64_t position, double tokens, bool backward)
{
    ttt_layer_work sum = {0};
    for (int64_t i = 0; i < stack->layer_count; i++) {
        const ttt_layer *layer = &stack->layers[i];
        const ttt_layer_work one = layer->ops->work ? layer->ops->work(layer, backward) : (ttt_layer_work){0};
        sum.products += tokens * one.products;
        sum.others += tokens * one.others;
        if (one.per_visible > 0) sum.others += one.per_visible * visible(position, tokens, one.window);
    }
    return sum;
}

double ttt_head_work(const ttt_config *config) { return 2 * (double)config->vocab_size * (double)config->hidden_size; }

/* What the token after `context` others costs more than the one before it. */
static double growth(const ttt_stack *stack, int64_t context)
{
    double sum = 0;
    for (int64_t i = 0; i < stack->layer_count; i++) {
        const ttt_layer *layer = &stack->layers[i];
        const ttt_layer_work one = layer->ops->work ? layer->ops->work(layer, false) : (ttt_layer_work){0};
        if (one.window == 0 || context < one.window) sum += one.per_visible;
    }
    return sum;
}

ttt_status ttt_config_flops(const ttt_config *config, int64_t context, ttt_flops *flops)
{
    ttt_stack stack;
    *flops = (ttt_flops){0};
    if (context < 1) return ttt_fail(TTT_ERR_ARGUMENT, "a context has 1 token or more");
    TTT_TRY(ttt_stack_init(&stack, config));
    const double head = ttt_head_work(config), tokens = (double)context;
    const ttt_layer_work all = ttt_stack_work(&stack, 0, tokens, false);
    const ttt_layer_work last = ttt_stack_work(&stack, context - 1, 1, false);
    *flops = (ttt_flops){.forward = (all.products + all.others) / tokens + head,
                         .decode = last.products + last.others + head,
                         .growth = growth(&stack, context)};
    flops->training = 3 * flops->forward;
    ttt_stack_deinit(&stack, NULL);
    return TTT_OK;
}
