/* SPDX-License-Identifier: MIT
 *
 * A study cut into units: the data, parts of training runs of at most unit_flops, evaluations. What a unit is follows
 * from the study alone; only the learning rate of a run may depend on results, and the run is not known before these
 * are there.
 */
#ifndef TTT_STUDY_UNITS_H
#define TTT_STUDY_UNITS_H

#include <ttt/run.h>

#include "store.h"

typedef struct study_run {
    int group, model, size, init; /* size, init: -1 for none; init is another run */
    int64_t context, seed, steps;
    double rate;        /* NaN: not known before the results of a sweep */
    char id[STUDY_ID];  /* empty: not known yet */
    json_t *definition; /* what the id stands for; NULL as long as that is not known */
    char folder[STUDY_ID + 8];
    double flops; /* of a token in training */
    int64_t parameters;
    int64_t head; /* values of the embedding, which `parameters` counts too */
    int parts;
    bool void_; /* it cannot be: no rate of the sweep worked, or the run it begins with failed */
} study_run;

typedef enum study_kind { STUDY_TRAIN, STUDY_EVALUATE, STUDY_SPEED } study_kind;

typedef struct study_unit {
    study_kind kind;
    int run, part, evaluation;
    int64_t first, last; /* updates of a part of training: after `first` up to `last` */
    int64_t context;     /* of an evaluation; 0: whole documents */
    char id[STUDY_ID];   /* empty: not known yet */
    double cost;         /* FLOPs, about */
    bool done;
} study_unit;

typedef struct study_plan {
    study *study;
    const json_t *data;     /* what the data are: data.h */
    char content[STUDY_ID]; /* that stands for them */
    study_run *runs;
    study_unit *units;
    size_t run_count, unit_count;
} study_plan;

/* All runs and units, as far as they are known; `data` is what study_data_open gave, and outlives the plan. False: the
 * study has an error. Close with study_plan_close in any case. */
bool study_plan_open(study_plan *plan, study *s, const json_t *data);
void study_plan_close(study_plan *plan);

/* What the results that are there now tell: which units are done, and runs whose rate they decide. */
bool study_plan_refresh(study_plan *plan);

/* Whether what the unit needs is there: the part before it, the model. */
bool study_unit_is_ready(const study_plan *plan, const study_unit *unit);

/* The result of a run's last part: NULL if it is not there. The caller's. */
json_t *study_run_result(const study_plan *plan, int run);
/* Whether a result says so. */
bool study_is_good(const json_t *result);

/* The options of ttt_train_run for a run of known rate, without folder and texts; the settings are the study's. */
bool study_run_options(const study_plan *plan, int run, ttt_train_run_options *options);
/* A name for people: "TTT-Linear, context 512, rate 0.003, seed 1". */
void study_run_name(const study_plan *plan, int run, char *text, size_t size);
/* The unit as a name: "training TTT-Linear, ... (2 of 3)". */
void study_unit_name(const study_plan *plan, const study_unit *unit, char *text, size_t size);
/* The definition that a unit's id stands for: a new object. */
json_t *study_unit_definition(const study_plan *plan, const study_unit *unit);

#endif
