/* SPDX-License-Identifier: MIT
 *
 * Sessions side by side: each writes byte for byte what ttt_generate writes alone, whatever rides along, however much
 * is read at a time and on whichever thread; and what is asked of one at the wrong moment changes nothing.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <ttt/session.h>

#include "small_config.h"
#include "test.h"

enum { V = 257, TEXTS = 20, IDS = 64, BYTES = 1024, PROMPT = 90, STOPS = 12 };

static ttt_model *model;
static ttt_tokenizer *tokenizer;

typedef struct written {
    int32_t ids[IDS];
    int count;
    ttt_finish finish;
    char text[BYTES];
    size_t size;
    int64_t position; /* of the state afterwards */
} written;

/* One text: what is asked for, and what ttt_generate makes of it. */
typedef struct job {
    int32_t prompt[PROMPT];
    int64_t count;
    char stop[STOPS][3];
    const char *stops[STOPS];
    ttt_generate_options options;
    written alone;
} job;

static job jobs[TEXTS];

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

static void note(written *w, int32_t id, const char *text, size_t size)
{
    if (id >= 0) {
        CHECK(w->count < IDS);
        w->ids[w->count++] = id;
    }
    CHECK(w->size + size < BYTES);
    memcpy(w->text + w->size, text, size);
    w->size += size;
}

static ttt_status take(void *to, int32_t id, const char *text, size_t size)
{
    note(to, id, text, size);
    return TTT_OK;
}

static void generate(ttt_context *context, ttt_state *state, const job *j, written *w)
{
    const ttt_generate_sink sink = {.piece = take, .context = w};
    ttt_generate_stats stats;
    CHECK_OK(ttt_generate(context, tokenizer, state, j->prompt, j->count, &j->options, &sink, &stats));
    w->finish = stats.finish;
    w->position = ttt_state_position(state);
}

/* Prompts with halves of characters at both ends, all kinds of endings, and options of every kind. */
static void make_jobs(ttt_context *context)
{
    uint32_t seed = 3;
    int ends[TTT_FINISH_CANCELLED + 1] = {0};
    for (int n = 0; n < TEXTS; n++) {
        job *j = &jobs[n];
        j->count = n % 4 == 0 ? 1 : 1 + draw(&seed, PROMPT);
        for (int64_t i = 0; i < j->count; i++) j->prompt[i] = (int32_t)draw(&seed, V);
        if (n % 4 == 1 && j->count > 1) { /* two of the three bytes of a euro sign */
            j->prompt[j->count - 2] = 0xe2 + 1;
            j->prompt[j->count - 1] = 0x82 + 1;
        }
        ttt_generate_options *o = &j->options;
        ttt_generate_options_init(o);
        o->max_new_tokens = n == 7 ? 0 : 10 + draw(&seed, IDS - 10);
        o->sampling.temperature = n % 5 == 4 ? 0 : 2;
        o->sampling.top_p = n % 2 ? 1 : 0.9;
        o->sampling.top_k = n % 3 ? 0 : 100;
        o->sampling.repetition_penalty = n % 4 ? 1 : 1.3;
        o->sampling.seed = (uint64_t)(n / 2);
        o->sampling.request = (uint64_t)n;
        o->eos_count = n % 3 == 2 ? TTT_EOS_IDS : 1;
        for (int i = 1; i < TTT_EOS_IDS; i++) o->eos[i] = 16 * i;
        o->ignore_eos = n % 6 == 3;
        for (int i = 0; i < STOPS; i++) {
            snprintf(j->stop[i], sizeof j->stop[i], i % 4 ? "%c" : "%ca", '0' + n + 3 * i);
            j->stops[i] = j->stop[i];
        }
        o->stops = j->stops;
        o->stop_count = n % 3 == 1 ? STOPS : 0;
        ttt_state *state;
        CHECK_OK(ttt_state_new(&state, model));
        generate(context, state, j, &j->alone);
        ttt_state_free(state);
        ends[j->alone.finish]++;
    }
    CHECK(ends[TTT_FINISH_LENGTH] > 2 && ends[TTT_FINISH_EOS] > 2 && ends[TTT_FINISH_STOP] > 2);
}

