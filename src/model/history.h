/* SPDX-License-Identifier: MIT
 *
 * What a state remembers of its own past: the ids that it read, and a ladder of snapshots from which an earlier
 * position is reached by reading few of them again.
 *
 * Rungs are at multiples of a unit, the mini-batch size or the least multiple of it that is not below 16, as weights
 * move nowhere else: for every j the last two multiples of unit x 2^j. So of T tokens there are about 2 log2(T / unit),
 * and to go back by d tokens fewer than 2 d are read again, or fewer than the unit. A rung for which there is no memory
 * is left out: going back costs more then, and comes to the same bits.
 */
#ifndef TTT_MODEL_HISTORY_H
#define TTT_MODEL_HISTORY_H

#include <stdatomic.h>
#include <ttt/model.h>

/* A state as it was; never changed, and held by any number of histories, those of copies too. */
typedef struct ttt_snapshot {
    atomic_int holders;
    const ttt_model *model;
    int64_t position;
    ttt_token_hash hash;
    void *fixed;  /* [state_size] reals */
    void **grown; /* [layers]: of layers that see a window what grows, which is written over; of others nothing is kept,
                     as rows before the position stay as they are */
} ttt_snapshot;

typedef struct ttt_history {
    int32_t *tokens; /* [position of the state] */
    size_t capacity;
    ttt_snapshot **rungs; /* [count], by position */
    size_t count, room;
    int64_t expected; /* position to which reading is said to go on; 0: nothing was said */
} ttt_history;

/* Makes *history equal to `other`, of which `position` tokens were read; NULL for NULL. On failure *history is as it
 * was. */
TTT_NODISCARD ttt_status ttt_history_copy(ttt_history **history, const ttt_history *other, int64_t position);
void ttt_history_free(ttt_history *history);

/* The first position behind that of the state, and not behind `end`, at which a snapshot is to be taken if it now reads
 * on to `end`; else INT64_MAX. */
int64_t ttt_history_next(const ttt_state *state, int64_t end);

/* Takes a snapshot of the state where it is, and drops those that are no longer wanted. */
void ttt_history_take(ttt_state *state);

/* Drops the snapshots behind a position, and gives the last of those that are left; NULL: the beginning. */
const ttt_snapshot *ttt_history_rewind(ttt_history *history, int64_t position);

size_t ttt_history_bytes(const ttt_history *history);

#endif
