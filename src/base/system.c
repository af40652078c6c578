/* SPDX-License-Identifier: MIT */
#include "base/system.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static _Atomic(ttt_call_hook) watcher;

void ttt_call_watch(ttt_call_hook hook) { atomic_store(&watcher, hook); }

bool ttt_call_fails(ttt_call call)
{
    const ttt_call_hook hook = atomic_load_explicit(&watcher, memory_order_relaxed);
    const int error = hook ? hook(call) : 0;
    if (error) errno = error;
    return error != 0;
}

int ttt_sys_open(const char *path, int flags, mode_t mode)
{
    if (ttt_call_fails(TTT_CALL_OPEN)) return -1;
    int file;
    do file = open(path, flags | O_CLOEXEC, mode);
    while (file < 0 && errno == EINTR);
    return file;
}

ssize_t ttt_sys_read(int file, void *bytes, size_t count)
{
    if (ttt_call_fails(TTT_CALL_READ)) return -1;
    ssize_t done;
    do done = read(file, bytes, count);
    while (done < 0 && errno == EINTR);
    return done;
}

ssize_t ttt_sys_read_at(int file, void *bytes, size_t count, off_t offset)
{
    if (ttt_call_fails(TTT_CALL_READ)) return -1;
    ssize_t done;
    do done = pread(file, bytes, count, offset);
    while (done < 0 && errno == EINTR);
    return done;
}

ssize_t ttt_sys_write(int file, const void *bytes, size_t count)
{
    const bool fails = ttt_call_fails(TTT_CALL_WRITE);
    const int error = errno;
    ssize_t done;
    do done = write(file, bytes, fails ? count / 2 : count);
    while (done < 0 && errno == EINTR);
    if (!fails) return done;
    errno = error;
    return -1;
}

ssize_t ttt_sys_write_at(int file, const void *bytes, size_t count, off_t offset)
{
    const bool fails = ttt_call_fails(TTT_CALL_WRITE);
    const int error = errno;
    ssize_t done;
    do done = pwrite(file, bytes, fails ? count / 2 : count, offset);
    while (done < 0 && errno == EINTR);
    if (!fails) return done;
    errno = error;
    return -1;
}

void *ttt_sys_map(int file, size_t size)
{
    if (ttt_call_fails(TTT_CALL_MAP)) return NULL;
    void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    return data == MAP_FAILED ? NULL : data;
}

int ttt_sys_sync(int file)
{
    if (ttt_call_fails(TTT_CALL_SYNC)) return -1;
    int result;
    do result = fsync(file);
    while (result != 0 && errno == EINTR);
    return result;
}

int ttt_sys_close(int file)
{
    const bool fails = ttt_call_fails(TTT_CALL_CLOSE);
    const int error = errno, result = close(file);
    if (!fails) return result != 0 && errno != EINTR ? -1 : 0; /* Linux has closed an interrupted one too */
    errno = error;
    return -1;
}

int ttt_sys_rename(const char *from, const char *to) { return ttt_call_fails(TTT_CALL_RENAME) ? -1 : rename(from, to); }

int ttt_sys_remove(int folder, const char *name, int flags)
{
    return ttt_call_fails(TTT_CALL_REMOVE) ? -1 : unlinkat(folder, name, flags);
}

int ttt_sys_mkdir(const char *path) { return ttt_call_fails(TTT_CALL_MKDIR) ? -1 : mkdir(path, 0777); }

int ttt_sys_truncate(int file, off_t size)
{
    if (ttt_call_fails(TTT_CALL_TRUNCATE)) return -1;
    int result;
    do result = ftruncate(file, size);
    while (result != 0 && errno == EINTR);
    return result;
}

DIR *ttt_sys_list(const char *folder) { return ttt_call_fails(TTT_CALL_LIST) ? NULL : opendir(folder); }

double ttt_sys_space(const char *folder)
{
    struct statvfs fs;
    if (ttt_call_fails(TTT_CALL_SPACE)) return 0;
    if (statvfs(folder, &fs) != 0 || fs.f_blocks == 0) return INFINITY;
    return (double)fs.f_bavail * (double)fs.f_frsize;
}
