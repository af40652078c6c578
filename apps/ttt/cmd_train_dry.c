/* SPDX-License-Identifier: MIT
 *
 * ttt train --dry-run: what a run would take. The speed is measured; the memory is the trainer's, counted, and what the
 * process holds beside one, as it is after the measurement.
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

static const double bpe_bytes = 3.6; /* of text per token, about */

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
    *exact = name && strcmp(name, "bpe") != 0 && strncmp(name, "bpe:", 4) != 0;
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

/* How long the run would be, if that can be said; *exact: not by a measurement or an estimate. */
static ttt_status fit(const ttt_train_run_options *options, const ttt_config *config, double tokens_per_s,
                      ttt_train_options *train, bool *exact)
{
    double tokens = 1;
    *exact = true;
    if (train->steps > 0 || (options->minutes == 0 && options->text_count == 0)) return TTT_OK;
    const ttt_status status = options->minutes > 0 ? TTT_OK : count_tokens(options, &tokens, exact);
    if (status != TTT_OK) return status;
    if (options->minutes > 0) *exact = false;
    return ttt_train_run_fit(options, config, (int64_t)fmax(tokens, 1), tokens_per_s, train);
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

static ttt_status count_memory(const ttt_config *config, const ttt_train_options *train, size_t *bytes)
{
    ttt_train_options counted = *train;
    if (counted.steps == 0) counted.steps = 1;
    return ttt_trainer_memory(config, &counted, bytes);
}

static ttt_status describe(const ttt_train_run_options *options, ttt_config *config)
{
    ttt_train_options train;
    double tokens_per_s = 0;
    bool exact = true;
    size_t memory = 0;
    ttt_status status = ttt_train_run_plan(options, config, &train);
    if (status == TTT_OK) status = count_memory(config, &train, &memory); /* before anything is taken of it */
    if (status == TTT_OK) status = ttt_train_speed(config, &train, &tokens_per_s);
    if (status == TTT_OK) status = fit(options, config, tokens_per_s, &train, &exact);
    if (status == TTT_OK) status = count_memory(config, &train, &memory);
    if (status != TTT_OK) return status;
    const double update = (double)(train.batch * train.context);
    printf("parameters        %" PRId64 "\n", ttt_config_parameters(config));
    printf("FLOPs per token   ");
    ttt_app_print_flops(config, train.context);
    printf("an update         %.0f tokens: %" PRId64 " sequences of %" PRId64 ", %" PRId64 " at a time\n", update,
           train.batch, train.context, train.batch / ttt_train_passes(&train));
    print_memory((double)memory + resident());
    printf("speed             about %.0f tokens/s, an update in ", tokens_per_s);
    print_time(update / tokens_per_s);
    if (train.steps == 0) return TTT_OK;
    printf("steps             %s%" PRId64 "\n", exact ? "" : "about ", train.steps);
    printf("time              about ");
    print_time((double)train.steps * update / tokens_per_s);
    return TTT_OK;
}

int ttt_train_dry(const ttt_train_run_options *options)
{
    ttt_config *config;
    ttt_status status = ttt_config_new(&config);
    if (status == TTT_OK) status = describe(options, config);
    ttt_config_free(config);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}
