/* SPDX-License-Identifier: MIT
 *
 * Texts as a user names them: files, folders (all files below, in byte order of path; names that begin with a dot,
 * pipes and links that lead back up are passed over), .jsonl or .ndjson (one document a line, key "text"), these packed
 * by zstd or gzip, "-" for standard input. Documents are held one after another in one run of bytes, so that the
 * held-out part can be cut off by bytes. Of every file the size and a hash are kept: they tell later whether it
 * changed.
 *
 * A UTF-8 byte-order mark at the start is passed over. What is evidently no text (pictures, archives, programs, UTF-16,
 * anything with a NUL in it) is refused by name unless `binary`; then a file that is no JSON lines is taken byte for
 * byte, unpacked if it is packed.
 */
#ifndef TTT_DATA_TEXTS_H
#define TTT_DATA_TEXTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "data/hash.h"

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
    size_t odd_bytes, odd_files; /* not UTF-8, and the files they are in; the first stands in input odd_input */
    size_t odd_input, odd_at;
    size_t reading, to_read; /* of ttt_texts_read: which file, of how many */
    /* Set by the caller: */
    ttt_hash_kind hash;                                /* of inputs */
    const char *role;                                  /* copied to the inputs read from then on; static storage */
    bool raw_bytes;                                    /* bytes that are no UTF-8 are text too */
    bool binary;                                       /* so is everything else */
    void (*warn)(void *context, const char *sentence); /* NULL: nothing is said */
    ttt_status (*progress)(void *context, double part, const char *doing); /* as in ttt_data_options */
    void *warn_context;                                                    /* of both */
} ttt_texts;

/* Appends the documents of one input. Errors name the file and the byte or line: invalid UTF-8 (unless `raw_bytes`;
 * JSON is always UTF-8), a line without "text", a file that cannot be read, an input without any text. */
TTT_NODISCARD ttt_status ttt_texts_read(ttt_texts *texts, const char *input);

/* When all is read: warns of bytes that are no UTF-8, with their share. */
void ttt_texts_warn_odd(const ttt_texts *texts);

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
