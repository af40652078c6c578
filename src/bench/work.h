/* SPDX-License-Identifier: MIT
 *
 * What the counting of work shares with the timing of single operations.
 */
#ifndef TTT_BENCH_WORK_H
#define TTT_BENCH_WORK_H

#include <stdbool.h>

#include "backend/backend.h"

/* Operations of a learner's forward or backward over some tokens of one sequence, all heads. */
double ttt_work_learner(bool mlp, const ttt_learner_dims *dims, int64_t tokens, bool backward);

#endif