static void check_same(const written *w, const written *expected)
{
    CHECK_EQ(w->count, expected->count);
    CHECK(memcmp(w->ids, expected->ids, sizeof w->ids) == 0);
    CHECK_EQ(w->size, expected->size);
    CHECK(memcmp(w->text, expected->text, expected->size) == 0);
    CHECK_EQ(w->finish, expected->finish);
    CHECK_EQ(w->position, expected->position);
}

/* Accepts what was read; text is asked for now and then. */
static void took(ttt_session *session, written *w, bool ask)
{
    int32_t id;
    const char *text = "";
    size_t size = 0;
    CHECK_OK(ttt_session_took(session, &id));
    if (ask) ttt_session_text(session, &text, &size);
    note(w, id, text, size);
}

/* Advances sessions until none wants anything, some of them at a time, each by any number of tokens. */
static void advance_all(ttt_context *context, ttt_session *const *sessions, written *w, int count, uint32_t *seed)
{
    for (int idle = 0; idle < count;) {
        ttt_feed feeds[TEXTS];
        int who[TEXTS], n = 0;
        idle = 0;
        for (int i = 0; i < count; i++) {
            ttt_session_want(sessions[i], 1 + draw(seed, draw(seed, 4) ? 8 : 300), &feeds[n]);
            if (feeds[n].count == 0)
                idle++;
            else if (draw(seed, 8)) /* else it waits, as in a server that is full */
                who[n++] = i;
        }
        if (n == 0) continue;
        CHECK_OK(ttt_context_advance(context, feeds, n));
        for (int i = 0; i < n; i++) took(sessions[who[i]], &w[who[i]], draw(seed, 2));
    }
    for (int i = 0; i < count; i++) {
        const char *text;
        size_t size;
        ttt_session_text(sessions[i], &text, &size);
        note(&w[i], -1, text, size);
        w[i].finish = ttt_session_stats(sessions[i])->finish;
        w[i].position = ttt_state_position(ttt_session_state(sessions[i]));
    }
}

/* `count` texts from `first` on, side by side in one context. */
static void check_company(ttt_context *context, int first, int count, uint32_t seed)
{
    static _Thread_local written w[TEXTS];
    ttt_session *sessions[TEXTS];
    memset(w, 0, sizeof w);
    for (int i = 0; i < count; i++) {
        const job *j = &jobs[(first + i) % TEXTS];
        CHECK_OK(ttt_session_new(&sessions[i], model, tokenizer, NULL, &j->options));
        int64_t cut = j->count; /* in one or two parts */
        if (cut > 1) cut = draw(&seed, 2) ? cut - 1 : 1 + draw(&seed, (uint32_t)cut - 1);
        CHECK_OK(ttt_session_push(sessions[i], j->prompt, cut));
        if (cut < j->count) CHECK_OK(ttt_session_push(sessions[i], j->prompt + cut, j->count - cut));
    }
    advance_all(context, sessions, w, count, &seed);
    for (int i = 0; i < count; i++) {
        check_same(&w[i], &jobs[(first + i) % TEXTS].alone);
        ttt_session_free(sessions[i]);
    }
}

/* A second prompt in the same sessions: as ttt_generate goes on with the state and the sampler. */
static void test_second_turn(ttt_context *context)
{
    static written w[3];
    ttt_session *sessions[3];
    uint32_t seed = 11;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(ttt_session_new(&sessions[i], model, tokenizer, NULL, &jobs[i + 3].options));
        CHECK_OK(ttt_session_push(sessions[i], jobs[i].prompt, jobs[i].count));
    }
    advance_all(context, sessions, w, 3, &seed);
    memset(w, 0, sizeof w);
    for (int i = 0; i < 3; i++) CHECK_OK(ttt_session_push(sessions[i], jobs[i + 9].prompt, jobs[i + 9].count));
    advance_all(context, sessions, w, 3, &seed);
    for (int i = 0; i < 3; i++) {
        job first = jobs[i], second = jobs[i + 9];
        written begun = {0}, expected = {0};
        ttt_state *state;
        CHECK_OK(ttt_state_new(&state, model));
        first.options = jobs[i + 3].options;
        CHECK_OK(ttt_sampler_new(&first.options.sampler, &first.options.sampling, V));
        second.options = first.options;
        generate(context, state, &first, &begun);
        generate(context, state, &second, &expected);
        check_same(&w[i], &expected);
        CHECK_EQ(ttt_session_stats(sessions[i])->prompt_tokens, second.count);
        CHECK_EQ(ttt_session_stats(sessions[i])->new_tokens, expected.count);
        ttt_sampler_free(first.options.sampler);
        ttt_state_free(state);
        ttt_session_free(sessions[i]);
    }
}

