/* SPDX-License-Identifier: MIT
 *
 * FNV-1a, 64 bits: tells whether a text or a token file is still the one it was. It guards against accidents, not
 * against an adversary.
 */
#ifndef TTT_DATA_HASH_H
#define TTT_DATA_HASH_H

#include <stddef.h>
#include <stdint.h>

#define TTT_HASH_START UINT64_C(0xcbf29ce484222325)

/* The hash of what was hashed so far (TTT_HASH_START: nothing) followed by `count` bytes. */
static inline uint64_t ttt_hash(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
