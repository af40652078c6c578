/* SPDX-License-Identifier: MIT
 *
 * The one way to use several cores. Work is a fixed list of items, cut by shape and never by the number of
 * threads, and each item is computed by one thread: so results are the same bits for any thread count.
 */
#ifndef TTT_BASE_THREADS_H
#define TTT_BASE_THREADS_H

#include <stdint.h>

/* Calls task(context, item, thread) for every item in [0, items), on at most `threads` threads; `thread` in [0,
 * threads) tells which scratch to use. Returns when all are done. With one thread or one item, runs in the caller. Not
 * to be nested. */
void ttt_parallel(int threads, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context);

/* Processors this process may run on, at least 1. */
int ttt_processor_count(void);

#endif