/* One step of one session; the id chosen, or -1. */
static int32_t step(ttt_context *context, ttt_session *session, int64_t limit)
{
    ttt_feed feed;
    int32_t id = -1;
    ttt_session_want(session, limit, &feed);
    if (feed.count == 0) return -1;
    CHECK(feed.count <= limit);
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    CHECK_OK(ttt_session_took(session, &id));
    return id;
}

static void test_wrong_moments(ttt_context *context)
{
    ttt_session *session;
    ttt_feed feed, again;
    const int32_t prompt[] = {1, 2, 3}, wrong[] = {4, 257};
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.max_new_tokens = 3;
    CHECK_OK(ttt_session_new(&session, model, tokenizer, NULL, &options));
    ttt_session_want(session, 5, &feed);
    CHECK_EQ(feed.count, 0); /* it waits for a prompt */
    CHECK_FAILS(ttt_session_took(session, NULL), TTT_ERR_ARGUMENT, "has not asked");
    CHECK_FAILS(ttt_session_push(session, prompt, 0), TTT_ERR_ARGUMENT, "empty");
    CHECK_FAILS(ttt_session_push(session, wrong, 2), TTT_ERR_ARGUMENT, "token 1 of the prompt has id 257");
    ttt_session_want(session, 5, &feed);
    CHECK_EQ(feed.count, 0);
    ttt_session_cancel(session);
    CHECK_EQ(ttt_session_stats(session)->finish, TTT_FINISH_NONE);

    CHECK_OK(ttt_session_push(session, prompt, 3));
    ttt_session_want(session, 0, &feed);
    CHECK_EQ(feed.count, 0);
    ttt_session_want(session, 2, &feed);
    CHECK_EQ(feed.count, 2);
    CHECK_EQ(feed.which, TTT_LOGITS_NONE);
    CHECK_FAILS(ttt_session_took(session, NULL), TTT_ERR_ARGUMENT, "has read 0 tokens and should have read 2");
    ttt_session_want(session, 5, &again);
    CHECK_EQ(again.count, 3);
    CHECK_EQ(again.which, TTT_LOGITS_LAST);
    CHECK_OK(ttt_context_advance(context, &again, 1));
    CHECK_OK(ttt_session_took(session, NULL));
    CHECK_FAILS(ttt_session_took(session, NULL), TTT_ERR_ARGUMENT, "has not asked");
    CHECK_FAILS(ttt_session_push(session, prompt, 3), TTT_ERR_ARGUMENT, "still writing");
    CHECK(step(context, session, 1) >= 0);
    CHECK(step(context, session, 1) >= 0);
    CHECK_EQ(ttt_session_stats(session)->finish, TTT_FINISH_LENGTH);
    CHECK_FAILS(ttt_session_push(session, prompt, 3), TTT_ERR_ARGUMENT, "still writing"); /* the last one is unread */
    CHECK_EQ(step(context, session, 1), -1);
    CHECK_EQ(ttt_state_position(ttt_session_state(session)), 6);
    CHECK_OK(ttt_session_push(session, prompt, 3));

    /* Logits that are none: the session has failed, and stays so. */
    ttt_session_want(session, 5, &feed);
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    feed.logits[7] = NAN;
    CHECK_FAILS(ttt_session_took(session, NULL), TTT_ERR_NUMERIC, "id 7 is nan");
    ttt_session_want(session, 5, &feed);
    CHECK_EQ(feed.count, 0);
    CHECK_EQ(ttt_session_stats(session)->finish, TTT_FINISH_NONE);
    CHECK_FAILS(ttt_session_push(session, prompt, 3), TTT_ERR_ARGUMENT, "has failed");
    ttt_session_free(session);
}

