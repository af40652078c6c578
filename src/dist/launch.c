/* SPDX-License-Identifier: MIT
 *
 * Open MPI's mpirun, Hydra's mpiexec (MPICH, Intel) and Slurm's srun each tell a process its number by a variable, and
 * most how many there are by another.
 */
#include "dist/launch.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *launcher, *rank, *sizes[2];
    bool mpi;
} launchers[] = {
    {"mpirun", "OMPI_COMM_WORLD_RANK", {"OMPI_COMM_WORLD_SIZE", NULL}, true},
    {"mpiexec", "PMI_RANK", {"PMI_SIZE", "SLURM_STEP_NUM_TASKS"}, true},
    {"the launcher", "PMIX_RANK", {"SLURM_STEP_NUM_TASKS", NULL}, true},
    {"srun", "SLURM_PROCID", {"SLURM_STEP_NUM_TASKS", NULL}, false},
};

/* A whole number from 0 up, or -1. */
static int number_of(const char *variable)
{
    const char *text = variable ? getenv(variable) : NULL;
    if (!text || !*text) return -1;
    char *end;
    const long value = strtol(text, &end, 10);
    return *end == '\0' && value >= 0 && value <= INT_MAX ? (int)value : -1;
}

ttt_launch ttt_launch_find(void)
{
    for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++) {
        const int rank = number_of(launchers[i].rank);
        int size = -1;
        for (int n = 0; n < 2 && size < 1; n++) size = number_of(launchers[i].sizes[n]);
        if (rank < 0 || (size < 1 && !launchers[i].mpi)) continue; /* as in a Slurm batch script, before any srun */
        return (ttt_launch){launchers[i].launcher, rank, size < 1 ? 0 : size, launchers[i].mpi};
    }
    return (ttt_launch){.size = 1};
}

#ifdef TTT_MPI_PLUGIN

/* Beside the program's folder as a build has it, where it was installed, or wherever the loader looks. */
static void *load(void)
{
    char path[PATH_MAX + 64];
    const ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        if (slash) *slash = '\0';
    }
    const size_t used = strlen(path);
    snprintf(path + used, sizeof path - used, "/lib/libttt_mpi.so");
    const char *const places[] = {path, TTT_MPI_PLUGIN, "libttt_mpi.so"};
    void *plugin = NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places && !plugin; i++)
        if (i == 2 || access(places[i], F_OK) == 0) plugin = dlopen(places[i], RTLD_NOW | RTLD_GLOBAL);
    return plugin;
}

ttt_status ttt_launch_plugin(const ttt_launch *launch, const ttt_transport_plugin **plugin)
{
    void *library = load();
    if (!library)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "%s started this as one of several ranks, but MPI cannot be loaded (%s): install the MPI that "
                        "ttt was built with, or start it without %s",
                        launch->launcher, dlerror(), launch->launcher);
    *plugin = dlsym(library, TTT_TRANSPORT_SYMBOL);
    if (*plugin && (*plugin)->version == TTT_TRANSPORT_VERSION) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "libttt_mpi.so is of another version of ttt: build and install both together");
}

#else

ttt_status ttt_launch_plugin(const ttt_launch *launch, const ttt_transport_plugin **plugin)
{
    *plugin = NULL;
    return ttt_fail(TTT_ERR_UNSUPPORTED,
                    "%s started this as one of several ranks, but this ttt was built without MPI: install MPI "
                    "(Debian: libopenmpi-dev) and build again, or start it without %s",
                    launch->launcher, launch->launcher);
}

#endif
