/* SPDX-License-Identifier: MIT
 *
 * 64 bits that tell whether a text or a token file is still the one it was. They guard against accidents, not against
 * an adversary. What is written today has XXH3, which is as fast as memory; folders of before have FNV-1a, byte by
 * byte.
 */
#ifndef TTT_DATA_HASH_H
#define TTT_DATA_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum ttt_hash_kind { TTT_HASH_XXH3, TTT_HASH_FNV } ttt_hash_kind;

uint64_t ttt_hash(ttt_hash_kind kind, const void *bytes, size_t count);

/* As 16 hexadecimal digits. */
enum { TTT_HASH_TEXT = 17 };
void ttt_hash_print(char text[TTT_HASH_TEXT], uint64_t hash);

/* The same piece by piece. Zero-initialise; release with ttt_hasher_deinit. */
typedef struct ttt_hasher {
    ttt_hash_kind kind;
    uint64_t fnv;
    void *xxh3;
} ttt_hasher;

TTT_NODISCARD ttt_status ttt_hasher_init(ttt_hasher *hasher, ttt_hash_kind kind);
void ttt_hasher_add(ttt_hasher *hasher, const void *bytes, size_t count);
uint64_t ttt_hasher_value(const ttt_hasher *hasher); /* of what was added so far */
void ttt_hasher_deinit(ttt_hasher *hasher);

#endif
