/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzz target without libFuzzer: each argument is a file, or a folder whose files are taken in turn, and goes
 * through LLVMFuzzerTestOneInput once. So every corpus, and every input that once broke something, is an ordinary
 * regression test in every build.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int fail(const char *path)
{
    perror(path);
    return -1;
}

/* Each of these returns the number of inputs run, or -1. */
static int run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "rb");
    if (!file) return fail(path);
    unsigned char *data = malloc(size ? size : 1); /* exactly as large, so that ASan sees a read past the end */
    const size_t count = data ? fread(data, 1, size, file) : 0;
    fclose(file);
    if (!data || count != size) {
        free(data);
        return fail(path);
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int run_path(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) return fail(path);
    if (!S_ISDIR(status.st_mode)) return run_file(path, (size_t)status.st_size);
    DIR *folder = opendir(path);
    if (!folder) return fail(path);
    int total = 0;
    for (struct dirent *entry = readdir(folder); entry && total >= 0; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        const int count = run_path(inner);
        total = count < 0 ? -1 : total + count;
    }
    closedir(folder);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        const int count = run_path(argv[i]);
        if (count < 0) return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total == 0; /* an empty corpus tests nothing */
}
