/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "base/system.h"

#define TEMPORARY ".tmp-" /* and 16 hexadecimal digits, behind the name */
enum { WRITER_BUFFER = 1 << 20, PIECE = 65536 };

struct ttt_writer {
    int fd;
    char *path;      /* what is replaced: no link */
    char *temporary; /* NULL once it has its final name, or if it was never created */
    char *buffer;    /* of WRITER_BUFFER bytes */
    size_t used;
};

static ttt_status fail_errno(const char *what, const char *path)
{
    return ttt_fail(TTT_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* ---- reading ---- */

static ttt_status map_file(ttt_map *map, int fd, const char *path)
{
    struct stat status;
    if (fstat(fd, &status) != 0) return fail_errno("examine", path);
    if (!S_ISREG(status.st_mode))
        return ttt_fail(TTT_ERR_IO, "cannot read %s: it is %s, a file is needed", path,
                        S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    if (status.st_size == 0) return TTT_OK;
    const void *data = ttt_sys_map(fd, (size_t)status.st_size);
    if (!data) return fail_errno("map", path);
    *map = (ttt_map){.data = data, .size = (size_t)status.st_size};
    return TTT_OK;
}

ttt_status ttt_map_open(ttt_map *map, const char *path)
{
    *map = (ttt_map){0};
    const int fd = ttt_sys_open(path, O_RDONLY, 0);
    if (fd < 0) return fail_errno("open", path);
    const ttt_status status = map_file(map, fd, path);
    close(fd);
    return status;
}

void ttt_map_close(ttt_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (ttt_map){0};
}

void ttt_map_release(const void *bytes, size_t count)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)bytes / page * page;
    if (count) madvise((void *)begin, (uintptr_t)bytes + count - begin, MADV_DONTNEED);
}

/* Room for a whole regular file at once. What its size says is a guess: the file may grow, or be /proc's. */
static ttt_status reserve(ttt_buffer *buffer, int fd, size_t limit)
{
    struct stat status;
    size_t size = PIECE;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (size_t)status.st_size <= limit)
        size = (size_t)status.st_size + 1;
    return ttt_buffer_reserve(buffer, buffer->size + size);
}

static ttt_status read_file(ttt_buffer *buffer, int fd, const char *path, size_t limit)
{
    TTT_TRY(reserve(buffer, fd, limit));
    for (size_t total = 0;;) {
        if (buffer->capacity - buffer->size < 2) TTT_TRY(ttt_buffer_reserve(buffer, buffer->size + PIECE));
        const ssize_t count = ttt_sys_read(fd, buffer->data + buffer->size, buffer->capacity - buffer->size - 1);
        if (count < 0) return fail_errno("read", path);
        if (count == 0) return TTT_OK;
        buffer->size += (size_t)count;
        buffer->data[buffer->size] = '\0';
        total += (size_t)count;
        if (total > limit)
            return ttt_fail(TTT_ERR_FORMAT, "%s is larger than the %zu bytes allowed for such a file", path, limit);
    }
}

ttt_status ttt_file_read(ttt_buffer *buffer, const char *path, size_t limit)
{
    const bool standard_input = strcmp(path, "-") == 0;
    const int fd = standard_input ? STDIN_FILENO : ttt_sys_open(path, O_RDONLY, 0);
    if (fd < 0) return fail_errno("open", path);
    const ttt_status status = read_file(buffer, fd, standard_input ? "standard input" : path, limit);
    if (!standard_input) close(fd);
    return status;
}

ttt_status ttt_file_write_in(const char *folder, const char *name, const void *bytes, size_t count)
{
    char *path = ttt_path_join(folder, name);
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_file_write(path, bytes, count);
    ttt_free(path);
    return status;
}

bool ttt_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

ttt_status ttt_file_remove(const char *path)
{
    if (ttt_sys_remove(AT_FDCWD, path, 0) == 0) {
        ttt_folder_sync_parent(path);
        return TTT_OK;
    }
    return errno == ENOENT ? TTT_OK : fail_errno("remove", path);
}

/* ---- writing ---- */

