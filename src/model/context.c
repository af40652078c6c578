/* SPDX-License-Identifier: MIT
 *
 * Contexts, and who may use one and the states that are given to it.
 */
#include "model/context.h"

#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/float_env.h"
#include "base/tokens.h"

static ttt_status init(ttt_context *context, const ttt_model *model, int threads)
{
    *context = (ttt_context){.model = model, .process = getpid()};
    TTT_TRY(ttt_backend_new(&context->backend, model->backend->name, threads));
    if (strcmp(context->backend->isa, model->backend->isa) != 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "the model was opened for %s and this context would compute with %s: set "
                        "TTT_ISA once",
                        model->backend->isa, context->backend->isa);
    TTT_TRY(ttt_stack_reserve(&model->lm.stack, context->backend));
    const ttt_pass largest = {.backend = context->backend,
                              .run_count = TTT_ADVANCE_ROWS,
                              .rows = TTT_ADVANCE_ROWS,
                              .longest = TTT_ADVANCE_ROWS};
    return ttt_workspace_init(&context->workspace, &model->lm, &largest, false);
}

ttt_status ttt_context_new(ttt_context **out, const ttt_model *model, int threads)
{
    *out = NULL;
    ttt_context *context = ttt_alloc(1, sizeof *context);
    if (!context) return TTT_ERR_MEMORY;
    const ttt_status status = init(context, model, threads);
    if (status != TTT_OK) {
        ttt_context_free(context);
        return status;
    }
    *out = context;
    return TTT_OK;
}

void ttt_context_free(ttt_context *context)
{
    if (!context) return;
    ttt_workspace_deinit(&context->workspace);
    ttt_backend_free(context->backend);
    ttt_free(context);
}

const ttt_model *ttt_context_model(const ttt_context *context) { return context->model; }
int ttt_context_threads(const ttt_context *context) { return context->backend->threads; }

/* ---- who may ---- */

static ttt_status check_model(const ttt_context *context, const ttt_state *state, int64_t number)
{
    if (state->model == context->model) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "the state of sequence %lld is of another model (fingerprint %.16s) than the context (%.16s)",
                    (long long)number, state->model->fingerprint, context->model->fingerprint);
}

static ttt_status check_feed(const ttt_context *context, const ttt_feed *feed, int64_t number)
{
    const int64_t V = context->model->lm.config.vocab_size;
    if (feed->count < 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "sequence %lld has no tokens to read: give at least one", (long long)number);
    TTT_TRY(check_model(context, feed->state, number));
    const ttt_status status = ttt_tokens_check(feed->tokens, (size_t)feed->count, V, "the feed");
    return status == TTT_OK ? TTT_OK : ttt_fail_prefix(status, "sequence %lld", (long long)number);
}

static void release(const ttt_feed *feeds, int64_t count)
{
    for (int64_t n = 0; n < count; n++) atomic_store(&feeds[n].state->busy, false);
}

/* Every state is taken for the length of the call, with room for its new tokens. */
static ttt_status acquire(const ttt_feed *feeds, int64_t count)
{
    for (int64_t n = 0; n < count; n++) {
        ttt_state *state = feeds[n].state;
        ttt_status status = TTT_OK;
        if (atomic_exchange(&state->busy, true)) {
            release(feeds, n);
            return ttt_fail(TTT_ERR_ARGUMENT,
                            "the state of sequence %lld is in use: by another sequence of this call, "
                            "or by another thread; fork it first",
                            (long long)n);
        }
        status = ttt_state_make_room(state, feeds[n].count);
        if (status == TTT_OK) continue;
        release(feeds, n + 1);
        return status;
    }
    return TTT_OK;
}

/* ---- rows ---- */

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
        const int64_t position = f->state->position, room = TTT_ADVANCE_ROWS - c->rows,
                      left = ttt_state_cut(f->state, position + f->count - *token) - position,
                      n = left < room ? left : room;
        c->feed[c->run_count] = *feed;
        c->first[c->run_count] = *token;
        c->runs[c->run_count++] = (ttt_run){.row = c->rows,
                                            .count = n,
                                            .position = position,
                                            .frozen = f->state->frozen,
                                            .state = f->state->fixed,
                                            .grown = f->state->grown};
        memcpy(c->ids + c->rows, f->tokens + *token, (size_t)n * sizeof *c->ids);
        c->rows += n;
        if (n > c->longest) c->longest = n;
        *token += n;
        if (*token < f->count) return; /* one run per sequence in a chunk */
        *token = 0;
        ++*feed;
    }
}

/* Rows of run n whose logits its feed wants: the last ones. */
static int64_t rows_wanted(const chunk *c, int64_t n, const ttt_feed *feeds)
{
    const ttt_feed *f = &feeds[c->feed[n]];
    const bool ends = c->first[n] + c->runs[n].count == f->count;
    if (f->which == TTT_LOGITS_ALL) return c->runs[n].count;
    return f->which == TTT_LOGITS_LAST && ends ? 1 : 0;
}

/* The logits that the feeds of this chunk want: their rows are moved to the front, computed as one product, and handed
 * out. */
