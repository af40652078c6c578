/* SPDX-License-Identifier: MIT
 *
 * Doing one unit: a part of a training run, an evaluation, a measurement of speed. What comes out is a result, and a
 * run that diverges or cannot be is one too; only what the machine refuses (memory, disk) or a signal leaves none.
 */
#ifndef TTT_STUDY_WORK_H
#define TTT_STUDY_WORK_H

#include "units.h"

/* A file in the folder of a run whose training is over: its model is whole, and its checkpoints may be gone. */
#define STUDY_TRAINED "trained"

typedef struct study_worker {
    study_plan *plan;
    int locks;
    int (*signal)(void);
    volatile double *part; /* of the unit, told as it is done */
} study_worker;

typedef enum study_outcome { STUDY_DONE, STUDY_STOPPED, STUDY_BROKEN } study_outcome;

/* Its result and timing are written when this returns STUDY_DONE. STUDY_BROKEN: the study has an error. */
study_outcome study_work(study_worker *worker, const study_unit *unit);

/* The parts, used by study_work: *result is new, NULL if there is none; *seconds goes to the timings. */
study_outcome study_train(study_worker *worker, const study_unit *unit, json_t **result, json_t *timing);
study_outcome study_evaluate(study_worker *worker, const study_unit *unit, json_t **result);
study_outcome study_speed(study_worker *worker, const study_unit *unit, json_t **result, json_t *timing);

/* What a failure of the library is: a signal, a result that says it failed, or a machine that refused. `what` is its
 * status in the result, "failed" or "diverged". */
study_outcome study_failed(study_worker *worker, ttt_status status, json_t **result);

/* Takes the updates of a run (by its index in the plan) after `first` (which is for the progress) up to `last`; one
 * that has its mark is trained already. *result is new if the run ended otherwise. */
study_outcome study_train_to(study_worker *worker, int index, int64_t first, int64_t last, json_t **result);
/* The same to the end, by one process at a time, for who finds no model: its results are there, but its folder is gone.
 */
study_outcome study_train_again(study_worker *worker, int run, json_t **result);

double study_seconds(void);

#endif
