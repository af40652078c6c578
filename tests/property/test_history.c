/* SPDX-License-Identifier: MIT
 *
 * What a state remembers: back to every position it has the bits of a state that read only so many, after tokens in any
 * cut; few are read again, and the snapshots are few; copies share them and go their own ways; and when memory for them
 * is short, all that changes is how many are read again.
 */
#include "model/history.h"

#include <pthread.h>

#include "base/rng.h"
#include "fault.h"
#include "model/context.h"
#include "model/state.h"
#include "small_config.h"

/* More than a window and the rows of a run keep at a time. */
enum { V = 37, TOKENS = 700, MORE = 3 };

static int32_t tokens[TOKENS + MORE], others[TOKENS + MORE];

typedef struct mix {
    const char *layers, *backend, *precision;
    int64_t K, window;
    bool frozen;
} mix;

typedef struct bench {
    ttt_model *model;
    ttt_context *context;
    ttt_state *state;
    int64_t unit;
} bench;

static bench bench_of(const mix *m)
{
    bench b = {.unit = m->K};
    ttt_config config = small_config(V, 16, 2, 1);
    config.mini_batch_size = m->K;
    config.initializer_range = 0.3;
    config.sliding_window = m->window;
    CHECK_OK(ttt_config_set(&config, "layers", m->layers));
    const ttt_model_options options = {.backend = m->backend, .precision = m->precision, .threads = 1};
    CHECK_OK(ttt_model_new(&b.model, &config, 3, &options));
    if (!b.model) exit(1);
    CHECK_OK(ttt_context_new(&b.context, b.model, 1));
    CHECK_OK(ttt_state_new(&b.state, b.model));
    ttt_state_freeze(b.state, m->frozen);
    CHECK_OK(ttt_state_remember(b.state));
    while (b.unit < 16) b.unit += m->K;
    return b;
}

static void bench_end(bench *b)
{
    ttt_state_free(b->state);
    ttt_context_free(b->context);
    ttt_model_free(b->model);
}

static void read_on(const bench *b, ttt_state *state, const int32_t *ids, int64_t count)
{
    const ttt_feed feed = {.state = state, .tokens = ids, .count = count};
    CHECK_OK(ttt_context_advance(b->context, &feed, 1));
}

/* Up to token `end` of `ids`, in pieces of 1 to 64 tokens. */
static void read_cut(const bench *b, ttt_state *state, const int32_t *ids, int64_t end)
{
    for (int64_t at = ttt_state_position(state); at < end; at = ttt_state_position(state)) {
        int64_t count = 1 + (int64_t)(ttt_rng_u64((ttt_rng){.seed = 4, .stream = TTT_RNG_TEST}, (uint64_t)at) % 64);
        if (count > end - at) count = end - at;
        read_on(b, state, ids + at, count);
    }
}

/* What follows position after position, of a state that reads one by one and never goes back. */
static void expect_all(const bench *b, const mix *m, float (*logits)[V])
{
    ttt_state *fresh;
    CHECK_OK(ttt_state_new(&fresh, b->model));
    ttt_state_freeze(fresh, m->frozen);
    for (int64_t i = 0; i < TOKENS + MORE; i++) {
        const ttt_feed feed = {
            .state = fresh, .tokens = &tokens[i], .count = 1, .which = TTT_LOGITS_LAST, .logits = logits[i]};
        CHECK_OK(ttt_context_advance(b->context, &feed, 1));
    }
    ttt_state_free(fresh);
}

static void check_state(const bench *b, const ttt_state *state, int64_t position, float (*expected)[V])
{
    static float found[MORE][V];
    ttt_state *copy;
    ttt_token_hash hash = {0};
    int64_t count;
    ttt_token_hash_add(&hash, tokens, position);
    const ttt_token_hash own = ttt_state_token_hash(state);
    CHECK_EQ(ttt_state_position(state), position);
    CHECK(own.low == hash.low && own.high == hash.high);
    CHECK(memcmp(ttt_state_tokens(state, &count), tokens, (size_t)position * sizeof *tokens) == 0);
    CHECK_EQ(count, position);
    CHECK_OK(ttt_state_new(&copy, b->model));
    CHECK_OK(ttt_state_copy(copy, state));
    const ttt_feed feed = {
        .state = copy, .tokens = tokens + position, .count = MORE, .which = TTT_LOGITS_ALL, .logits = found[0]};
    CHECK_OK(ttt_context_advance(b->context, &feed, 1));
    CHECK(memcmp(found, expected + position, sizeof found) == 0);
    ttt_state_free(copy);
}