/* Two sessions on one state: they cannot be advanced together, and neither takes what the other has read for its own.
 */
static void test_one_state(ttt_context *context)
{
    ttt_session *two[2];
    ttt_feed feeds[2];
    ttt_state *state;
    const int32_t prompt[] = {1, 2, 3};
    CHECK_OK(ttt_state_new(&state, model));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ttt_session_new(&two[i], model, tokenizer, state, NULL));
        CHECK_OK(ttt_session_push(two[i], prompt, 3 - i));
        ttt_session_want(two[i], 9, &feeds[i]);
    }
    CHECK_FAILS(ttt_context_advance(context, feeds, 2), TTT_ERR_ARGUMENT, "in use");
    CHECK_FAILS(ttt_session_took(two[0], NULL), TTT_ERR_ARGUMENT, "has read 0 tokens");
    CHECK_OK(ttt_context_advance(context, &feeds[0], 1)); /* the same feed, which nothing has touched */
    CHECK_OK(ttt_session_took(two[0], NULL));
    CHECK_FAILS(ttt_session_took(two[1], NULL), TTT_ERR_ARGUMENT, "has read 3 tokens and should have read 2");
    for (int i = 0; i < 2; i++) ttt_session_free(two[i]);
    ttt_state_free(state);
}

static void test_cancel(ttt_context *context)
{
    ttt_session *session;
    ttt_feed feed;
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    ttt_generate_options options;
    ttt_generate_options_init(&options);
    options.ignore_eos = true;
    CHECK_OK(ttt_session_new(&session, model, tokenizer, state, &options));
    CHECK(ttt_session_state(session) == state);
    CHECK_OK(ttt_session_push(session, jobs[1].prompt, 10));
    CHECK_EQ(step(context, session, 4), -1);
    ttt_session_cancel(session); /* what is left of the prompt is not read */
    CHECK_EQ(ttt_session_stats(session)->finish, TTT_FINISH_CANCELLED);
    CHECK_EQ(ttt_session_stats(session)->prompt_tokens, 4);
    ttt_session_want(session, 9, &feed);
    CHECK_EQ(feed.count, 0);
    CHECK_OK(ttt_session_push(session, jobs[1].prompt + 4, 6));
    int32_t id = step(context, session, 9), ids[3] = {id};
    for (int i = 1; i < 3; i++) ids[i] = step(context, session, 1);
    ttt_session_cancel(session); /* the third id is read, and is the last */
    ttt_session_want(session, 9, &feed);
    CHECK_EQ(feed.count, 1);
    CHECK_EQ(feed.tokens[0], ids[2]);
    CHECK_EQ(feed.which, TTT_LOGITS_NONE);
    CHECK_EQ(step(context, session, 1), -1);
    CHECK_EQ(ttt_state_position(state), 13);
    CHECK_EQ(ttt_session_stats(session)->new_tokens, 3);
    ttt_session_want(session, 9, &feed);
    CHECK_EQ(feed.count, 0);
    ttt_session_free(session);
    CHECK_EQ(ttt_state_position(state), 13); /* the state is not the session's */
    ttt_state_free(state);
}

/* What may be NULL, and options that are not to be. */
/* A session behind a state that has read most of its prompt, and is told what, writes what one writes that reads all.
 */
