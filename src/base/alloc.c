/* SPDX-License-Identifier: MIT
 *
 * Blocks are aligned to cache lines, large ones to huge pages, which are asked for: reading through small pages spends
 * as much time on finding the memory as on reading it, in a virtual machine above all.
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(block, bytes) (void)0
#endif

enum { LINE = 64, HUGE_PAGE = 2 << 20, LARGE = 2 * HUGE_PAGE };

static atomic_llong allocations;
static long long fault_at; /* value of `allocations` that fails; 0 is none */
static int fault_forever;

void ttt_alloc_fault(int64_t nth, int forever)
{
    fault_at = nth > 0 ? atomic_load(&allocations) + nth : 0;
    fault_forever = forever;
}

int64_t ttt_alloc_count(void) { return atomic_load(&allocations); }

static int allocation_faults(void)
{
    const long long number = atomic_fetch_add(&allocations, 1) + 1;
    return fault_at != 0 && (number == fault_at || (fault_forever && number > fault_at));
}

static void *out_of_memory(size_t count, size_t size)
{
    (void)ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot allocate %zu x %zu bytes", count, size);
    return NULL;
}

static void *allocate(size_t count, size_t size)
{
    size_t bytes;
    if (allocation_faults() || __builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - HUGE_PAGE)
        return out_of_memory(count, size);
    const bool large = bytes >= LARGE;
    const size_t page = large ? HUGE_PAGE : LINE, whole = (bytes + page - 1) / page * page;
    void *block = aligned_alloc(page, whole + (bytes == 0 ? page : 0));
    if (!block) return out_of_memory(count, size);
#ifdef MADV_HUGEPAGE
    /* Not the last, partial page, of which small pages take no more than is used. A wish: without it all is the same,
     * slower. */
    if (large) (void)madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return block;
}

/* The pages of a large block are given back to Linux, which gives them again, zeroed, as each is first touched: what is
 * never used costs nothing, and threads that fill a block share that work too. */
static bool zero_later(void *block, size_t bytes)
{
#ifdef __linux__
    if (bytes < LARGE || madvise(block, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, MADV_DONTNEED) != 0)
        return false;
    VALGRIND_MAKE_MEM_DEFINED(block, bytes); /* which does not know that what is given back comes again zeroed */
    return true;
#else
    (void)block, (void)bytes;
    return false;
#endif
}

void *ttt_alloc(size_t count, size_t size)
{
    void *block = allocate(count, size);
    if (block && !zero_later(block, count * size)) memset(block, 0, count * size);
    return block;
}

void *ttt_realloc(void *block, size_t count, size_t size)
{
    void *grown = allocate(count, size);
    if (!grown) return NULL;
    if (block) {
        const size_t old = malloc_usable_size(block);
        memcpy(grown, block, old < count * size ? old : count * size);
        free(block);
    }
    return grown;
}

char *ttt_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = allocate(bytes, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void ttt_free(void *block) { free(block); }
