/* SPDX-License-Identifier: MIT
 *
 * A vocabulary's strings: id to text by index, text to id by an open-addressed hash. Texts are bytes and may hold NUL.
 * Ids may have holes. Lookups are the inner loop of encoding, so they are inline.
 */
#ifndef TTT_TEXT_STRINGS_H
#define TTT_TEXT_STRINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

typedef struct ttt_string_span {
    uint32_t offset; /* into the pool */
    uint32_t size;
    bool used;
} ttt_string_span;

typedef struct ttt_string_slot {
    uint32_t hash;
    uint32_t id_plus_1; /* 0: the slot is free */
} ttt_string_slot;

typedef struct ttt_strings {
    ttt_buffer pool;
    ttt_string_span *spans; /* by id, [0, count) */
    uint32_t count;         /* highest id + 1 */
    size_t capacity;
    ttt_string_slot *slots; /* mask + 1 of them, a power of two, at most half full */
    uint32_t mask;
    uint32_t used;
    uint32_t longest; /* the size of the longest text */
} ttt_strings;

/* Gives `text` the id. Neither the id nor the text may be in use yet: the caller asks first. */
TTT_NODISCARD ttt_status ttt_strings_set(ttt_strings *strings, uint32_t id, const char *text, size_t size);
void ttt_strings_deinit(ttt_strings *strings);

static inline bool ttt_strings_has(const ttt_strings *strings, uint32_t id)
{
    return id < strings->count && strings->spans[id].used;
}

static inline const char *ttt_strings_get(const ttt_strings *strings, uint32_t id, size_t *size)
{
    *size = strings->spans[id].size;
    return strings->pool.data + strings->spans[id].offset;
}

static inline uint64_t ttt_hash_mix(uint64_t a, uint64_t b)
{
    a = (a ^ 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;
    b = (b ^ (a >> 32)) * 0x94d049bb133111ebu;
    return b ^ (b >> 29) ^ a;
}

static inline uint32_t ttt_hash_bytes(const char *text, size_t size)
{
    uint64_t first = 0, last = 0, hash = size;
    if (size >= 8) {
        for (size_t i = 8; i < size; i += 8) {
            memcpy(&first, text + i - 8, 8);
            hash = ttt_hash_mix(hash, first);
        }
        memcpy(&last, text + size - 8, 8);
        first = 0;
    } else if (size >= 4) {
        uint32_t low, high;
        memcpy(&low, text, 4);
        memcpy(&high, text + size - 4, 4);
        first = low;
        last = high;
    } else if (size > 0) {
        first = (unsigned char)text[0];
        last = (uint64_t)(unsigned char)text[size / 2] << 8 | (unsigned char)text[size - 1];
    }
    hash = ttt_hash_mix(hash ^ first << 32, last);
    return (uint32_t)(hash ^ hash >> 32);
}

/* The id, or -1. */
static inline int32_t ttt_strings_find(const ttt_strings *strings, const char *text, size_t size)
{
    if (size > strings->longest || !strings->slots) return -1;
    const uint32_t hash = ttt_hash_bytes(text, size);
    for (uint32_t i = hash & strings->mask; strings->slots[i].id_plus_1 != 0; i = (i + 1) & strings->mask) {
        if (strings->slots[i].hash != hash) continue;
        const uint32_t id = strings->slots[i].id_plus_1 - 1;
        const ttt_string_span *span = &strings->spans[id];
        if (span->size == size && memcmp(strings->pool.data + span->offset, text, size) == 0) return (int32_t)id;
    }
    return -1;
}

#endif
