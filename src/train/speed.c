/* SPDX-License-Identifier: MIT
 *
 * How fast this machine trains a model, before one is made: the fastest of some updates of a few sequences, of the
 * model itself if it is small, else of one of its blocks of each kind and with few ids, and scaled by the FLOPs.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "config/config.h"
#include "train/trainer.h"

enum { MEASURED_CONTEXT = 256, MEASURED_SEQUENCES = 4, MEASURED_IDS = 4096, LEAST_UPDATES = 2, MOST_UPDATES = 8 };
static const double enough_seconds = 0.5;
static const int64_t small_model = 20 * 1000 * 1000; /* parameters */

static ttt_status time_updates(ttt_trainer *trainer, int32_t *tokens, double *seconds)
{
    const ttt_train_options *o = ttt_trainer_options(trainer);
    const int64_t count = o->batch * (o->context + 1), ids = ttt_trainer_config(trainer)->vocab_size;
    for (int64_t i = 0; i < count; i++) tokens[i] = (int32_t)(i * 7919 % ids);
    const double begun = ttt_clock();
    *seconds = INFINITY;
    for (int i = 0; i < LEAST_UPDATES || (i < MOST_UPDATES && ttt_clock() - begun < enough_seconds); i++) {
        ttt_train_result result;
        const double start = ttt_clock();
        TTT_TRY(ttt_trainer_step(trainer, tokens, &result));
        *seconds = fmin(*seconds, fmax(ttt_clock() - start, 1e-9));
    }
    return TTT_OK;
}

static ttt_status measure(const ttt_config *config, const ttt_train_options *few, double *seconds)
{
    ttt_trainer *trainer;
    TTT_TRY(ttt_trainer_new(&trainer, config, few));
    int32_t *tokens = ttt_alloc((size_t)few->batch, ((size_t)few->context + 1) * sizeof *tokens);
    const ttt_status status = tokens ? time_updates(trainer, tokens, seconds) : TTT_ERR_MEMORY;
    ttt_free(tokens);
    ttt_trainer_free(trainer);
    return status;
}

/* One block of each kind, and few ids. */
static ttt_status make_small(ttt_config *config)
{
    ttt_buffer layers = {0};
    ttt_status status = TTT_OK;
    const char *block, *before = "";
    for (int64_t i = 0; status == TTT_OK && (block = ttt_config_block(config, i)) != NULL; before = block, i++)
        if (strcmp(block, before) != 0) status = ttt_buffer_print(&layers, "%s\"%s\"", layers.size ? "," : "", block);
    if (status == TTT_OK) status = ttt_config_set(config, "layers", layers.data);
    ttt_buffer_deinit(&layers);
    if (config->vocab_size > MEASURED_IDS) config->vocab_size = MEASURED_IDS;
    config->bos_token_id = config->eos_token_id = config->pad_token_id = -1;
    return status;
}

ttt_status ttt_train_speed(const ttt_config *config, const ttt_train_options *options, double *tokens_per_s)
{
    const bool whole = ttt_config_parameters(config) <= small_model;
    ttt_config part = *config;
    ttt_train_options few = *options;
    ttt_flops of_part, of_all;
    double seconds = 1;
    if (!whole) TTT_TRY(make_small(&part));
    if (few.context > MEASURED_CONTEXT) few.context = MEASURED_CONTEXT;
    few.batch = whole && few.batch >= MEASURED_SEQUENCES ? MEASURED_SEQUENCES : 1;
    few.accumulate = few.leaves = 1;
    few.steps = MOST_UPDATES;
    few.comm = NULL; /* each rank by itself is as fast as the one that asks */
    if (few.threads == 0 && !getenv("TTT_THREADS")) few.threads = ttt_comm_threads(options->comm);
    TTT_TRY(ttt_config_flops(config, options->context, &of_all));
    TTT_TRY(ttt_config_flops(&part, few.context, &of_part));
    TTT_TRY(measure(&part, &few, &seconds));
    *tokens_per_s = ttt_comm_size(options->comm) * (double)(few.batch * few.context) / seconds * of_part.training /
                    of_all.training;
    return TTT_OK;
}
