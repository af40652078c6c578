/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "base/threads.h"

#include <sched.h>
#ifdef _OPENMP
#include <omp.h>
#endif

void ttt_parallel(int threads, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context)
{
    if (threads <= 1 || items <= 1) {
        for (int64_t item = 0; item < items; item++) task(context, item, 0);
        return;
    }
#ifdef _OPENMP
    if (items < threads) threads = (int)items;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t item = 0; item < items; item++) task(context, item, omp_get_thread_num());
#else
    for (int64_t item = 0; item < items; item++) task(context, item, 0);
#endif
}

int ttt_processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    const int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}
