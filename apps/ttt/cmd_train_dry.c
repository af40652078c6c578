/* SPDX-License-Identifier: MIT
 *
 * ttt train --dry-run: what a run would take. The speed is measured: two updates of a few sequences, of the model
 * itself if it is small, else of one of its layers, and scaled by the FLOPs. The memory is the trainer's, counted, and
 * what the process holds beside one, as it is after the measurement.
 */
#include <inttypes.h>
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd_train.h"
#include "common.h"
#include "progress.h"

enum { MEASURED_CONTEXT = 256, MEASURED_SEQUENCES = 4 };
static const int64_t small_model = 20 * 1000 * 1000; /* parameters */
static const double bpe_bytes = 3.6;                 /* of text per token, about */

/* Of training, on average over a sequence. */
static double flops_per_token(const ttt_config *config, int64_t context)
{
    ttt_flops flops;
    return ttt_config_flops(config, context, &flops) == TTT_OK ? flops.training : 1;
}

static ttt_status time_update(const ttt_config *config, const ttt_train_options *train, double *seconds)
{
    ttt_trainer *trainer;
    ttt_status status = ttt_trainer_new(&trainer, config, train);
    if (status != TTT_OK) return status;
    const int64_t count = train->batch * (train->context + 1), vocabulary = ttt_app_integer_of(config, "vocab_size");
    int32_t *tokens = calloc((size_t)count, sizeof *tokens);
    for (int64_t i = 0; tokens && i < count; i++) tokens[i] = (int32_t)(i * 7919 % vocabulary);
    for (int i = 0; tokens && i < 2 && status == TTT_OK; i++) { /* the first touches memory for the first time */
        ttt_train_result result;
        const double start = ttt_app_seconds();
        status = ttt_trainer_step(trainer, tokens, &result);
        *seconds = ttt_app_seconds() - start;
    }
    free(tokens);
    ttt_trainer_free(trainer);
    return tokens ? status : TTT_ERR_MEMORY;
}

/* One block of each kind, and few ids. */
static ttt_status make_small(ttt_config *config)
{
    char layers[4096];
    int used = 0;
    const char *block, *before = "";
    for (int64_t i = 0; (block = ttt_config_block(config, i)) != NULL && used < (int)sizeof layers - 256;
         before = block)
        if (i++ == 0 || strcmp(block, before) != 0)
            used += snprintf(layers + used, 128, "%s\"%s\"", used ? "," : "", block);
    ttt_status status = ttt_config_set(config, "layers", layers);
    if (ttt_app_integer_of(config, "vocab_size") > 4096 && status == TTT_OK)
        status = ttt_config_set(config, "vocab_size", "4096");
    static const char *const tokens[] = {"bos_token_id", "eos_token_id", "pad_token_id"};
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens && status == TTT_OK; i++)
        status = ttt_config_set(config, tokens[i], "null");
    return status;
}

static ttt_status measure_part(const ttt_config *part, const ttt_train_options *train, bool whole, double *flops_per_s)
{
    ttt_train_options few = *train;
    if (few.context > MEASURED_CONTEXT) few.context = MEASURED_CONTEXT;
    few.batch = whole && few.batch >= MEASURED_SEQUENCES ? MEASURED_SEQUENCES : 1;
    few.accumulate = few.leaves = 1;
    few.steps = 2;
    double seconds = 1;
    const ttt_status status = time_update(part, &few, &seconds);
    if (status != TTT_OK) return status;
    *flops_per_s = (double)(few.batch * few.context) / seconds * flops_per_token(part, few.context);
    return TTT_OK;
}

static ttt_status measure(const ttt_config *config, const ttt_train_options *train, double *tokens_per_s)
{
    const bool whole = ttt_config_parameters(config) <= small_model;
    double flops_per_s = 0;
    ttt_config *part;
    ttt_status status = ttt_config_copy(&part, config);
    if (status == TTT_OK && !whole) status = make_small(part);
    if (status == TTT_OK) status = measure_part(part, train, whole, &flops_per_s);
    ttt_config_free(part);
    *tokens_per_s = flops_per_s / flops_per_token(config, train->context);
    return status;
}

