/* SPDX-License-Identifier: MIT
 *
 * The sides of ttt train: the run itself, what --dry-run says of it, what --profile says after it.
 */
#ifndef TTT_APPS_CMD_TRAIN_H
#define TTT_APPS_CMD_TRAIN_H

#include <ttt/profile.h>
#include <ttt/run.h>

/* Prints what a run with these options would be: parameters, memory, FLOPs, estimated time. Returns the exit code. */
int ttt_train_dry(const ttt_train_run_options *options);

/* Prints the operations that took time to stderr, the longest first; nothing if there are none. */
void ttt_train_print_profile(const ttt_profile *profile);

#endif