static double log2_of(int64_t value)
{
    double log = 0;
    for (; value > 1; value = (value + 1) / 2) log++;
    return log;
}

static void back_to_all(const mix *m)
{
    static float expected[TOKENS + MORE][V];
    bench b = bench_of(m);
    ttt_state *fork;
    expect_all(&b, m, expected);
    CHECK_OK(ttt_state_new(&fork, b.model));
    read_cut(&b, b.state, tokens, TOKENS);
    CHECK((double)b.state->history->count <= 2 * log2_of(TOKENS / b.unit + 1) + 2);
    const int64_t step = test_small() ? 173 : 13;
    for (int64_t position = TOKENS; position >= 0; position -= position > 40 ? step : 1) {
        const int64_t back = TOKENS - position;
        int64_t again;
        CHECK_OK(ttt_state_copy(fork, b.state));
        CHECK_OK(ttt_context_rollback(b.context, fork, position, &again));
        CHECK(again < b.unit || again < 2 * back);
        check_state(&b, fork, position, expected);
        read_cut(&b, fork, others, TOKENS); /* another way on, and from there back behind the fork */
        CHECK_OK(ttt_context_rollback(b.context, fork, position - position / 3, &again));
        check_state(&b, fork, position - position / 3, expected);
    }
    check_state(&b, b.state, TOKENS, expected);
    ttt_state_free(fork);
    bench_end(&b);
}

/* Copies in threads of their own let go of the snapshots that they share. */
static void *go_back(void *argument)
{
    const bench *b = argument;
    read_cut(b, b->state, others, TOKENS + MORE);
    CHECK_OK(ttt_context_rollback(b->context, b->state, 100, NULL));
    read_cut(b, b->state, others, 200);
    ttt_state_free(b->state);
    return NULL;
}

static void side_by_side(const mix *m)
{
    enum { THREADS = 3 };
    pthread_t threads[THREADS];
    bench b = bench_of(m), own[THREADS];
    read_cut(&b, b.state, tokens, TOKENS);
    for (int i = 0; i < THREADS; i++) {
        own[i] = b;
        CHECK_OK(ttt_context_new(&own[i].context, b.model, 1));
        CHECK_OK(ttt_state_new(&own[i].state, b.model));
        CHECK_OK(ttt_state_copy(own[i].state, b.state));
    }
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, go_back, &own[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ttt_context_free(own[i].context);
    }
    CHECK_OK(ttt_context_rollback(b.context, b.state, 90, NULL));
    bench_end(&b);
}

/* ---- how few ---- */

static const mix plain = {.layers = "ttt_linear", .backend = "cpu", .precision = "f32", .K = 4};

/* One call, many calls, and many that say where they are going leave the same rungs; without saying so there are more
 * cuts on the way, which nobody would see. */
static void rungs(void)
{
    enum { END = 330 };
    bench one = bench_of(&plain), many = bench_of(&plain), told = bench_of(&plain);
    read_on(&one, one.state, tokens, END);
    read_cut(&many, many.state, tokens, END);
    ttt_state_expect(told.state, END);
    for (int64_t at = 0; at < END; at += 64) {
        CHECK(ttt_history_next(told.state, at + 64) >= 192 || ttt_history_next(told.state, at + 64) % 64 == 0);
        read_on(&told, told.state, tokens + at, at + 64 < END ? 64 : END - at);
    }
    static const int64_t wanted[] = {128, 256, 288, 304, 320}; /* of 16: 304, 320; 32: 288; 64: 256; 128; 256 */
    const bench *all[] = {&one, &many, &told};
    for (int i = 0; i < 3; i++) {
        const ttt_history *history = all[i]->state->history;
        size_t next = 0;
        for (size_t r = 0; r < history->count; r++)
            if (next < 5 && history->rungs[r]->position == wanted[next]) next++;
        CHECK_EQ(next, 5);
        CHECK(i == 1 || history->count <= 7);
    }
    CHECK(ttt_state_bytes(one.state) > 5 * sizeof(float) * (size_t)one.model->lm.stack.state_size);
    bench_end(&one);
    bench_end(&many);
    bench_end(&told);
}

