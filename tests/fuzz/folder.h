/* SPDX-License-Identifier: MIT
 *
 * A folder of a fuzz target, in memory where there is such a place, into which each input is put under one name.
 */
#ifndef TTT_FUZZ_FOLDER_H
#define TTT_FUZZ_FOLDER_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char fuzz_folder[64]; /* "" until fuzz_folder_make; removed when the process ends */

static void fuzz_folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fuzz_folder);
    if (system(command) != 0) perror(fuzz_folder);
}

/* Whether it is new. */
static bool fuzz_folder_make(void)
{
    if (*fuzz_folder) return false;
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/ttt-fuzz.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(fuzz_folder)) abort();
    atexit(fuzz_folder_remove);
    return true;
}

/* FOLDER/NAME; of the last call. */
static const char *fuzz_path(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    return path;
}

static void fuzz_put(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(fuzz_path(name), "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

#endif
