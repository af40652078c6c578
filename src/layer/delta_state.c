/* SPDX-License-Identifier: MIT */
#include "layer/delta.h"

enum { S, Z, K, U, LOG_A, PIECES };

/* Where the pieces of one head lie in its state, and how many reals each has after `position` tokens; what a kind does
 * not have is empty even with rows. */
typedef struct place {
    const char *name;
    int64_t at, rows, columns;
    bool exists, is_row;
} place;

static void places_of(const ttt_delta_dims *dims, int64_t position, place places[PIECES])
{
    const ttt_delta_places at = ttt_delta_places_of(dims);
    const int64_t I = dims->key_size, O = dims->value_size, n = position % TTT_LEARNER_TILE;
    places[S] = (place){"S", 0, I, O, true, false};
    places[Z] = (place){"z", at.z, I, 1, dims->kind == TTT_DELTA_NORMALISED, false};
    places[K] = (place){"k", at.k, n, I, true, true};
    places[U] = (place){"u", at.u, n, O, true, true};
    places[LOG_A] = (place){"log_a", at.log_a, n, 1, dims->kind == TTT_DELTA_GATED, true};
}

int ttt_delta_pieces(const ttt_delta_dims *dims, int64_t position, ttt_state_piece list[TTT_STATE_PIECES])
{
    place places[PIECES];
    int count = 0;
    places_of(dims, position, places);
    for (int i = 0; i < PIECES; i++) {
        if (!places[i].exists) continue;
        list[count++] = (ttt_state_piece){.name = places[i].name,
                                          .rank = i == Z || i == LOG_A ? 2 : 3,
                                          .shape = {dims->heads, places[i].rows, places[i].columns}};
    }
    return count;
}

/* Copies piece after piece of all heads between a state and dense arrays: to `to`, or from `from`. */
static void copy_pieces(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, const void *state,
                        void *const to[], const void *const from[])
{
    place places[PIECES];
    int count = 0;
    places_of(dims, position, places);
    for (int i = 0; i < PIECES; i++) {
        if (!places[i].exists) continue;
        const int64_t size = places[i].rows * places[i].columns;
        for (int64_t h = 0; h < dims->heads && size > 0; h++) {
            void *at = ttt_at(b, state, h * ttt_delta_state_size(dims) + places[i].at);
            if (to)
                b->ops->copy(b, ttt_at(b, to[count], h * size), at, size);
            else
                b->ops->copy(b, at, ttt_at(b, from[count], h * size), size);
        }
        count++;
    }
}

void ttt_delta_export(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, const void *state,
                      void *const values[])
{
    copy_pieces(dims, b, position, state, values, NULL);
}

void ttt_delta_import(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, void *state,
                      const void *const values[])
{
    b->ops->zero(b, state, ttt_delta_reals(dims));
    copy_pieces(dims, b, position, state, NULL, values);
}

int ttt_delta_view_pieces(const ttt_delta_dims *dims, ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)ttt_delta_pieces(dims, 0, list); /* S, then z if there is one */
    return dims->kind == TTT_DELTA_NORMALISED ? 2 : 1;
}

ttt_status ttt_delta_view(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, const void *state,
                          void *values)
{
    const int64_t size = dims->key_size * dims->value_size,
                  of_z = dims->kind == TTT_DELTA_NORMALISED ? dims->key_size : 0;
    void *head = b->ops->alloc(b, size + of_z, b->real);
    if (!head) return TTT_ERR_MEMORY;
    for (int64_t h = 0; h < dims->heads; h++) {
        b->ops->delta_view(b, dims, position, ttt_at(b, state, h * ttt_delta_state_size(dims)), head);
        b->ops->copy(b, ttt_at(b, values, h * size), head, size);
        if (of_z) b->ops->copy(b, ttt_at(b, values, dims->heads * size + h * of_z), ttt_at(b, head, size), of_z);
    }
    b->ops->free(b, head);
    return TTT_OK;
}
