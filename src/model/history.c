/* SPDX-License-Identifier: MIT */
#include "model/history.h"

#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"

/* A chain, so that any cut of the tokens gives the same: each link is the hash of the one before and of one token. */
void ttt_token_hash_add(ttt_token_hash *hash, const int32_t *ids, int64_t count)
{
    unsigned char link[sizeof *hash + sizeof *ids];
    for (int64_t i = 0; i < count; i++) {
        memcpy(link, hash, sizeof *hash);
        memcpy(link + sizeof *hash, &ids[i], sizeof ids[i]);
        const XXH128_hash_t next = XXH3_128bits(link, sizeof link);
        *hash = (ttt_token_hash){.low = next.low64, .high = next.high64};
    }
}

ttt_status ttt_history_copy(ttt_history **history, const ttt_history *other, int64_t count)
{
    ttt_history *copy = NULL;
    if (other) {
        copy = ttt_alloc(1, sizeof *copy);
        if (!copy) return TTT_ERR_MEMORY;
        const ttt_status status = ttt_array_reserve(&copy->tokens, &copy->capacity, (size_t)count,
                                                    sizeof *copy->tokens);
        if (status != TTT_OK) {
            ttt_free(copy);
            return status;
        }
        if (count > 0) memcpy(copy->tokens, other->tokens, (size_t)count * sizeof *copy->tokens);
    }
    ttt_history_free(*history);
    *history = copy;
    return TTT_OK;
}

void ttt_history_free(ttt_history *history)
{
    if (!history) return;
    ttt_free(history->tokens);
    ttt_free(history);
}
