/* SPDX-License-Identifier: MIT
 *
 * The only heap of the library. Blocks are 64-byte aligned, large ones to huge pages, and zeroed. A failed allocation
 * records its sentence, so callers write `if (!p) return TTT_ERR_MEMORY;`.
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
 * and `block` stays valid. */
void *ttt_realloc(void *block, size_t count, size_t size) __attribute__((warn_unused_result));

/* A copy of a string; NULL on failure. */
char *ttt_strdup(const char *text) __attribute__((warn_unused_result));

/* NULL is allowed. */
void ttt_free(void *block);

/* For tests: the nth allocation from now (1 = the next) fails, and all after it when `forever`; 0 switches off. Not
 * thread-safe. */
void ttt_alloc_fault(int64_t nth, int forever);

/* For tests: the number of allocations since the program started. */
int64_t ttt_alloc_count(void);

#endif
