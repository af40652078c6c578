/* SPDX-License-Identifier: MIT
 *
 * The sampler against sets and frequencies worked out by hand, and stop strings at every cut of a text.
 */
#include <stdbool.h>
#include <stdint.h>

#include "infer/sampler.h"
#include "infer/stop.h"
#include "test.h"

enum { V = 8, DRAWS = 4000 };

/* log of 0.4, 0.05, 0.2, 0.1, 0.15, 0.06, 0.03, 0.01: by probability the ids are 0 2 4 3 5 1 6 7 */
static const double probability[V] = {0.4, 0.05, 0.2, 0.1, 0.15, 0.06, 0.03, 0.01};

static void make_logits(float *logits)
{
    for (int i = 0; i < V; i++) logits[i] = (float)log(probability[i]) + 3.0f;
}

/* How often each id is chosen. */
static void draw(const ttt_sampling *options, const float *logits, int64_t allowed, int counts[V])
{
    ttt_sampler *sampler;
    memset(counts, 0, V * sizeof *counts);
    CHECK_OK(ttt_sampler_new(&sampler, options, V));
    for (int64_t position = 0; position < DRAWS; position++) {
        int32_t id = -1;
        CHECK_OK(ttt_sampler_choose(sampler, logits, allowed, position, &id));
        CHECK(id >= 0 && id < V);
        counts[id]++;
    }
    ttt_sampler_free(sampler);
}

/* Every id of `set` (ends with -1) is drawn as often as its probability p among the set says; no other ever is. */
static void check_set(const ttt_sampling *options, const float *logits, const double *p, const int *set)
{
    int counts[V];
    draw(options, logits, V, counts);
    double total = 0, of[V] = {0};
    for (int i = 0; set[i] >= 0; i++) total += of[set[i]] = p[set[i]];
    for (int id = 0; id < V; id++) {
        const double q = of[id] / total;
        if (q == 0)
            CHECK_EQ(counts[id], 0);
        else
            CHECK_NEAR((double)counts[id] / DRAWS, q, 4 * sqrt(q * (1 - q) / DRAWS));
    }
}

static ttt_sampling plain(void) { return (ttt_sampling){.repetition_penalty = 1, .temperature = 1, .top_p = 1}; }

static void test_limits(void)
{
    float logits[V];
    make_logits(logits);
    ttt_sampling s = plain();
    const int all[] = {0, 1, 2, 3, 4, 5, 6, 7, -1};
    check_set(&s, logits, probability, all);
    s.top_k = V + 5;
    check_set(&s, logits, probability, all);
    s.top_k = 3;
    check_set(&s, logits, probability, (const int[]){0, 2, 4, -1});
    s.top_p = 0.79; /* of 0.75 it is 0.5925, which 0.4 + 0.2 reach */
    check_set(&s, logits, probability, (const int[]){0, 2, -1});
    s.top_k = 0; /* of 1: 0.4 + 0.2 + 0.15 are less, with 0.1 it is 0.85 */
    check_set(&s, logits, probability, (const int[]){0, 2, 4, 3, -1});
    s.min_p = 0.37; /* 0.15 is 0.375 times the best, 0.1 a quarter */
    check_set(&s, logits, probability, (const int[]){0, 2, 4, -1});
    s = plain();
    s.top_p = 1e-9; /* one always stays */
    check_set(&s, logits, probability, (const int[]){0, -1});
    s = plain();
    s.min_p = 1;
    check_set(&s, logits, probability, (const int[]){0, -1});
}

/* Temperature comes before top-p: at temperature 0.5 probabilities are squared, and fewer ids reach 0.8. */
static void test_order(void)
{
    float logits[V];
    make_logits(logits);
    double squared[V];
    for (int i = 0; i < V; i++) squared[i] = probability[i] * probability[i];
    ttt_sampling s = plain();
    s.temperature = 0.5;
    check_set(&s, logits, squared, (const int[]){0, 1, 2, 3, 4, 5, 6, 7, -1});
    s.top_p = 0.8; /* squares 0.16 0.04 0.0225 of 0.2418 in all: two reach 0.827 */
    check_set(&s, logits, squared, (const int[]){0, 2, -1});
}

