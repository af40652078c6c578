/* SPDX-License-Identifier: MIT
 *
 * The life of a state. Everything here runs on the model's backend of one thread, which has no state of its own: so any
 * number of threads may work on their states at once.
 */
#include "model/state.h"

#include <string.h>

#include "base/alloc.h"
#include "base/memory.h"

enum { WORTH_ASKING = 16 << 20 };                    /* bytes for which it is looked whether they are there */
static const int64_t most_tokens = INT64_C(1) << 48; /* of a sequence: counted as so many if there are more */

ttt_status ttt_state_new(ttt_state **out, const ttt_model *model)
{
    *out = NULL;
    const ttt_stack *stack = &model->lm.stack;
    ttt_state *state = ttt_alloc(1, sizeof *state);
    if (!state) return TTT_ERR_MEMORY;
    state->model = model;
    state->fixed = model->backend->ops->alloc(model->backend, stack->state_size, model->backend->real);
    state->grown = ttt_alloc((size_t)stack->layer_count, sizeof *state->grown);
    if (!state->fixed || !state->grown) {
        ttt_state_free(state);
        return TTT_ERR_MEMORY;
    }
    ttt_state_reset(state);
    *out = state;
    return TTT_OK;
}

void ttt_state_free(ttt_state *state)
{
    if (!state) return;
    const ttt_backend *b = state->model->backend;
    for (int64_t i = 0; state->grown && i < state->model->lm.stack.layer_count; i++) b->ops->free(b, state->grown[i]);
    b->ops->free(b, state->fixed);
    ttt_history_free(state->history);
    ttt_free(state->grown);
    ttt_free(state);
}

void ttt_state_reset(ttt_state *state)
{
    const ttt_model *model = state->model;
    const ttt_run run = {.state = state->fixed, .grown = state->grown};
    const ttt_pass pass = {.backend = model->backend, .runs = &run, .run_count = 1, .rate_factor = 1};
    if (state->history) (void)ttt_history_rewind(state->history, 0);
    ttt_lm_reset(&model->lm, &pass, model->weights);
    state->position = 0;
    state->hash = (ttt_token_hash){0};
}

/* ---- what grows ---- */

static int64_t per_token(const ttt_model *model, int64_t layer)
{
    return ttt_layer_state(&model->lm.stack.layers[layer], model->backend).per_token;
}

static int64_t rows_of(const ttt_model *model, int64_t layer, int64_t tokens)
{
    return ttt_lm_grown_rows(&model->lm, layer, tokens, false);
}

int64_t ttt_state_grown_reals(const ttt_model *model, int64_t layer, int64_t tokens)
{
    return rows_of(model, layer, tokens) * per_token(model, layer);
}

/* New blocks, all of them or none. */
static ttt_status allocate(const ttt_model *model, void **grown, int64_t tokens)
{
    const ttt_backend *b = model->backend;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) {
        const int64_t rows = rows_of(model, i, tokens);
        if (rows == 0) continue;
        grown[i] = b->ops->alloc(b, rows, (size_t)per_token(model, i) * b->real);
        if (grown[i]) continue;
        while (i-- > 0) b->ops->free(b, grown[i]);
        return TTT_ERR_MEMORY;
    }
    return TTT_OK;
}

static bool grows(const ttt_model *model)
{
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++)
        if (per_token(model, i) > 0) return true;
    return false;
}

/* Bytes of all blocks together; SIZE_MAX if there are more. */
static size_t grown_bytes(const ttt_model *model, int64_t tokens)
{
    size_t bytes = 0;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++)
        bytes = ttt_size_add(
            bytes, ttt_size_times(rows_of(model, i, tokens), (size_t)per_token(model, i) * model->backend->real));
    return bytes;
}

/* Memory that is never touched costs nothing, so the system would grant what is not there. */
static ttt_status check_memory(const ttt_model *model, int64_t tokens)
{
    const size_t bytes = grown_bytes(model, tokens);
    const int64_t left = bytes < WORTH_ASKING ? INT64_MAX : ttt_memory_left("");
    if (bytes <= (size_t)left) return TTT_OK;
    return ttt_fail(TTT_ERR_MEMORY,
                    "what this model keeps of %lld tokens takes %.2f GB of memory, and %.2f GB are left: read or write "
                    "fewer tokens, or in windows",
                    (long long)tokens, (double)bytes / 1e9, (double)left / 1e9);
}

/* Rows keep their places: with a window they go round in as many rows as the window has, and these are all there once
 * anything goes round. */
ttt_status ttt_state_reserve(ttt_state *state, int64_t tokens)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    if (tokens > most_tokens) tokens = most_tokens;
    if (tokens <= state->capacity || !grows(model)) return TTT_OK;
    const int64_t layers = model->lm.stack.layer_count;
    TTT_TRY(check_memory(model, tokens));
    int64_t capacity = tokens > 2 * state->capacity ? tokens : 2 * state->capacity;
    if (check_memory(model, capacity) != TTT_OK) capacity = tokens;
    void **grown = ttt_alloc((size_t)layers, sizeof *grown);
    if (!grown) return TTT_ERR_MEMORY;
    const ttt_status status = allocate(model, grown, capacity);
    for (int64_t i = 0; status == TTT_OK && i < layers; i++) {
        if (grown[i] && state->grown[i])
            b->ops->copy(b, grown[i], state->grown[i], ttt_state_grown_reals(model, i, state->position));
        b->ops->free(b, state->grown[i]);
        state->grown[i] = grown[i];
    }
    if (status == TTT_OK) state->capacity = capacity;
    ttt_free(grown);
    return status;
}

