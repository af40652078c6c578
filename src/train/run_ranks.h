/* SPDX-License-Identifier: MIT
 *
 * A run that ranks share. Rank 0 has the folder: it alone reads checkpoints and writes, and the others begin with what
 * it tells them, and with the data, which each reads by itself.
 */
#ifndef TTT_TRAIN_RUN_RANKS_H
#define TTT_TRAIN_RUN_RANKS_H

#include "train/run.h"

/* What is made of a run by its options and, on rank 0, its folder: called by all ranks once rank 0 has opened it, with
 * that rank's status. Afterwards all have the same trainer, data and note, or the same failure. */
TTT_NODISCARD ttt_status ttt_run_join(ttt_train_run *run, ttt_status status);

/* What must be the same on all ranks between updates: rank 0 decides by its clock how many steps there are, whether
 * they are still measured, and whether a checkpoint is due; any rank may have been asked to stop, or have failed, which
 * then is everybody's failure. */
typedef struct ttt_run_vote {
    bool stop, due;
} ttt_run_vote;
TTT_NODISCARD ttt_status ttt_run_decide(ttt_train_run *run, ttt_status status, ttt_run_vote *vote);

static inline bool ttt_run_leads(const ttt_train_run *run) { return ttt_comm_rank(run->options.comm) == 0; }

#endif
