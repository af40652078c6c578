/* SPDX-License-Identifier: MIT */
#include "bench_run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ttt/train.h>
#include <unistd.h>

#include "common.h"

/* ---- a process of its own ---- */

/* Runs `work` in a child; `answer`, `size` bytes that it fills in, come back through a pipe. False: the child did not
 * come to its end, and *how is its exit status. Forking needs that no threads are running. */
static bool in_child(void (*work)(const void *question, void *answer), const void *question, void *answer, size_t size,
                     int *how, int64_t *peak_bytes)
{
    int pipe_ends[2];
    *how = 0;
    fflush(NULL);
    if (pipe(pipe_ends) != 0) return false;
    const pid_t child = fork();
    if (child == 0) {
        close(pipe_ends[0]);
        work(question, answer);
        FILE *out = fdopen(pipe_ends[1], "wb");
        _exit(out && fwrite(answer, size, 1, out) == 1 && fflush(out) == 0 ? 0 : 1);
    }
    close(pipe_ends[1]);
    FILE *in = fdopen(pipe_ends[0], "rb");
    const bool whole = child > 0 && in && fread(answer, size, 1, in) == 1;
    if (in) fclose(in);
    struct rusage usage = {0};
    while (child > 0 && wait4(child, how, 0, &usage) < 0 && errno == EINTR) {
    }
    *peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    return whole;
}

static void say_how(char sentence[TTT_BENCH_SENTENCE], int how)
{
    if (WIFSIGNALED(how))
        snprintf(sentence, TTT_BENCH_SENTENCE, "the process that measures was ended by signal %d (%s)", WTERMSIG(how),
                 strsignal(WTERMSIG(how)));
    else
        snprintf(sentence, TTT_BENCH_SENTENCE, "cannot start a process that measures, or it did not answer");
}

/* ---- inference ---- */

typedef struct reader {
    ttt_model *model;
    ttt_state *before, *state; /* after the tokens that come before, and the one that moves on */
    int32_t *tokens;
    float *logits;
} reader;

static int32_t *make_tokens(int64_t count, int64_t vocabulary)
{
    int32_t *tokens = malloc((size_t)count * sizeof *tokens);
    for (int64_t i = 0; tokens && i < count; i++) tokens[i] = (int32_t)(i * 7919 % vocabulary);
    return tokens;
}

static ttt_status reader_open(reader *r, const ttt_bench_case *c)
{
    const ttt_model_options options = {.backend = c->backend, .precision = c->precision, .threads = c->threads};
    ttt_status status = c->folder ? ttt_model_open(&r->model, c->folder, &options)
                                  : ttt_model_new(&r->model, &c->config, 1, &options);
    if (status == TTT_OK) status = ttt_state_new(&r->before, r->model);
    if (status == TTT_OK) status = ttt_state_new(&r->state, r->model);
    if (status != TTT_OK) return status;
    const int64_t vocabulary = ttt_model_config(r->model)->vocab_size;
    r->tokens = make_tokens(c->tokens > c->depth ? c->tokens : c->depth, vocabulary);
    r->logits = malloc((size_t)vocabulary * sizeof *r->logits);
    return r->tokens && r->logits ? TTT_OK : TTT_ERR_MEMORY;
}

static void reader_close(reader *r)
{
    free(r->tokens);
    free(r->logits);
    ttt_state_free(r->before);
    ttt_state_free(r->state);
    ttt_model_free(r->model);
}

/* Prefill: all at once. Decode: one by one, each with its logits. */
static ttt_status read_tokens(reader *r, int64_t count, bool one_by_one)
{
    ttt_feed feed = {.state = r->state, .tokens = r->tokens, .which = TTT_LOGITS_LAST, .logits = r->logits};
    feed.count = one_by_one ? 1 : count;
    ttt_status status = TTT_OK;
    for (int64_t i = 0; i < (one_by_one ? count : 1) && status == TTT_OK; i++, feed.tokens++)
        status = ttt_model_advance(r->model, &feed, 1);
    return status;
}

