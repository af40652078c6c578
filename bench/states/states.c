/* SPDX-License-Identifier: MIT
 *
 * What states cost: bench_states [CONFIG [TOKENS]]. Of a model of a standard configuration (125m) with its first
 * weights: to keep a state, and from its file in the page cache to the logits of the next token; and of `tiny`, after
 * TOKENS (100,000) tokens, to remember, and to go back by a tenth of them.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ttt/state.h>

enum { READ = 1000, ROUNDS = 15, SLICE = 64 };
#define FILE_NAME "bench_states.ttt"

static void check(ttt_status status)
{
    if (status == TTT_OK) return;
    fprintf(stderr, "%s\n", ttt_error_detail());
    exit(1);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int by_size(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void print_times(const char *what, double times[ROUNDS])
{
    qsort(times, ROUNDS, sizeof *times, by_size);
    printf("%-44s %8.2f ms (%.2f to %.2f)\n", what, 1e3 * times[ROUNDS / 2], 1e3 * times[0], 1e3 * times[ROUNDS - 1]);
}

static ttt_model *model_of(const char *name)
{
    ttt_config *config;
    ttt_model *model;
    check(ttt_config_new(&config));
    check(ttt_config_standard(config, name));
    check(ttt_model_new(&model, config, 1, NULL));
    ttt_config_free(config);
    printf("\n%s, precision %s, %s\n", name, ttt_model_precision(model), ttt_model_isa(model));
    return model;
}

static int32_t *some_tokens(const ttt_model *model, int64_t count)
{
    int32_t *ids = malloc((size_t)count * sizeof *ids);
    if (!ids) exit(1);
    for (int64_t i = 0; i < count; i++) ids[i] = (int32_t)(i * 7919 % ttt_model_vocabulary(model));
    return ids;
}

/* ---- a file ---- */

static void restore(ttt_context *context, float *logits, bool tokens)
{
    double load[ROUNDS], first[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        const double start = seconds();
        ttt_state *state;
        check(ttt_state_load(&state, ttt_context_model(context), FILE_NAME));
        load[i] = seconds() - start;
        const int32_t next = 1;
        const ttt_feed feed = {.state = state, .tokens = &next, .count = 1, .which = TTT_LOGITS_LAST, .logits = logits};
        check(ttt_context_advance(context, &feed, 1));
        first[i] = seconds() - start;
        ttt_state_free(state);
    }
    print_times(tokens ? "load, with its tokens" : "load", load);
    print_times(tokens ? "load, with its tokens, and the next token" : "load, and the next token", first);
}

static void files(const char *name)
{
    ttt_model *model = model_of(name);
    ttt_context *context;
    ttt_state *state, *fork;
    int32_t *ids = some_tokens(model, READ);
    float *logits = malloc((size_t)ttt_model_vocabulary(model) * sizeof *logits);
    if (!logits) exit(1);
    check(ttt_context_new(&context, model, 0));
    check(ttt_state_new(&state, model));
    check(ttt_state_new(&fork, model));
    check(ttt_state_remember(state));
    const ttt_feed feed = {.state = state, .tokens = ids, .count = READ};
    check(ttt_context_advance(context, &feed, 1));
    for (int tokens = 0; tokens < 2; tokens++) {
        double save[ROUNDS], write[ROUNDS], copy[ROUNDS];
        const ttt_state_about about = {.tokens = tokens};
        void *bytes;
        size_t size = 0;
        for (int i = 0; i < ROUNDS; i++) {
            double start = seconds();
            check(ttt_state_save(state, FILE_NAME, &about));
            save[i] = seconds() - start;
            start = seconds();
            check(ttt_state_write(state, &about, &bytes, &size));
            write[i] = seconds() - start;
            ttt_state_bytes_free(bytes);
            start = seconds();
            check(ttt_state_copy(fork, state));
            copy[i] = seconds() - start;
        }
        printf("a state of %d tokens%s: %.3f MB\n", READ, tokens ? ", with them" : "", (double)size / 1e6);
        print_times("save, to the disk", save);
        print_times("write, to memory", write);
        print_times("copy", copy);
        restore(context, logits, tokens);
    }
    remove(FILE_NAME);
    free(logits);
    free(ids);
    ttt_state_free(fork);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

/* ---- going back ---- */

/* Seconds to read all tokens, `piece` at a time. */
static double read_all(ttt_context *context, ttt_state *state, const int32_t *ids, int64_t count, int64_t piece,
                       bool expected)
{
    const double start = seconds();
    if (expected) ttt_state_expect(state, count);
    for (int64_t at = 0; at < count; at += piece) {
        const ttt_feed feed = {.state = state, .tokens = ids + at, .count = count - at < piece ? count - at : piece};
        check(ttt_context_advance(context, &feed, 1));
    }
    return seconds() - start;
}

static void rollback(const char *name, int64_t count)
{
    ttt_model *model = model_of(name);
    ttt_context *context;
    ttt_state *state;
    int32_t *ids = some_tokens(model, count);
    int64_t again;
    check(ttt_context_new(&context, model, 0));
    check(ttt_state_new(&state, model));
    const double one = (double)ttt_state_bytes(state);
    const double plain = read_all(context, state, ids, count, count, false);
    ttt_state_reset(state);
    const double sliced = read_all(context, state, ids, count, SLICE, false);
    ttt_state_reset(state);
    check(ttt_state_remember(state));
    const double cut = read_all(context, state, ids, count, SLICE, false);
    ttt_state_reset(state);
    const double told = read_all(context, state, ids, count, SLICE, true);
    ttt_state_reset(state);
    const double remembered = read_all(context, state, ids, count, count, false);
    printf("%" PRId64 " tokens in one call: %.2f s; remembered: %.2f s\n", count, plain, remembered);
    printf("in slices of %d: %.2f s; remembered: %.2f s, and where the end was told: %.2f s\n", SLICE, sliced, cut,
           told);
    printf("what is remembered: %.2f MB, %.1f times the state\n", ((double)ttt_state_bytes(state) - one) / 1e6,
           ((double)ttt_state_bytes(state) - one) / one);
    const int64_t backs[] = {1, 100, count / 100, count / 10, count / 2};
    for (size_t i = 0; i < sizeof backs / sizeof *backs; i++) {
        ttt_state *fork;
        check(ttt_state_new(&fork, model));
        check(ttt_state_copy(fork, state));
        const double start = seconds();
        check(ttt_context_rollback(context, fork, count - backs[i], &again));
        printf("back by %" PRId64 ": %" PRId64 " tokens read again, %.2f ms\n", backs[i], again,
               1e3 * (seconds() - start));
        ttt_state_free(fork);
    }
    free(ids);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
}

int main(int argc, char **argv)
{
    files(argc > 1 ? argv[1] : "125m");
    rollback("tiny", argc > 2 ? atoll(argv[2]) : 100000);
    return 0;
}
