/* SPDX-License-Identifier: MIT */
#ifndef TTT_TRAIN_RUN_AGREE_H
#define TTT_TRAIN_RUN_AGREE_H

#include <jansson.h>
#include <ttt/run.h>

/* Names the first option that is not so in a run of this configuration, these options of its trainer and this note. */
TTT_NODISCARD ttt_status ttt_run_agree(const ttt_train_run_options *options, const ttt_config *config,
                                       const ttt_train_options *train, const json_t *note);

#endif
