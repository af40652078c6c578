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

#include "base/control_groups.h"

enum { MOST_PROCESSORS = 1 << 20 };

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

/* Time in each period that a group's processes have together. */
static void take_group(void *context, const char *folder)
{
    int *least = context;
    char line[64];
    long long quota = -1, period = -1;
    if (!ttt_control_line(line, sizeof line, folder, "cpu.max", "") ||
        sscanf(line, "%lld %lld", &quota, &period) != 2) {
        quota = ttt_control_number(folder, "cpu.cfs_quota_us");
        period = ttt_control_number(folder, "cpu.cfs_period_us");
    }
    if (quota <= 0 || period <= 0) return;
    const long long whole = quota / period, count = whole < 1 ? 1 : whole;
    if (count < MOST_PROCESSORS && (*least == 0 || count < *least)) *least = (int)count;
}

int ttt_processor_quota(const char *root)
{
    int least = 0;
    ttt_control_groups(root, "cpu", take_group, &least);
    return least;
}

int ttt_processor_count(void)
{
    const int count = allowed(), quota = ttt_processor_quota("");
    return quota > 0 && quota < count ? quota : count;
}
