/* SPDX-License-Identifier: MIT
 *
 * What a model knows of one sequence: memory of constant size, and for layers that have it memory that grows. Its parts
 * have names and a form that no backend changes, also in the middle of a mini-batch.
 */
#ifndef TTT_MODEL_STATE_H
#define TTT_MODEL_STATE_H

#include <stdatomic.h>

#include "model/model.h"

struct ttt_state {
    const ttt_model *model;
    int64_t position;
    bool frozen;
    void *fixed;      /* [state_size] reals */
    void **grown;     /* [layers]: see ttt_run; NULL in all layers that have none */
    int64_t capacity; /* tokens that fit in grown */
    atomic_bool busy; /* a call is moving it */
};

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

/* The pieces that a state of `model` has after `position` tokens. Release with ttt_state_table_deinit. */
TTT_NODISCARD ttt_status ttt_state_table_init(ttt_state_table *table, const ttt_model *model, int64_t position);
void ttt_state_table_deinit(ttt_state_table *table);

/* values [table->elements]: all pieces of a state, one after another; and a state made of them. What follows has the
 * same bits. */
void ttt_state_export(const ttt_state *state, const ttt_state_table *table, void *values);
TTT_NODISCARD ttt_status ttt_state_import(ttt_state *state, int64_t position, const ttt_state_table *table,
                                          const void *values);

#endif
