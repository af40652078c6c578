/* SPDX-License-Identifier: MIT
 *
 * The measurements of ttt bench. Each runs in a process of its own, so that its peak memory is its own too, that it
 * finds the machine as every other did, and that one which runs out of memory ends alone.
 */
#ifndef TTT_APPS_BENCH_RUN_H
#define TTT_APPS_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/bench.h>

typedef enum ttt_bench_test { TTT_BENCH_PREFILL, TTT_BENCH_DECODE, TTT_BENCH_TRAIN } ttt_bench_test;

enum { TTT_BENCH_SAMPLES = 1000, TTT_BENCH_SENTENCE = 512, TTT_BENCH_NAME = 16 };

/* What is measured. */
typedef struct ttt_bench_case {
    ttt_bench_test test;
    const char *folder; /* of a model, or NULL: random weights */
    const ttt_config *config;
    const char *backend;   /* NULL: the fastest */
    const char *precision; /* "auto" and so on */
    int threads;
    int64_t tokens;    /* read, written, or of one trained sequence */
    int64_t depth;     /* tokens of the sequence that come before */
    int64_t sequences; /* of a training step */
    int repetitions;
    bool warm_up;
} ttt_bench_case;

typedef struct ttt_bench_result {
    ttt_status status;
    char sentence[TTT_BENCH_SENTENCE]; /* why it failed */
    double seconds[TTT_BENCH_SAMPLES]; /* of every repetition */
    int count;
    ttt_work work;                  /* of one repetition */
    char precision[TTT_BENCH_NAME]; /* computed in */
    int64_t peak_bytes;             /* most memory resident at once */
} ttt_bench_result;

void ttt_bench_run(const ttt_bench_case *c, ttt_bench_result *result);

/* ttt_limits_measure in a process of its own. */
TTT_NODISCARD ttt_status ttt_bench_limits(ttt_limits *limits, int threads, char sentence[TTT_BENCH_SENTENCE]);

/* One operation, timed alone; the last record may say why there are no more. */
typedef struct ttt_bench_op {
    ttt_status status;
    char sentence[TTT_BENCH_SENTENCE];
    char operation[48], shape[64], precision[TTT_BENCH_NAME];
    double seconds;
    ttt_work work;
    double dual; /* as in ttt_op_time */
} ttt_bench_op;

/* Times every operation at the shapes of the case's configuration, in one process, with `tokens` tokens. */
TTT_NODISCARD ttt_status ttt_bench_ops(const ttt_bench_case *c, void (*take)(void *context, const ttt_bench_op *op),
                                       void *context, char sentence[TTT_BENCH_SENTENCE]);

/* Mean and standard deviation of tokens per second over the samples. */
void ttt_bench_rate(const ttt_bench_case *c, const ttt_bench_result *result, double *mean, double *deviation);

#endif
