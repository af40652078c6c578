/* SPDX-License-Identifier: MIT
 *
 * Work in a child process that is killed just before one of its calls of the system.
 */
#ifndef TTT_TEST_CHILD_H
#define TTT_TEST_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"

/* Starts the work in a child, which is killed before its call number `kill` (0: not at all); with `names` only calls
 * count that change what a folder holds. The number of calls, where it comes to its end, is written to `result` (-1:
 * nowhere). */
static inline pid_t child_start(ttt_status (*work)(const void *context), const void *context, int64_t kill, bool names,
                                int result)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child != 0) return child;
    fault_kill_at(kill, names);
    const int64_t before = fault_count_all();
    const ttt_status status = work(context);
    const int64_t calls = fault_count_all() - before;
    if (status != TTT_OK && result >= 0) fprintf(stderr, "%s\n", ttt_error_detail());
    const bool written = result < 0 || write(result, &calls, sizeof calls) == sizeof calls;
    _exit(written ? (int)status : 100);
}

/* The ttt_status with which the child ended, or 128 + the signal that ended it. */
static inline int child_wait(pid_t child)
{
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Both; *calls (NULL: of no interest) is 0 where it was killed. */
static inline int child_run(ttt_status (*work)(const void *context), const void *context, int64_t kill, bool names,
                            int64_t *calls)
{
    int ends[2];
    int64_t made = 0;
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = child_start(work, context, kill, names, ends[1]);
    close(ends[1]);
    if (read(ends[0], &made, sizeof made) != sizeof made) made = 0;
    close(ends[0]);
    if (calls) *calls = made;
    return child_wait(child);
}

#endif
