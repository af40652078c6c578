/* SPDX-License-Identifier: MIT */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/number.h"

enum { WRITER_BUFFER = 1 << 20 };

struct ttt_writer {
    int fd;
    char *path;
    char *temporary;
    size_t used;
    char buffer[WRITER_BUFFER];
};

static int64_t writes, fault_at;

void ttt_write_fault(int64_t nth) { fault_at = nth > 0 ? writes + nth : 0; }
int64_t ttt_write_count(void) { return writes; }

static ttt_status fail_errno(const char *what, const char *path)
{
    return ttt_fail(TTT_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

ttt_status ttt_map_open(ttt_map *map, const char *path)
{
    *map = (ttt_map){0};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("open", path);
    struct stat status;
    ttt_status result = TTT_OK;
    if (fstat(fd, &status) != 0) {
        result = fail_errno("examine", path);
    } else if (!S_ISREG(status.st_mode)) {
        result = ttt_fail(TTT_ERR_IO, "cannot read %s: it is %s, a file is needed", path,
                          S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    } else if (status.st_size > 0) {
        void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            result = fail_errno("map", path);
        else
            *map = (ttt_map){.data = data, .size = (size_t)status.st_size};
    }
    close(fd);
    return result;
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

ttt_status ttt_file_read(ttt_buffer *buffer, const char *path, size_t limit)
{
    const bool standard_input = strcmp(path, "-") == 0;
    const int fd = standard_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("open", path);
    ttt_status status = TTT_OK;
    size_t total = 0;
    while (status == TTT_OK) {
        status = ttt_buffer_reserve(buffer, buffer->size + 65536);
        if (status != TTT_OK) break;
        const ssize_t count = read(fd, buffer->data + buffer->size, 65536);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) status = fail_errno("read", path);
        if (count <= 0) break;
        buffer->size += (size_t)count;
        buffer->data[buffer->size] = '\0';
        total += (size_t)count;
        if (total > limit)
            status = ttt_fail(TTT_ERR_FORMAT, "%s is larger than the %zu bytes allowed for such a file", path, limit);
    }
    if (!standard_input) close(fd);
    return status;
}

ttt_status ttt_writer_open(ttt_writer **out, const char *path)
{
    *out = NULL;
    ttt_writer *writer = ttt_alloc(1, sizeof *writer);
    if (!writer) return TTT_ERR_MEMORY;
    writer->fd = -1;
    ttt_buffer temporary = {0};
    ttt_status status = ttt_buffer_print(&temporary, "%s.tmp-%ld", path, (long)getpid());
    writer->temporary = temporary.data;
    writer->path = ttt_strdup(path);
    if (status != TTT_OK || !writer->path) {
        ttt_writer_abandon(&writer);
        return TTT_ERR_MEMORY;
    }
    if (ttt_is_folder(path)) {
        status = ttt_fail(TTT_ERR_IO, "cannot write %s: a folder has this name", path);
    } else {
        writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (writer->fd < 0) status = fail_errno("write", path);
    }
    if (status != TTT_OK) {
        ttt_free(writer->temporary); /* it was never created, so there is nothing to remove */
        writer->temporary = NULL;
        ttt_writer_abandon(&writer);
        return status;
    }
    *out = writer;
    return TTT_OK;
}

static ttt_status write_all(ttt_writer *writer, const char *bytes, size_t count)
{
    while (count > 0) {
        writes++;
        ssize_t written;
        if (fault_at != 0 && writes == fault_at) {
            const ssize_t half = write(writer->fd, bytes, count / 2);
            written = half < 0 ? half : -1;
            errno = ENOSPC;
        } else {
            written = write(writer->fd, bytes, count);
        }
        if (written < 0 && errno == EINTR) continue;
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

ttt_status ttt_writer_print(ttt_writer *writer, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = ttt_vprint(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: a formatted line exceeds 1023 bytes", writer->path);
    return ttt_writer_write(writer, text, (size_t)length);
}

/* A rename is durable once its folder is synced. Some file systems cannot sync a folder; that is no failure of ours.
 * `path` is cut to its folder. */
static void sync_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = '\0';
    const int fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

ttt_status ttt_writer_commit(ttt_writer **handle)
{
    ttt_writer *writer = *handle;
    ttt_status status = flush(writer);
    if (status == TTT_OK && fsync(writer->fd) != 0) status = fail_errno("write", writer->path);
    if (status == TTT_OK) {
        const int closed = close(writer->fd);
        writer->fd = -1;
        if (closed != 0) status = fail_errno("write", writer->path);
    }
    if (status == TTT_OK && rename(writer->temporary, writer->path) != 0) status = fail_errno("write", writer->path);
    if (status == TTT_OK) {
        sync_parent(writer->path);
        ttt_free(writer->temporary);
        writer->temporary = NULL;
    }
    ttt_writer_abandon(handle);
    return status;
}

void ttt_writer_abandon(ttt_writer **handle)
{
    if (!handle || !*handle) return;
    ttt_writer *writer = *handle;
    if (writer->fd >= 0) close(writer->fd);
    if (writer->temporary) {
        unlink(writer->temporary);
        ttt_free(writer->temporary);
    }
    ttt_free(writer->path);
    ttt_free(writer);
    *handle = NULL;
}

ttt_status ttt_file_write(const char *path, const void *bytes, size_t count)
{
    ttt_writer *writer;
    TTT_TRY(ttt_writer_open(&writer, path));
    const ttt_status status = ttt_writer_write(writer, bytes, count);
    if (status != TTT_OK) {
        ttt_writer_abandon(&writer);
        return status;
    }
    return ttt_writer_commit(&writer);
}

bool ttt_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

bool ttt_is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool ttt_folder_has(const char *folder, const char *name)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool found = faccessat(fd, name, F_OK, 0) == 0;
    close(fd);
    return found;
}

void ttt_folder_drop(const char *folder, const char *name)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    unlinkat(fd, name, 0);
    close(fd);
}

ttt_status ttt_folder_make(const char *path)
{
    char *partial = ttt_strdup(path);
    if (!partial) return TTT_ERR_MEMORY;
    ttt_status status = TTT_OK;
    for (char *c = partial + 1; status == TTT_OK; c++) {
        if (*c != '/' && *c != '\0') continue;
        const char kept = *c;
        *c = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST) status = fail_errno("create folder", partial);
        *c = kept;
        if (kept == '\0') break;
    }
    if (status == TTT_OK && !ttt_is_folder(path))
        status = ttt_fail(TTT_ERR_IO, "cannot create folder %s: a file has this name", path);
    ttt_free(partial);
    return status;
}

char *ttt_path_join(const char *folder, const char *name)
{
    ttt_buffer path = {0};
    const size_t length = strlen(folder);
    if (ttt_buffer_print(&path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name) != TTT_OK)
        return NULL;
    return path.data;
}