static ttt_status measure_reading(const ttt_bench_case *c, ttt_bench_result *result, reader *r)
{
    const bool decode = c->test == TTT_BENCH_DECODE;
    ttt_status status = reader_open(r, c);
    if (status != TTT_OK) return status;
    snprintf(result->precision, sizeof result->precision, "%s", ttt_model_precision(r->model));
    ttt_work_inference(&result->work, r->model, decode ? 1 : c->tokens);
    if (decode)
        result->work = (ttt_work){(double)c->tokens * result->work.products, (double)c->tokens * result->work.learner,
                                  (double)c->tokens * result->work.bytes};
    if (c->depth > 0) {
        if (c->warm_up) status = read_tokens(r, c->depth < 512 ? c->depth : 512, false);
        ttt_state_reset(r->state);
        const double start = ttt_app_seconds();
        if (status == TTT_OK) status = read_tokens(r, c->depth, false);
        result->depth_seconds = ttt_app_seconds() - start;
        ttt_state_copy(r->before, r->state);
    }
    for (int i = c->warm_up ? -1 : 0; i < c->repetitions && status == TTT_OK; i++) {
        ttt_state_copy(r->state, r->before);
        const double start = ttt_app_seconds();
        status = read_tokens(r, c->tokens, decode);
        if (i >= 0) result->seconds[result->count++] = ttt_app_seconds() - start;
    }
    return status;
}

/* ---- training ---- */

static ttt_status measure_training(const ttt_bench_case *c, ttt_bench_result *result)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = c->backend;
    options.precision = c->precision;
    options.threads = c->threads;
    options.context = c->tokens;
    options.batch = c->sequences;
    options.steps = TTT_BENCH_SAMPLES + 1;
    ttt_trainer *trainer;
    ttt_status status = ttt_trainer_new(&trainer, &c->config, &options);
    if (status != TTT_OK) return status;
    snprintf(result->precision, sizeof result->precision, "%s", ttt_trainer_options(trainer)->precision);
    ttt_work_training(&result->work, &c->config, c->tokens, c->sequences);
    int32_t *tokens = make_tokens(c->sequences * (c->tokens + 1), c->config.vocab_size);
    if (!tokens) status = TTT_ERR_MEMORY;
    for (int i = c->warm_up ? -1 : 0; i < c->repetitions && status == TTT_OK; i++) {
        ttt_train_result step;
        const double start = ttt_app_seconds();
        status = ttt_trainer_step(trainer, tokens, &step);
        if (i >= 0) result->seconds[result->count++] = ttt_app_seconds() - start;
    }
    free(tokens);
    ttt_trainer_free(trainer);
    return status;
}

/* ---- both ---- */

static void measure(const void *question, void *answer)
{
    const ttt_bench_case *c = question;
    ttt_bench_result *result = answer;
    reader r = {0};
    result->status = c->test == TTT_BENCH_TRAIN ? measure_training(c, result) : measure_reading(c, result, &r);
    reader_close(&r);
    if (result->status == TTT_OK) return;
    const char *detail = ttt_error_detail();
    snprintf(result->sentence, sizeof result->sentence, "%s", *detail ? detail : ttt_status_text(result->status));
}

void ttt_bench_run(const ttt_bench_case *c, ttt_bench_result *result)
{
    int how;
    int64_t peak;
    *result = (ttt_bench_result){0};
    if (!in_child(measure, c, result, sizeof *result, &how, &peak)) {
        *result = (ttt_bench_result){.status = TTT_ERR_INTERRUPTED};
        say_how(result->sentence, how);
    }
    result->peak_bytes = peak;
}

typedef struct limits_answer {
    ttt_status status;
    char sentence[TTT_BENCH_SENTENCE];
    ttt_limits limits;
} limits_answer;

static void measure_limits(const void *question, void *answer)
{
    limits_answer *a = answer;
    a->status = ttt_limits_measure(&a->limits, *(const int *)question);
    snprintf(a->sentence, sizeof a->sentence, "%s", ttt_error_detail());
}

ttt_status ttt_bench_limits(ttt_limits *limits, int threads, char sentence[TTT_BENCH_SENTENCE])
{
    int how;
    int64_t peak;
    limits_answer answer = {0};
    if (!in_child(measure_limits, &threads, &answer, sizeof answer, &how, &peak)) {
        answer.status = TTT_ERR_INTERRUPTED;
        say_how(answer.sentence, how);
    }
    *limits = answer.limits; /* its string is static, and the child is a copy of this program */
    memcpy(sentence, answer.sentence, sizeof answer.sentence);
    return answer.status;
}

void ttt_bench_rate(const ttt_bench_case *c, const ttt_bench_result *result, double *mean, double *deviation)
{
    const double tokens = (double)(c->tokens * c->sequences), n = result->count;
    *mean = *deviation = 0;
    for (int i = 0; i < result->count; i++) *mean += tokens / result->seconds[i] / n;
    for (int i = 0; i < result->count && n > 1; i++)
        *deviation += (tokens / result->seconds[i] - *mean) * (tokens / result->seconds[i] - *mean) / (n - 1);
    *deviation = sqrt(*deviation);
}
