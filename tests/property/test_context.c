/* SPDX-License-Identifier: MIT
 *
 * Who may use what: one model under several contexts in several threads gives each the bits of one thread alone, while
 * states are made, copied and reset beside them; a context or a state that two threads want at once is refused to one
 * of them; and a forked child makes contexts of its own.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "model/context.h"
#include "small_config.h"
#include "test.h"

enum { V = 61, TOKENS = 60, THREADS = 3, ROUNDS = 12 };

static int32_t tokens[THREADS][TOKENS];
static float alone[THREADS][V];
static ttt_model *model;

static ttt_status read_all(ttt_context *context, ttt_state *state, const int32_t *ids, float *logits)
{
    ttt_state_reset(state);
    for (int64_t first = 0; first < TOKENS; first += 20) {
        const ttt_feed feed = {
            .state = state, .tokens = ids + first, .count = 20, .which = TTT_LOGITS_LAST, .logits = logits};
        TTT_TRY(ttt_context_advance(context, &feed, 1));
    }
    return TTT_OK;
}

typedef struct reader {
    int number, wrong;
} reader;

static void *run_reader(void *argument)
{
    reader *r = argument;
    ttt_context *context;
    ttt_state *state, *copy;
    float logits[V];
    if (ttt_context_new(&context, model, 2) || ttt_state_new(&state, model) || ttt_state_new(&copy, model)) exit(1);
    for (int i = 0; i < ROUNDS; i++) {
        if (read_all(context, state, tokens[r->number], logits) != TTT_OK) r->wrong++;
        r->wrong += memcmp(logits, alone[r->number], sizeof logits) != 0;
        if (ttt_state_copy(copy, state) != TTT_OK || ttt_state_position(copy) != TOKENS) r->wrong++;
        ttt_state_reset(copy);
    }
    ttt_state_free(copy);
    ttt_state_free(state);
    ttt_context_free(context);
    return NULL;
}

static void side_by_side(void)
{
    pthread_t threads[THREADS];
    reader readers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        readers[i] = (reader){.number = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, run_reader, &readers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(readers[i].wrong, 0);
    }
}

/* Two threads, one context or one state: every call either does all of its work or is refused. They go on until they
 * have met: one may be done before the other has begun. */
typedef struct rival {
    ttt_context *context;
    ttt_state *state;
    atomic_int *met;
    int calls, done, refused, other;
} rival;

static void *run_rival(void *argument)
{
    rival *r = argument;
    for (; r->calls < 200 || (!atomic_load(r->met) && r->calls < 100000); r->calls++) {
        const ttt_feed feed = {.state = r->state, .tokens = tokens[0], .count = 5};
        const ttt_status status = ttt_context_advance(r->context, &feed, 1);
        const bool told = status == TTT_ERR_ARGUMENT && strstr(ttt_error_detail(), "in use");
        r->done += status == TTT_OK;
        r->refused += told;
        if (told) atomic_store(r->met, 1);
        r->other += status != TTT_OK && !told;
    }
    return NULL;
}

/* The state has read the same five tokens again and again, and nothing else. */
static void check_history(ttt_state *state)
{
    ttt_context *context;
    ttt_state *again;
    float logits[V], expected[V];
    const int64_t position = ttt_state_position(state);
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&again, model));
    const ttt_feed five = {.state = again, .tokens = tokens[0], .count = 5};
    for (int64_t i = 0; i < position; i += 5) CHECK_OK(ttt_context_advance(context, &five, 1));
    const ttt_feed both[] = {
        {.state = state, .tokens = tokens[1], .count = 3, .which = TTT_LOGITS_LAST, .logits = logits},
        {.state = again, .tokens = tokens[1], .count = 3, .which = TTT_LOGITS_LAST, .logits = expected}};
    CHECK_OK(ttt_context_advance(context, both, 2));
    CHECK(memcmp(logits, expected, sizeof logits) == 0);
    ttt_state_free(again);
    ttt_context_free(context);
}

static void rivals(bool one_context)
{
    ttt_context *contexts[2];
    ttt_state *states[2];
    pthread_t threads[2];
    rival both[2];
    atomic_int met = 0;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(ttt_context_new(&contexts[i], model, 1));
        CHECK_OK(ttt_state_new(&states[i], model));
    }
    for (int i = 0; i < 2; i++) {
        both[i] = (rival){.context = contexts[one_context ? 0 : i], .state = states[one_context ? i : 0], .met = &met};
        CHECK_EQ(pthread_create(&threads[i], NULL, run_rival, &both[i]), 0);
    }
    int done = 0;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(both[i].other, 0);
        CHECK_EQ(both[i].done + both[i].refused, both[i].calls);
        done += both[i].done;
    }
    CHECK_EQ(ttt_state_position(states[0]) + ttt_state_position(states[1]), 5 * done);
    CHECK(done > 0);
    CHECK(met);
    for (int i = 0; i < 2; i++) check_history(states[i]);
    for (int i = 0; i < 2; i++) {
        ttt_state_free(states[i]);
        ttt_context_free(contexts[i]);
    }
}

