/* SPDX-License-Identifier: MIT
 *
 * Ranks that die or stop: all end, the last checkpoint stays, and another number of ranks goes on to the bits of a run
 * that nobody disturbed. A rank of four is killed once and stopped once; with TTT_TEST_LONG one of eight is killed at
 * 20 moments.
 */
#include <dirent.h>

#include "base/rng.h"
#include "mpirun.h"

enum { STEPS = 120 };

/* Processes of the program below `parent`, not more than `most`. */
static int find_ranks(pid_t parent, pid_t *ranks, int most)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    int count = 0;
    while (folder && (entry = readdir(folder)) != NULL && count < most) {
        char path[300], name[64];
        int pid, above;
        snprintf(path, sizeof path, "/proc/%.32s/stat", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        if (fscanf(file, "%d (%63[^)]) %*c %d", &pid, name, &above) == 3 && above == parent && strcmp(name, "ttt") == 0)
            ranks[count++] = pid;
        fclose(file);
    }
    if (folder) closedir(folder);
    return count;
}

/* Starts `count` ranks and, `milliseconds` after the first checkpoint, sends one of them a signal. */
static void disturb(int count, int number, int milliseconds, int signal, const char *says)
{
    char command[1024];
    pid_t ranks[8] = {0};
    snprintf(command, sizeof command, "mpirun -np %d ttt train %s -o disturbed --steps %d --save-every 2", count,
             train_options, STEPS);
    CLI_OK("rm -rf disturbed");
    const pid_t launcher = cli_start(command);
    CHECK(cli_await(launcher, "disturbed/checkpoint/step-000000002.safetensors"));
    usleep((useconds_t)milliseconds * 1000);
    const int found = find_ranks(launcher, ranks, 8);
    if (found == count) kill(ranks[number], signal);
    const int code = cli_wait(launcher);
    if (found != count) { /* it was faster */
        CHECK_EQ(code, 0);
        return;
    }
    if (code == 0) return;
    if (!strstr(cli_output, says)) fprintf(stderr, "%s\n", cli_output);
    CHECK(strstr(cli_output, says));
}

static void go_on(int count)
{
    if (count == 1)
        CLI_OK("$TTT train -o disturbed");
    else
        CLI_OK("mpirun -np %d $TTT train -o disturbed", count);
    CHECK(cli_same("whole/model.safetensors", "disturbed/model.safetensors"));
    CHECK(same_metrics("whole", "disturbed"));
    CLI_OK("! ls -R disturbed | grep -e tmp- -e partial -e new -e lock");
}

int main(void)
{
    if (!mpirun_begin("ranks_kill")) return test_end();
    CLI_OK("$TTT train %s -o whole --steps %d --save-every 2", train_options, STEPS);
    disturb(4, 2, 20, SIGKILL, "signal 9 (Killed)");
    go_on(2);
    disturb(4, 1, 20, SIGSTOP, "was not heard of for ");
    go_on(1);
    const ttt_rng rng = {.seed = test_seed(), .stream = TTT_RNG_TEST};
    for (uint64_t i = 0; i < 20 && test_long(); i++) {
        disturb(8, (int)(ttt_rng_u64(rng, 3 * i) % 8), (int)(ttt_rng_u64(rng, 3 * i + 1) % 3000), SIGKILL, "Killed");
        go_on(1 << ttt_rng_u64(rng, 3 * i + 2) % 4);
    }
    return test_end();
}
