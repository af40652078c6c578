/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

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
    if (allocation_faults() || __builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - 64)
        return out_of_memory(count, size);
    void *block = aligned_alloc(64, (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0));
    return block ? block : out_of_memory(count, size);
}

void *ttt_alloc(size_t count, size_t size)
{
    void *block = allocate(count, size);
    if (block) memset(block, 0, count * size);
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