/* Tokens to train on; *exact is false where they are estimated from the bytes. */
static ttt_status count_tokens(const ttt_train_run_options *options, double *tokens, bool *exact)
{
    *exact = true;
    if (options->text_count == 1 && ttt_data_is_folder(options->texts[0])) {
        ttt_data *data;
        const ttt_status status = ttt_data_open(&data, options->texts[0]);
        if (status != TTT_OK) return status;
        *tokens = (double)ttt_data_tokens(data, TTT_SPLIT_TRAIN);
        ttt_data_close(data);
        return TTT_OK;
    }
    const char *name = options->tokenizer ? options->tokenizer : options->init_from;
    *exact = name && strncmp(name, "bpe:", 4) != 0;
    const bool file = *exact && strcmp(name, "byte") != 0;
    ttt_tokenizer *tokenizer;
    ttt_status status = file ? ttt_tokenizer_open(&tokenizer, name) : ttt_tokenizer_new_bytes(&tokenizer);
    if (status != TTT_OK) return status;
    ttt_ids ids = {0};
    int64_t bytes;
    ttt_progress progress;
    ttt_progress_init(&progress, stderr, 0);
    ttt_data_options texts;
    ttt_data_options_init(&texts);
    texts.texts = options->texts;
    texts.text_count = options->text_count;
    texts.parse_special = options->parse_special;
    texts.binary = options->binary;
    texts.warn = ttt_progress_warn;
    texts.progress = ttt_progress_note;
    texts.warn_context = &progress;
    status = ttt_texts_tokenize(&texts, tokenizer, &ids, &bytes);
    ttt_progress_end(&progress, true);
    char *end = NULL;
    double fraction = options->valid ? strtod(options->valid, &end) : texts.valid_fraction;
    if (end && (end == options->valid || *end)) fraction = 0;
    *tokens = (double)ids.count * (1 - fraction) / (*exact ? 1 : bpe_bytes);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    return status;
}

static void print_time(double seconds)
{
    if (seconds < 120)
        printf("%.*f seconds\n", seconds < 1 ? 3 : 0, seconds);
    else if (seconds < 7200)
        printf("%.0f minutes\n", seconds / 60);
    else if (seconds < 2 * 86400)
        printf("%.1f hours\n", seconds / 3600);
    else
        printf("%.1f days\n", seconds / 86400);
}

static ttt_status print_length(const ttt_train_run_options *options, const ttt_train_options *train,
                               double tokens_per_s)
{
    const double update = (double)(train->batch * train->context);
    double steps = (double)train->steps, tokens;
    bool exact = true;
    if (steps == 0 && options->minutes > 0) {
        steps = floor(options->minutes * 60 * tokens_per_s / update);
        exact = false;
    } else if (steps == 0) {
        if (options->text_count == 0) return TTT_OK;
        const ttt_status status = count_tokens(options, &tokens, &exact);
        if (status != TTT_OK) return status;
        steps = floor((options->epochs > 0 ? options->epochs : 1) * tokens / update);
        if (options->epochs == 0) steps = (double)ttt_train_run_usual_steps((int64_t)steps, (int64_t)update);
    }
    printf("steps             %s%.0f\n", exact ? "" : "about ", fmax(steps, 1));
    printf("time              about ");
    print_time(fmax(steps, 1) * update / tokens_per_s);
    return TTT_OK;
}

/* Bytes that this process holds: after a measurement, what it has beside a trainer. */
static double resident(void)
{
    long long pages = 0;
    malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%*d %lld", &pages) != 1) pages = 0;
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void print_memory(double bytes)
{
    const bool large = bytes >= 1e9;
    printf("memory            %.*f %s at most, the text beside it\n", large ? 2 : 0, bytes / (large ? 1e9 : 1e6),
           large ? "GB" : "MB");
}

static ttt_status describe(const ttt_train_run_options *options, ttt_config *config)
{
    ttt_train_options train;
    ttt_status status = ttt_train_run_plan(options, config, &train);
    if (status != TTT_OK) return status;
    size_t memory;
    ttt_train_options counted = train;
    if (counted.steps == 0) counted.steps = 1;
    status = ttt_trainer_memory(config, &counted, &memory);
    if (status != TTT_OK) return status;
    printf("parameters        %" PRId64 "\n", ttt_config_parameters(config));
    printf("FLOPs per token   ");
    ttt_app_print_flops(config, train.context);
    printf("an update         %" PRId64 " tokens: %" PRId64 " sequences of %" PRId64 ", %" PRId64 " at a time\n",
           train.batch * train.context, train.batch, train.context, train.batch / ttt_train_passes(&train));
    fflush(stdout);
    double tokens_per_s;
    status = measure(config, &counted, &tokens_per_s);
    if (status != TTT_OK) return status;
    print_memory((double)memory + resident());
    printf("speed             about %.0f tokens/s, an update in ", tokens_per_s);
    print_time((double)(train.batch * train.context) / tokens_per_s);
    return print_length(options, &train, tokens_per_s);
}

int ttt_train_dry(const ttt_train_run_options *options)
{
    ttt_config *config;
    ttt_status status = ttt_config_new(&config);
    if (status == TTT_OK) status = describe(options, config);
    ttt_config_free(config);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}
