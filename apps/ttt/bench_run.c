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

/* What a child does, and what becomes of the records that it writes, each of `size` bytes. */
typedef struct errand {
    void (*work)(const void *question, FILE *records);
    const void *question;
    size_t size;
    void (*take)(void *context, const void *record);
    void *context;
} errand;

/* Runs it; false if the child did not come to its end, and *how is its exit status. Forking needs that no threads are
 * running. */
static bool run_errand(const errand *e, int *how, int64_t *peak_bytes)
{
    int pipe_ends[2];
    *how = 0;
    fflush(NULL);
    void *record = malloc(e->size);
    if (!record || pipe(pipe_ends) != 0) {
        free(record);
        return false;
    }
    const pid_t child = fork();
    if (child == 0) {
        close(pipe_ends[0]);
        FILE *out = fdopen(pipe_ends[1], "wb");
        if (out) e->work(e->question, out);
        _exit(out && fflush(out) == 0 && !ferror(out) ? 0 : 1);
    }
    close(pipe_ends[1]);
    FILE *in = fdopen(pipe_ends[0], "rb");
    while (child > 0 && in && fread(record, e->size, 1, in) == 1) e->take(e->context, record);
    if (in) fclose(in);
    free(record);
    struct rusage usage = {0};
    while (child > 0 && wait4(child, how, 0, &usage) < 0 && errno == EINTR) {
    }
    *peak_bytes = (int64_t)usage.ru_maxrss * 1024;
    return child > 0 && WIFEXITED(*how) && WEXITSTATUS(*how) == 0;
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
    ttt_context *context;
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
                                  : ttt_model_new(&r->model, c->config, 1, &options);
    if (status == TTT_OK) status = ttt_context_new(&r->context, r->model, c->threads);
    if (status == TTT_OK) status = ttt_state_new(&r->before, r->model);
    if (status == TTT_OK) status = ttt_state_new(&r->state, r->model);
    if (status == TTT_OK) status = ttt_state_reserve(r->state, c->depth + c->tokens);
    if (status != TTT_OK) return status;
    const int64_t vocabulary = ttt_model_vocabulary(r->model);
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
    ttt_context_free(r->context);
    ttt_model_free(r->model);
}

/* Prefill: all at once. Decode: one by one, each with its logits. */
static ttt_status read_tokens(reader *r, int64_t count, bool one_by_one)
{
    ttt_feed feed = {.state = r->state, .tokens = r->tokens, .which = TTT_LOGITS_LAST, .logits = r->logits};
    feed.count = one_by_one ? 1 : count;
    ttt_status status = TTT_OK;
    for (int64_t i = 0; i < (one_by_one ? count : 1) && status == TTT_OK; i++, feed.tokens++)
        status = ttt_context_advance(r->context, &feed, 1);
    return status;
}

enum { WARM = 512 }; /* tokens at most that are read before the first run measured */