/* More tokens in one call than go through the model together: the logits of every one, beside a sequence that wants its
 * last alone, are those of short calls. */
static void long_call(void)
{
    enum { LONG = 600 };
    static int32_t ids[LONG];
    static float whole[LONG * V], parts[LONG * V], last[V];
    ttt_context *context;
    ttt_state *first, *second;
    for (int i = 0; i < LONG; i++) ids[i] = tokens[i % THREADS][i / THREADS % TOKENS];
    CHECK_OK(ttt_context_new(&context, model, 2));
    CHECK_OK(ttt_state_new(&first, model));
    CHECK_OK(ttt_state_new(&second, model));
    const ttt_feed both[] = {{.state = first, .tokens = ids, .count = LONG, .which = TTT_LOGITS_ALL, .logits = whole},
                             {.state = second, .tokens = ids, .count = LONG, .which = TTT_LOGITS_LAST, .logits = last}};
    CHECK_OK(ttt_context_advance(context, both, 2));
    CHECK(ttt_state_position(first) == LONG && ttt_state_position(second) == LONG);
    CHECK(memcmp(last, whole + (LONG - 1) * V, sizeof last) == 0);
    ttt_state_reset(first);
    for (int i = 0; i < LONG; i += 50) {
        const ttt_feed feed = {
            .state = first, .tokens = ids + i, .count = 50, .which = TTT_LOGITS_ALL, .logits = parts + i * V};
        CHECK_OK(ttt_context_advance(context, &feed, 1));
    }
    CHECK(memcmp(whole, parts, sizeof whole) == 0);
    ttt_state_free(first);
    ttt_state_free(second);
    ttt_context_free(context);
}

#ifndef __SANITIZE_THREAD__
/* What the child says: 0 when all is as the header has it. */
static int child(ttt_context *parents, ttt_state *state)
{
    ttt_context *own;
    float logits[V];
    const ttt_feed feed = {.state = state, .tokens = tokens[0], .count = 5};
    if (ttt_context_advance(parents, &feed, 1) != TTT_ERR_ARGUMENT || !strstr(ttt_error_detail(), "forked")) return 1;
    ttt_context_free(parents);
    if (ttt_context_new(&own, model, 2) != TTT_OK || read_all(own, state, tokens[1], logits) != TTT_OK) return 2;
    ttt_context_free(own);
    return memcmp(logits, alone[1], sizeof logits) == 0 ? 0 : 3;
}

static void forked(void)
{
    ttt_context *context;
    ttt_state *state;
    float logits[V];
    int status = -1;
    CHECK_OK(ttt_context_new(&context, model, 3));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(read_all(context, state, tokens[0], logits));
    fflush(NULL);
    const pid_t process = fork();
    if (process == 0) _exit(child(context, state));
    CHECK_EQ(waitpid(process, &status, 0), process);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_OK(read_all(context, state, tokens[0], logits)); /* the parent's goes on as before */
    CHECK(memcmp(logits, alone[0], sizeof logits) == 0);
    ttt_state_free(state);
    ttt_context_free(context);
}

#endif

int main(void)
{
    ttt_config config = small_config(V, 32, 4, 2);
    config.initializer_range = 0.2;
    config.use_gate = config.share_qk = config.pre_conv = true;
    static const char *const precisions[] = {"f32", "q8"};
    for (int p = 0; p < 2; p++) {
        ttt_context *context;
        ttt_state *state;
        const ttt_model_options options = {.backend = "cpu", .precision = precisions[p], .threads = 2};
        CHECK_OK(ttt_model_new(&model, &config, 1, &options));
        CHECK_OK(ttt_context_new(&context, model, 1));
        CHECK_OK(ttt_state_new(&state, model));
        for (int s = 0; s < THREADS; s++) {
            for (int i = 0; i < TOKENS; i++)
                tokens[s][i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = (uint64_t)s, .stream = TTT_RNG_TEST},
                                                     (uint64_t)i) %
                                         V);
            CHECK_OK(read_all(context, state, tokens[s], alone[s]));
        }
        ttt_state_free(state);
        ttt_context_free(context);
        side_by_side();
        long_call();
        rivals(true);
        rivals(false);
#ifdef __SANITIZE_THREAD__ /* which does not let a forked child start threads */
        SKIP("a forked child under ThreadSanitizer");
#else
        forked();
#endif
        ttt_model_free(model);
    }
    return test_end();
}
