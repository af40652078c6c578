/* SPDX-License-Identifier: MIT
 *
 * From options to what a new run is: its configuration and its trainer's options, with the defaults.
 */
#ifndef TTT_TRAIN_RUN_PLAN_H
#define TTT_TRAIN_RUN_PLAN_H

#include <ttt/run.h>

#include "config/config.h"

/* Refuses what no run can have: several lengths, a precision that is not built. */
TTT_NODISCARD ttt_status ttt_run_plan_check(const ttt_train_run_options *options);

/* Configuration and options of a new run, train->steps as in the options, 0 if they do not say. With a tokenizer the
 * vocabulary follows it or is checked against it; NULL: as ttt_train_run_plan says. *base (NULL allowed) becomes the
 * config.json that the configuration came from, or NULL; free with ttt_free. */
TTT_NODISCARD ttt_status ttt_run_plan_make(const ttt_train_run_options *options, const ttt_tokenizer *tokenizer,
                                           ttt_config *config, ttt_train_options *train, char **base);

/* Sets batch, accumulate and leaves of `train`: updates of the options' batch, or where they have none of about
 * `tokens` tokens, in as few passes as keep each small. */
TTT_NODISCARD ttt_status ttt_run_plan_batch(const ttt_train_run_options *options, const ttt_config *config,
                                            int64_t tokens, ttt_train_options *train);

/* The configuration that the options ask for; where they say nothing, that of the run, which `config` is on entry. */
TTT_NODISCARD ttt_status ttt_run_plan_config(const ttt_train_run_options *options, ttt_config *config);

#endif
