/* SPDX-License-Identifier: MIT
 *
 * Continuations of one text, scored side by side: the text is read once, and its last logits are those of every
 * choice's first id; what follows is read in forks, some of each choice at a time.
 */
#include <math.h>
#include <ttt/eval.h>

#include "base/alloc.h"
#include "base/tokens.h"
#include "model/context.h"

enum { FORKS = 16, STEP = TTT_ADVANCE_ROWS / FORKS }; /* choices side by side, and tokens of each at a time */

typedef struct scoring {
    ttt_context *context;
    const ttt_choice *choices;
    double *losses;
    ttt_state *forks[FORKS];
    void *logits; /* [rows, V] reals */
    int32_t targets[TTT_ADVANCE_ROWS];
    double row_losses[TTT_ADVANCE_ROWS];
} scoring;

static ttt_status check(const ttt_context *context, int64_t count, const ttt_choice *choices, int64_t choice_count)
{
    if (count < 1 || choice_count < 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "a text of %lld tokens with %lld choices: give at least one of each",
                        (long long)count, (long long)choice_count);
    for (int64_t i = 0; i < choice_count; i++) {
        if (choices[i].count < 1)
            return ttt_fail(TTT_ERR_ARGUMENT, "choice %lld has no tokens: give at least one", (long long)i);
        const ttt_status status = ttt_tokens_check(choices[i].ids, (size_t)choices[i].count,
                                                   ttt_model_vocabulary(context->model), "the choice");
        if (status != TTT_OK) return ttt_fail_prefix(status, "choice %lld", (long long)i);
    }
    return TTT_OK;
}

/* Rows of logits that are in use at once: one of the text, and what a step of some choices may take. */
static int64_t most_rows(const ttt_choice *choices, int64_t choice_count)
{
    int64_t longest = 1;
    for (int64_t i = 0; i < choice_count; i++)
        if (choices[i].count > longest) longest = choices[i].count;
    return (longest < STEP ? longest : STEP) * (choice_count < FORKS ? choice_count : FORKS);
}

/* Advances `feeds` and gives the loss of each of their tokens' targets. */
static ttt_status advance(scoring *s, const ttt_feed *feeds, int64_t count, int64_t rows)
{
    const ttt_backend *b = s->context->backend;
    const int64_t V = ttt_model_vocabulary(s->context->model);
    void *places[FORKS];
    for (int64_t i = 0, row = 0; i < count; row += feeds[i++].count) places[i] = ttt_at(b, s->logits, row * V);
    const ttt_advance_options options = {.dtype = b->dtype, .logits = places};
    TTT_TRY(ttt_context_advance_as(s->context, feeds, count, &options));
    b->ops->cross_entropy(b, s->row_losses, s->logits, s->targets, rows, V, 0);
    return TTT_OK;
}

/* Reads the text and adds the loss of every choice's first id. */
static ttt_status score_first(scoring *s, ttt_state *state, const int32_t *ids, int64_t count, int64_t choice_count)
{
    const ttt_backend *b = s->context->backend;
    const ttt_feed feed = {.state = state, .tokens = ids, .count = count, .which = TTT_LOGITS_LAST};
    s->targets[0] = s->choices[0].ids[0];
    TTT_TRY(advance(s, &feed, 1, 1));
    for (int64_t i = 0; i < choice_count; i++)
        b->ops->cross_entropy(b, &s->losses[i], s->logits, s->choices[i].ids, 1,
                              ttt_model_vocabulary(s->context->model), 0);
    return TTT_OK;
}

/* Adds the losses of the other ids of choices [first, first + n), n at most FORKS. */
static ttt_status score_rest(scoring *s, const ttt_state *state, int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!s->forks[i]) TTT_TRY(ttt_state_new(&s->forks[i], s->context->model));
        TTT_TRY(ttt_state_copy(s->forks[i], state));
    }
    for (int64_t done = 0;; done += STEP) {
        ttt_feed feeds[FORKS];
        int64_t of[FORKS] = {0}, count = 0, rows = 0;
        for (int64_t i = 0; i < n; i++) {
            const ttt_choice *c = &s->choices[first + i];
            const int64_t left = c->count - 1 - done, step = left < STEP ? left : STEP;
            if (step < 1) continue;
            feeds[count] = (ttt_feed){
                .state = s->forks[i], .tokens = c->ids + done, .count = step, .which = TTT_LOGITS_ALL};
            of[count++] = first + i;
            for (int64_t t = 0; t < step; t++) s->targets[rows++] = c->ids[done + t + 1];
        }
        if (count == 0) return TTT_OK;
        TTT_TRY(advance(s, feeds, count, rows));
        for (int64_t i = 0, row = 0; i < count; i++)
            for (int64_t t = 0; t < feeds[i].count; t++) s->losses[of[i]] += s->row_losses[row++];
    }
}

static ttt_status score(scoring *s, ttt_state *state, const int32_t *ids, int64_t count, int64_t choice_count)
{
    const int64_t V = ttt_model_vocabulary(s->context->model);
    s->logits = ttt_alloc((size_t)(most_rows(s->choices, choice_count) * V), s->context->backend->real);
    if (!s->logits) return TTT_ERR_MEMORY;
    TTT_TRY(score_first(s, state, ids, count, choice_count));
    for (int64_t i = 0; i < choice_count; i += FORKS)
        TTT_TRY(score_rest(s, state, i, choice_count - i < FORKS ? choice_count - i : FORKS));
    for (int64_t i = 0; i < choice_count; i++)
        if (!isfinite(s->losses[i]))
            return ttt_fail(TTT_ERR_NUMERIC,
                            "the loss of choice %lld is not a finite number: the model's numbers have overflowed",
                            (long long)i);
    return TTT_OK;
}

ttt_status ttt_eval_choices(ttt_context *context, ttt_state *state, const int32_t *ids, int64_t count,
                            const ttt_choice *choices, int64_t choice_count, double *losses)
{
    TTT_TRY(check(context, count, choices, choice_count));
    scoring *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (scoring){.context = context, .choices = choices, .losses = losses};
    const ttt_status status = score(s, state, ids, count, choice_count);
    for (int i = 0; i < FORKS; i++) ttt_state_free(s->forks[i]);
    ttt_free(s->logits);
    ttt_free(s);
    return status;
}