static void test_ties(void)
{
    float equal[V];
    for (int i = 0; i < V; i++) equal[i] = 1;
    equal[0] = 0;
    const double p[V] = {0, 1, 1, 1, 1, 1, 1, 1};
    ttt_sampling s = plain();
    s.top_k = 2; /* those as likely as the second stay, as in Hugging Face's warper */
    check_set(&s, equal, p, (const int[]){1, 2, 3, 4, 5, 6, 7, -1});
    s.top_k = 0;
    s.top_p = 0.3; /* of 7 + 1/e times the weight of one, 2.2: three of the equals, the smaller ids */
    check_set(&s, equal, p, (const int[]){1, 2, 3, -1});
    s.temperature = 0;
    check_set(&s, equal, p, (const int[]){1, -1});
}

static void test_repetition(void)
{
    const float logits[V] = {2.0f, 1.9f, -1.0f, -1.1f, -9, -9, -9, -9};
    ttt_sampling s = plain();
    s.temperature = 0;
    s.repetition_penalty = 1.3;
    ttt_sampler *sampler;
    int32_t id;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    CHECK_OK(ttt_sampler_choose(sampler, logits, V, 0, &id));
    CHECK_EQ(id, 0);
    ttt_sampler_see(sampler, (const int32_t[]){0, 0, 2}, 3); /* once, however often it was seen */
    CHECK_OK(ttt_sampler_choose(sampler, logits, V, 0, &id));
    CHECK_EQ(id, 1);
    ttt_sampler_see(sampler, (const int32_t[]){1, -1, V, INT32_MIN, INT32_MAX}, 5); /* no logits of theirs */
    ttt_sampler_see(sampler, NULL, 0);
    CHECK_OK(ttt_sampler_choose(sampler, logits, V, 0, &id));
    CHECK_EQ(id, 0);
    const float negative[V] = {-5, -5, -1.0f, -1.1f, -9, -9, -9, -9};
    CHECK_OK(ttt_sampler_choose(sampler, negative, V, 0, &id)); /* -1 becomes -1.3 */
    CHECK_EQ(id, 3);
    ttt_sampler_free(sampler);
}

/* The id that is chosen at temperature 0. */
static int32_t best(ttt_sampler *sampler, const float *logits)
{
    int32_t id = -1;
    CHECK_OK(ttt_sampler_choose(sampler, logits, V, 0, &id));
    return id;
}

/* What was written, and how often: a logit loses frequency * times + presence. A prompt loses nothing by these. */
static void test_penalties(void)
{
    const float logits[V] = {2.0f, 1.5f, 1.1f, -9, -9, -9, -9, -9};
    ttt_sampling s = plain();
    s.temperature = 0;
    s.frequency_penalty = 0.25;
    s.presence_penalty = 0.125;
    ttt_sampler *sampler;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    ttt_sampler_see(sampler, (const int32_t[]){0, 0, 0, 0}, 4);
    CHECK_EQ(best(sampler, logits), 0);
    ttt_sampler_wrote(sampler, (const int32_t[]){0, -1, V, INT32_MIN, INT32_MAX}, 5);
    CHECK_EQ(best(sampler, logits), 0); /* 2 - 0.25 - 0.125 = 1.625 */
    ttt_sampler_wrote(sampler, (const int32_t[]){0}, 1);
    CHECK_EQ(best(sampler, logits), 1); /* 2 - 0.5 - 0.125 = 1.375 */
    ttt_sampler_wrote(sampler, (const int32_t[]){1}, 1);
    CHECK_EQ(best(sampler, logits), 0); /* 1.125 against 1.375 */
    ttt_sampler_wrote(sampler, (const int32_t[]){0, 0}, 2);
    CHECK_EQ(best(sampler, logits), 1); /* 0.875 */
    ttt_sampler_wrote(sampler, NULL, 0);
    ttt_sampler_wrote(sampler, (const int32_t[]){1}, 1);
    CHECK_EQ(best(sampler, logits), 2); /* 0.875, 0.875 and 1.1 */
    ttt_sampler_free(sampler);

    s.frequency_penalty = 0; /* presence is lost once, and negative penalties are a gain */
    s.presence_penalty = -1;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    ttt_sampler_wrote(sampler, (const int32_t[]){2, 2, 2, 1}, 4);
    CHECK_EQ(best(sampler, logits), 1); /* 2, 2.5, 2.1 */
    ttt_sampler_free(sampler);
}

