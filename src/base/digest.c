/* SPDX-License-Identifier: MIT */
#include "base/digest.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/alloc.h"

enum { HALVES = 2 };

struct ttt_digest {
    XXH3_state_t *half[HALVES];
};

ttt_status ttt_digest_new(ttt_digest **out)
{
    *out = NULL;
    ttt_digest *digest = ttt_alloc(1, sizeof *digest);
    if (!digest) return TTT_ERR_MEMORY;
    for (unsigned seed = 0; seed < HALVES; seed++) {
        digest->half[seed] = XXH3_createState();
        if (digest->half[seed] && XXH3_128bits_reset_withSeed(digest->half[seed], seed) == XXH_OK) continue;
        ttt_digest_free(digest);
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot begin a digest");
    }
    *out = digest;
    return TTT_OK;
}

void ttt_digest_free(ttt_digest *digest)
{
    if (!digest) return;
    for (int i = 0; i < HALVES; i++) XXH3_freeState(digest->half[i]);
    ttt_free(digest);
}

void ttt_digest_add(ttt_digest *digest, const void *bytes, size_t count)
{
    for (int i = 0; i < HALVES; i++) (void)XXH3_128bits_update(digest->half[i], bytes, count);
}

void ttt_digest_print(const ttt_digest *digest, char text[TTT_DIGEST_TEXT])
{
    const XXH128_hash_t a = XXH3_128bits_digest(digest->half[0]), b = XXH3_128bits_digest(digest->half[1]);
    snprintf(text, TTT_DIGEST_TEXT, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, (uint64_t)a.high64,
             (uint64_t)a.low64, (uint64_t)b.high64, (uint64_t)b.low64);
}
