/* SPDX-License-Identifier: MIT
 *
 * Where a study keeps what it has:
 *
 *   results/ID.json    what a unit found; the same bits wherever and however often it was done
 *   timings/ID.json    how long it took
 *   runs/              data, models and checkpoints, which can be made again; runs/lock
 *
 * A file appears whole or not at all. Units are locked as bytes of runs/lock, so that processes on any number of
 * machines with the folder in common do each once; a lock ends with the process that has it.
 */
#ifndef TTT_STUDY_STORE_H
#define TTT_STUDY_STORE_H

#include "definition.h"

typedef enum study_shelf { STUDY_RESULTS, STUDY_TIMINGS } study_shelf;

/* 16 hexadecimal digits that stand for a definition. False: out of memory. */
bool study_identify(study *s, const json_t *definition, char id[STUDY_ID]);

/* WORK/runs/NAME, a string of the study's. */
char *study_run_path(study *s, const char *name);

bool study_has(const study *s, study_shelf shelf, const char *id);
/* NULL: not there, or the study has an error. The caller's. */
json_t *study_load(study *s, study_shelf shelf, const char *id);
/* Takes `object`, which may be NULL: then it is out of memory. */
bool study_save(study *s, study_shelf shelf, const char *id, json_t *object);

/* A file, whole or not at all. */
bool study_write(study *s, const char *path, const void *bytes, size_t size);
bool study_make_folder(study *s, const char *path);
/* A file or a folder with what is in it, as far as it can. */
void study_remove(const char *path);

/* The lock file, opened once by each process that works. */
bool study_locks_open(study *s, int *locks);
/* *taken: another process has it, and `wait` was false. */
bool study_lock(study *s, int locks, const char *id, bool wait, bool *taken);
void study_unlock(int locks, const char *id);

#endif