/* All of them as one plain formula, in its order, against what is drawn. */
static void test_all_changes(void)
{
    float logits[V];
    make_logits(logits);
    const ttt_logit_bias biases[] = {{1, 2.5f}, {0, -1.0f}, {7, 1.5f}, {0, -0.5f}, {4, -100.0f}};
    ttt_sampling s = plain();
    s.logit_bias = biases;
    s.logit_bias_count = 5;
    s.repetition_penalty = 1.5;
    s.frequency_penalty = 0.5;
    s.presence_penalty = 0.75;
    s.temperature = 1.25;
    const double bias[V] = {-1.5, 2.5, 0, 0, -100, 0, 0, 1.5};
    const int seen[V] = {1, 1, 1, 0, 1, 0, 0, 1}, wrote[V] = {0, 1, 3, 0, 1, 0, 0, 0};
    double p[V], total = 0;
    for (int i = 0; i < V; i++) {
        double x = (double)logits[i] + bias[i];
        if (seen[i]) x = x > 0 ? x / s.repetition_penalty : x * s.repetition_penalty;
        x -= s.frequency_penalty * wrote[i] + (wrote[i] ? s.presence_penalty : 0);
        total += p[i] = exp(x / s.temperature);
    }
    ttt_sampler *sampler;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    ttt_sampler_see(sampler, (const int32_t[]){0, 7, 7, 2}, 4);
    ttt_sampler_wrote(sampler, (const int32_t[]){2, 1, 2, 4, 2}, 5);
    int counts[V] = {0};
    for (int64_t position = 0; position < DRAWS; position++) {
        int32_t id = -1;
        CHECK_OK(ttt_sampler_choose(sampler, logits, V, position, &id));
        counts[id]++;
    }
    for (int i = 0; i < V; i++) {
        const double q = p[i] / total;
        CHECK_NEAR((double)counts[i] / DRAWS, q, 4 * sqrt(q * (1 - q) / DRAWS) + 1e-12);
    }
    CHECK_EQ(counts[4], 0);
    ttt_sampler_free(sampler);
}

