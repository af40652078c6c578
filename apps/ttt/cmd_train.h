/* SPDX-License-Identifier: MIT
 *
 * The two sides of ttt train: the run itself, and what --dry-run says of it.
 */
#ifndef TTT_APPS_CMD_TRAIN_H
#define TTT_APPS_CMD_TRAIN_H

#include <ttt/run.h>

/* Prints what a run with these options would be: parameters, memory, FLOPs, estimated time. Returns the exit code. */
int ttt_train_dry(const ttt_train_run_options *options);

#endif
