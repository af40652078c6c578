/* SPDX-License-Identifier: MIT */
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/system.h"

enum { NAME = 300 };

static ttt_status fail_errno(const char *what, const char *path)
{
    return ttt_fail(TTT_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
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
    (void)ttt_sys_remove(fd, name, 0);
    close(fd);
}

void ttt_folder_sync(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)ttt_sys_sync(fd);
    close(fd);
}

void ttt_folder_sync_parent(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    char parent[4096] = ".";
    if (length >= sizeof parent) return;
    if (length > 0) {
        memcpy(parent, path, length);
        parent[length] = '\0';
    }
    ttt_folder_sync(parent);
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
        if (ttt_sys_mkdir(partial) == 0)
            ttt_folder_sync_parent(partial);
        else if (errno != EEXIST)
            status = fail_errno("create folder", partial);
        *c = kept;
        if (kept == '\0') break;
    }
    if (status == TTT_OK && !ttt_is_folder(path))
        status = ttt_fail(TTT_ERR_IO, "cannot create folder %s: a file has this name", path);
    ttt_free(partial);
    return status;
}

static const char *next_entry(DIR *listing)
{
    const struct dirent *entry;
    do entry = readdir(listing);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry ? entry->d_name : NULL;
}

ttt_status ttt_folder_each(const char *folder, ttt_status (*each)(void *context, const char *name), void *context)
{
    DIR *listing = ttt_sys_list(folder);
    if (!listing) return fail_errno("read folder", folder);
    ttt_status status = TTT_OK;
    for (const char *name; status == TTT_OK && (name = next_entry(listing)) != NULL;) status = each(context, name);
    closedir(listing);
    return status;
}

bool ttt_folder_is_empty(const char *folder)
{
    DIR *listing = ttt_sys_list(folder);
    const bool empty = listing && !next_entry(listing);
    if (listing) closedir(listing);
    return empty;
}

/* 0, or the errno of what failed last; `failed` is then the name of what it was. */
static int clear(const char *folder, bool (*chosen)(const char *name), char failed[NAME])
{
    failed[0] = '\0';
    DIR *listing = ttt_sys_list(folder);
    if (!listing) return errno == ENOENT ? 0 : errno;
    int error = 0;
    for (const char *name; (name = next_entry(listing)) != NULL;) {
        if (chosen && !chosen(name)) continue;
        if (ttt_sys_remove(dirfd(listing), name, 0) == 0 || errno == EISDIR || errno == ENOENT) continue;
        error = errno;
        snprintf(failed, NAME, "/%s", name);
    }
    closedir(listing);
    return error;
}

ttt_status ttt_folder_clear(const char *folder, bool (*chosen)(const char *name))
{
    char failed[NAME];
    const int error = clear(folder, chosen, failed);
    if (error == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_IO, "cannot %s %s%s: %s", *failed ? "remove" : "read folder", folder, failed,
                    strerror(error));
}

void ttt_folder_remove(const char *folder)
{
    char failed[NAME];
    if (clear(folder, NULL, failed) == 0 && ttt_sys_remove(AT_FDCWD, folder, AT_REMOVEDIR) == 0)
        ttt_folder_sync_parent(folder);
}

ttt_status ttt_folder_rename(const char *from, const char *to)
{
    if (ttt_sys_rename(from, to) != 0) return fail_errno("write", to);
    ttt_folder_sync_parent(to);
    ttt_folder_sync_parent(from);
    return TTT_OK;
}

ttt_status ttt_folder_lock(const char *folder, int *lock, bool *taken)
{
    *taken = false;
    *lock = ttt_sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (*lock < 0) return fail_errno("open folder", folder);
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return TTT_OK;
    *taken = true;
    close(*lock);
    *lock = -1;
    return TTT_OK;
}

/* Whether what was locked still has this name: another process may have finished between the opening and the lock. */
static bool is_same(int lock, const char *path)
{
    struct stat locked, named;
    return fstat(lock, &locked) == 0 && stat(path, &named) == 0 && locked.st_ino == named.st_ino &&
           locked.st_dev == named.st_dev;
}

static ttt_status lock_partial(ttt_partial *p)
{
    enum { TRIES = 100 };
    bool taken = false;
    for (int i = 0; i < TRIES && !taken; i++) {
        TTT_TRY(ttt_folder_make(p->partial));
        const ttt_status status = ttt_folder_lock(p->partial, &p->lock, &taken);
        if (status != TTT_OK && ttt_is_folder(p->partial)) {
            (void)rmdir(p->partial); /* if it is empty, as when it was just made */
            return status;
        }
        if (p->lock < 0) continue;
        if (is_same(p->lock, p->partial)) return ttt_folder_clear(p->partial, NULL);
        close(p->lock);
        p->lock = -1;
    }
    return ttt_fail(TTT_ERR_ARGUMENT, "another process is making %s: wait for its end, or give another name",
                    p->folder);
}

ttt_status ttt_partial_open(ttt_partial *p, const char *folder)
{
    *p = (ttt_partial){.lock = -1};
    ttt_buffer name = {0};
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    const ttt_status status = ttt_buffer_print(&name, "%.*s.ttt-partial", (int)length, folder);
    p->partial = name.data;
    p->folder = status == TTT_OK ? ttt_strdup(folder) : NULL;
    return p->folder ? lock_partial(p) : TTT_ERR_MEMORY;
}

ttt_status ttt_partial_commit(ttt_partial *p)
{
    TTT_TRY(ttt_folder_rename(p->partial, p->folder));
    ttt_free(p->partial);
    p->partial = NULL;
    return TTT_OK;
}

void ttt_partial_abandon(ttt_partial *p)
{
    if (p->lock >= 0) {
        if (p->partial) ttt_folder_remove(p->partial);
        close(p->lock);
    }
    ttt_free(p->partial);
    ttt_free(p->folder);
    *p = (ttt_partial){.lock = -1};
}

char *ttt_path_join(const char *folder, const char *name)
{
    ttt_buffer path = {0};
    const size_t length = strlen(folder);
    if (ttt_buffer_print(&path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name) != TTT_OK)
        return NULL;
    return path.data;
}

bool ttt_path_ends(const char *path, const char *suffix)
{
    const size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}