static void test_bias(void)
{
    const float logits[V] = {2.0f, -9, -9, -9, -9, -9, -9, -9};
    ttt_logit_bias bias = {5, 100};
    ttt_sampling s = plain();
    s.logit_bias = &bias;
    s.logit_bias_count = 1;
    ttt_sampler *sampler;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    bias = (ttt_logit_bias){0, 0}; /* it was copied */
    for (int i = 0; i < 20; i++) CHECK_EQ(best(sampler, logits), 5);
    ttt_sampler_free(sampler);
    s.logit_bias = NULL; /* none, whatever the count */
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    ttt_sampler_free(sampler);
    s.logit_bias = &bias;
    const struct {
        ttt_logit_bias bias;
        const char *says;
    } cases[] = {{{V, 1}, "names id 8, but the model knows ids 0 to 7"},
                 {{-1, 1}, "names id -1"},
                 {{2, 100.5f}, "of id 2 is 100.5"},
                 {{2, NAN}, "of id 2 is nan"},
                 {{2, -INFINITY}, "of id 2 is -inf"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bias = cases[i].bias;
        CHECK_FAILS(ttt_sampler_new(&sampler, &s, V), TTT_ERR_ARGUMENT, cases[i].says);
        CHECK(sampler == NULL);
    }
}

/* Draws depend on seed, request and position, on nothing else. */
static void test_seeds(void)
{
    float logits[V];
    make_logits(logits);
    ttt_sampling s = plain();
    s.seed = 7;
    int32_t first[64], id;
    for (int round = 0; round < 4; round++) {
        ttt_sampler *sampler;
        s.request = round == 2;
        s.seed = round == 3 ? 8 : 7;
        CHECK_OK(ttt_sampler_new(&sampler, &s, V));
        int same = 0;
        for (int i = 63; i >= 0; i--) {
            CHECK_OK(ttt_sampler_choose(sampler, logits, V, i, &id));
            if (round == 0) first[i] = id;
            same += first[i] == id;
        }
        if (round < 2)
            CHECK_EQ(same, 64);
        else
            CHECK(same < 40);
        ttt_sampler_free(sampler);
    }
}

static void test_refusals(void)
{
    ttt_sampler *sampler;
    ttt_sampling s = plain();
    float logits[V];
    int32_t id;
    CHECK_OK(ttt_sampler_new(&sampler, &s, V));
    make_logits(logits);
    logits[V - 1] = 99; /* beyond what is allowed: never chosen, never looked at */
    for (int64_t i = 0; i < 100; i++) {
        CHECK_OK(ttt_sampler_choose(sampler, logits, V - 1, i, &id));
        CHECK(id < V - 1);
    }
    logits[3] = NAN;
    CHECK_FAILS(ttt_sampler_choose(sampler, logits, V, 0, &id), TTT_ERR_NUMERIC, "id 3 is nan");
    logits[3] = INFINITY;
    CHECK_FAILS(ttt_sampler_choose(sampler, logits, V, 0, &id), TTT_ERR_NUMERIC, "id 3 is inf");
    for (int i = 0; i < V; i++) logits[i] = -INFINITY;
    CHECK_FAILS(ttt_sampler_choose(sampler, logits, V, 0, &id), TTT_ERR_NUMERIC, "every logit");
    logits[5] = 0;
    CHECK_OK(ttt_sampler_choose(sampler, logits, V, 0, &id));
    CHECK_EQ(id, 5);
    ttt_sampler_free(sampler);

    CHECK_OK(ttt_sampler_new(&sampler, NULL, V)); /* the defaults */
    ttt_sampler_free(sampler);
    ttt_sampler_free(NULL);
    CHECK_FAILS(ttt_sampler_new(&sampler, &s, 0), TTT_ERR_ARGUMENT, "0 logits");

    const struct {
        ttt_sampling bad;
        const char *name;
    } cases[] = {
        {{.repetition_penalty = 0, .temperature = 1, .top_p = 1}, "repetition_penalty"},
        {{.repetition_penalty = 1, .temperature = -1, .top_p = 1}, "temperature"},
        {{.repetition_penalty = 1, .temperature = (double)NAN, .top_p = 1}, "temperature"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 0}, "top_p"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1.5}, "top_p"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1, .top_k = -1}, "top_k"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1, .min_p = 2}, "min_p"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1, .frequency_penalty = 2.1}, "frequency_pen"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1, .presence_penalty = -3}, "presence_pen"},
        {{.repetition_penalty = 1, .temperature = 1, .top_p = 1, .presence_penalty = (double)NAN}, "presence_pen"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(ttt_sampler_new(&sampler, &cases[i].bad, V), TTT_ERR_ARGUMENT, cases[i].name);
}

/* What comes out when `text` arrives byte by byte; the end of what was held back included. */
static void check_stop(const char *text, const char *expected, bool stopped)
{
    const char *const stops[] = {"END", "ENDE!", "\n\n"};
    char held[64], shown[64] = "";
    size_t size = 0;
    bool found = false;
    for (const char *next = text; *next && !found; next++) {
        held[size++] = *next;
        const size_t certain = ttt_stop_scan(held, size, stops, 3, &found);
        CHECK(certain <= size);
        strncat(shown, held, certain);
        memmove(held, held + certain, size - certain);
        size -= certain;
    }
    if (!found) strncat(shown, held, size);
    CHECK_STR(shown, expected);
    CHECK_EQ(found, stopped);
}

static void test_stops(void)
{
    check_stop("no end", "no end", false);
    check_stop("the END of it", "the ", true);
    check_stop("EENENDE", "EEN", true);
    check_stop("END", "", true);
    check_stop("almost EN", "almost EN", false);
    check_stop("a\nb\n\nc", "a\nb", true);
    bool found;
    CHECK_EQ(ttt_stop_scan("ab END cd", 9, (const char *const[]){"cd", "END"}, 2, &found), 3);
    CHECK(found);
    CHECK_EQ(ttt_stop_scan("ab EN", 5, (const char *const[]){"cd", "END"}, 2, &found), 3);
    CHECK(!found);
    CHECK_EQ(ttt_stop_scan("anything", 8, NULL, 0, &found), 8);
}

int main(void)
{
    test_limits();
    test_order();
    test_ties();
    test_repetition();
    test_penalties();
    test_all_changes();
    test_bias();
    test_seeds();
    test_refusals();
    test_stops();
    return test_end();
}
