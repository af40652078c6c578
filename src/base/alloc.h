/* SPDX-License-Identifier: MIT
 *
 * The library's own heap (jansson, zstd and utf8proc take theirs from malloc). Blocks are 64-byte aligned,
 * large ones to huge pages, and zeroed. A failed allocation records its sentence, so callers write `if (!p) return
 * TTT_ERR_MEMORY;`.
 */
#ifndef TTT_BASE_ALLOC_H
#define TTT_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* `count` zeroed elements of `size` bytes each (count 0 gives a block too). NULL, with the sentence recorded, if the
 * product overflows or memory is short. */
void *ttt_alloc(size_t count, size_t size) __attribute__((warn_unused_result));

/* Grows or shrinks `block` (NULL allowed) to count * size bytes. What is new is not zeroed. On failure NULL is returned
 * and `block` stays valid. A block of many megabytes is moved by the system, page by page: old and new are never both
 * in memory. */
void *ttt_realloc(void *block, size_t count, size_t size) __attribute__((warn_unused_result));

/* Room for at least `count` elements of `size` bytes in an array that grows step by step. `array` is the address of the
 * pointer to it; *capacity is in elements. On failure both stay as they are. */
TTT_NODISCARD ttt_status ttt_array_reserve(void *array, size_t *capacity, size_t count, size_t size);

/* A copy of a string; NULL on failure. */
char *ttt_strdup(const char *text) __attribute__((warn_unused_result));

/* NULL is allowed. */
void ttt_free(void *block);

#endif
