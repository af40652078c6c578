/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/control_groups.h"

#include <stdio.h>
#include <string.h>

enum { PATH = 1024 };

int ttt_control_line(char *line, size_t size, const char *folder, const char *name, const char *start)
{
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    int found = 0;
    while (!found && fgets(line, (int)size, file)) found = strncmp(line, start, strlen(start)) == 0;
    fclose(file);
    return found;
}

long long ttt_control_number(const char *folder, const char *name)
{
    char line[64];
    long long number;
    return ttt_control_line(line, sizeof line, folder, name, "") && sscanf(line, "%lld", &number) == 1 ? number : -1;
}

/* The group at `path` below `mount`, and those above it. */
static void take_groups(const char *mount, const char *path, void (*take)(void *, const char *), void *context)
{
    char folder[PATH + 64];
    const size_t stem = strlen(mount);
    if (stem + strlen(path) >= sizeof folder) return;
    snprintf(folder, sizeof folder, "%s%s", mount, path);
    for (;;) {
        take(context, folder);
        char *slash = strrchr(folder + stem, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

/* Whether the list "cpu,cpuacct" has the controller. */
static int has(const char *list, const char *controller)
{
    const size_t length = strlen(controller);
    for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
        if (strncmp(list, controller, length) == 0 && (list[length] == ',' || list[length] == '\0')) return 1;
    return 0;
}

void ttt_control_groups(const char *root, const char *controller, void (*take)(void *context, const char *folder),
                        void *context)
{
    char path[PATH], line[PATH], mount[PATH];
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path) return;
    FILE *file = fopen(path, "re");
    if (!file) return;
    while (fgets(line, sizeof line, file)) { /* "0::/a/b" of version 2; "4:cpu,cpuacct:/a/b" of version 1 */
        line[strcspn(line, "\n")] = '\0';
        char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        list++;
        if (*list != '\0' && !has(list, controller)) continue;
        const int length = snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s%s", root, *list ? "/" : "",
                                    *list ? controller : "");
        if (length >= (int)sizeof mount) continue;
        take_groups(mount, strcmp(group, "/") == 0 ? "" : group, take, context);
    }
    fclose(file);
}
