/* SPDX-License-Identifier: MIT
 *
 * What a model knows of one sequence: memory of constant size, and for layers that have it memory that grows. Its parts
 * have names and a form that no backend changes, also in the middle of a mini-batch.
 */
#ifndef TTT_MODEL_STATE_H
#define TTT_MODEL_STATE_H

#include <stdatomic.h>

#include "model/history.h"
#include "model/model.h"

struct ttt_state {
    const ttt_model *model;
    int64_t position;
    ttt_token_hash hash; /* of what was read */
    bool frozen;
    ttt_history *history; /* NULL: it does not remember */
    void *fixed;          /* [state_size] reals */
    void **grown;         /* [layers]: see ttt_run; NULL in all layers that have none */
    int64_t capacity;     /* tokens that fit in grown */
    atomic_bool busy;     /* a call is moving it */
};

/* Room for `tokens` more in all that a state keeps; and the one place where a state moves on, which cannot fail: by
 * `count` tokens, behind which `left` more are to be read at once. */
TTT_NODISCARD ttt_status ttt_state_make_room(ttt_state *state, int64_t tokens);
void ttt_state_moved(ttt_state *state, const int32_t *ids, int64_t count, int64_t left);

/* Where the next run of a state that reads on to `end` is cut, because something is to be remembered there. */
static inline int64_t ttt_state_cut(const ttt_state *state, int64_t end)
{
    const int64_t next = ttt_history_next(state, end);
    return next < end ? next : end;
}

/* Reals of what grows in a layer after so many tokens. */
int64_t ttt_state_grown_reals(const ttt_model *model, int64_t layer, int64_t tokens);

/* Makes the state what it was; what it remembers stays. */
void ttt_state_restore(ttt_state *state, const ttt_snapshot *snapshot);

/* It remembers no longer. */
void ttt_state_forget(ttt_state *state);

/* Of a state that knows no tokens: these are what it has read, [position], and it remembers. */
TTT_NODISCARD ttt_status ttt_state_recall(ttt_state *state, const int32_t *tokens);

/* The pieces of a state in their canonical form: name "layers.NUMBER.PIECE", by block; reals of the backend. */
typedef struct ttt_state_entry {
    char name[TTT_PARAM_NAME];
    int rank;
    int64_t shape[TTT_STATE_RANK];
    int64_t elements, offset; /* of it in the block of all pieces, in reals */
} ttt_state_entry;

typedef struct ttt_state_table {
    ttt_state_entry *entries; /* [count] */
    int64_t count, elements;  /* pieces; reals of all together */
} ttt_state_table;

/* The pieces that a state of `model` has after `position` tokens; TTT_ERR_FORMAT for so many tokens that no memory
 * could hold them. Release with ttt_state_table_deinit. */
TTT_NODISCARD ttt_status ttt_state_table_init(ttt_state_table *table, const ttt_model *model, int64_t position);
void ttt_state_table_deinit(ttt_state_table *table);

/* values [table->elements]: all pieces of a state, one after another; and a state made of them, which knows no tokens.
 * What follows has the same bits. On failure `state` is as it was. */
void ttt_state_export(const ttt_state *state, const ttt_state_table *table, void *values);
TTT_NODISCARD ttt_status ttt_state_import(ttt_state *state, int64_t position, const ttt_state_table *table,
                                          const void *values);

#endif
