/* SPDX-License-Identifier: MIT
 *
 * A run, inside. Everything that belongs to a step is on disk before the step's checkpoint, and the model is written
 * after it; so what a kill leaves behind is a checkpoint, perhaps lines of metrics that will be cut, and perhaps an
 * older model that will be written again.
 */
#ifndef TTT_TRAIN_RUN_H
#define TTT_TRAIN_RUN_H

#include <jansson.h>
#include <ttt/metrics.h>
#include <ttt/run.h>

#include "train/run_choice.h"

enum { TTT_RUN_MEASURED = 100 }; /* updates at most that are measured for `minutes` */

struct ttt_train_run {
    ttt_train_run_options options; /* of its strings only `folder` is kept */
    char *folder;
    int lock;
    char choice[TTT_RUN_CHOICE]; /* what was chosen at the beginning, as a sentence */
    bool complete;               /* the folder has the files of the model that never change */
    json_t *note;
    ttt_data *data;
    ttt_trainer *trainer;
    ttt_metrics *metrics;
    char *ranks;     /* see ttt_train_run_ranks */
    int32_t *tokens; /* this rank's of an update, or of an evaluation's pass: [sequences, context + 1] */
    int64_t windows; /* whole windows of the held-out part */
    int64_t saved;   /* step of the last checkpoint, or -1 */
    bool measuring;  /* the number of steps is not fixed yet */
    double measured[TTT_RUN_MEASURED]; /* seconds of the first updates, while `measuring` */
    double opened, saved_at;           /* times of ttt_clock: this part of the run, last checkpoint */
};

void ttt_run_warn(const ttt_train_run *run, const char *sentence);

/* Writes the model as the trainer has it now. */
TTT_NODISCARD ttt_status ttt_run_save_model(ttt_train_run *run);
TTT_NODISCARD ttt_status ttt_run_plot(const ttt_train_run *run);

#endif
