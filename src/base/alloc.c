/* SPDX-License-Identifier: MIT
 *
 * Blocks are aligned to cache lines, large ones to huge pages, which are asked for: reading through small pages spends
 * as much time on finding the memory as on reading it, in a virtual machine above all.
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/system.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_DEFINED(block, bytes) (void)0
#endif

enum { LINE = 64, HUGE_PAGE = 2 << 20, LARGE = 2 * HUGE_PAGE, MOVED = 64 << 20 };

static void *out_of_memory(size_t count, size_t size)
{
    (void)ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot allocate %zu x %zu bytes", count, size);
    return NULL;
}

static void *allocate(size_t count, size_t size, bool huge)
{
    size_t bytes;
    if (ttt_call_fails(TTT_CALL_ALLOC) || __builtin_mul_overflow(count, size, &bytes) ||
        bytes > PTRDIFF_MAX - HUGE_PAGE)
        return out_of_memory(count, size);
    const bool large = bytes >= LARGE;
    const size_t page = large ? HUGE_PAGE : LINE, whole = (bytes + page - 1) / page * page;
    void *block = aligned_alloc(page, whole + (bytes == 0 ? page : 0));
    if (!block) return out_of_memory(count, size);
#ifdef MADV_HUGEPAGE
    /* Not the last, partial page, of which small pages take no more than is used. Best effort: only speed
     * depends on it. */
    if (large && huge) (void)madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
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
    void *block = allocate(count, size, true);
    if (block && !zero_later(block, count * size)) memset(block, 0, count * size);
    return block;
}

/* The system's realloc gives blocks of this size other addresses without touching their content, and keeps their place
 * in a page; but not blocks of which a part was asked to be huge pages, so what grows never is. Sanitizers' copies, and
 * aligns to 16 bytes. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { MOVES = 0 };
#else
enum { MOVES = 1 };
#endif

static void *move(void *block, size_t bytes)
{
    if (ttt_call_fails(TTT_CALL_ALLOC) || bytes > PTRDIFF_MAX - HUGE_PAGE) return out_of_memory(bytes, 1);
    void *moved = realloc(block, bytes);
    return moved ? moved : out_of_memory(bytes, 1);
}

void *ttt_realloc(void *block, size_t count, size_t size)
{
    size_t bytes;
    const size_t old = block ? malloc_usable_size(block) : 0;
    if (MOVES && old >= MOVED && !__builtin_mul_overflow(count, size, &bytes) && bytes >= MOVED)
        return move(block, bytes);
    void *grown = allocate(count, size, false);
    if (!grown) return NULL;
    if (block) {
        memcpy(grown, block, old < count * size ? old : count * size);
        free(block);
    }
    return grown;
}

ttt_status ttt_array_reserve(void *array, size_t *capacity, size_t count, size_t size)
{
    enum { FIRST = 16 };
    if (count <= *capacity) return TTT_OK;
    size_t larger;
    if (__builtin_mul_overflow(*capacity, (size_t)2, &larger) || larger < count) larger = count;
    if (larger < FIRST) larger = FIRST;
    void *data; /* through memcpy: the pointer has another type */
    memcpy(&data, array, sizeof data);
    data = ttt_realloc(data, larger, size);
    if (!data) return TTT_ERR_MEMORY;
    memcpy(array, &data, sizeof data);
    *capacity = larger;
    return TTT_OK;
}

char *ttt_strdup(const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = allocate(bytes, 1, false);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

void ttt_free(void *block) { free(block); }

void ttt_string_free(char *text) { ttt_free(text); }
