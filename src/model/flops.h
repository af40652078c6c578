/* SPDX-License-Identifier: MIT
 *
 * What tokens cost: the layers' own counts, added up; MATH (flops).
 */
#ifndef TTT_MODEL_FLOPS_H
#define TTT_MODEL_FLOPS_H

#include "layer/stack.h"

/* FLOPs of `tokens` tokens of one sequence from `position` on, in all layers: products with matrices, and the rest,
 * what grows with the position included (per_visible is then 0). */
ttt_layer_work ttt_stack_work(const ttt_stack *stack, int64_t position, double tokens, bool backward);

/* FLOPs of the head for one token. */
double ttt_head_work(const ttt_config *config);

#endif
