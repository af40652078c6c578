/* SPDX-License-Identifier: MIT
 *
 * Verification of the promise that the same tokens give the same bits: whatever the split into calls, the number of
 * threads, and the sequences beside them. Counts the words of logits and final state that differ from one call, one
 * thread, alone.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "eval/verify.h"

enum { SEQUENCES = 3, TOKENS = 50 };

typedef struct outcome {
    float *logits; /* [TOKENS,V] */
    ttt_state *state;
} outcome;

static ttt_status outcome_init(outcome *o, const ttt_model *model)
{
    *o = (outcome){.logits = ttt_alloc((size_t)(TOKENS * model->lm.config.vocab_size), sizeof *o->logits)};
    return o->logits ? ttt_state_new(&o->state, model) : TTT_ERR_MEMORY;
}

static void outcome_deinit(outcome *o)
{
    ttt_free(o->logits);
    ttt_state_free(o->state);
}

static double words_that_differ(const outcome *a, const outcome *b)
{
    const ttt_model *model = a->state->model;
    const ttt_backend *backend = model->backend;
    double differ = 0;
    for (int64_t i = 0; i < TOKENS * model->lm.config.vocab_size; i++)
        differ += memcmp(&a->logits[i], &b->logits[i], sizeof *a->logits) != 0;
    for (int64_t i = 0; i < model->lm.stack.state_size; i++)
        differ += memcmp(ttt_at(backend, a->state->fixed, i), ttt_at(backend, b->state->fixed, i), backend->real) != 0;
    return differ;
}

static ttt_feed feed_of(const outcome *o, const int32_t *tokens, int64_t first, int64_t count, int64_t V)
{
    return (ttt_feed){.state = o->state,
                      .tokens = tokens + first,
                      .count = count,
                      .which = TTT_LOGITS_ALL,
                      .logits = o->logits + first * V};
}

static ttt_status read_in_splits(ttt_context *context, const outcome *o, const int32_t *tokens, int64_t split)
{
    ttt_state_reset(o->state);
    for (int64_t first = 0; first < TOKENS; first += split) {
        const ttt_feed feed = feed_of(o, tokens, first, TOKENS - first < split ? TOKENS - first : split,
                                      context->model->lm.config.vocab_size);
        TTT_TRY(ttt_context_advance(context, &feed, 1));
    }
    return TTT_OK;
}

/* All sequences side by side, each ahead of the one before it and with its own number of tokens a call. */
static ttt_status read_beside_others(ttt_context *context, const outcome *outcomes, int32_t tokens[SEQUENCES][TOKENS])
{
    int64_t done[SEQUENCES] = {0};
    for (int s = 0; s < SEQUENCES; s++) ttt_state_reset(outcomes[s].state);
    for (int call = 0;; call++) {
        ttt_feed feeds[SEQUENCES];
        int64_t count = 0;
        for (int s = 0; s < SEQUENCES; s++) {
            const int64_t wanted = call == 0 && s > 0 ? 5 * s : 3 + 2 * s, left = TOKENS - done[s],
                          n = wanted < left ? wanted : left;
            if (n == 0) continue;
            feeds[count++] = feed_of(&outcomes[s], tokens[s], done[s], n, context->model->lm.config.vocab_size);
            done[s] += n;
        }
        if (count == 0) return TTT_OK;
        TTT_TRY(ttt_context_advance(context, feeds, count));
    }
}

static ttt_status with_other_threads(ttt_verifier *v, const ttt_context *context, const outcome *alone,
                                     const int32_t *tokens)
{
    ttt_context *other;
    outcome o = {0};
    TTT_TRY(ttt_context_new(&other, context->model, ttt_context_threads(context) == 2 ? 1 : 2));
    ttt_status status = outcome_init(&o, context->model);
    if (status == TTT_OK) status = read_in_splits(other, &o, tokens, TOKENS);
    if (status == TTT_OK)
        status = ttt_verifier_add(v, "bits.threads=2", words_that_differ(alone, &o), 1, TTT_VERIFY_SAME);
    outcome_deinit(&o);
    ttt_context_free(other);
    return status;
}

static ttt_status verify_bits(ttt_verifier *v, ttt_context *context, outcome *alone, outcome *others)
{
    static const int64_t splits[] = {1, 2, 3, 7, 16, 17};
    int32_t tokens[SEQUENCES][TOKENS];
    for (int s = 0; s < SEQUENCES; s++)
        for (int t = 0; t < TOKENS; t++)
            tokens[s][t] = (int32_t)(ttt_rng_u64((ttt_rng){.stream = TTT_RNG_TEST}, (uint64_t)(s * TOKENS + t)) %
                                     (uint64_t)context->model->lm.config.vocab_size);
    TTT_TRY(read_in_splits(context, alone, tokens[0], TOKENS));
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        char name[32];
        snprintf(name, sizeof name, "bits.split=%lld", (long long)splits[i]);
        TTT_TRY(read_in_splits(context, &others[0], tokens[0], splits[i]));
        TTT_TRY(ttt_verifier_add(v, name, words_that_differ(alone, &others[0]), 1, TTT_VERIFY_SAME));
    }
    TTT_TRY(with_other_threads(v, context, alone, tokens[0]));
    double differ = 0;
    TTT_TRY(read_beside_others(context, others, tokens));
    for (int s = 0; s < SEQUENCES; s++) {
        TTT_TRY(read_in_splits(context, alone, tokens[s], TOKENS));
        differ += words_that_differ(alone, &others[s]);
    }
    return ttt_verifier_add(v, "bits.batch", differ, 1, TTT_VERIFY_SAME);
}

ttt_status ttt_verify_bits(ttt_verifier *v, ttt_context *context)
{
    outcome outcomes[SEQUENCES + 1] = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i <= SEQUENCES && status == TTT_OK; i++) status = outcome_init(&outcomes[i], context->model);
    if (status == TTT_OK) status = verify_bits(v, context, &outcomes[SEQUENCES], outcomes);
    for (int i = 0; i <= SEQUENCES; i++) outcome_deinit(&outcomes[i]);
    return status;
}
