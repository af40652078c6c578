/* SPDX-License-Identifier: MIT
 *
 * A training run that is killed just before each of its calls of the system in turn, in an empty folder and with force
 * in one that holds a finished run: the same command without force then goes on or begins anew, comes to the very model
 * of a run that nobody disturbed, and leaves nothing half written. The short test takes a quarter of the places, whose
 * first depends on TTT_TEST_SEED; TTT_TEST_LONG takes them all.
 */
#include <sys/wait.h>

#include "fault.h"
#include "run.h"

/* Runs in a child, which is killed before its call number `kill` (0: not at all). Returns the status as waitpid gives
 * it, and in *made, where it came to its end, the number of calls. */
static int run_in_child(const char *folder, bool force, int64_t kill, int64_t *made)
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        fault_kill_at(kill);
        const int64_t before = fault_count_all();
        const ttt_status status = run_to_end(folder, force);
        const int64_t calls = fault_count_all() - before;
        if (status != TTT_OK) fprintf(stderr, "%s: %s\n", folder, ttt_error_detail());
        _exit(write(ends[1], &calls, sizeof calls) == sizeof calls && status == TTT_OK ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], made, sizeof *made) != sizeof *made) *made = 0;
    close(ends[0]);
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    return status;
}

static void test(bool force, const char *template, uint64_t seed)
{
    int64_t calls, ignored;
    run_remove("killed");
    run_command("cp -r '%s' killed", template);
    CHECK_EQ(run_in_child("killed", force, 0, &calls), 0);
    printf("%lld calls %s force\n", (long long)calls, force ? "with" : "without");
    CHECK(calls > 50);
    const int64_t stride = test_long() ? 1 : 4;
    for (int64_t nth = 1 + (int64_t)(seed % (uint64_t)stride); nth <= calls; nth += stride) {
        run_remove("killed");
        run_command("cp -r '%s' killed", template);
        const int end = run_in_child("killed", force, nth, &ignored);
        CHECK(WIFSIGNALED(end) && WTERMSIG(end) == SIGKILL);
        const int again = run_in_child("killed", false, 0, &ignored);
        CHECK_EQ(again, 0);
        if (again != 0) fprintf(stderr, "killed before call %lld of %lld\n", (long long)nth, (long long)calls);
        run_check_same("whole/model.safetensors", "killed/model.safetensors", "killed", nth);
        run_command("! ls -R '%s' | grep -e tmp- -e partial -e new -e lock", "killed");
    }
}

int main(void)
{
    int64_t calls;
    run_begin("fault_kill");
    CHECK_OK(ttt_folder_make("empty"));
    CHECK_EQ(run_in_child("whole", false, 0, &calls), 0);
    const uint64_t seed = test_seed();
    test(false, "empty", seed);
    test(true, "whole", seed);
    return test_end();
}
