/* SPDX-License-Identifier: MIT */
#include "infer/stop.h"

#include <string.h>

/* Whether a stop string stands at the beginning of `text`; with `cut`, one that goes on behind its end. */
static bool stop_at(const char *text, size_t size, const char *const *stops, size_t count, bool cut)
{
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(stops[i]);
        if (cut ? length > size && memcmp(text, stops[i], size) == 0
                : length <= size && memcmp(text, stops[i], length) == 0)
            return true;
    }
    return false;
}

size_t ttt_stop_scan(const char *text, size_t size, const char *const *stops, size_t count, bool *found)
{
    *found = true;
    for (size_t at = 0; at < size; at++)
        if (stop_at(text + at, size - at, stops, count, false)) return at;
    *found = false;
    for (size_t at = 0; at < size; at++)
        if (stop_at(text + at, size - at, stops, count, true)) return at;
    return size;
}
