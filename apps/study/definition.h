/* SPDX-License-Identifier: MIT
 *
 * A study as its file says it: models, sizes, groups of runs (all combinations of what they list), evaluations, claims.
 * FORMATS.md has the keys. Everything belongs to the study; names are the file's.
 */
#ifndef TTT_STUDY_DEFINITION_H
#define TTT_STUDY_DEFINITION_H

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fields.h"
#include "study.h"

enum { STUDY_ID = 17 }; /* 16 hexadecimal digits and the end */

typedef struct study_model {
    const char *name, *about;                       /* about: "" if the file says nothing */
    const char *config, *layer, *layers, *backbone; /* as ttt train's; NULL: unset */
    const char **settings;                          /* [setting_count] KEY=VALUE */
    size_t setting_count;
    const char **without; /* [without_count] keys of sizes that mean nothing for it, and are left out */
    size_t without_count;
    double paper; /* what the paper reports; NaN: nothing */
} study_model;

typedef struct study_size {
    const char *name;
    const char **settings;
    size_t setting_count;
} study_size;

/* Numbers of other things of the study, in its order. */
typedef struct study_list {
    int *items;
    size_t count;
} study_list;

typedef struct study_group {
    const char *name, *about;
    study_list models, sizes, evaluations; /* sizes may be none: models as they are */
    double *contexts, *seeds, *rates;      /* tokens; rates may be none: by configuration, or the best of a sweep */
    size_t context_count, seed_count, rate_count;
    double tokens, flops; /* of a run; one of these, or like */
    int like;             /* a model: as many FLOPs as it takes for `tokens`; -1 */
    int best_of, by; /* a group before this one, and an evaluation whose loss says which of its rates is best; -1 */
    int init_from;   /* a group before this one whose models its runs begin with; -1 */
    int64_t batch, segment;
    const char *schedule;
} study_group;

typedef struct study_evaluation {
    const char *name, *about, *documents;
    double *contexts; /* 0: the whole document as one sequence; none: that of the training */
    size_t context_count;
    int64_t tokens; /* of a document at most; 0: all */
    bool frozen, inner, speed;
    const char **settings; /* [setting_count] KEY=VALUE, over what the model was trained with */
    size_t setting_count;
} study_evaluation;

/* `better` has less loss than `worse`: over all positions, or in those from `first` to `last`. Evaluations of the two
 * may differ where they are of the same tokens. */
typedef struct study_claim {
    const char *text;
    int better, worse; /* models */
    int group;
    int evaluation, worse_evaluation;
    int64_t context, worse_context; /* of the evaluation; -1: its first */
    int64_t first, last;            /* 0: all */
    bool worse_frozen;              /* with its learner frozen */
    bool or_equal;                  /* not more loss: contradicted where it is more by two standard errors */
} study_claim;

typedef struct study_documents {
    const char *name;
    const char **paths;
    size_t count;
} study_documents;

typedef struct study {
    study_error error;
    json_t *root;
    char *folder; /* of the file, which paths in it are relative to */
    char *work;   /* where results, timings and runs are */
    const char *file, *title, *about, *tokenizer, *precision;
    const char **train;
    size_t train_count;
    double held_out;   /* of the text to train on, as a check on the way */
    double unit_flops; /* of a unit of training at most */
    study_documents *documents;
    study_model *models;
    study_size *sizes;
    study_group *groups;
    study_evaluation *evaluations;
    study_claim *claims;
    size_t document_count, model_count, size_count, group_count, evaluation_count, claim_count;
    int reference;                     /* the model that others are compared with */
    int headline, headline_evaluation; /* the group and evaluation that tables show */
    void **kept;                       /* what study_close frees */
    size_t kept_count;
} study;

/* Reads the file, or its text. False: study->error says what is wrong. Call study_close in any case. */
bool study_open(study *s, const ttt_study_options *options);
bool study_parse(study *s, const char *text, size_t size, const ttt_study_options *options);
void study_close(study *s);

/* Gives memory to the study, which may be NULL: then it is out of memory. Returns it. */
void *study_keep(study *s, void *memory);
/* A new string of the study's. */
char *study_print(study *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
