/* SPDX-License-Identifier: MIT
 *
 * Runs that take as much as another took: the number of updates, or the width, with which the training FLOPs of a new
 * run are those that a model folder records; MATH (flops).
 */
#ifndef TTT_TRAIN_MATCH_FLOPS_H
#define TTT_TRAIN_MATCH_FLOPS_H

#include <ttt/train.h>

#include "config/config.h"

/* What a model was trained with: tokens, by its metrics.jsonl, times FLOPs of a token at its context. */
TTT_NODISCARD ttt_status ttt_match_total(const char *folder, double *flops);

/* The number of updates that comes nearest to that, at least 1. */
TTT_NODISCARD ttt_status ttt_match_steps(double total, const ttt_config *config, const ttt_train_options *train,
                                         int64_t *steps);

/* Changes the width so that train->steps updates come near to that: heads keep their size, and there are more or fewer
 * of them (without heads hidden_size goes by 16); intermediate_size keeps its proportion, to multiples of 8, and then
 * takes up the rest. */
TTT_NODISCARD ttt_status ttt_match_width(double total, ttt_config *config, const ttt_train_options *train);

#endif
