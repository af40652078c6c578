/* SPDX-License-Identifier: MIT
 *
 * Ranks: the processes that a launcher (mpirun, mpiexec, srun) started together, on one machine or many. A comm is what
 * joins them. Given to a trainer or a run, it makes them share the work, with the bits of one process; without one, or
 * with NULL, a process works alone.
 *
 * MPI is not part of the library: it is a plug-in, libttt_mpi.so, loaded only where a launcher's variables say that
 * there are several ranks.
 *
 * Threads: a comm belongs to one thread at a time. It has a thread of its own, which exchanges while others compute and
 * tells the ranks of each other's life every second.
 */
#ifndef TTT_COMM_H
#define TTT_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_comm ttt_comm;

/* Called once, on the comm's own thread, when another rank is gone or was not heard of for ten seconds, with a sentence
 * that names it and its host. Returns whether all ranks of the launch are to be ended now, this one too; else whatever
 * is exchanged with others fails from then on. */
typedef bool (*ttt_comm_lost)(void *context, const char *sentence);

/* Joins the ranks of this program's launch; every one of them calls it. *comm is NULL where there is no launcher, or
 * one rank alone. TTT_ERR_UNSUPPORTED where a launcher started several and MPI or its plug-in is missing. `lost` may be
 * NULL. */
TTT_API TTT_NODISCARD ttt_status ttt_comm_open(ttt_comm **comm, ttt_comm_lost lost, void *context);

/* Takes leave of the others, who must do so too; NULL is allowed, here and below. */
TTT_API void ttt_comm_close(ttt_comm *comm);

/* Ends all ranks at once, for a failure that the others do not know of; they see this rank as lost. The comm is gone.
 */
TTT_API void ttt_comm_abort(ttt_comm *comm);

TTT_API int ttt_comm_rank(const ttt_comm *comm); /* from 0; alone: 0 */
TTT_API int ttt_comm_size(const ttt_comm *comm); /* ranks; alone: 1 */
TTT_API const char *ttt_comm_host(const ttt_comm *comm, int rank);

/* Since the comm was opened: bytes that this rank sent, seconds that its thread was at exchanging, and of these the
 * seconds that a caller waited for it: in the rest it computed. */
typedef struct ttt_comm_use {
    double bytes, seconds, waited;
} ttt_comm_use;
TTT_API ttt_comm_use ttt_comm_used(const ttt_comm *comm);

/* Whether the failure that a function returned last is one that all ranks were told of: they have the same sentence,
 * one of them should say it, and all may close. */
TTT_API bool ttt_comm_agreed(const ttt_comm *comm);

/* The number of this process among those of its launch, and how many they are, from the launcher's variables alone:
 * nothing is joined. Alone: 0 of 1. */
TTT_API void ttt_comm_place(int *rank, int *size);

#ifdef __cplusplus
}
#endif
#endif