static ttt_status measure_reading(const ttt_bench_case *c, ttt_bench_result *result, reader *r)
{
    const bool decode = c->test == TTT_BENCH_DECODE;
    ttt_status status = reader_open(r, c);
    if (status != TTT_OK) return status;
    snprintf(result->precision, sizeof result->precision, "%s", ttt_model_precision(r->model));
    ttt_work_inference(&result->work, r->model, c->depth, decode ? 1 : c->tokens);
    if (decode)
        result->work = (ttt_work){(double)c->tokens * result->work.products, (double)c->tokens * result->work.others,
                                  (double)c->tokens * result->work.bytes};
    if (c->depth > 0) status = read_tokens(r, c->depth, false);
    if (status == TTT_OK) status = ttt_state_copy(r->before, r->state);
    if (c->warm_up && status == TTT_OK) status = read_tokens(r, c->tokens < WARM ? c->tokens : WARM, decode);
    for (int i = 0; i < c->repetitions && status == TTT_OK; i++) {
        status = ttt_state_copy(r->state, r->before);
        const double start = ttt_app_seconds();
        if (status == TTT_OK) status = read_tokens(r, c->tokens, decode);
        result->seconds[result->count++] = ttt_app_seconds() - start;
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
    ttt_status status = ttt_trainer_new(&trainer, c->config, &options);
    if (status != TTT_OK) return status;
    snprintf(result->precision, sizeof result->precision, "%s", ttt_trainer_options(trainer)->precision);
    status = ttt_work_training(&result->work, c->config, c->tokens, c->sequences);
    int32_t *tokens = make_tokens(c->sequences * (c->tokens + 1), ttt_app_integer_of(c->config, "vocab_size"));
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

static void say_why(char sentence[TTT_BENCH_SENTENCE], ttt_status status)
{
    const char *detail = ttt_error_detail();
    if (status != TTT_OK) snprintf(sentence, TTT_BENCH_SENTENCE, "%s", *detail ? detail : ttt_status_text(status));
}

static void measure(const void *question, FILE *records)
{
    const ttt_bench_case *c = question;
    ttt_bench_result result = {0};
    reader r = {0};
    result.status = c->test == TTT_BENCH_TRAIN ? measure_training(c, &result) : measure_reading(c, &result, &r);
    reader_close(&r);
    say_why(result.sentence, result.status);
    fwrite(&result, sizeof result, 1, records);
}

static void take_result(void *context, const void *record) { memcpy(context, record, sizeof(ttt_bench_result)); }

void ttt_bench_run(const ttt_bench_case *c, ttt_bench_result *result)
{
    int how;
    int64_t peak;
    const errand e = {measure, c, sizeof *result, take_result, result};
    *result = (ttt_bench_result){0};
    if (!run_errand(&e, &how, &peak)) {
        *result = (ttt_bench_result){.status = TTT_ERR_INTERRUPTED};
        say_how(result->sentence, how);
    }
    result->peak_bytes = peak;
}

/* ---- limits ---- */

typedef struct limits_answer {
    ttt_status status;
    char sentence[TTT_BENCH_SENTENCE];
    ttt_limits limits; /* its string is static, and the child a copy of this program */
} limits_answer;

static void measure_limits(const void *question, FILE *records)
{
    limits_answer answer = {0};
    answer.status = ttt_limits_measure(&answer.limits, *(const int *)question);
    say_why(answer.sentence, answer.status);
    fwrite(&answer, sizeof answer, 1, records);
}

static void take_limits(void *context, const void *record) { memcpy(context, record, sizeof(limits_answer)); }

ttt_status ttt_bench_limits(ttt_limits *limits, int threads, char sentence[TTT_BENCH_SENTENCE])
{
    int how;
    int64_t peak;
    limits_answer answer = {0};
    const errand e = {measure_limits, &threads, sizeof answer, take_limits, &answer};
    if (!run_errand(&e, &how, &peak)) {
        answer.status = TTT_ERR_INTERRUPTED;
        say_how(answer.sentence, how);
    }
    *limits = answer.limits;
    memcpy(sentence, answer.sentence, sizeof answer.sentence);
    return answer.status;
}

/* ---- single operations ---- */

static void write_op(void *context, const ttt_op_time *time)
{
    ttt_bench_op op = {.seconds = time->seconds, .work = time->work, .dual = time->dual};
    snprintf(op.operation, sizeof op.operation, "%s", time->operation);
    snprintf(op.shape, sizeof op.shape, "%s", time->shape);
    snprintf(op.precision, sizeof op.precision, "%s", time->precision);
    fwrite(&op, sizeof op, 1, context);
    fflush(context);
}

static void measure_ops(const void *question, FILE *records)
{
    const ttt_bench_case *c = question;
    const ttt_op_options options = {.backend = c->backend, .threads = c->threads, .tokens = c->tokens};
    ttt_bench_op last = {.status = ttt_time_ops(c->config, &options, write_op, records)};
    say_why(last.sentence, last.status);
    if (last.status != TTT_OK) fwrite(&last, sizeof last, 1, records);
}

typedef struct op_taker {
    void (*take)(void *context, const ttt_bench_op *op);
    void *context;
    ttt_status status;
    char *sentence;
} op_taker;

static void take_op(void *context, const void *record)
{
    op_taker *taker = context;
    const ttt_bench_op *op = record;
    taker->status = op->status;
    if (op->status == TTT_OK)
        taker->take(taker->context, op);
    else
        memcpy(taker->sentence, op->sentence, sizeof op->sentence);
}

ttt_status ttt_bench_ops(const ttt_bench_case *c, void (*take)(void *context, const ttt_bench_op *op), void *context,
                         char sentence[TTT_BENCH_SENTENCE])
{
    int how;
    int64_t peak;
    op_taker taker = {take, context, TTT_OK, sentence};
    const errand e = {measure_ops, c, sizeof(ttt_bench_op), take_op, &taker};
    if (run_errand(&e, &how, &peak)) return taker.status;
    say_how(sentence, how);
    return TTT_ERR_INTERRUPTED;
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
