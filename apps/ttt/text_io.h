/* SPDX-License-Identifier: MIT
 *
 * What tokenize and detokenize share: their options, their inputs, and JSON lines.
 */
#ifndef TTT_APPS_TEXT_IO_H
#define TTT_APPS_TEXT_IO_H

#include <jansson.h>
#include <stdio.h>
#include <ttt/tokenizer.h>

#include "common.h"

typedef struct text_io {
    const char *path; /* --tokenizer */
    bool jsonl;
    int parse_special; /* -1: as the kind of tokenizer has it */
    bool truncate;
    bool truncated; /* and it was said */
    bool skip_special;
    const char **inputs; /* "-" is standard input; at least one */
    int input_count;
    ttt_tokenizer *tokenizer;
    const char *input; /* being read, and the line in it: for messages */
    long line;
} text_io;

/* Done with every input in turn; the result is an exit code. */
typedef int (*text_io_each)(text_io *io, FILE *input);

/* Changes one object of a .jsonl file; the result is an exit code. */
typedef int (*text_io_change)(text_io *io, json_t *object);

/* Of argp's keys those that both commands have. */
error_t ttt_text_io_parse(int key, char *argument, struct argp_state *state);

/* The command: reads its line, opens the tokenizer, and each input for `text`, or for `lines` with --jsonl. */
int ttt_text_io_command(text_io *io, const struct argp *argp, int argc, char **argv, text_io_each text,
                        text_io_each lines);

/* Reads objects, one a line, and writes them as `change` leaves them. */
int ttt_text_io_lines(text_io *io, FILE *input, text_io_change change);

/* A failure of the library, or another one, with input and line in front. */
int ttt_text_io_failed(const text_io *io);
int ttt_text_io_fail(const text_io *io, const char *message);

/* The whole input; free *text with free(). */
int ttt_text_io_read(const text_io *io, FILE *input, char **text, size_t *size);

#endif
