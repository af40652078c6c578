/* SPDX-License-Identifier: MIT
 *
 * Calls of the system that fail: an allocation, a write, a rename and so on (base/system.h), and the allocations of
 * jansson. fault_at() makes the nth from now fail, fault_count() tells how many there were. Under AddressSanitizer what
 * a failure leaves behind is seen too.
 */
#ifndef TTT_TEST_FAULT_H
#define TTT_TEST_FAULT_H

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/system.h"
#include "test.h"

enum { FAULT_JSON = TTT_CALLS, FAULT_KINDS }; /* beside the kinds of base/system.h */

static const char *const fault_names[FAULT_KINDS] = {"alloc",    "open",  "read",   "write",  "map",
                                                     "sync",     "close", "rename", "remove", "mkdir",
                                                     "truncate", "list",  "space",  "thread", "json"};

static atomic_llong fault_counts[FAULT_KINDS], fault_all; /* calls so far */
static long long fault_first[FAULT_KINDS];                /* the call of a kind that fails; 0: none */
static int fault_stays;                                   /* all after it fail too */
static bool fault_names_only;                             /* of those that fault_kill counts, see fault_kill_at */
static long long fault_kill; /* of all calls of files, the one before which the process ends */

static int fault_hook(ttt_call call)
{
    const long long number = atomic_fetch_add(&fault_counts[call], 1) + 1, first = fault_first[call];
    const bool names = call == TTT_CALL_RENAME || call == TTT_CALL_REMOVE || call == TTT_CALL_MKDIR;
    const bool counts = fault_names_only ? names : call != TTT_CALL_ALLOC;
    if (counts && atomic_fetch_add(&fault_all, 1) + 1 == fault_kill) raise(SIGKILL);
    if (first == 0 || number < first || (number > first && !fault_stays)) return 0;
    return call == TTT_CALL_ALLOC ? ENOMEM : call == TTT_CALL_WRITE ? ENOSPC : EIO;
}

static inline int64_t fault_count(int kind)
{
    ttt_call_watch(fault_hook);
    return atomic_load(&fault_counts[kind]);
}

/* The nth call of a kind from now fails (1: the next), and with `forever` all after it; 0 switches off. */
static inline void fault_at(int kind, int64_t nth, int forever)
{
    const long long count = fault_count(kind);
    fault_stays = forever;
    fault_first[kind] = nth > 0 ? count + nth : 0;
}

/* The process ends just before its nth call from now of any kind but an allocation; with `names_only` of those that
 * change what a folder holds: renaming, removing, making. */
static inline void fault_kill_at(int64_t nth, bool names_only)
{
    ttt_call_watch(fault_hook);
    fault_names_only = names_only;
    fault_kill = nth > 0 ? atomic_load(&fault_all) + nth : 0;
}

static inline int64_t fault_count_all(void)
{
    ttt_call_watch(fault_hook);
    return atomic_load(&fault_all);
}

/* jansson 2.14 reads and writes past the end of a growing buffer of its own that could not grow: blocks of such sizes,
 * powers of two, do not fail. */
static inline void *fault_json_malloc(size_t size)
{
    if (size > 16 && (size & (size - 1)) == 0) return malloc(size);
    const long long number = atomic_fetch_add(&fault_counts[FAULT_JSON], 1) + 1, first = fault_first[FAULT_JSON];
    if (first != 0 && (number == first || (number > first && fault_stays))) return NULL;
    return malloc(size);
}

/* Before anything uses jansson: its allocations count and fail as FAULT_JSON. */
static inline void fault_watch_json(void) { json_set_alloc_funcs(fault_json_malloc, free); }

/* Runs the work with the 1st, 2nd, ... call of a kind failing (with `forever` also all after it) until it needs no
 * more: each time it must say so, with `status`, and only then. Returns the number of calls it makes. */
static inline int64_t fault_each(int kind, ttt_status (*work)(void *context), void *context, int forever,
                                 ttt_status status)
{
    for (int64_t nth = 1;; nth++) {
        const int64_t before = fault_count(kind);
        fault_at(kind, nth, forever);
        const ttt_status result = work(context);
        fault_at(kind, 0, 0);
        const int64_t made = fault_count(kind) - before;
        if (made < nth) {
            CHECK_EQ(result, TTT_OK);
            return made;
        }
        CHECK_EQ(result, status);
        if (result != status) fprintf(stderr, "failing: %s number %lld\n", fault_names[kind], (long long)nth);
        if (result != status || nth > 100000) return made;
    }
}

/* The same for jansson's allocations, of some of which it says that the text is not JSON. */
static inline int64_t fault_json(ttt_status (*work)(void *context), void *context)
{
    for (int64_t nth = 1;; nth++) {
        const int64_t before = fault_count(FAULT_JSON);
        fault_at(FAULT_JSON, nth, 0);
        const ttt_status result = work(context);
        fault_at(FAULT_JSON, 0, 0);
        const int64_t made = fault_count(FAULT_JSON) - before;
        if (made < nth) {
            CHECK_EQ(result, TTT_OK);
            return made;
        }
        const bool expected = result == TTT_ERR_MEMORY || result == TTT_ERR_FORMAT;
        CHECK(expected && ttt_error_detail()[0] != '\0');
        if (!expected)
            fprintf(stderr, "failing: json number %lld: %d %s\n", (long long)nth, result, ttt_error_detail());
        if (!expected || nth > 100000) return made;
    }
}

static inline int64_t fault_allocations(ttt_status (*work)(void *context), void *context, int forever)
{
    return fault_each(TTT_CALL_ALLOC, work, context, forever, TTT_ERR_MEMORY);
}

#endif