/* ---- what is refused, and what memory does ---- */

static void refused(void)
{
    bench b = bench_of(&plain), other = bench_of(&plain);
    ttt_state *forgetful;
    const int32_t *again;
    int64_t count;
    read_on(&b, b.state, tokens, 50);
    CHECK_FAILS(ttt_state_rewind(b.state, 51, &again, &count), TTT_ERR_ARGUMENT, "cannot go back to position 51");
    CHECK_FAILS(ttt_context_rollback(b.context, b.state, -1, NULL), TTT_ERR_ARGUMENT, "cannot go back to position -1");
    CHECK_FAILS(ttt_context_rollback(other.context, b.state, 1, NULL), TTT_ERR_ARGUMENT, "another model");
    CHECK_EQ(ttt_state_position(b.state), 50);
    CHECK_OK(ttt_state_rewind(b.state, 50, &again, &count));
    CHECK_EQ(count, 0);
    CHECK_OK(ttt_context_rollback(b.context, b.state, 40, NULL));
    CHECK_EQ(ttt_state_position(b.state), 40);
    CHECK_OK(ttt_state_new(&forgetful, b.model));
    read_on(&b, forgetful, tokens, 5);
    CHECK_FAILS(ttt_state_rewind(forgetful, 3, &again, &count), TTT_ERR_ARGUMENT, "did not keep");
    ttt_state_free(forgetful);
    ttt_state_reset(b.state);
    CHECK_OK(ttt_state_rewind(b.state, 0, &again, &count));
    CHECK(count == 0 && b.state->history->count == 0);
    bench_end(&b);
    bench_end(&other);
}

/* Every allocation fails in turn over a long reading and a rollback: a sentence and the state as it was, or the bits
 * are right all the same. */
static void short_of_memory(void)
{
    static float expected[TOKENS + MORE][V];
    bench b = bench_of(&plain);
    expect_all(&b, &plain, expected);
    for (int64_t nth = 1;; nth++) {
        ttt_state_reset(b.state);
        ttt_state *copy;
        CHECK_OK(ttt_state_new(&copy, b.model));
        CHECK_OK(ttt_state_remember(copy));
        const int64_t before = fault_count(TTT_CALL_ALLOC);
        fault_at(TTT_CALL_ALLOC, nth, nth % 2 == 0);
        const ttt_feed feed = {.state = copy, .tokens = tokens, .count = TOKENS};
        const ttt_status status = ttt_context_advance(b.context, &feed, 1);
        ttt_status went = TTT_OK;
        if (status == TTT_OK)
            went = ttt_context_rollback(b.context, copy, 250, NULL);
        else
            CHECK(status == TTT_ERR_MEMORY && ttt_state_position(copy) == 0);
        const int64_t calls = fault_count(TTT_CALL_ALLOC) - before;
        fault_at(TTT_CALL_ALLOC, 0, 0);
        CHECK_OK(went);
        if (status == TTT_OK) check_state(&b, copy, 250, expected);
        ttt_state_free(copy);
        if (nth > calls) break;
    }
    bench_end(&b);
}

int main(void)
{
    for (int i = 0; i < TOKENS + MORE; i++) {
        tokens[i] = (int32_t)(ttt_rng_u64((ttt_rng){.seed = 2, .stream = TTT_RNG_TEST}, (uint64_t)i) % V);
        others[i] = (tokens[i] + i) % V;
    }
    static const mix mixes[] = {
        {"conv+ttt_linear+ffn,ttt_mlp+ffn", "cpu", "f32", 16, 0, false},
        {"ttt_mlp,ttt_linear", "ref", "f32", 17, 0, false},
        {"ttt_linear,mamba", "cpu", "q4", 1, 0, true},
        {"linear_attention,delta_net+ffn,gated_deltanet", "cpu", "bf16", 5, 0, false},
        {"attention,ttt_linear", "cpu", "f32", 16, 0, false},
        {"attention,ttt_linear", "cpu", "q8", 48, 29, false},
        {"attention,mamba", "ref", "f32", 16, 100, false},
    };
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i += test_small() ? 3 : 1) back_to_all(&mixes[i]);
    side_by_side(&mixes[4]);
    rungs();
    refused();
    short_of_memory();
    return test_end();
}
