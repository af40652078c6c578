/* SPDX-License-Identifier: MIT
 *
 * A token file: the ids of a text. Little-endian: 8 bytes "ttttoken", u32 version, u32 bytes per id (2 if the
 * vocabulary has at most 65,536 ids, else 4), u64 vocabulary; then the ids; then a u64 hash of everything before it:
 * XXH3 in version 2, which is written, FNV-1a in version 1, which is read. The hash comes last so that ids can be
 * written as they are made. The number of ids follows from the size.
 */
#ifndef TTT_DATA_TOKEN_FILE_H
#define TTT_DATA_TOKEN_FILE_H

#include <stdint.h>

#include "base/error.h"
#include "base/file.h"
#include "data/hash.h"

typedef struct ttt_token_file {
    int fd; /* -1: not open */
    char *path;
    int64_t vocabulary;
    int64_t count;
    int width; /* bytes per id */
    uint64_t hash;
} ttt_token_file;

/* Opens a token file and checks all of it: header, size, hash, and that every id is below the vocabulary. It is read,
 * not mapped, so that a file which another process cuts short later is an error and not the end of this one. */
TTT_NODISCARD ttt_status ttt_token_file_open(ttt_token_file *file, const char *path);
/* What is zero is not open. */
void ttt_token_file_close(ttt_token_file *file);

/* Ids [first, first + count), which must lie in the file. By any number of threads at once. */
TTT_NODISCARD ttt_status ttt_token_file_read(const ttt_token_file *file, int64_t first, int64_t count, int32_t *ids);

typedef struct ttt_token_writer {
    ttt_writer *writer;
    ttt_hasher hasher;
    int64_t vocabulary;
    int64_t count; /* ids written so far */
} ttt_token_writer;

/* The file appears under `path` when it is committed, whole or not at all. After any failure, or instead of a commit,
 * call ttt_token_writer_abandon (it is allowed after a commit too). */
TTT_NODISCARD ttt_status ttt_token_writer_open(ttt_token_writer *writer, const char *path, int64_t vocabulary);
TTT_NODISCARD ttt_status ttt_token_writer_write(ttt_token_writer *writer, const int32_t *ids, size_t count);
TTT_NODISCARD ttt_status ttt_token_writer_commit(ttt_token_writer *writer);
void ttt_token_writer_abandon(ttt_token_writer *writer);

#endif
