/* SPDX-License-Identifier: MIT
 *
 * The one way to use several cores. Work is a fixed list of items, cut by shape and never by the number of threads, and
 * each item is computed by one thread, in one floating-point environment (float_env.h): so results are the same bits
 * for any thread count and any host. A pool's threads look for the next list for some ten thousandths of a second, then
 * sleep; where there are more of them than processors they sleep at once.
 *
 * A pool belongs to one caller at a time and to the process that made it. After fork the child has none of its threads:
 * there it can only be freed.
 */
#ifndef TTT_BASE_THREADS_H
#define TTT_BASE_THREADS_H

#include <stdint.h>

#include "base/error.h"

typedef struct ttt_pool ttt_pool;

/* A pool of `threads` (>= 1) threads, one of which is the caller of ttt_parallel. */
TTT_NODISCARD ttt_status ttt_pool_new(ttt_pool **pool, int threads);
/* NULL is allowed. In a child of the process that made the pool it gives back memory alone. */
void ttt_pool_free(ttt_pool *pool);

/* Calls task(context, item, thread) once for every item in [0, items), on the pool's threads; `thread`, in [0,
 * threads), tells which scratch to use. Returns when all are done. With pool NULL, a pool of one thread, or one item at
 * most, everything runs in the caller as thread 0, and nothing is shared with other calls.
 *
 * Otherwise the pool must be free: a call while another runs in it, from another thread or from within a task, would
 * mix two lists up. That is a fault of the caller which nothing can mend, so the process is aborted, with a line on
 * standard error, in every build. */
void ttt_parallel(ttt_pool *pool, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context);

#endif
