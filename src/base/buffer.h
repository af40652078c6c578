/* SPDX-License-Identifier: MIT
 *
 * A growable run of bytes. Zero-initialise it; after any failure it still holds what it held.
 */
#ifndef TTT_BASE_BUFFER_H
#define TTT_BASE_BUFFER_H

#include <stddef.h>

#include "base/error.h"

typedef struct ttt_buffer {
    char *data; /* `size` bytes followed by a NUL; NULL while nothing was ever appended */
    size_t size;
    size_t capacity;
} ttt_buffer;

TTT_NODISCARD ttt_status ttt_buffer_append(ttt_buffer *buffer, const void *bytes, size_t count);
TTT_NODISCARD ttt_status ttt_buffer_print(ttt_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
TTT_NODISCARD ttt_status ttt_buffer_reserve(ttt_buffer *buffer, size_t capacity);
void ttt_buffer_deinit(ttt_buffer *buffer);

#endif