static void chunk_logits(const ttt_context *context, const chunk *c, const ttt_feed *feeds,
                         const ttt_advance_options *o)
{
    const ttt_lm *lm = &context->model->lm;
    const ttt_backend *b = context->backend;
    const int64_t C = lm->config.hidden_size, V = lm->config.vocab_size;
    void *x = context->workspace.scratch.x;
    int64_t wanted = 0;
    for (int64_t n = 0; n < c->run_count; n++) {
        const int64_t rows = rows_wanted(c, n, feeds), from = c->runs[n].row + c->runs[n].count - rows;
        for (int64_t r = 0; r < rows && from != wanted; r++)
            b->ops->copy(b, ttt_at(b, x, (wanted + r) * C), ttt_at(b, x, (from + r) * C), C);
        wanted += rows;
    }
    if (wanted == 0) return;
    ttt_lm_logits(lm, b, context->model->weights, &context->workspace, x, wanted);
    int64_t row = 0;
    for (int64_t n = 0; n < c->run_count; n++) {
        const int64_t rows = rows_wanted(c, n, feeds), feed = c->feed[n];
        const int64_t at = feeds[feed].which == TTT_LOGITS_ALL ? c->first[n] * V : 0;
        char *to = o->logits ? o->logits[feed] : (void *)feeds[feed].logits;
        if (rows > 0)
            b->ops->to(b, to + (size_t)at * ttt_dtype_bytes(o->dtype), o->dtype,
                       ttt_at(b, context->workspace.logits, row * V), rows * V);
        row += rows;
    }
}

/* Tokens of all sequences are taken in chunks of rows; every operation used is one of the backend's [row] operations,
 * so chunks, splits and batch composition change no bit. */
static void advance(const ttt_context *context, const ttt_feed *feeds, int64_t count, const ttt_advance_options *o)
{
    const ttt_model *model = context->model;
    chunk c;
    for (int64_t feed = 0, token = 0; feed < count;) {
        take_chunk(&c, feeds, count, &feed, &token);
        const ttt_pass pass = {.backend = context->backend,
                               .runs = c.runs,
                               .run_count = c.run_count,
                               .rows = c.rows,
                               .longest = c.longest,
                               .rate_factor = 1,
                               .inspection = o->inspection};
        ttt_lm_blocks(&model->lm, &pass, model->weights, &context->workspace, c.ids, o->trace);
        ttt_lm_norm(&model->lm, &pass, model->weights, &context->workspace);
        if (o->trace)
            o->trace->rows(o->trace->context, &pass, model->lm.stack.block_count, context->workspace.scratch.x);
        chunk_logits(context, &c, feeds, o);
        for (int64_t n = 0; n < c.run_count; n++) {
            const ttt_feed *f = &feeds[c.feed[n]];
            ttt_state_moved(f->state, c.ids + c.runs[n].row, c.runs[n].count, f->count - c.first[n] - c.runs[n].count);
        }
    }
}

/* The context is taken for the length of a call. */
static ttt_status enter(ttt_context *context)
{
    if (context->process != getpid())
        return ttt_fail(TTT_ERR_ARGUMENT, "this context was made before the process forked, and its threads are the "
                                          "parent's: make a new one");
    if (atomic_exchange(&context->busy, true))
        return ttt_fail(TTT_ERR_ARGUMENT, "this context is in use by another thread: make one for each thread");
    return TTT_OK;
}

static void compute(ttt_context *context, const ttt_feed *feeds, int64_t count, const ttt_advance_options *options)
{
    const uint64_t host = ttt_float_begin();
    advance(context, feeds, count, options);
    ttt_float_end(host);
}

ttt_status ttt_context_advance_as(ttt_context *context, const ttt_feed *feeds, int64_t count,
                                  const ttt_advance_options *options)
{
    for (int64_t n = 0; n < count; n++) TTT_TRY(check_feed(context, &feeds[n], n));
    TTT_TRY(enter(context));
    const ttt_status status = acquire(feeds, count);
    if (status == TTT_OK) {
        compute(context, feeds, count, options);
        release(feeds, count);
    }
    atomic_store(&context->busy, false);
    return status;
}

ttt_status ttt_context_advance(ttt_context *context, const ttt_feed *feeds, int64_t count)
{
    return ttt_context_advance_as(context, feeds, count, &(ttt_advance_options){.dtype = TTT_F32});
}

/* What is read again has its memory from when it was read first: nothing fails once the state has gone back. */
ttt_status ttt_context_rollback(ttt_context *context, ttt_state *state, int64_t position, int64_t *again)
{
    ttt_feed feed = {.state = state};
    TTT_TRY(check_model(context, state, 0));
    TTT_TRY(enter(context));
    ttt_status status = acquire(&feed, 1);
    if (status == TTT_OK) {
        status = ttt_state_rewind(state, position, &feed.tokens, &feed.count);
        if (status == TTT_OK && feed.count > 0) compute(context, &feed, 1, &(ttt_advance_options){.dtype = TTT_F32});
        if (again) *again = feed.count;
        release(&feed, 1);
    }
    atomic_store(&context->busy, false);
    return status;
}
