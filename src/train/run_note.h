/* SPDX-License-Identifier: MIT
 *
 * What of a run is in neither its configuration nor its trainer's options; a checkpoint carries it. An object of
 * "tokenizer", "valid", "parse_special", "init_from", "epochs", "minutes", "save_every", "eval_every", "backend",
 * "isa", "precision", "lines" (of metrics.jsonl) and "finished".
 */
#ifndef TTT_TRAIN_RUN_NOTE_H
#define TTT_TRAIN_RUN_NOTE_H

#include <jansson.h>
#include <ttt/run.h>

/* Of a new run. NULL, with the sentence recorded, if memory is short. Release with json_decref, as that of parse. */
json_t *ttt_run_note_new(const ttt_train_run_options *options);
TTT_NODISCARD ttt_status ttt_run_note_parse(json_t **note, const char *text, const char *where);

/* A value that is a text, else NULL; it belongs to the note. */
const char *ttt_run_note_text(const json_t *note, const char *key);

/* What the options say of the data, and where they say nothing the note. The strings belong to `options` and `note`. A
 * held-out part must be a fraction or a file. */
void ttt_run_note_data(const json_t *note, const ttt_train_run_options *options, ttt_data_options *data);

#endif
