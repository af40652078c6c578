/* SPDX-License-Identifier: MIT
 *
 * Losses gathered by position: bins whose width grows with the position, sums over what falls into each.
 */
#ifndef TTT_EVAL_POSITION_H
#define TTT_EVAL_POSITION_H

#include <ttt/eval.h>

/* Bins for positions 1 to `last` (below 2^40); returns how many. */
int64_t ttt_eval_bins(ttt_eval_bin bins[TTT_EVAL_BINS], int64_t last);

/* The bin that holds a position: `from` or one after it. */
int64_t ttt_eval_find_bin(const ttt_eval_bin *bins, int64_t from, int64_t position);

typedef struct ttt_eval_sum {
    double sum, squares;
} ttt_eval_sum;

/* The curve of `bin_count` sums of bins[].tokens values each. */
void ttt_eval_summarize(ttt_eval_curve *curve, const ttt_eval_bin *bins, int64_t bin_count, const ttt_eval_sum *sums);

#endif
