/* SPDX-License-Identifier: MIT
 *
 * A command that several ranks of a launcher do together: it joins them, one of them speaks, and all end together.
 */
#ifndef TTT_APPS_RANKS_H
#define TTT_APPS_RANKS_H

#include <ttt/comm.h>

/* *comm is NULL where this process is alone. */
TTT_NODISCARD ttt_status ttt_app_join(ttt_comm **comm);

/* The exit code of a command that ended with `status`: a failure is told, by one rank where all know of it. Leaves the
 * others in order, or ends them where they do not know. */
int ttt_app_leave(ttt_comm *comm, ttt_status status);

#endif
