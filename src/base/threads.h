/* SPDX-License-Identifier: MIT
 *
 * The one way to use several cores. Work is a fixed list of items, cut by shape and never by the number of
 * threads, and each item is computed by one thread: so results are the same bits for any thread count. A pool's
 * threads wait a few microseconds for the next list, then sleep: they do not spin against the machine's other work.
 */
#ifndef TTT_BASE_THREADS_H
#define TTT_BASE_THREADS_H

#include <stdint.h>

#include "base/error.h"

typedef struct ttt_pool ttt_pool;

/* A pool of `threads` (>= 1) threads, one of which is the caller of ttt_parallel. */
TTT_NODISCARD ttt_status ttt_pool_new(ttt_pool **pool, int threads);
void ttt_pool_free(ttt_pool *pool); /* NULL is allowed */

/* Calls task(context, item, thread) once for every item in [0, items), on the pool's threads; `thread`, in [0,
 * threads), tells which scratch to use. Returns when all are done. With pool NULL, or one item, everything runs in the
 * caller as thread 0. One call at a time in a pool, not nested. */
void ttt_parallel(ttt_pool *pool, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context);

/* Processors this process may run on, at least 1. */
int ttt_processor_count(void);

#endif
