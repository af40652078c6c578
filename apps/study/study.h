/* SPDX-License-Identifier: MIT
 *
 * ttt study: many training runs and evaluations that one file defines, done piece by piece, and what they show as a
 * page. This is all that the command needs of it; definition.h is what a study is to the rest of this folder.
 */
#ifndef TTT_STUDY_STUDY_H
#define TTT_STUDY_STUDY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ttt_study_options {
    const char *file;      /* the study */
    const char *folder;    /* where results, timings and runs are; NULL: the folder of the file */
    const char *scale;     /* one of the file's scales; NULL: as it stands */
    const char *output;    /* of the report: the page */
    const char *csv;       /* and a folder for its tables; NULL: none */
    int64_t jobs;          /* processes that work, one thread each */
    int64_t shard, shards; /* works on the runs of one part, 1 to shards */
    bool dry;              /* says what there is to do, and does nothing */
    int (*signal)(void);   /* that asks to stop; 0: none yet */
    void (*show)(void *context, const char *line); /* how far it is; called often */
    void (*say)(void *context, const char *line);  /* what stays to be read */
    void *context;
} ttt_study_options;

/* Both return the exit code: 0, 128 and a signal, or 1 after a sentence on stderr. */
int ttt_study_run(const ttt_study_options *options);
int ttt_study_report(const ttt_study_options *options);

#endif
