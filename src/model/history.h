/* SPDX-License-Identifier: MIT
 *
 * What a state remembers of its own past: the ids of the tokens that it read.
 */
#ifndef TTT_MODEL_HISTORY_H
#define TTT_MODEL_HISTORY_H

#include <ttt/model.h>

typedef struct ttt_history {
    int32_t *tokens; /* [position of the state] */
    size_t capacity;
} ttt_history;

/* Makes *history equal to `other`, of which `count` tokens were read; NULL for NULL. On failure *history is as it was.
 */
TTT_NODISCARD ttt_status ttt_history_copy(ttt_history **history, const ttt_history *other, int64_t count);
void ttt_history_free(ttt_history *history);

#endif
