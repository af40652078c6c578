/* SPDX-License-Identifier: MIT
 *
 * Linux's own estimate, and the limits of the process's control groups less what their processes hold; what files are
 * cached in is given back when it is wanted.
 */
#include "base/memory.h"

#include <stdio.h>

#include "base/control_groups.h"

static void take_group(void *context, const char *folder)
{
    int64_t *least = context;
    char line[64];
    long long limit = ttt_control_number(folder, "memory.max"), held = 0;
    if (limit < 0) limit = ttt_control_number(folder, "memory.limit_in_bytes");
    if (limit < 0) return;
    if (ttt_control_line(line, sizeof line, folder, "memory.stat", "anon ") ||
        ttt_control_line(line, sizeof line, folder, "memory.stat", "total_rss "))
        (void)sscanf(line, "%*s %lld", &held);
    const int64_t left = limit > held ? limit - held : 0;
    if (left < *least) *least = left;
}

int64_t ttt_memory_left(const char *root)
{
    char folder[1024], line[128];
    long long kilobytes;
    int64_t least = INT64_MAX;
    ttt_control_groups(root, "memory", take_group, &least);
    snprintf(folder, sizeof folder, "%s/proc", root);
    if (ttt_control_line(line, sizeof line, folder, "meminfo", "MemAvailable:") &&
        sscanf(line, "%*s %lld", &kilobytes) == 1 && kilobytes < least / 1024)
        least = kilobytes * 1024;
    return least;
}
