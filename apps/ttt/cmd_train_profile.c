/* SPDX-License-Identifier: MIT
 *
 * ttt train --profile: the table of what each operation took.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"

static int by_time(const void *a, const void *b)
{
    const double x = ((const ttt_profile_row *)a)->seconds, y = ((const ttt_profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

void ttt_train_print_profile(const ttt_profile *profile)
{
    double rest = profile->seconds, flops = 0;
    ttt_profile_row *rows = calloc(profile->count + 1, sizeof *rows);
    if (!rows || profile->count == 0) {
        free(rows);
        return;
    }
    memcpy(rows, profile->rows, profile->count * sizeof *rows);
    qsort(rows, profile->count, sizeof *rows, by_time);
    fprintf(stderr, "%-24s %9s %10s %7s %9s %8s\n", "operation", "calls", "seconds", "share", "GFLOP/s", "GB/s");
    for (const ttt_profile_row *r = rows; r->calls > 0; r++) {
        fprintf(stderr, "%-24s %9" PRId64 " %10.3f %6.1f%% %9.1f %8.1f\n", r->operation, r->calls, r->seconds,
                100 * r->seconds / profile->seconds, 1e-9 * r->flops / r->seconds, 1e-9 * r->bytes / r->seconds);
        rest -= r->seconds;
        flops += r->flops;
    }
    fprintf(stderr, "%-24s %9s %10.3f %6.1f%%\n", "between operations", "", rest, 100 * rest / profile->seconds);
    fprintf(stderr, "%-24s %9s %10.3f %6.1f%% %9.1f\n", "all", "", profile->seconds, 100.0,
            1e-9 * flops / profile->seconds);
    free(rows);
}
