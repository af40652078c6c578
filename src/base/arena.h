/* SPDX-License-Identifier: MIT
 *
 * Memory by lifetime. An arena hands out 64-byte aligned pieces of one block. One whose base is NULL only
 * measures: the same layout function first tells how large the block must be and then carves it.
 */
#ifndef TTT_BASE_ARENA_H
#define TTT_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct ttt_arena {
    char *base;  /* NULL: measure only */
    size_t used; /* bytes handed out; after measuring, the size of the block needed */
} ttt_arena;

/* a + b and a * b, or SIZE_MAX where that is too much: a size that no allocation grants. A negative factor is one that
 * has overflowed already. */
static inline size_t ttt_size_add(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

static inline size_t ttt_size_times(int64_t a, size_t b)
{
    size_t product;
    return a < 0 || __builtin_mul_overflow((size_t)a, b, &product) ? SIZE_MAX : product;
}

/* `count` elements of `size` bytes; NULL while measuring. Never fails: the block was measured by the same calls. What
 * does not fit in 64 bits measures SIZE_MAX, which cannot be allocated. */
static inline void *ttt_arena_push(ttt_arena *arena, int64_t count, size_t size)
{
    void *piece = arena->base ? arena->base + arena->used : NULL;
    const size_t end = ttt_size_add(arena->used, ttt_size_add(ttt_size_times(count, size), 63));
    arena->used = end == SIZE_MAX ? SIZE_MAX : end / 64 * 64;
    return piece;
}

#endif
