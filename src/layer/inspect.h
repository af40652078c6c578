/* SPDX-License-Identifier: MIT
 *
 * Looks into the inner loop while a layer runs: what the learner's loss was with the weights it began with, those of
 * the mini-batch's start and those after it (TTT.md section 5).
 */
#ifndef TTT_LAYER_INSPECT_H
#define TTT_LAYER_INSPECT_H

#include "layer/layer.h"

/* Around the learner's forward: keeps the weights, then measures. */
void ttt_inspect_before(const ttt_pass *pass, const ttt_layer_shape *shape);
void ttt_inspect_after(const ttt_pass *pass, const ttt_layer_shape *shape, const ttt_learner_call *call);

#endif
