/* SPDX-License-Identifier: MIT
 *
 * From options to what a run is, and back: the defaults of a new run, the note that a checkpoint carries of it, and
 * whether the options of a later call agree with the run that is there.
 */
#ifndef TTT_TRAIN_RUN_PLAN_H
#define TTT_TRAIN_RUN_PLAN_H

#include <jansson.h>
#include <ttt/run.h>

#include "config/config.h"

/* What of a run is in neither its configuration nor its trainer's options: {"tokenizer", "valid", "parse_special",
 * "init_from", "epochs", "minutes", "save_every", "eval_every", "backend", "isa", "lines" (of metrics.jsonl),
 * "finished"}. NULL, with the sentence recorded, if memory is short. */
json_t *ttt_run_note_new(const ttt_train_run_options *options);
TTT_NODISCARD ttt_status ttt_run_note_parse(json_t **note, const char *text, const char *where);

/* What the options say of the data, and where they say nothing the note. The strings belong to `options` and `note`. A
 * held-out part must be a fraction or a file. */
void ttt_run_note_data(const json_t *note, const ttt_train_run_options *options, ttt_data_options *data);

/* Refuses what no run can have: several lengths, a precision that is not built. */
TTT_NODISCARD ttt_status ttt_run_plan_check(const ttt_train_run_options *options);

/* Configuration and options of a new run, train->steps as in the options, 0 if they do not say. With a tokenizer the
 * vocabulary follows it or is checked against it; NULL: as ttt_train_run_plan says. *base (NULL allowed) becomes the
 * config.json that the configuration came from, or NULL; free with ttt_free. */
TTT_NODISCARD ttt_status ttt_run_plan_make(const ttt_train_run_options *options, const ttt_tokenizer *tokenizer,
                                           ttt_config *config, ttt_train_options *train, char **base);

/* The configuration that the options ask for; where they say nothing, that of the run, which `config` is on entry. */
TTT_NODISCARD ttt_status ttt_run_plan_config(const ttt_train_run_options *options, ttt_config *config);

/* Names the first option that is not so in a run. */
TTT_NODISCARD ttt_status ttt_run_plan_agree(const ttt_train_run_options *options, const ttt_config *config,
                                            const ttt_train_options *train, const json_t *note);

#endif
