/* SPDX-License-Identifier: MIT
 *
 * The data of a study: texts to train on with one tokenizer for all models, and documents to evaluate, as tokens below
 * WORK/runs. What they are is said by a result like any other, so that a report needs no texts:
 *
 *   {"vocabulary": V, "train": {"tokens", "bytes", "hash"}, "held_out": the same,
 *    "documents": {SET: [{"name", "tokens", "bytes", "hash"}, ...]}}
 */
#ifndef TTT_STUDY_DATA_H
#define TTT_STUDY_DATA_H

#include <ttt/data.h>

#include "store.h"

/* What the data are, the caller's; NULL: the study has an error. With `prepare` they are made if they are not there, by
 * one process at a time, and compared with the texts; else only what was said of them is read. */
json_t *study_data_open(study *s, int locks, bool prepare, ttt_status (*progress)(void *, double, const char *),
                        void *context);

/* The folder to train from, a string of the study's. */
char *study_data_folder(study *s);

/* Document number `index` of a set, at most `most` (0: all) tokens of it. Release with free. */
bool study_data_read(study *s, const json_t *data, const char *set, size_t index, int64_t most, int32_t **ids,
                     int64_t *count);

#endif
