/* SPDX-License-Identifier: MIT
 *
 * Losses gathered by position: bins whose width grows with the position, and of each bin, and of all together, mean and
 * standard error. Losses of neighbouring tokens depend on each other, so the error is that of blocks: they are taken as
 * drawn by chance, each with all of its tokens, and the mean is the ratio of two sums over them, what their tokens lost
 * and how many these are.
 */
#ifndef TTT_EVAL_POSITION_H
#define TTT_EVAL_POSITION_H

#include <ttt/eval.h>

/* Bins for positions 1 to `last` (below 2^40); returns how many. */
int64_t ttt_eval_bins(ttt_eval_bin bins[TTT_EVAL_BINS], int64_t last);

/* The bin that holds a position: `from` or one after it. */
int64_t ttt_eval_find_bin(const ttt_eval_bin *bins, int64_t from, int64_t position);

enum {
    TTT_EVAL_CURVES = 3,          /* adapting, frozen, gain */
    TTT_EVAL_ALL = TTT_EVAL_BINS, /* stands for all bins */
    TTT_EVAL_PLACES = TTT_EVAL_BINS + 1,
    TTT_EVAL_OPEN = 16 /* blocks of text that may be under way at a time */
};

/* A block's tokens so far, and their values. `id` < 0: none. */
typedef struct ttt_eval_block {
    int64_t id;
    double tokens[TTT_EVAL_PLACES], sums[TTT_EVAL_CURVES][TTT_EVAL_PLACES];
} ttt_eval_block;

/* Over the blocks that have tokens in a place, t of them with the sum s: how many, and of t, s, t t, s t and s s. */
typedef struct ttt_eval_sums {
    double blocks[TTT_EVAL_PLACES], tokens[TTT_EVAL_PLACES], token_squares[TTT_EVAL_PLACES];
    double sums[TTT_EVAL_CURVES][TTT_EVAL_PLACES], cross[TTT_EVAL_CURVES][TTT_EVAL_PLACES],
        squares[TTT_EVAL_CURVES][TTT_EVAL_PLACES];
    ttt_eval_block open[TTT_EVAL_OPEN];
} ttt_eval_sums;

void ttt_eval_sums_init(ttt_eval_sums *sums);

/* Adds a token's values to a bin of block `id`, which goes to `slot`: the block there before, if it is another, has
 * come to its end. */
void ttt_eval_sums_add(ttt_eval_sums *sums, int64_t slot, int64_t id, int64_t bin,
                       const double values[TTT_EVAL_CURVES]);

/* All blocks have come to their end. */
void ttt_eval_sums_close(ttt_eval_sums *sums);

/* Curve number k of closed sums. A place of a single block has a mean and no error: NaN. */
void ttt_eval_summarize(ttt_eval_curve *curve, const ttt_eval_sums *sums, int k, int64_t bin_count);

#endif
