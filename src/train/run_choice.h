/* SPDX-License-Identifier: MIT
 *
 * How long a run is, and what an update of it is where nobody says.
 */
#ifndef TTT_TRAIN_RUN_CHOICE_H
#define TTT_TRAIN_RUN_CHOICE_H

#include <ttt/run.h>

enum { TTT_RUN_CHOICE = 400 };

/* Whether the options leave it open what an update is. */
bool ttt_run_choice_is_open(const ttt_train_run_options *options);

/* What ttt_train_run_fit made of a plan and why, as a sentence; empty where the options said it all. `smaller`: an
 * update is less than the configuration's. */
void ttt_run_choice_tell(char text[TTT_RUN_CHOICE], const ttt_train_run_options *options,
                         const ttt_train_options *train, bool smaller, int64_t tokens, double tokens_per_s);

#endif
