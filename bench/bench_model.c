/* SPDX-License-Identifier: MIT
 *
 * Speed and memory of a whole model with random weights: prefill, decode, training step.
 * usage: bench_model CONFIG linear|mlp CONTEXT SEQUENCES prefill|decode|train
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <ttt/model.h>
#include <ttt/train.h>

enum { RUNS = 5, DECODED = 64 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void check(ttt_status status)
{
    if (status == TTT_OK) return;
    fprintf(stderr, "bench_model: %s\n", ttt_error_detail());
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(const char *what, double *times, double tokens)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    qsort(times, RUNS, sizeof *times, by_value);
    printf("%-8s %10.1f tokens/s, median of %d (%.1f to %.1f)   peak memory %.2f GB\n", what, tokens / times[RUNS / 2],
           RUNS, tokens / times[RUNS - 1], tokens / times[0], (double)usage.ru_maxrss / 1e6);
}

static int32_t *make_tokens(int64_t count, int64_t vocabulary)
{
    int32_t *tokens = malloc((size_t)count * sizeof *tokens);
    if (!tokens) exit(1);
    for (int64_t i = 0; i < count; i++) tokens[i] = (int32_t)(i * 7919 % vocabulary);
    return tokens;
}

/* The first run of each is a warm-up. */
static void inference(const ttt_config *config, int64_t context, bool decode)
{
    ttt_model *model;
    ttt_state *state;
    check(ttt_model_new(&model, config, 1, NULL));
    check(ttt_state_new(&state, model));
    int32_t *tokens = make_tokens(context, config->vocab_size);
    float *logits = malloc((size_t)config->vocab_size * sizeof *logits);
    double times[RUNS + 1];
    ttt_feed feed = {.state = state, .tokens = tokens, .count = context, .which = TTT_LOGITS_LAST, .logits = logits};
    for (int run = 0; run <= RUNS; run++) {
        if (!decode) ttt_state_reset(state);
        const double start = seconds();
        for (int i = 0; i < (decode ? DECODED : 1); i++) {
            if (decode) feed.count = 1;
            check(ttt_model_advance(model, &feed, 1));
        }
        times[run] = seconds() - start;
    }
    report(decode ? "decode" : "prefill", times + 1, decode ? DECODED : (double)context);
    free(tokens);
    free(logits);
    ttt_state_free(state);
    ttt_model_free(model);
}

static void training(const ttt_config *config, int64_t context, int64_t sequences)
{
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.context = context;
    options.batch = sequences;
    options.steps = 1000;
    ttt_trainer *trainer;
    check(ttt_trainer_new(&trainer, config, &options));
    int32_t *tokens = make_tokens(sequences * (context + 1), config->vocab_size);
    double times[RUNS + 1];
    for (int run = 0; run <= RUNS; run++) {
        ttt_train_result result;
        const double start = seconds();
        check(ttt_trainer_step(trainer, tokens, &result));
        times[run] = seconds() - start;
    }
    report("train", times + 1, (double)(sequences * context));
    free(tokens);
    ttt_trainer_free(trainer);
}

int main(int argc, char **argv)
{
    const char *what = argc > 5 ? argv[5] : "";
    const bool train = strcmp(what, "train") == 0, decode = strcmp(what, "decode") == 0;
    const long long context = argc > 5 ? atoll(argv[3]) : 0, sequences = argc > 5 ? atoll(argv[4]) : 0;
    if (context < 1 || sequences < 1 || (!train && !decode && strcmp(what, "prefill") != 0)) {
        fprintf(stderr, "usage: bench_model CONFIG linear|mlp CONTEXT SEQUENCES prefill|decode|train\n");
        return 64;
    }
    ttt_config config;
    check(ttt_config_standard(&config, argv[1]));
    check(ttt_config_set(&config, "ttt_layer_type", argv[2]));
    if (config.ttt_layer_type == TTT_LEARNER_MLP) config.ttt_base_lr = 0.1;
    if (train)
        training(&config, context, sequences);
    else
        inference(&config, context, decode);
    return 0;
}
