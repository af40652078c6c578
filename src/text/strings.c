/* SPDX-License-Identifier: MIT
 *
 * The vocabulary's strings: growing the pool, the table of ids and the hash.
 */
#include "text/strings.h"

#include "base/alloc.h"

static ttt_status grow_ids(ttt_strings *strings, uint32_t id)
{
    const size_t old = strings->capacity;
    TTT_TRY(ttt_array_reserve(&strings->spans, &strings->capacity, (size_t)id + 1, sizeof *strings->spans));
    if (old < strings->capacity) memset(strings->spans + old, 0, (strings->capacity - old) * sizeof *strings->spans);
    return TTT_OK;
}

static void insert(ttt_strings *strings, uint32_t hash, uint32_t id)
{
    uint32_t i = hash & strings->mask;
    while (strings->slots[i].id_plus_1 != 0) i = (i + 1) & strings->mask;
    strings->slots[i] = (ttt_string_slot){.hash = hash, .id_plus_1 = id + 1};
}

static ttt_status grow_slots(ttt_strings *strings)
{
    const size_t old = strings->slots ? (size_t)strings->mask + 1 : 0;
    if (2 * ((size_t)strings->used + 1) <= old) return TTT_OK;
    const size_t capacity = old ? 2 * old : 512;
    ttt_string_slot *slots = ttt_alloc(capacity, sizeof *slots), *previous = strings->slots;
    if (!slots) return TTT_ERR_MEMORY;
    strings->slots = slots;
    strings->mask = (uint32_t)(capacity - 1);
    for (size_t i = 0; i < old; i++)
        if (previous[i].id_plus_1 != 0) insert(strings, previous[i].hash, previous[i].id_plus_1 - 1);
    ttt_free(previous);
    return TTT_OK;
}

ttt_status ttt_strings_set(ttt_strings *strings, uint32_t id, const char *text, size_t size)
{
    if (id >= INT32_MAX - 1 || strings->pool.size + size > UINT32_MAX)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "the vocabulary exceeds 2^31 ids or 4 GiB of text");
    TTT_TRY(grow_ids(strings, id));
    TTT_TRY(grow_slots(strings));
    const size_t offset = strings->pool.size;
    TTT_TRY(ttt_buffer_append(&strings->pool, text, size));
    strings->spans[id] = (ttt_string_span){.offset = (uint32_t)offset, .size = (uint32_t)size, .used = true};
    insert(strings, ttt_hash_bytes(text, size), id);
    strings->used++;
    if (id >= strings->count) strings->count = id + 1;
    if (size > strings->longest) strings->longest = (uint32_t)size;
    return TTT_OK;
}

void ttt_strings_deinit(ttt_strings *strings)
{
    ttt_buffer_deinit(&strings->pool);
    ttt_free(strings->spans);
    ttt_free(strings->slots);
    *strings = (ttt_strings){0};
}
