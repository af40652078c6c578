/* SPDX-License-Identifier: MIT
 *
 * What ranks do together. Sums go pairwise by rank, nearest first: 0 with 1 and 2 with 3, then 0-1 with 2-3; so they
 * continue a tree whose leaves lie on the ranks in order, and a sum of two floats has the same bits whoever is first.
 * Each of these is called by all ranks, in the same order. Where no more is said the number of ranks is a power of two.
 * A failure is that of the comm, for good; comm NULL is one rank, for which there is nothing to do.
 *
 * The long ones are *jobs*, which the comm's thread does one after another while the caller computes.
 */
#ifndef TTT_DIST_COMM_H
#define TTT_DIST_COMM_H

#include <stdint.h>
#include <ttt/comm.h>

#include "base/error.h"
#include "dist/transport.h"
#include "tensor/dtype.h"

/* Work for the comm's thread. A block of reals is cut into parts of `part` bytes, the last one shorter, and parts
 * [first, end) of it are shared out among the ranks: ttt_comm_share says which are whose. */
typedef struct ttt_comm_job {
    bool (*work)(ttt_comm *comm, struct ttt_comm_job *job);
    struct ttt_comm_job *next;
    bool done;
    char *block;
    size_t bytes, part; /* of the block, of a part */
    int64_t first, end;
    ttt_dtype dtype; /* TTT_F32 or TTT_F64 */
} ttt_comm_job;

/* The parts [*first, *end) of what it is called with that are a rank's own. */
void ttt_comm_share(int rank, int size, int64_t *first, int64_t *end);

/* Afterwards each rank's own parts are the sums over all ranks; the others hold what is of no use. */
void ttt_comm_reduce(ttt_comm *comm, ttt_comm_job *job);
/* Every rank's own parts become everybody's. */
void ttt_comm_spread(ttt_comm *comm, ttt_comm_job *job);
/* Every rank's own parts become rank 0's; and the way back. */
void ttt_comm_collect(ttt_comm *comm, ttt_comm_job *job);
void ttt_comm_deal(ttt_comm *comm, ttt_comm_job *job);
/* Waits for a job that one of these began. */
TTT_NODISCARD ttt_status ttt_comm_wait(ttt_comm *comm, ttt_comm_job *job);

/* x [count] becomes the sum over all ranks. */
TTT_NODISCARD ttt_status ttt_comm_sum(ttt_comm *comm, double *x, size_t count);
/* Rank 0's bytes become everybody's; any number of ranks. */
TTT_NODISCARD ttt_status ttt_comm_broadcast(ttt_comm *comm, void *bytes, size_t size);
/* all [ranks, size]: what each rank gave; any number of ranks. */
TTT_NODISCARD ttt_status ttt_comm_gather(ttt_comm *comm, const void *own, size_t size, void *all);
/* Every rank says how it fares: where one has failed, all return its failure and sentence, which name it; any number of
 * ranks. */
TTT_NODISCARD ttt_status ttt_comm_agree(ttt_comm *comm, ttt_status status);
/* The failure just met is one that every rank meets by itself, in the same way. */
ttt_status ttt_comm_agreed_failure(ttt_comm *comm, ttt_status status);

/* Threads that this rank should compute with where nobody says: its processors, shared with the ranks of the same host
 * that may run on the same ones. */
int ttt_comm_threads(const ttt_comm *comm);
/* The processors that a rank may run on, such as "0-3". */
const char *ttt_comm_processors(const ttt_comm *comm, int rank);

/* By any transport; a rank that is silent for `silence` seconds is lost. */
TTT_NODISCARD ttt_status ttt_comm_open_by(ttt_comm **comm, ttt_transport_opener opener, void *opener_context,
                                          double silence, ttt_comm_lost lost, void *context);

#endif
