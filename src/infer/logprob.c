/* SPDX-License-Identifier: MIT
 *
 * Every value is -(log sum exp(logits - largest) - (logit - largest)), in this order, which is how the backends compute
 * the loss of a target: so a sum of these is the loss of ttt_eval, and an id that is as likely as the most likely has
 * its very number.
 */
#include "infer/logprob.h"

#include <math.h>

#include "base/float_env.h"

/* Puts an id among the best so far [count], which are in order; the last falls out when there are `most`. */
static int insert(ttt_logprob *best, int count, int most, int32_t id, double logit)
{
    int place = count < most ? count : most - 1;
    for (; place > 0 && best[place - 1].logprob < logit; place--) best[place] = best[place - 1];
    best[place] = (ttt_logprob){id, logit};
    return count < most ? count + 1 : most;
}

/* The ids with the largest logits, of equals the smaller id first; result: how many. */
static int find_top(ttt_logprob *best, const float *logits, int64_t allowed, int most)
{
    int count = 0;
    for (int64_t i = 0; i < allowed && most > 0; i++) {
        const double logit = (double)logits[i];
        if (count < most || logit > best[most - 1].logprob) count = insert(best, count, most, (int32_t)i, logit);
    }
    return count;
}

/* The id of the largest logit, or of one that is no number. */
static int32_t find_largest(const float *logits, int64_t vocabulary)
{
    int64_t largest = 0;
    for (int64_t i = 0; i < vocabulary; i++) {
        if (isnan(logits[i])) return (int32_t)i;
        if (logits[i] > logits[largest]) largest = i;
    }
    return (int32_t)largest;
}

ttt_status ttt_logprob_of(ttt_token_logprob *result, const ttt_backend *b, void *reals, const float *logits,
                          int64_t vocabulary, int64_t allowed, int32_t id, int top)
{
    const uint64_t host = ttt_float_begin();
    const int32_t most_likely = find_largest(logits, vocabulary);
    const double largest = (double)logits[most_likely];
    double rest; /* the loss of the most likely: log sum exp(logits - largest) */
    b->ops->from(b, reals, logits, TTT_F32, vocabulary);
    b->ops->cross_entropy(b, &rest, reals, &most_likely, 1, vocabulary, 0);
    result->id = id;
    result->logprob = -(rest - ((double)logits[id] - largest));
    result->top_count = find_top(result->top, logits, allowed, top);
    for (int i = 0; i < result->top_count; i++) result->top[i].logprob = -(rest - (result->top[i].logprob - largest));
    ttt_float_end(host);
    if (isfinite(rest) && isfinite(largest)) return TTT_OK;
    return ttt_fail(TTT_ERR_NUMERIC, "there is no probability of id %ld: the model's numbers have overflowed",
                    (long)id);
}