/* What is to be replaced, and the permissions of what is there (-1: nothing is). */
static ttt_status find_target(char **target, int *mode, const char *path)
{
    struct stat status, link;
    *mode = -1;
    const bool exists = stat(path, &status) == 0, named = lstat(path, &link) == 0;
    if (!exists && named) return ttt_fail(TTT_ERR_IO, "cannot write %s: it is a link to nothing", path);
    if (exists && !S_ISREG(status.st_mode))
        return ttt_fail(TTT_ERR_IO, "cannot write %s: %s has this name", path,
                        S_ISDIR(status.st_mode) ? "a folder" : "what is no regular file");
    if (exists) *mode = status.st_mode & 0777;
    char *real = named && S_ISLNK(link.st_mode) ? realpath(path, NULL) : NULL;
    if (named && S_ISLNK(link.st_mode) && !real) return fail_errno("write", path);
    *target = ttt_strdup(real ? real : path);
    free(real);
    return *target ? TTT_OK : TTT_ERR_MEMORY;
}

/* A number that no other writer has: each asks for a file that does not exist, and tries another where it does. */
static uint64_t new_number(void)
{
    static atomic_ullong calls;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const ttt_rng rng = {.seed = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec, .stream = TTT_RNG_NAME};
    return ttt_rng_u64(rng, (uint64_t)getpid() << 32 ^ atomic_fetch_add(&calls, 1));
}

bool ttt_file_is_temporary(const char *name)
{
    enum { DIGITS = 16 };
    const size_t length = strlen(name), mark = sizeof TEMPORARY - 1;
    return length > mark + DIGITS && memcmp(name + length - DIGITS - mark, TEMPORARY, mark) == 0 &&
           strspn(name + length - DIGITS, "0123456789abcdef") == DIGITS;
}

/* Creates writer->temporary, which is of nobody else's eyes until it has the mode that it is to have. */
static ttt_status create(ttt_writer *writer, int mode)
{
    enum { TRIES = 100 };
    ttt_buffer name = {0};
    ttt_status status = TTT_OK;
    for (int i = 0; i < TRIES && status == TTT_OK && writer->fd < 0; i++) {
        name.size = 0;
        status = ttt_buffer_print(&name, "%s" TEMPORARY "%016llx", writer->path, (unsigned long long)new_number());
        if (status != TTT_OK) break;
        writer->fd = ttt_sys_open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode < 0 ? 0666 : 0600);
        if (writer->fd < 0 && (errno != EEXIST || i + 1 == TRIES)) status = fail_errno("write", writer->path);
    }
    if (status != TTT_OK) {
        ttt_buffer_deinit(&name);
        return status;
    }
    writer->temporary = name.data;
    return mode < 0 || fchmod(writer->fd, (mode_t)mode) == 0 ? TTT_OK : fail_errno("write", writer->path);
}

ttt_status ttt_writer_open(ttt_writer **out, const char *path)
{
    *out = NULL;
    int mode;
    ttt_writer *writer = ttt_alloc(1, sizeof *writer);
    if (!writer) return TTT_ERR_MEMORY;
    writer->fd = -1;
    ttt_status status = find_target(&writer->path, &mode, path);
    if (status == TTT_OK) writer->buffer = ttt_alloc(WRITER_BUFFER, 1);
    if (status == TTT_OK) status = writer->buffer ? create(writer, mode) : TTT_ERR_MEMORY;
    if (status == TTT_OK)
        *out = writer;
    else
        ttt_writer_abandon(&writer);
    return status;
}

static ttt_status write_all(ttt_writer *writer, const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t written = ttt_sys_write(writer->fd, bytes, count);
        if (written < 0) return fail_errno("write", writer->path);
        bytes += written;
        count -= (size_t)written;
    }
    return TTT_OK;
}

static ttt_status flush(ttt_writer *writer)
{
    const size_t used = writer->used;
    writer->used = 0;
    return write_all(writer, writer->buffer, used);
}

