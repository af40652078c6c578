/* SPDX-License-Identifier: MIT
 *
 * Stop strings in a text that arrives in pieces: how much of what has arrived may be shown.
 */
#ifndef TTT_INFER_STOP_H
#define TTT_INFER_STOP_H

#include <stdbool.h>
#include <stddef.h>

/* The number of bytes of `text` that are certain to come before any stop string: up to the first one if there is one
 * (*found), else all but the longest end that could be the beginning of one. Stop strings are not empty. */
size_t ttt_stop_scan(const char *text, size_t size, const char *const *stops, size_t count, bool *found);

#endif
