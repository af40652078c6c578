/* SPDX-License-Identifier: MIT */
#include "base/tokens.h"

ttt_status ttt_tokens_check(const int32_t *tokens, size_t count, int64_t vocabulary, const char *what)
{
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || tokens[i] >= vocabulary)
            return ttt_fail(TTT_ERR_ARGUMENT, "token %zu of %s has id %d, but the model knows ids 0 to %lld", i, what,
                            tokens[i], (long long)vocabulary - 1);
    return TTT_OK;
}
