/* SPDX-License-Identifier: MIT
 *
 * The calls of the system that the library makes and that can fail, in one place, so that a test can make any of them
 * fail, or end the process there. Each is the call of POSIX under another name: it sets errno, knows no sentence, and
 * is made again where a signal interrupts it.
 */
#ifndef TTT_BASE_SYSTEM_H
#define TTT_BASE_SYSTEM_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum ttt_call {
    TTT_CALL_ALLOC, /* every allocation of base/alloc.h */
    TTT_CALL_OPEN,
    TTT_CALL_READ,
    TTT_CALL_WRITE,
    TTT_CALL_MAP,
    TTT_CALL_SYNC,
    TTT_CALL_CLOSE, /* of what was written */
    TTT_CALL_RENAME,
    TTT_CALL_REMOVE,
    TTT_CALL_MKDIR,
    TTT_CALL_TRUNCATE,
    TTT_CALL_LIST,
    TTT_CALL_SPACE,  /* made to fail, there is none */
    TTT_CALL_THREAD, /* the start of one: base/threads.c */
    TTT_CALLS
} ttt_call;

/* For tests: `hook` is asked before every such call, by any thread; what it returns is 0, or the errno that the call
 * then fails with. NULL, which it is from the start, asks nobody. */
typedef int (*ttt_call_hook)(ttt_call call);
void ttt_call_watch(ttt_call_hook hook);

/* Whether a test wants this call to fail; errno is set then. */
bool ttt_call_fails(ttt_call call);

/* With O_CREAT a new file gets `mode` less the umask. */
int ttt_sys_open(const char *path, int flags, mode_t mode);
ssize_t ttt_sys_read(int file, void *bytes, size_t count);
ssize_t ttt_sys_read_at(int file, void *bytes, size_t count, off_t offset);
/* Made to fail, these write half of the bytes all the same, as a full disk does. */
ssize_t ttt_sys_write(int file, const void *bytes, size_t count);
ssize_t ttt_sys_write_at(int file, const void *bytes, size_t count, off_t offset);
/* Read-only and private; NULL on failure. */
void *ttt_sys_map(int file, size_t size);
int ttt_sys_sync(int file);
/* The descriptor is gone, whatever is returned. */
int ttt_sys_close(int file);
int ttt_sys_rename(const char *from, const char *to);
/* unlinkat: `folder` AT_FDCWD takes `name` as a path; AT_REMOVEDIR removes an empty folder. */
int ttt_sys_remove(int folder, const char *name, int flags);
int ttt_sys_mkdir(const char *path);
int ttt_sys_truncate(int file, off_t size);
DIR *ttt_sys_list(const char *folder);
/* Bytes that may still be written below a folder; more than there can be where its file system does not say. */
double ttt_sys_space(const char *folder);

#endif
