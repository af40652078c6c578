/* SPDX-License-Identifier: MIT
 *
 * Whether a launcher started this process as one of several, by the variables that launchers set; and the plug-in that
 * then joins them.
 */
#ifndef TTT_DIST_LAUNCH_H
#define TTT_DIST_LAUNCH_H

#include "base/error.h"
#include "dist/transport.h"

typedef struct ttt_launch {
    const char *launcher; /* for sentences; NULL: there is none */
    int rank, size;       /* size 0: the launcher does not say */
    bool mpi;             /* it offers MPI a way to join the ranks */
} ttt_launch;

ttt_launch ttt_launch_find(void);

/* The plug-in's opener, for as long as the process lives. */
TTT_NODISCARD ttt_status ttt_launch_plugin(const ttt_launch *launch, const ttt_transport_plugin **plugin);

#endif
