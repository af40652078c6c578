/* SPDX-License-Identifier: MIT
 *
 * What two ranks of ttt move, by the comm that training uses: every rank's share becomes everybody's (spread), which is
 * nothing but exchange, and is summed (reduce), which adds beside it. The fastest of several rounds; megabytes a second
 * in each direction. Then the microseconds of a sum of one number.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "dist/comm.h"

static double fastest(ttt_comm *comm, ttt_comm_job *job, void (*begin)(ttt_comm *, ttt_comm_job *))
{
    enum { ROUNDS = 7 };
    double best = 1e9, together = 0;
    for (int round = 0; round < ROUNDS; round++) {
        if (ttt_comm_sum(comm, &together, 1) != TTT_OK) exit(1); /* all begin together */
        const double start = ttt_clock();
        begin(comm, job);
        if (ttt_comm_wait(comm, job) != TTT_OK) exit(1);
        const double seconds = ttt_clock() - start;
        if (seconds < best) best = seconds;
    }
    return best;
}

/* Seconds of a sum of one number. */
static double latency(ttt_comm *comm)
{
    enum { SUMS = 500 };
    double x = 0;
    const double start = ttt_clock();
    for (int i = 0; i < SUMS; i++)
        if (ttt_comm_sum(comm, &x, 1) != TTT_OK) exit(1);
    return (ttt_clock() - start) / SUMS;
}

int main(int argc, char **argv)
{
    const size_t moved = (size_t)(argc > 1 ? atoi(argv[1]) : 256) << 20;
    ttt_comm *comm;
    if (ttt_comm_open(&comm, NULL, NULL) != TTT_OK || ttt_comm_size(comm) != 2) {
        fprintf(stderr, "exchange: start two ranks: %s\n", ttt_error_detail());
        return 1;
    }
    float *block = ttt_alloc(2 * moved, 1);
    if (!block) return 1;
    for (size_t i = 0; i < 2 * moved / sizeof *block; i++) block[i] = (float)(i % 7);
    ttt_comm_job job = {.block = (char *)block,
                        .bytes = 2 * moved,
                        .part = 64 << 10,
                        .end = (int64_t)(2 * moved / (64 << 10)),
                        .dtype = TTT_F32};
    const double spread = fastest(comm, &job, ttt_comm_spread), reduce = fastest(comm, &job, ttt_comm_reduce);
    const double small = latency(comm);
    if (ttt_comm_rank(comm) == 0)
        printf("%.0f %.0f %.1f\n", (double)moved / spread / 1e6, (double)moved / reduce / 1e6, small * 1e6);
    ttt_free(block);
    ttt_comm_close(comm);
    return 0;
}
