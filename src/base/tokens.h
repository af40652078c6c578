/* SPDX-License-Identifier: MIT
 *
 * Tokens as they come from outside: any number, until they are checked.
 */
#ifndef TTT_BASE_TOKENS_H
#define TTT_BASE_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* TTT_ERR_ARGUMENT names the first of `count` tokens whose id is not 0 .. vocabulary - 1, and what it is a token of
 * ("the prompt"). */
TTT_NODISCARD ttt_status ttt_tokens_check(const int32_t *tokens, size_t count, int64_t vocabulary, const char *what);

#endif
