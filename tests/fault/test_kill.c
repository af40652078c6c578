/* SPDX-License-Identifier: MIT
 *
 * A training run that is killed just before each of its calls of the system in turn, in an empty folder and with force
 * in one that holds a finished run: the same command without force then goes on or begins anew, comes to the very model
 * of a run that nobody disturbed, and leaves nothing half written. The short test takes all places of the second case
 * where the folder changes, and of the others one in sixteen, by TTT_TEST_SEED; TTT_TEST_LONG takes them all.
 */
#include "child.h"
#include "run.h"

typedef struct job {
    const char *folder;
    bool force;
} job;

static ttt_status work(const void *context)
{
    const job *j = context;
    return run_to_end(j->folder, j->force);
}

/* Every `stride`-th call, the first by `seed`; with `names` of those alone that change what a folder holds. */
static void test(bool force, const char *template, bool names, int64_t stride, uint64_t seed)
{
    const job disturbed = {"killed", force}, plain = {"killed", false};
    int64_t calls;
    run_remove("killed");
    run_command("cp -r '%s' killed", template);
    CHECK_EQ(child_run(work, &disturbed, 0, names, &calls), TTT_OK);
    printf("%lld %s %s force\n", (long long)calls, names ? "changes of folders" : "calls", force ? "with" : "without");
    CHECK(calls > 30);
    for (int64_t nth = 1 + (int64_t)(seed % (uint64_t)stride); nth <= calls; nth += stride) {
        run_remove("killed");
        run_command("cp -r '%s' killed", template);
        CHECK_EQ(child_run(work, &disturbed, nth, names, NULL), 128 + SIGKILL);
        const int again = child_run(work, &plain, 0, false, NULL);
        CHECK_EQ(again, TTT_OK);
        if (again != TTT_OK) fprintf(stderr, "killed before %lld of %lld\n", (long long)nth, (long long)calls);
        run_check_same("whole/model.safetensors", "killed/model.safetensors", "killed", nth);
        run_check_same("whole/loss.svg", "killed/loss.svg", "killed", nth);
        run_command("! ls -R '%s' | grep -e tmp- -e partial -e new -e lock", "killed");
    }
}

int main(void)
{
    run_begin("fault_kill");
    CHECK_OK(ttt_folder_make("empty"));
    CHECK_EQ(child_run(work, &(job){"whole", false}, 0, false, NULL), TTT_OK);
    const uint64_t seed = test_seed();
    const int64_t stride = test_long() ? 1 : 16;
    test(false, "empty", false, stride, seed);
    test(true, "whole", false, stride, seed);
    if (!test_long()) test(true, "whole", true, 1, 0);
    return test_end();
}
