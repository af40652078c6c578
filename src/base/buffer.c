/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"

/* What is large grows by less: it is moved without being copied, and memory of twice its size may not be promised. */
enum { FIRST = 256, LARGE = 64 << 20 };

ttt_status ttt_buffer_reserve(ttt_buffer *buffer, size_t capacity)
{
    if (capacity < buffer->capacity) return TTT_OK;
    const size_t old = buffer->capacity;
    size_t grown = old == 0 ? FIRST : old < LARGE ? 2 * old : old + old / 4;
    if (grown <= capacity && __builtin_add_overflow(capacity, (size_t)1, &grown))
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: a buffer of %zu bytes", capacity);
    char *data = ttt_realloc(buffer->data, grown, 1);
    if (!data) return TTT_ERR_MEMORY;
    buffer->data = data;
    buffer->capacity = grown;
    buffer->data[buffer->size] = '\0';
    return TTT_OK;
}

ttt_status ttt_buffer_append(ttt_buffer *buffer, const void *bytes, size_t count)
{
    if (count > PTRDIFF_MAX - buffer->size)
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: a buffer of %zu and %zu bytes more", buffer->size, count);
    TTT_TRY(ttt_buffer_reserve(buffer, buffer->size + count));
    if (count) memcpy(buffer->data + buffer->size, bytes, count);
    buffer->size += count;
    buffer->data[buffer->size] = '\0';
    return TTT_OK;
}

ttt_status ttt_buffer_print(ttt_buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = ttt_vprint(NULL, 0, format, arguments);
    va_end(arguments);
    TTT_TRY(ttt_buffer_reserve(buffer, buffer->size + (size_t)length));
    va_start(arguments, format);
    ttt_vprint(buffer->data + buffer->size, (size_t)length + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)length;
    return TTT_OK;
}

void ttt_buffer_deinit(ttt_buffer *buffer)
{
    ttt_free(buffer->data);
    *buffer = (ttt_buffer){0};
}
