/* SPDX-License-Identifier: MIT
 *
 * An update shared by ranks. Each rank makes the gradients of its leaves and adds them up (leaves.h); from there the
 * tree goes on between ranks (dist/comm.h), so that the bits are those of one process. The flat blocks are cut into
 * *buckets*, from their end to their beginning as backward finishes them: while the comm's thread sums one, the blocks
 * below are computed. Afterwards each rank has its share of every bucket, updates its parameters, and gives them to
 * all; the moments of other shares it never touches, so that they take no memory.
 *
 * Shares are whole parts of the sum of squares (ttt_sum_part), of which the norm is made by adding them in order.
 *
 * Alone, there is one bucket, all of it one's own.
 */
#ifndef TTT_TRAIN_SHARES_H
#define TTT_TRAIN_SHARES_H

#include "dist/comm.h"
#include "train/leaves.h"

typedef struct ttt_bucket {
    int64_t block;          /* which backward must have finished; -1: and the embedding too */
    int64_t first, end;     /* elements */
    int64_t own_first, own; /* elements of this rank's share: the first, and how many */
    ttt_comm_job job;
} ttt_bucket;

typedef struct ttt_shares {
    ttt_comm *comm;
    ttt_optimizer *optimizer;
    ttt_leaves *leaves;
    ttt_bucket *buckets; /* [count], the last elements first */
    int64_t count, begun;
    int64_t part; /* elements of a part */
    int64_t part_count;
    double *sums; /* [1 + part_count] */
} ttt_shares;

TTT_NODISCARD ttt_status ttt_shares_init(ttt_shares *shares, ttt_comm *comm, ttt_optimizer *optimizer,
                                         ttt_leaves *leaves);
void ttt_shares_deinit(ttt_shares *shares);

/* Within the last leaf: the gradients of `block` and of all above it are whole, or with -1 all gradients are. Begins to
 * sum what now can be. */
void ttt_shares_reach(ttt_shares *shares, int64_t block);
/* After -1 was reached and the leaves are finished: waits until this rank's shares are summed. *loss becomes the sum of
 * all ranks' losses, *norm the global norm of the gradients. */
TTT_NODISCARD ttt_status ttt_shares_finish(ttt_shares *shares, double *loss, double *norm);
/* Updates all parameters, on every rank. */
TTT_NODISCARD ttt_status ttt_shares_update(ttt_shares *shares, ttt_adamw options, double norm, double clip);

/* Brings the moments of all shares to rank 0; and back, with the parameters, which all get. */
TTT_NODISCARD ttt_status ttt_shares_collect(const ttt_shares *shares);
TTT_NODISCARD ttt_status ttt_shares_deal(const ttt_shares *shares);

#endif
