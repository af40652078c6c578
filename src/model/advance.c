/* SPDX-License-Identifier: MIT
 *
 * Inference: states, and the one routine that moves them. Tokens of all sequences are taken in chunks of rows; every
 * operation used is one of the backend's [row] operations, so chunks, splits and company change no bit.
 */
#include <string.h>

#include "base/alloc.h"
#include "model/model.h"

ttt_status ttt_state_new(ttt_state **out, const ttt_model *model)
{
    *out = NULL;
    ttt_state *state = ttt_alloc(1, sizeof *state);
    if (!state) return TTT_ERR_MEMORY;
    *state = (ttt_state){.model = model, .block = ttt_alloc((size_t)model->lm.state_size, model->lm.backend->real)};
    if (!state->block) {
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
    ttt_free(state->block);
    ttt_free(state);
}

void ttt_state_reset(ttt_state *state)
{
    const ttt_run run = {.state = state->block};
    const ttt_pass pass = {.backend = state->model->lm.backend, .runs = &run, .run_count = 1};
    ttt_lm_reset(&state->model->lm, &pass, &state->model->weights);
    state->position = 0;
}

void ttt_state_copy(ttt_state *state, const ttt_state *other)
{
    if (state == other) return;
    const ttt_backend *b = state->model->lm.backend;
    b->ops->copy(b, state->block, other->block, state->model->lm.state_size);
    state->position = other->position;
    state->frozen = other->frozen;
}

void ttt_state_freeze(ttt_state *state, bool frozen) { state->frozen = frozen; }
int64_t ttt_state_position(const ttt_state *state) { return state->position; }
size_t ttt_state_bytes(const ttt_state *state)
{
    return (size_t)state->model->lm.state_size * state->model->lm.backend->real;
}

/* Some tokens of some feeds that go through the model together. */
typedef struct chunk {
    int32_t ids[TTT_ADVANCE_ROWS];
    ttt_run runs[TTT_ADVANCE_ROWS];
    int64_t feed[TTT_ADVANCE_ROWS];  /* of each run */
    int64_t first[TTT_ADVANCE_ROWS]; /* index in its feed of each run's first token */
    int64_t rows, run_count, longest;
} chunk;

/* Fills a chunk from feed *feed, token *token on, and moves both on. */
static void take_chunk(chunk *c, const ttt_feed *feeds, int64_t count, int64_t *feed, int64_t *token)
{
    c->rows = c->run_count = c->longest = 0;
    while (*feed < count && c->rows < TTT_ADVANCE_ROWS) {
        const ttt_feed *f = &feeds[*feed];
        const int64_t left = f->count - *token, room = TTT_ADVANCE_ROWS - c->rows, n = left < room ? left : room;
        c->feed[c->run_count] = *feed;
        c->first[c->run_count] = *token;
        c->runs[c->run_count++] = (ttt_run){.row = c->rows,
                                            .count = n,
                                            .position = f->state->position,
                                            .frozen = f->state->frozen,
                                            .state = f->state->block};
        memcpy(c->ids + c->rows, f->tokens + *token, (size_t)n * sizeof *c->ids);
        c->rows += n;
        if (n > c->longest) c->longest = n;
        *token += n;
        if (*token < f->count) return; /* one run per sequence in a chunk */
        *token = 0;
        ++*feed;
    }
}

/* Final norm, and the logits that the feeds of this chunk want. */
static void chunk_logits(ttt_model *model, const ttt_pass *pass, const chunk *c, const ttt_feed *feeds, ttt_dtype dtype,
                         const ttt_trace *trace)
{
    const ttt_lm *lm = &model->lm;
    const ttt_backend *b = lm->backend;
    const int64_t C = lm->config.hidden_size, V = lm->config.vocab_size;
    void *x = model->workspace.scratch.x;
    b->ops->rmsnorm(b, x, model->workspace.h, model->weights.norm.values, c->rows, C, lm->config.rms_norm_eps);
    if (trace) trace->rows(trace->context, pass, lm->config.num_hidden_layers, x);

    /* The rows wanted are moved to the front, computed as one product, and handed out. */
    int64_t wanted = 0;
    for (int64_t n = 0; n < c->run_count; n++) {
        const ttt_feed *f = &feeds[c->feed[n]];
        const bool ends = c->first[n] + c->runs[n].count == f->count;
        const int64_t rows = f->which == TTT_LOGITS_ALL            ? c->runs[n].count
                             : f->which == TTT_LOGITS_LAST && ends ? 1
                                                                   : 0;
        const int64_t from = c->runs[n].row + c->runs[n].count - rows;
        for (int64_t r = 0; r < rows && from != wanted; r++)
            b->ops->copy(b, ttt_at(b, x, (wanted + r) * C), ttt_at(b, x, (from + r) * C), C);
        wanted += rows;
    }
    if (wanted == 0) return;
    b->ops->linear(b, model->workspace.logits, x, &model->weights.head, wanted, false);
    int64_t row = 0;
    for (int64_t n = 0; n < c->run_count; n++) {
        const ttt_feed *f = &feeds[c->feed[n]];
        const bool ends = c->first[n] + c->runs[n].count == f->count;
        const int64_t rows = f->which == TTT_LOGITS_ALL            ? c->runs[n].count
                             : f->which == TTT_LOGITS_LAST && ends ? 1
                                                                   : 0;
        const int64_t at = f->which == TTT_LOGITS_ALL ? c->first[n] * V : 0;
        b->ops->to(b, (char *)f->logits + (size_t)at * ttt_dtype_bytes(dtype), dtype,
                   ttt_at(b, model->workspace.logits, row * V), rows * V);
        row += rows;
    }
}

static ttt_status check_feeds(const ttt_model *model, const ttt_feed *feeds, int64_t count)
{
    for (int64_t n = 0; n < count; n++) {
        if (feeds[n].count < 1)
            return ttt_fail(TTT_ERR_ARGUMENT, "sequence %lld has no tokens to read: give at least one", (long long)n);
        for (int64_t i = 0; i < feeds[n].count; i++) {
            const int32_t id = feeds[n].tokens[i];
            if (id < 0 || id >= model->lm.config.vocab_size)
                return ttt_fail(TTT_ERR_ARGUMENT,
                                "token %lld of sequence %lld has id %d, but the model knows ids 0 to %lld",
                                (long long)i, (long long)n, id, (long long)model->lm.config.vocab_size - 1);
        }
        for (int64_t m = 0; m < n; m++)
            if (feeds[m].state == feeds[n].state)
                return ttt_fail(TTT_ERR_ARGUMENT, "sequences %lld and %lld of one call share a state: fork it first",
                                (long long)m, (long long)n);
    }
    return TTT_OK;
}

ttt_status ttt_model_advance_as(ttt_model *model, const ttt_feed *feeds, int64_t count, ttt_dtype dtype,
                                const ttt_trace *trace, ttt_inspection *inspection)
{
    TTT_TRY(check_feeds(model, feeds, count));
    chunk c;
    for (int64_t feed = 0, token = 0; feed < count;) {
        take_chunk(&c, feeds, count, &feed, &token);
        const ttt_pass pass = {.backend = model->lm.backend,
                               .runs = c.runs,
                               .run_count = c.run_count,
                               .rows = c.rows,
                               .longest = c.longest,
                               .inspection = inspection};
        ttt_lm_blocks_forward(&model->lm, &pass, &model->weights, &model->workspace, c.ids, trace);
        chunk_logits(model, &pass, &c, feeds, dtype, trace);
        for (int64_t n = 0; n < c.run_count; n++) feeds[c.feed[n]].state->position += c.runs[n].count;
    }
    return TTT_OK;
}

ttt_status ttt_model_advance(ttt_model *model, const ttt_feed *feeds, int64_t count)
{
    return ttt_model_advance_as(model, feeds, count, TTT_F32, NULL, NULL);
}