static void test_recall(ttt_context *context)
{
    for (int n = 0; n < TEXTS; n++) {
        const job *j = &jobs[n];
        if (j->count < 2) continue;
        ttt_state *state;
        ttt_session *session;
        written w = {0};
        CHECK_OK(ttt_state_new(&state, model));
        const ttt_feed feed = {.state = state, .tokens = j->prompt, .count = j->count - 1};
        CHECK_OK(ttt_context_advance(context, &feed, 1));
        CHECK_OK(ttt_session_new(&session, model, tokenizer, state, &j->options));
        CHECK_OK(ttt_session_recall(session, j->prompt, j->count - 1));
        CHECK_OK(ttt_session_push(session, j->prompt + j->count - 1, 1));
        CHECK_EQ(ttt_session_recall(session, j->prompt, 1), TTT_ERR_ARGUMENT);
        for (ttt_feed next; ttt_session_want(session, 8, &next), next.count > 0;) {
            const char *text;
            size_t size;
            int32_t id;
            CHECK_OK(ttt_context_advance(context, &next, 1));
            CHECK_OK(ttt_session_took(session, &id));
            ttt_session_text(session, &text, &size);
            note(&w, id, text, size);
        }
        w.finish = ttt_session_stats(session)->finish;
        w.position = ttt_state_position(state);
        check_same(&w, &j->alone);
        ttt_session_free(session);
        ttt_state_free(state);
    }
}

static void test_arguments(ttt_context *context)
{
    ttt_session *session;
    const int32_t prompt[] = {5, 6};
    ttt_session_free(NULL);
    CHECK_OK(ttt_session_new(&session, model, NULL, NULL, NULL));
    CHECK_OK(ttt_session_push(session, prompt, 2));
    CHECK(step(context, session, 2) >= 0);
    const char *text;
    size_t size;
    ttt_session_text(session, &text, &size);
    CHECK_EQ(size, 0);
    ttt_session_free(session); /* in the middle of a text */

    /* ttt_generate: no tokenizer, options, sink or statistics; those of 256 tokens from seed 0. */
    ttt_state *state;
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_generate(context, NULL, state, prompt, 2, NULL, NULL, NULL));
    CHECK_EQ(ttt_state_position(state), 2 + 256);
    ttt_state_free(state);

    ttt_generate_options options;
    ttt_generate_options_init(&options);
    CHECK_OK(ttt_sampler_new(&options.sampler, NULL, V - 1));
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "256 logits");
    CHECK(session == NULL);
    ttt_sampler_free(options.sampler);
    options.sampler = NULL;
    options.eos_count = TTT_EOS_IDS + 1;
    CHECK_FAILS(ttt_session_new(&session, model, tokenizer, NULL, &options), TTT_ERR_ARGUMENT, "17 end-of-text ids");
}

typedef struct worker {
    pthread_t thread;
    int first;
} worker;

static void *work(void *argument)
{
    const worker *w = argument;
    ttt_context *context;
    CHECK_OK(ttt_context_new(&context, model, 2));
    for (int round = 0; round < 3; round++) check_company(context, w->first + round, 5, (uint32_t)(w->first + round));
    ttt_context_free(context);
    return NULL;
}

/* Two threads with a context each on one model give the texts of one thread. */
static void test_threads(void)
{
    worker workers[2] = {{.first = 0}, {.first = 9}};
    for (int i = 0; i < 2; i++) CHECK_EQ(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(workers[i].thread, NULL);
}

int main(void)
{
    ttt_config config = small_config(V, 16, 2, 2);
    config.mini_batch_size = 4;
    config.use_gate = config.share_qk = config.pre_conv = true;
    ttt_context *context;
    CHECK_OK(ttt_model_new(&model, &config, 1, NULL));
    CHECK_OK(ttt_context_new(&context, model, 0));
    CHECK_OK(ttt_tokenizer_new_bytes(&tokenizer));
    make_jobs(context);
    for (int i = 0; i < TEXTS; i++) check_company(context, i, 1, (uint32_t)i);
    for (int i = 0; i < 6; i++) check_company(context, 3 * i, 3, (uint32_t)i);
    for (int i = 0; i < 3; i++) check_company(context, 0, TEXTS, (uint32_t)i);
    test_second_turn(context);
    test_wrong_moments(context);
    test_one_state(context);
    test_cancel(context);
    test_recall(context);
    test_arguments(context);
    test_threads();
    ttt_tokenizer_free(tokenizer);
    ttt_context_free(context);
    ttt_model_free(model);
    return test_end();
}
