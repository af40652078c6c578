/* SPDX-License-Identifier: MIT
 *
 * Files: mapped reads, and writes that are whole or not at all. A writer fills a temporary sibling; only commit gives
 * it the final name, after the bytes have reached the disk. Every failure names the path.
 *
 * A temporary file is PATH.tmp- and a number, new and no link, so that threads, processes and machines that write the
 * same path do not meet; the last to commit is what stays. What a killed process left is known by ".tmp-". The new file
 * has the permissions of the one it replaces, and else those that the umask leaves. A path that is a symbolic link
 * stays one: the file it names is replaced. A link to nothing is refused, and so is what exists and is no regular file.
 */
#ifndef TTT_BASE_FILE_H
#define TTT_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/folder.h"

typedef struct ttt_map {
    const unsigned char *data; /* `size` bytes, read-only; NULL when size is 0 */
    size_t size;
} ttt_map;

/* Maps a regular file. A directory, or anything that is no regular file, is refused with a sentence. The file must not
 * be cut short while it is mapped: reading what is gone ends the process (SIGBUS). A new file renamed over its name, as
 * writers here do, is no matter: the map keeps the old one. */
TTT_NODISCARD ttt_status ttt_map_open(ttt_map *map, const char *path);
void ttt_map_close(ttt_map *map);

/* Tells the system that these bytes of a map are not needed soon: they leave this process's memory, and come again from
 * the file when they are read after all. */
void ttt_map_release(const void *bytes, size_t count);

/* Appends a whole file ("-" is standard input) to `buffer`; more than `limit` bytes is an error. */
TTT_NODISCARD ttt_status ttt_file_read(ttt_buffer *buffer, const char *path, size_t limit);

/* Copies a file's bytes, by way of a writer. */
TTT_NODISCARD ttt_status ttt_file_copy(const char *from, const char *to);

typedef struct ttt_writer ttt_writer;

/* Opens a temporary file beside `path` for writing. */
TTT_NODISCARD ttt_status ttt_writer_open(ttt_writer **writer, const char *path);
TTT_NODISCARD ttt_status ttt_writer_write(ttt_writer *writer, const void *bytes, size_t count);

/* Brings everything to the disk, still under the temporary name, and closes it: of several files that belong together
 * all are finished before any is committed. Afterwards nothing can be
 * written but by ttt_writer_patch. */
TTT_NODISCARD ttt_status ttt_writer_finish(ttt_writer *writer);

/* Of a finished writer: writes over bytes [offset, offset + count), which brings them to the disk too. */
TTT_NODISCARD ttt_status ttt_writer_patch(ttt_writer *writer, size_t offset, const void *bytes, size_t count);

/* Finishes if that was not done, renames to the final path and syncs its folder. Frees the writer and nulls the
 * pointer, also on failure (then nothing of the new file stays, and a file that had the name before is untouched). */
TTT_NODISCARD ttt_status ttt_writer_commit(ttt_writer **writer);

/* Drops everything written and frees the writer. NULL and a pointer to NULL are allowed. The recorded sentence of an
 * earlier failure stays. */
void ttt_writer_abandon(ttt_writer **handle);

/* A writer's steps for bytes at hand. */
TTT_NODISCARD ttt_status ttt_file_write(const char *path, const void *bytes, size_t count);
TTT_NODISCARD ttt_status ttt_file_write_in(const char *folder, const char *name, const void *bytes, size_t count);

bool ttt_file_exists(const char *path);

/* Whether `name` is that of a file which a writer has not finished. */
bool ttt_file_is_temporary(const char *name);

/* One that is not there is success. */
TTT_NODISCARD ttt_status ttt_file_remove(const char *path);

#endif
