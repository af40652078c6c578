/* SPDX-License-Identifier: MIT
 *
 * How much memory this process may still take.
 */
#ifndef TTT_BASE_MEMORY_H
#define TTT_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that the machine has left without swapping, or fewer where a container's limit is nearer; INT64_MAX if nothing
 * tells. `root` stands before /proc and /sys: "" but in tests. */
int64_t ttt_memory_left(const char *root);

#endif
