/* SPDX-License-Identifier: MIT
 *
 * The folder of a run on disk: whose it is, which checkpoints it holds, its data. Only names that a run writes are ever
 * removed from it.
 */
#ifndef TTT_TRAIN_RUN_FOLDER_H
#define TTT_TRAIN_RUN_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Steps of the checkpoints in a folder, newest first. Release `steps` with ttt_free. */
typedef struct ttt_checkpoints {
    int64_t *steps;
    int64_t count;
    size_t capacity;
} ttt_checkpoints;

/* Takes possession of a folder: creates it, locks it against a second run, which is told who holds it (*lock, -1 if it
 * was not taken, is for ttt_run_folder_release), removes what killed runs left half written, and lists its checkpoints.
 * Without any, a folder that holds more than a run writes before its first one is refused. With `force` it is taken
 * whatever it holds, and no checkpoint is listed. */
TTT_NODISCARD ttt_status ttt_run_folder_claim(const char *folder, bool force, int *lock, ttt_checkpoints *checkpoints);

void ttt_run_folder_release(const char *folder, int lock);

/* A new run has all that it needs: removes what earlier runs wrote, and gives the data their place. The order lets the
 * next run go on or begin anew wherever this one is killed: while there is a checkpoint its data and metrics are there
 * too, and once there is none, there is no model either, which would have to be overwritten. */
TTT_NODISCARD ttt_status ttt_run_folder_begin(const char *folder);

/* Undoes a start that failed: removes the new data, and the folder if it was `created`. */
void ttt_run_folder_abandon(const char *folder, bool created);

/* Removes all checkpoints but the two newest. */
void ttt_run_folder_prune(const char *folder);

/* FOLDER/checkpoint/step-000000100.safetensors; FOLDER/checkpoint/data, or where it is `made`. Free with ttt_free; NULL
 * on failure. */
char *ttt_run_checkpoint_path(const char *folder, int64_t step);
char *ttt_run_data_path(const char *folder, bool made);

#endif
