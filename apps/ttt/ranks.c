/* SPDX-License-Identifier: MIT */
#include "ranks.h"

#include <stdio.h>
#include <unistd.h>

#include "common.h"

/* Should the launcher not be reached either, as where a network is cut, this process ends by itself. */
static bool lost(void *context, const char *sentence)
{
    enum { SECONDS = 5 };
    (void)context;
    fprintf(stderr, "ttt: %s; all ranks end, and the last checkpoint stays\n", sentence);
    alarm(SECONDS);
    return true;
}

ttt_status ttt_app_join(ttt_comm **comm) { return ttt_comm_open(comm, lost, NULL); }

static int fail_alone(const ttt_comm *comm, ttt_status status)
{
    const char *detail = ttt_error_detail();
    const int rank = ttt_comm_rank(comm);
    return ttt_app_fail("rank %d on host %s: %s", rank, ttt_comm_host(comm, rank),
                        *detail ? detail : ttt_status_text(status));
}

int ttt_app_leave(ttt_comm *comm, ttt_status status)
{
    const bool agreed = !comm || status == TTT_OK || ttt_comm_agreed(comm);
    int code = status == TTT_OK ? 0 : TTT_APP_FAILED;
    if (!agreed)
        code = fail_alone(comm, status);
    else if (status == TTT_ERR_INTERRUPTED || (status != TTT_OK && ttt_comm_rank(comm) == 0))
        code = ttt_app_failed(status);
    if (agreed)
        ttt_comm_close(comm);
    else
        ttt_comm_abort(comm);
    return code;
}
