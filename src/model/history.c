/* SPDX-License-Identifier: MIT */
#include "model/history.h"

#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "model/state.h"

enum { LEAST_UNIT = 16 };

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

/* ---- snapshots ---- */

/* Reals of what grows in a layer after so many tokens that a snapshot must have. */
static int64_t written_over(const ttt_model *model, int64_t layer, int64_t position)
{
    const int64_t window = ttt_layer_state(&model->lm.stack.layers[layer], model->backend).window;
    return window > 0 ? ttt_state_grown_reals(model, layer, position) : 0;
}

static void let_go(ttt_snapshot *snapshot)
{
    if (atomic_fetch_sub(&snapshot->holders, 1) > 1) return;
    const ttt_backend *b = snapshot->model->backend;
    for (int64_t i = 0; snapshot->grown && i < snapshot->model->lm.stack.layer_count; i++)
        b->ops->free(b, snapshot->grown[i]);
    b->ops->free(b, snapshot->fixed);
    ttt_free(snapshot->grown);
    ttt_free(snapshot);
}

static bool fill(ttt_snapshot *snapshot, const ttt_state *state)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    const int64_t layers = model->lm.stack.layer_count, size = model->lm.stack.state_size;
    snapshot->fixed = b->ops->alloc(b, size, b->real);
    snapshot->grown = ttt_alloc((size_t)layers, sizeof *snapshot->grown);
    if (!snapshot->fixed || !snapshot->grown) return false;
    b->ops->copy(b, snapshot->fixed, state->fixed, size);
    for (int64_t i = 0; i < layers; i++) {
        const int64_t reals = written_over(model, i, state->position);
        if (reals == 0) continue;
        snapshot->grown[i] = b->ops->alloc(b, reals, b->real);
        if (!snapshot->grown[i]) return false;
        b->ops->copy(b, snapshot->grown[i], state->grown[i], reals);
    }
    return true;
}

/* NULL if there is no memory for it. */
static ttt_snapshot *snapshot_of(const ttt_state *state)
{
    ttt_snapshot *snapshot = ttt_alloc(1, sizeof *snapshot);
    if (!snapshot) return NULL;
    *snapshot = (ttt_snapshot){.model = state->model, .position = state->position, .hash = state->hash};
    atomic_init(&snapshot->holders, 1);
    if (fill(snapshot, state)) return snapshot;
    let_go(snapshot);
    return NULL;
}

void ttt_state_restore(ttt_state *state, const ttt_snapshot *snapshot)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    b->ops->copy(b, state->fixed, snapshot->fixed, model->lm.stack.state_size);
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++)
        if (snapshot->grown[i])
            b->ops->copy(b, state->grown[i], snapshot->grown[i], written_over(model, i, snapshot->position));
    state->position = snapshot->position;
    state->hash = snapshot->hash;
}

/* ---- the ladder ---- */

static int64_t unit_of(const ttt_model *model)
{
    const int64_t K = model->lm.config.mini_batch_size;
    return (LEAST_UNIT + K - 1) / K * K;
}

/* Whether a multiple of the unit is one of the last two multiples of unit x 2^j up to `end`, for some j: then it is so
 * for the largest that divides it. */
static bool is_wanted(int64_t position, int64_t unit, int64_t end)
{
    const int64_t multiple = position / unit;
    return end - position < 2 * unit * (multiple & -multiple);
}

int64_t ttt_history_next(const ttt_state *state, int64_t end)
{
    const ttt_history *history = state->history;
    int64_t next = INT64_MAX;
    if (!history) return next;
    const int64_t last = history->expected > end ? history->expected : end;
    for (int64_t step = unit_of(state->model); step <= last; step *= 2)
        for (int64_t rung = last / step * step, i = 0; i < 2; i++, rung -= step)
            if (rung > state->position && rung < next) next = rung;
    return next <= end ? next : INT64_MAX;
}

/* One that is at no multiple of the unit is where the state was loaded, before which there are none: it stays. */
static void drop_unwanted(ttt_history *history, int64_t unit, int64_t end)
{
    size_t kept = 0;
    for (size_t i = 0; i < history->count; i++) {
        ttt_snapshot *rung = history->rungs[i];
        if (rung->position % unit != 0 || is_wanted(rung->position, unit, end))
            history->rungs[kept++] = rung;
        else
            let_go(rung);
    }
    history->count = kept;
}

void ttt_history_take(ttt_state *state)
{
    ttt_history *history = state->history;
    drop_unwanted(history, unit_of(state->model), state->position);
    if (ttt_array_reserve(&history->rungs, &history->room, history->count + 1, sizeof *history->rungs)) return;
    ttt_snapshot *snapshot = snapshot_of(state);
    if (snapshot) history->rungs[history->count++] = snapshot;
}

const ttt_snapshot *ttt_history_rewind(ttt_history *history, int64_t position)
{
    while (history->count > 0 && history->rungs[history->count - 1]->position > position)
        let_go(history->rungs[--history->count]);
    history->expected = 0;
    return history->count > 0 ? history->rungs[history->count - 1] : NULL;
}

/* ---- all of it ---- */

static ttt_status fill_copy(ttt_history *copy, const ttt_history *other, int64_t position)
{
    TTT_TRY(ttt_array_reserve(&copy->tokens, &copy->capacity, (size_t)position, sizeof *copy->tokens));
    TTT_TRY(ttt_array_reserve(&copy->rungs, &copy->room, other->count, sizeof *copy->rungs));
    if (position > 0) memcpy(copy->tokens, other->tokens, (size_t)position * sizeof *copy->tokens);
    for (; copy->count < other->count; copy->count++) {
        copy->rungs[copy->count] = other->rungs[copy->count];
        atomic_fetch_add(&copy->rungs[copy->count]->holders, 1);
    }
    copy->expected = other->expected;
    return TTT_OK;
}

ttt_status ttt_history_copy(ttt_history **history, const ttt_history *other, int64_t position)
{
    ttt_history *copy = NULL;
    if (other) {
        copy = ttt_alloc(1, sizeof *copy);
        if (!copy) return TTT_ERR_MEMORY;
        const ttt_status status = fill_copy(copy, other, position);
        if (status != TTT_OK) {
            ttt_history_free(copy);
            return status;
        }
    }
    ttt_history_free(*history);
    *history = copy;
    return TTT_OK;
}

void ttt_history_free(ttt_history *history)
{
    if (!history) return;
    for (size_t i = 0; i < history->count; i++) let_go(history->rungs[i]);
    ttt_free(history->rungs);
    ttt_free(history->tokens);
    ttt_free(history);
}

size_t ttt_history_bytes(const ttt_history *history)
{
    size_t bytes = history->capacity * sizeof *history->tokens;
    for (size_t i = 0; i < history->count; i++) {
        const ttt_snapshot *rung = history->rungs[i];
        int64_t reals = rung->model->lm.stack.state_size;
        for (int64_t layer = 0; layer < rung->model->lm.stack.layer_count; layer++)
            reals += written_over(rung->model, layer, rung->position);
        bytes += (size_t)reals * rung->model->backend->real;
    }
    return bytes;
}
