/* SPDX-License-Identifier: MIT */
#include "data/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define FNV_START UINT64_C(0xcbf29ce484222325)

static uint64_t fnv(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t ttt_hash(ttt_hash_kind kind, const void *bytes, size_t count)
{
    return kind == TTT_HASH_FNV ? fnv(FNV_START, bytes, count) : XXH3_64bits(count ? bytes : "", count);
}

void ttt_hash_print(char text[TTT_HASH_TEXT], uint64_t hash) { snprintf(text, TTT_HASH_TEXT, "%016" PRIx64, hash); }

ttt_status ttt_hasher_init(ttt_hasher *hasher, ttt_hash_kind kind)
{
    *hasher = (ttt_hasher){.kind = kind, .fnv = FNV_START};
    if (kind == TTT_HASH_FNV) return TTT_OK;
    hasher->xxh3 = XXH3_createState();
    if (!hasher->xxh3) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot begin a hash");
    (void)XXH3_64bits_reset(hasher->xxh3);
    return TTT_OK;
}

void ttt_hasher_add(ttt_hasher *hasher, const void *bytes, size_t count)
{
    if (hasher->kind == TTT_HASH_FNV)
        hasher->fnv = fnv(hasher->fnv, bytes, count);
    else if (count)
        (void)XXH3_64bits_update(hasher->xxh3, bytes, count);
}

uint64_t ttt_hasher_value(const ttt_hasher *hasher)
{
    return hasher->kind == TTT_HASH_FNV ? hasher->fnv : XXH3_64bits_digest(hasher->xxh3);
}

void ttt_hasher_deinit(ttt_hasher *hasher)
{
    XXH3_freeState(hasher->xxh3);
    hasher->xxh3 = NULL;
}
