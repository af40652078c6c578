/* SPDX-License-Identifier: MIT
 *
 * Linux tells both: the set of processors as a mask of any length, the share in the files of the process's control
 * groups (version 2 or 1), where every group above it limits it too. What cannot be read limits nothing.
 */
#define _GNU_SOURCE
#include "base/processors.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 1024, MOST_PROCESSORS = 1 << 20 };

/* ---- the set ---- */

static int allowed(void)
{
    for (size_t most = 1024; most <= MOST_PROCESSORS; most *= 2) { /* the kernel refuses a mask shorter than its own */
        cpu_set_t *set = CPU_ALLOC(most);
        if (!set) return 1;
        const size_t size = CPU_ALLOC_SIZE(most);
        const int result = sched_getaffinity(0, size, set), error = errno,
                  count = result == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0) return count;
        if (result == 0 || error != EINVAL) return 1;
    }
    return 1;
}

/* ---- the share ---- */

static int read_line(char *line, size_t size, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    const int found = fgets(line, (int)size, file) != NULL;
    fclose(file);
    return found;
}

/* The first number of a file, -1 if there is none. */
static long long read_number(const char *folder, const char *name)
{
    char path[2 * PATH], line[64];
    long long number;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return read_line(line, sizeof line, path) && sscanf(line, "%lld", &number) == 1 ? number : -1;
}

/* Time in each period that a group's processes have together. */
static void take_group(const char *folder, int *least)
{
    char path[2 * PATH], line[64];
    long long quota = -1, period = -1;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (!read_line(line, sizeof line, path) || sscanf(line, "%lld %lld", &quota, &period) != 2) {
        quota = read_number(folder, "cpu.cfs_quota_us");
        period = read_number(folder, "cpu.cfs_period_us");
    }
    if (quota <= 0 || period <= 0) return;
    const long long whole = quota / period, count = whole < 1 ? 1 : whole;
    if (count < MOST_PROCESSORS && (*least == 0 || count < *least)) *least = (int)count;
}

/* The group at `path` below `mount`, and those above it. */
static void take_groups(const char *mount, const char *path, int *least)
{
    char folder[PATH + 64];
    const size_t stem = strlen(mount);
    if (stem + strlen(path) >= sizeof folder) return;
    snprintf(folder, sizeof folder, "%s%s", mount, path);
    for (;;) {
        take_group(folder, least);
        char *slash = strrchr(folder + stem, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* Whether the list "cpu,cpuacct" has "cpu". */
static int has_cpu(const char *list)
{
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (strncmp(list, "cpu", 3) == 0 && (list[3] == ',' || list[3] == '\0')) return 1;
    return 0;
}

int ttt_processor_quota(const char *root)
{
    char path[PATH], line[PATH], mount[PATH];
    int least = 0;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path) return 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) { /* "0::/a/b" of version 2; "4:cpu,cpuacct:/a/b" of version 1 */
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        list++;
        const char *const sub = *list == '\0' ? "" : has_cpu(list) ? "/cpu" : NULL;
        if (!sub || snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, sub) >= (int)sizeof mount) continue;
        take_groups(mount, strcmp(group, "/") == 0 ? "" : group, &least);
    }
    fclose(file);
    return least;
}

int ttt_processor_count(void)
{
    const int count = allowed(), quota = ttt_processor_quota("");
    return quota > 0 && quota < count ? quota : count;
}
