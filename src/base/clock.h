/* SPDX-License-Identifier: MIT
 *
 * Time for measurements.
 */
#ifndef TTT_BASE_CLOCK_H
#define TTT_BASE_CLOCK_H

#include <time.h>

/* Seconds of a clock that only goes forward. */
static inline double ttt_clock(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

#endif
