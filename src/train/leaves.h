/* SPDX-License-Identifier: MIT
 *
 * The gradient of an update as a tree. The update's sequences are cut into leaves; the gradient of each is made in a
 * zeroed block, and blocks are added pairwise by the leaves' numbers: (0 + 1) + (2 + 3). The order of every addition is
 * thereby a function of the number of leaves alone, and an aligned part of the tree may be computed elsewhere, by
 * another rank (shares.h).
 */
#ifndef TTT_TRAIN_LEAVES_H
#define TTT_TRAIN_LEAVES_H

#include "train/optimizer.h"

enum { TTT_LEAVES_LEVELS = 31 }; /* at most 2^30 leaves */

typedef struct ttt_leaves {
    ttt_optimizer *optimizer;          /* its block of gradients is one of the blocks, and the last one the sum is in */
    char *blocks[TTT_LEAVES_LEVELS];   /* [levels + 1], laid out as the optimizer's; first those in use */
    double losses[TTT_LEAVES_LEVELS];  /* of what each block in use is the sum of */
    int64_t widths[TTT_LEAVES_LEVELS]; /* leaves that each is the sum of, a power of two */
    int used, count;
    bool joined; /* the last leaf's block, or what there is of it, is already added to the others */
} ttt_leaves;

/* `leaves`: a power of two. Takes log2(leaves) blocks beside the optimizer's. */
TTT_NODISCARD ttt_status ttt_leaves_init(ttt_leaves *tree, ttt_optimizer *optimizer, int64_t leaves);
void ttt_leaves_deinit(ttt_leaves *tree);
size_t ttt_leaves_bytes(const ttt_lm *lm, int64_t leaves);

/* Before the first leaf of an update. */
void ttt_leaves_start(ttt_leaves *tree);
/* The optimizer's gradients become a zeroed block for the next leaf. */
void ttt_leaves_open(ttt_leaves *tree);
/* Before the last leaf is closed: adds elements [first, end) of its gradient, which are whole, to those before it, so
 * that they are the sum in blocks[0]. All elements must come, in any pieces. */
void ttt_leaves_join(ttt_leaves *tree, int64_t first, int64_t end);
/* The leaf is computed; `loss` is summed by the same tree. */
void ttt_leaves_close(ttt_leaves *tree, double loss);
/* After the last leaf: the optimizer's gradients are the sum. Returns the sum of the losses. */
double ttt_leaves_finish(ttt_leaves *tree);

#endif
