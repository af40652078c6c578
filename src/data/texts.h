/* SPDX-License-Identifier: MIT
 *
 * Texts as a user names them: files, folders (all files below, in byte order of path; names that begin with a dot are
 * passed over), .jsonl (one document a line, key "text"), .zst of these, "-" for standard input. Documents are held one
 * after another in one run of bytes, so that the held-out part can be cut off by bytes. Of every file the size and a
 * hash are kept: they tell later whether it changed.
 */
#ifndef TTT_DATA_TEXTS_H
#define TTT_DATA_TEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct ttt_input {
    char *path;       /* of a file, or "-" */
    int64_t size;     /* bytes of the file as stored (compressed, if it is) */
    uint64_t hash;    /* of these bytes; 0 if they were not measured */
    const char *role; /* what it was read for: texts->role at that time */
} ttt_input;

/* Zero-initialise; release with ttt_texts_deinit, also after a failure. */
typedef struct ttt_texts {
    ttt_buffer bytes; /* all documents, one directly after another; none is empty */
    size_t *ends;     /* document i ends before bytes.data[ends[i]] and the next one begins there */
    size_t count, capacity;
    ttt_input *inputs; /* the files read, in order */
    size_t input_count, input_capacity;
    const char *role; /* set by the caller, copied to the inputs read from then on; static storage */
} ttt_texts;

/* Appends the documents of one input. Errors name the file and the byte or line: invalid UTF-8 (unless `raw_bytes`;
 * JSON is always UTF-8), a line without "text", a file that cannot be read, an input without any text. NUL is ordinary
 * text. */
TTT_NODISCARD ttt_status ttt_texts_read(ttt_texts *texts, const char *input, bool raw_bytes);

/* Appends only what tells whether the input changed: `inputs`, no documents. Standard input and other streams that can
 * be read but once are not measured. */
TTT_NODISCARD ttt_status ttt_texts_measure(ttt_texts *texts, const char *input);

void ttt_texts_deinit(ttt_texts *texts);

/* Walks over the documents of bytes [position, end) of `texts`; those that the range cuts are given in part. */
typedef struct ttt_text_range {
    const ttt_texts *texts;
    size_t position, end;
    size_t document; /* a document at or before `position`; 0 to begin with */
} ttt_text_range;

typedef struct ttt_text_piece {
    const char *text;
    size_t size;
    bool begins, ends; /* the piece holds the beginning, the end of its document */
} ttt_text_piece;

/* The next piece; false at the end of the range. */
bool ttt_text_range_next(ttt_text_range *range, ttt_text_piece *piece);

#endif