ttt_status ttt_writer_write(ttt_writer *writer, const void *bytes, size_t count)
{
    if (count > WRITER_BUFFER - writer->used) TTT_TRY(flush(writer));
    if (count >= WRITER_BUFFER) return write_all(writer, bytes, count);
    if (count) memcpy(writer->buffer + writer->used, bytes, count);
    writer->used += count;
    return TTT_OK;
}

ttt_status ttt_writer_finish(ttt_writer *writer)
{
    TTT_TRY(flush(writer));
    ttt_free(writer->buffer);
    writer->buffer = NULL;
    ttt_status status = ttt_sys_sync(writer->fd) == 0 ? TTT_OK : fail_errno("write", writer->path);
    if (ttt_sys_close(writer->fd) != 0 && status == TTT_OK) status = fail_errno("write", writer->path);
    writer->fd = -1;
    return status;
}

static ttt_status write_at(int fd, const char *path, size_t offset, const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t written = ttt_sys_write_at(fd, bytes, count, (off_t)offset);
        if (written < 0) return fail_errno("write", path);
        bytes += written;
        offset += (size_t)written;
        count -= (size_t)written;
    }
    return ttt_sys_sync(fd) == 0 ? TTT_OK : fail_errno("write", path);
}

ttt_status ttt_writer_patch(ttt_writer *writer, size_t offset, const void *bytes, size_t count)
{
    const int fd = ttt_sys_open(writer->temporary, O_WRONLY | O_NOFOLLOW, 0);
    if (fd < 0) return fail_errno("write", writer->path);
    ttt_status status = write_at(fd, writer->path, offset, bytes, count);
    if (ttt_sys_close(fd) != 0 && status == TTT_OK) status = fail_errno("write", writer->path);
    return status;
}

ttt_status ttt_writer_commit(ttt_writer **handle)
{
    ttt_writer *writer = *handle;
    ttt_status status = writer->fd >= 0 ? ttt_writer_finish(writer) : TTT_OK;
    if (status == TTT_OK && ttt_sys_rename(writer->temporary, writer->path) != 0)
        status = fail_errno("write", writer->path);
    if (status == TTT_OK) {
        ttt_free(writer->temporary);
        writer->temporary = NULL;
        ttt_folder_sync_parent(writer->path);
    }
    ttt_writer_abandon(handle);
    return status;
}

void ttt_writer_abandon(ttt_writer **handle)
{
    if (!handle || !*handle) return;
    ttt_writer *writer = *handle;
    if (writer->fd >= 0) close(writer->fd);
    if (writer->temporary) (void)ttt_sys_remove(AT_FDCWD, writer->temporary, 0);
    ttt_free(writer->temporary);
    ttt_free(writer->buffer);
    ttt_free(writer->path);
    ttt_free(writer);
    *handle = NULL;
}

ttt_status ttt_file_write(const char *path, const void *bytes, size_t count)
{
    ttt_writer *writer;
    TTT_TRY(ttt_writer_open(&writer, path));
    const ttt_status status = ttt_writer_write(writer, bytes, count);
    if (status == TTT_OK) return ttt_writer_commit(&writer);
    ttt_writer_abandon(&writer);
    return status;
}

static ttt_status copy_bytes(ttt_writer *writer, int fd, const char *path)
{
    char bytes[PIECE];
    for (;;) {
        const ssize_t count = ttt_sys_read(fd, bytes, sizeof bytes);
        if (count < 0) return fail_errno("read", path);
        if (count == 0) return TTT_OK;
        TTT_TRY(ttt_writer_write(writer, bytes, (size_t)count));
    }
}

ttt_status ttt_file_copy(const char *from, const char *to)
{
    ttt_writer *writer = NULL;
    const int fd = ttt_sys_open(from, O_RDONLY, 0);
    if (fd < 0) return fail_errno("open", from);
    ttt_status status = ttt_writer_open(&writer, to);
    if (status == TTT_OK) status = copy_bytes(writer, fd, from);
    close(fd);
    if (status == TTT_OK) return ttt_writer_commit(&writer);
    ttt_writer_abandon(&writer);
    return status;
}
