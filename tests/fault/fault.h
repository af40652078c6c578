/* SPDX-License-Identifier: MIT
 *
 * Makes every allocation of a piece of work fail in turn. Under AddressSanitizer this also shows what a failure leaves
 * behind.
 */
#ifndef TTT_TEST_FAULT_H
#define TTT_TEST_FAULT_H

#include "base/alloc.h"
#include "test.h"

/* Runs the work with its 1st, 2nd, ... allocation failing (with `forever` also all after it) until it needs no more:
 * each time it must say that memory is short, and only then. Returns the number of allocations it makes. */
static inline int64_t fault_allocations(ttt_status (*work)(void *context), void *context, int forever)
{
    for (int64_t nth = 1;; nth++) {
        const int64_t before = ttt_alloc_count();
        ttt_alloc_fault(nth, forever);
        const ttt_status status = work(context);
        ttt_alloc_fault(0, 0);
        const int64_t made = ttt_alloc_count() - before;
        if (made < nth) {
            CHECK_EQ(status, TTT_OK);
            return made;
        }
        CHECK_EQ(status, TTT_ERR_MEMORY);
        if (status != TTT_ERR_MEMORY || nth > 100000) return made;
    }
}

#endif
