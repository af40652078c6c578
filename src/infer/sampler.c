/* SPDX-License-Identifier: MIT
 *
 * Logits to an id. The candidates are an array of (logit, id); they are brought into order, best first, only as far as
 * top-k and top-p need: a heap at the front of the array gives them out one by one, and each takes the place at the end
 * that the heap gave up.
 */
#include "infer/sampler.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/elementary.h"
#include "base/float_env.h"
#include "base/rng.h"

typedef struct candidate {
    double value; /* logit, then weight: a probability but for a factor */
    int32_t id;
} candidate;

/* What changes the logit of one id. */
typedef struct change {
    float bias;
    int32_t written; /* times, at most INT32_MAX */
    bool seen;
} change;

struct ttt_sampler {
    ttt_sampling options;
    int64_t vocabulary;
    change *changes;       /* [V] */
    candidate *candidates; /* [V] */
};

void ttt_sampling_init(ttt_sampling *sampling)
{
    *sampling = (ttt_sampling){.repetition_penalty = 1, .temperature = 0.8, .top_p = 0.95};
}

static ttt_status check_penalty(const char *name, double value)
{
    if (value >= -2 && value <= 2) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT, "%s is %g: give a number from -2 to 2, 0 for none", name, value);
}

ttt_status ttt_sampling_check(const ttt_sampling *s)
{
    TTT_TRY(check_penalty("frequency_penalty", s->frequency_penalty));
    TTT_TRY(check_penalty("presence_penalty", s->presence_penalty));
    if (!(s->repetition_penalty > 0) || !isfinite(s->repetition_penalty))
        return ttt_fail(TTT_ERR_ARGUMENT, "repetition_penalty is %g: give a positive number, 1 for none",
                        s->repetition_penalty);
    if (!(s->temperature >= 0) || !isfinite(s->temperature))
        return ttt_fail(TTT_ERR_ARGUMENT, "temperature is %g: give 0 (always the most likely) or more", s->temperature);
    if (s->top_k < 0) return ttt_fail(TTT_ERR_ARGUMENT, "top_k is %lld: give 0 (off) or more", (long long)s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return ttt_fail(TTT_ERR_ARGUMENT, "top_p is %g: give a number above 0, up to 1 (off)", s->top_p);
    if (!(s->min_p >= 0 && s->min_p <= 1))
        return ttt_fail(TTT_ERR_ARGUMENT, "min_p is %g: give a number from 0 (off) to 1", s->min_p);
    return TTT_OK;
}

static ttt_status read_bias(ttt_sampler *sampler)
{
    const ttt_sampling *s = &sampler->options;
    for (int64_t i = 0; s->logit_bias && i < s->logit_bias_count; i++) {
        const ttt_logit_bias *bias = &s->logit_bias[i];
        if (bias->id < 0 || bias->id >= sampler->vocabulary)
            return ttt_fail(TTT_ERR_ARGUMENT, "logit_bias names id %ld, but the model knows ids 0 to %lld",
                            (long)bias->id, (long long)sampler->vocabulary - 1);
        if (!(bias->bias >= -100 && bias->bias <= 100))
            return ttt_fail(TTT_ERR_ARGUMENT, "the logit_bias of id %ld is %g: give a number from -100 to 100",
                            (long)bias->id, (double)bias->bias);
        sampler->changes[bias->id].bias += bias->bias;
    }
    return TTT_OK;
}

static ttt_status init(ttt_sampler *sampler, const ttt_sampling *sampling, int64_t vocabulary)
{
    *sampler = (ttt_sampler){.options = *sampling,
                             .vocabulary = vocabulary,
                             .changes = ttt_alloc((size_t)vocabulary, sizeof *sampler->changes),
                             .candidates = ttt_alloc((size_t)vocabulary, sizeof *sampler->candidates)};
    if (!sampler->changes || !sampler->candidates) return TTT_ERR_MEMORY;
    TTT_TRY(read_bias(sampler));
    sampler->options.logit_bias = NULL; /* the caller's */
    return TTT_OK;
}

ttt_status ttt_sampler_new(ttt_sampler **out, const ttt_sampling *sampling, int64_t vocabulary)
{
    *out = NULL;
    ttt_sampling defaults;
    ttt_sampling_init(&defaults);
    if (!sampling) sampling = &defaults;
    TTT_TRY(ttt_sampling_check(sampling));
    if (vocabulary < 1 || vocabulary > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "%lld logits: give the size of a vocabulary", (long long)vocabulary);
    ttt_sampler *sampler = ttt_alloc(1, sizeof *sampler);
    if (!sampler) return TTT_ERR_MEMORY;
    const ttt_status status = init(sampler, sampling, vocabulary);
    if (status != TTT_OK) {
        ttt_sampler_free(sampler);
        return status;
    }
    *out = sampler;
    return TTT_OK;
}

void ttt_sampler_free(ttt_sampler *sampler)
{
    if (!sampler) return;
    ttt_free(sampler->changes);
    ttt_free(sampler->candidates);
    ttt_free(sampler);
}

int64_t ttt_sampler_vocabulary(const ttt_sampler *sampler) { return sampler->vocabulary; }

void ttt_sampler_see(ttt_sampler *sampler, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (ids[i] >= 0 && ids[i] < sampler->vocabulary) sampler->changes[ids[i]].seen = true;
}

void ttt_sampler_wrote(ttt_sampler *sampler, const int32_t *ids, int64_t count)
{
    ttt_sampler_see(sampler, ids, count);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= sampler->vocabulary) continue;
        int32_t *written = &sampler->changes[ids[i]].written;
        if (*written < INT32_MAX) ++*written;
    }
}

