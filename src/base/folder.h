/* SPDX-License-Identifier: MIT
 *
 * Folders and paths. A folder that is made, renamed or removed is on disk afterwards too: its parent is synced. Some
 * file systems cannot sync a folder, which is no failure of ours.
 */
#ifndef TTT_BASE_FOLDER_H
#define TTT_BASE_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

bool ttt_is_folder(const char *path);

/* Whether `folder` is one and has an entry `name`. Needs no memory, and so does removing an entry, whose failure is
 * not told. */
bool ttt_folder_has(const char *folder, const char *name);
void ttt_folder_drop(const char *folder, const char *name);

/* Creates a folder and its parents; one that exists is success. */
TTT_NODISCARD ttt_status ttt_folder_make(const char *path);

/* Calls `each` with the name of every entry, but . and .., until one call fails. */
TTT_NODISCARD ttt_status ttt_folder_each(const char *folder, ttt_status (*each)(void *context, const char *name),
                                         void *context);

bool ttt_folder_is_empty(const char *folder);

/* Removes the files of a folder that are chosen (NULL: all); folders in it stay. One that is not there is empty. Fails
 * if a file stays. */
TTT_NODISCARD ttt_status ttt_folder_clear(const char *folder, bool (*chosen)(const char *name));

/* Removes a folder and the files in it, as far as it can. */
void ttt_folder_remove(const char *folder);

/* Renames a file or folder. */
TTT_NODISCARD ttt_status ttt_folder_rename(const char *from, const char *to);

void ttt_folder_sync(const char *folder);
void ttt_folder_sync_parent(const char *path);

/* Locks a folder against every other process that does the same, until *lock is closed or the process ends. *taken: it
 * is another's, and *lock is -1. A file system without locks is no obstacle. */
TTT_NODISCARD ttt_status ttt_folder_lock(const char *folder, int *lock, bool *taken);

/* A folder that appears whole or not at all: it is built as FOLDER.ttt-partial, whose parents are made, which no other
 * process works in, and in which nothing stays that a killed one left. */
typedef struct ttt_partial {
    char *folder, *partial;
    int lock;
} ttt_partial;

TTT_NODISCARD ttt_status ttt_partial_open(ttt_partial *partial, const char *folder);
/* Gives it its name. After any failure, and after this, call ttt_partial_abandon. */
TTT_NODISCARD ttt_status ttt_partial_commit(ttt_partial *partial);
void ttt_partial_abandon(ttt_partial *partial);

/* "folder/name" as a new string (free with ttt_free); NULL on failure. */
char *ttt_path_join(const char *folder, const char *name) __attribute__((warn_unused_result));

bool ttt_path_ends(const char *path, const char *suffix);

#endif
