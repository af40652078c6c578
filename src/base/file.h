/* SPDX-License-Identifier: MIT
 *
 * Files: mapped reads, and writes that are whole or not at all. A writer fills a temporary sibling; only
 * commit gives it the final name, after the bytes have reached the disk. Every failure names the path.
 */
#ifndef TTT_BASE_FILE_H
#define TTT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

typedef struct ttt_map {
    const unsigned char *data; /* `size` bytes, read-only; NULL when size is 0 */
    size_t size;
} ttt_map;

/* Maps a regular file. A directory, or anything that is no regular file, is refused with a sentence. */
TTT_NODISCARD ttt_status ttt_map_open(ttt_map *map, const char *path);
void ttt_map_close(ttt_map *map);

/* Tells the system that these bytes of a map are not needed soon: they leave this process's memory, and come again from
 * the file when they are read after all. */
void ttt_map_release(const void *bytes, size_t count);

/* Appends a whole file ("-" is standard input) to `buffer`; more than `limit` bytes is an error. */
TTT_NODISCARD ttt_status ttt_file_read(ttt_buffer *buffer, const char *path, size_t limit);

typedef struct ttt_writer ttt_writer;

/* Opens PATH.tmp-PID beside `path` for writing. */
TTT_NODISCARD ttt_status ttt_writer_open(ttt_writer **writer, const char *path);
TTT_NODISCARD ttt_status ttt_writer_write(ttt_writer *writer, const void *bytes, size_t count);
TTT_NODISCARD ttt_status ttt_writer_print(ttt_writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Flushes, syncs, renames to the final path and syncs its folder. Frees the writer and nulls the pointer, also on
 * failure (then nothing of the new file stays, and a file that had the name before is untouched). */
TTT_NODISCARD ttt_status ttt_writer_commit(ttt_writer **writer);

/* Drops everything written and frees the writer. NULL and a pointer to NULL are allowed. The recorded sentence of an
 * earlier failure stays. */
void ttt_writer_abandon(ttt_writer **handle);

/* The three steps above for bytes at hand. */
TTT_NODISCARD ttt_status ttt_file_write(const char *path, const void *bytes, size_t count);

bool ttt_file_exists(const char *path);
bool ttt_is_folder(const char *path);
/* Whether `folder` is one and has an entry `name`. Needs no memory, and so does removing an entry, whose failure is
 * not told. */
bool ttt_folder_has(const char *folder, const char *name);
void ttt_folder_drop(const char *folder, const char *name);

/* Creates a folder and its parents; one that exists is success. */
TTT_NODISCARD ttt_status ttt_folder_make(const char *path);

/* "folder/name" as a new string (free with ttt_free); NULL on failure. */
char *ttt_path_join(const char *folder, const char *name) __attribute__((warn_unused_result));

/* For tests: the nth write(2) of a writer from now is short and fails as a full disk does (1 = the next); 0 switches
 * off. */
void ttt_write_fault(int64_t nth);

/* For tests: the number of write(2) calls of all writers since the program started. */
int64_t ttt_write_count(void);

#endif