static bool better(const candidate *a, const candidate *b)
{
    return a->value > b->value || (a->value == b->value && a->id < b->id);
}

/* Moves candidate `i` down until both its children are worse. */
static void sift(candidate *heap, int64_t n, int64_t i)
{
    const candidate moved = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && better(&heap[child + 1], &heap[child])) child++;
        if (!better(&heap[child], &moved)) break;
        heap[i] = heap[child];
    }
    heap[i] = moved;
}

/* Takes the best of heap [0, n) and puts it at n - 1. */
static void pop(candidate *heap, int64_t n)
{
    const candidate best = heap[0];
    heap[0] = heap[n - 1];
    sift(heap, n - 1, 0);
    heap[n - 1] = best;
}

/* Turns n logits whose largest is 0 into weights, 0 where min-p drops them, and applies top-k and top-p: candidates
 * [result, n) are kept, and with either of the two the best is last. */
static int64_t keep_best(const ttt_sampling *s, candidate *c, int64_t n)
{
    const bool top_k = s->top_k > 0 && s->top_k < n, top_p = s->top_p < 1;
    for (int64_t i = n / 2; i-- > 0 && (top_k || top_p);) sift(c, n, i);
    int64_t sorted = n; /* those from here on are in order, the heap ends here */
    if (top_k) {
        while (sorted > n - s->top_k) pop(c, sorted--);
        while (sorted > 0 && c[0].value == c[sorted].value) pop(c, sorted--);
    }
    int64_t kept = top_k ? sorted : 0;
    double total = 0, sum = 0;
    for (int64_t i = kept; i < n; i++)
        total += c[i].value = ttt_exp(c[i].value); /* in the order it was: still a heap */
    if (top_p) {
        const int64_t pool = kept;
        kept = n;
        while (kept > pool && sum < s->top_p * total) {
            if (kept == sorted) pop(c, sorted--);
            sum += c[--kept].value;
        }
    }
    for (int64_t i = kept; i < n; i++)
        if (c[i].value < s->min_p) c[i].value = 0;
    return kept;
}

static double changed(double logit, const change *c, const ttt_sampling *s)
{
    logit += (double)c->bias;
    if (c->seen) logit = logit > 0 ? logit / s->repetition_penalty : logit * s->repetition_penalty;
    if (c->written > 0) logit -= s->frequency_penalty * c->written + s->presence_penalty;
    return logit;
}

/* Candidates from logits. */
static ttt_status read_logits(ttt_sampler *sampler, const float *logits, int64_t allowed)
{
    for (int64_t i = 0; i < allowed; i++) {
        const double logit = (double)logits[i];
        if (isnan(logit) || logit == (double)INFINITY)
            return ttt_fail(TTT_ERR_NUMERIC, "the logit of id %lld is %g: the model's numbers have overflowed",
                            (long long)i, logit);
        sampler->candidates[i] = (candidate){changed(logit, &sampler->changes[i], &sampler->options), (int32_t)i};
    }
    return TTT_OK;
}

static ttt_status choose(ttt_sampler *sampler, const float *logits, int64_t allowed, int64_t position, int32_t *id)
{
    const ttt_sampling *s = &sampler->options;
    candidate *c = sampler->candidates;
    if (allowed > sampler->vocabulary) allowed = sampler->vocabulary;
    TTT_TRY(read_logits(sampler, logits, allowed));
    int64_t best = 0;
    for (int64_t i = 1; i < allowed; i++)
        if (better(&c[i], &c[best])) best = i;
    if (allowed < 1 || isinf(c[best].value))
        return ttt_fail(TTT_ERR_NUMERIC, "every logit is -infinity: there is no id to choose");
    if (s->temperature == 0) {
        *id = c[best].id;
        return TTT_OK;
    }
    const double top = c[best].value;
    for (int64_t i = 0; i < allowed; i++) c[i].value = (c[i].value - top) / s->temperature; /* the best becomes 0 */

    const int64_t first = keep_best(s, c, allowed);
    double total = 0;
    for (int64_t i = first; i < allowed; i++) total += c[i].value;
    const ttt_rng rng = {.seed = s->seed, .stream = TTT_RNG_SAMPLE + (s->request << 8)};
    double left = ttt_rng_uniform(rng, (uint64_t)position) * total;
    int64_t chosen = -1;
    for (int64_t i = allowed; i-- > first && left >= 0;) {
        if (c[i].value == 0) continue;
        chosen = i;
        left -= c[i].value;
    }
    assert(chosen >= 0); /* the best has a weight of 1, and no limit drops it */
    *id = c[chosen].id;
    return TTT_OK;
}

ttt_status ttt_sampler_choose(ttt_sampler *sampler, const float *logits, int64_t allowed, int64_t position, int32_t *id)
{
    const uint64_t host = ttt_float_begin();
    const ttt_status status = choose(sampler, logits, allowed, position, id);
    ttt_float_end(host);
    return status;
}
