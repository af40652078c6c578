/* SPDX-License-Identifier: MIT
 *
 * The program under mpirun, as a user starts it, on this machine: with more ranks than processors, and as root where
 * tests run so. A model of some parts of the sum of squares, so that every rank has a share.
 */
#ifndef TTT_TEST_MPIRUN_H
#define TTT_TEST_MPIRUN_H

#include "../cli/cli.h"

static const char train_options[] = "text -t byte --set hidden_size=64 --set num_hidden_layers=2 "
                                    "--set num_attention_heads=4 --set intermediate_size=96 --context 16 --batch 128 "
                                    "--leaves 8 --threads 1";

/* Two ranks that differ. Not "-np 1 A : -np 1 B", on which mpirun of Open MPI 5.0.7 falls whatever A and B are. */
#define UNLIKE(a, b)                                                                                                   \
    "mpirun -np 2 sh -c 'if [ ${OMPI_COMM_WORLD_RANK:-$PMI_RANK} = 0 ]; then exec " a "; else " b "; fi'"

/* Whether ranks can be started here; says what is missing. Enters the test's folder. */
static bool mpirun_begin(const char *name)
{
    static const char *const settings[][2] = {
        {"OMPI_ALLOW_RUN_AS_ROOT", "1"},
        {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
        {"OMPI_MCA_rmaps_base_oversubscribe", "1"},
        {"OMPI_MCA_mpi_yield_when_idle", "1"},
        {"OMPI_MCA_hwloc_base_binding_policy", "none"},
        {"PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"}, /* Open MPI 5 */
        {"PRTE_MCA_hwloc_default_binding_policy", "none"},
        {"ASAN_OPTIONS", "detect_leaks=0"}, /* MPI's own */
    };
    if (access(TTT_BINARY_DIR "/lib/libttt_mpi.so", F_OK) != 0 || system("command -v mpirun >/dev/null") != 0) {
        SKIP("there is no MPI: libopenmpi-dev and openmpi-bin are missing");
        return false;
    }
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) setenv(settings[i][0], settings[i][1], 1);
    cli_begin(name);
    cli_write_words("text", 20000, 5);
    return true;
}

/* The metrics of two runs but for the time they took. */
static inline bool same_metrics(const char *a, const char *b)
{
    return cli_run("for run in %s %s; do sed 's/, \"tokens_per_s.*//' $run/metrics.jsonl >$run.metrics; done; "
                   "cmp %s.metrics %s.metrics",
                   a, b, a, b) == 0;
}

#endif
