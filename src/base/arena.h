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
    size_t peak; /* the largest `used` so far: what a stack-like arena needs */
} ttt_arena;

/* `count` elements of `size` bytes; NULL while measuring. Never fails: the block was measured by the same calls. */
static inline void *ttt_arena_push(ttt_arena *arena, int64_t count, size_t size)
{
    void *piece = arena->base ? arena->base + arena->used : NULL;
    arena->used += ((size_t)count * size + 63) / 64 * 64;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return piece;
}

/* Everything pushed since the mark may be given back: size_t mark = arena->used; ... arena->used = mark; */

#endif