/* ---- copies ---- */

ttt_status ttt_state_copy(ttt_state *state, const ttt_state *other)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    if (state == other) return TTT_OK;
    if (other->model != model)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "a state of another model cannot be copied: the model of the one has the "
                        "fingerprint %.16s, that of the other %.16s",
                        model->fingerprint, other->model->fingerprint);
    TTT_TRY(ttt_state_reserve(state, other->position));
    TTT_TRY(ttt_history_copy(&state->history, other->history, other->position));
    b->ops->copy(b, state->fixed, other->fixed, model->lm.stack.state_size);
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++)
        if (other->grown[i] && other->position > 0) /* else the copy may have no such memory */
            b->ops->copy(b, state->grown[i], other->grown[i], ttt_state_grown_reals(model, i, other->position));
    state->position = other->position;
    state->hash = other->hash;
    state->frozen = other->frozen;
    return TTT_OK;
}

/* ---- reading on ---- */

ttt_status ttt_state_make_room(ttt_state *state, int64_t tokens)
{
    if (tokens > most_tokens - state->position)
        return ttt_fail(TTT_ERR_ARGUMENT, "a sequence has at most %lld tokens: begin another one",
                        (long long)most_tokens);
    TTT_TRY(ttt_state_reserve(state, state->position + tokens));
    ttt_history *history = state->history;
    return history ? ttt_array_reserve(&history->tokens, &history->capacity, (size_t)(state->position + tokens),
                                       sizeof *history->tokens)
                   : TTT_OK;
}

void ttt_state_moved(ttt_state *state, const int32_t *ids, int64_t count, int64_t left)
{
    ttt_history *history = state->history;
    const int64_t end = state->position + count;
    const bool take = history && ttt_history_next(state, end + left) == end;
    if (history) memmove(history->tokens + state->position, ids, (size_t)count * sizeof *ids);
    ttt_token_hash_add(&state->hash, ids, count);
    state->position = end;
    if (take) ttt_history_take(state);
}

/* ---- what was read ---- */

ttt_status ttt_state_remember(ttt_state *state)
{
    if (state->history) return TTT_OK;
    if (state->position > 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "this state has read %lld tokens and did not keep them: ask it to remember before it reads",
                        (long long)state->position);
    state->history = ttt_alloc(1, sizeof *state->history);
    return state->history ? TTT_OK : TTT_ERR_MEMORY;
}

ttt_status ttt_state_recall(ttt_state *state, const int32_t *tokens)
{
    ttt_history *history = state->history = ttt_alloc(1, sizeof *history);
    if (!history || state->position == 0) return history ? TTT_OK : TTT_ERR_MEMORY;
    TTT_TRY(ttt_state_make_room(state, 0));
    memcpy(history->tokens, tokens, (size_t)state->position * sizeof *tokens);
    ttt_history_take(state);
    return history->count > 0 ? TTT_OK : TTT_ERR_MEMORY;
}

void ttt_state_forget(ttt_state *state)
{
    ttt_history_free(state->history);
    state->history = NULL;
}

void ttt_state_expect(ttt_state *state, int64_t position)
{
    if (state->history) state->history->expected = position < most_tokens ? position : most_tokens;
}

const int32_t *ttt_state_tokens(const ttt_state *state, int64_t *count)
{
    static const int32_t none;
    *count = state->history ? state->position : 0;
    if (!state->history) return NULL;
    return state->history->tokens ? state->history->tokens : &none;
}

ttt_status ttt_state_rewind(ttt_state *state, int64_t position, const int32_t **again, int64_t *count)
{
    *again = NULL;
    *count = 0;
    if (!state->history)
        return ttt_fail(TTT_ERR_ARGUMENT, "this state cannot go back, as it did not keep what it read");
    if (position < 0 || position > state->position)
        return ttt_fail(TTT_ERR_ARGUMENT, "a state that has read %lld tokens cannot go back to position %lld",
                        (long long)state->position, (long long)position);
    if (position == state->position) return TTT_OK;
    const ttt_snapshot *rung = ttt_history_rewind(state->history, position);
    if (rung)
        ttt_state_restore(state, rung);
    else
        ttt_state_reset(state);
    *again = state->history->tokens + state->position;
    *count = position - state->position;
    return TTT_OK;
}

void ttt_state_freeze(ttt_state *state, bool frozen)
{
    if (frozen != state->frozen && state->position > 0) ttt_state_forget(state);
    state->frozen = frozen;
}

/* ---- what it is ---- */

bool ttt_state_frozen(const ttt_state *state) { return state->frozen; }
const ttt_model *ttt_state_model(const ttt_state *state) { return state->model; }
ttt_token_hash ttt_state_token_hash(const ttt_state *state) { return state->hash; }
int64_t ttt_state_position(const ttt_state *state) { return state->position; }

size_t ttt_state_bytes(const ttt_state *state)
{
    const ttt_model *model = state->model;
    int64_t reals = model->lm.stack.state_size;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) reals += ttt_state_grown_reals(model, i, state->capacity);
    return (size_t)reals * model->backend->real + (state->history ? ttt_history_bytes(state->history) : 0);
}
