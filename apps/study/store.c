/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <ttt/model.h>
#include <unistd.h>

static const char *const shelves[] = {"results", "timings"};

/* The library's hash of tokens, over the bytes of the definition with its keys in order. */
bool study_identify(study *s, const json_t *definition, char id[STUDY_ID])
{
    char *text = json_dumps(definition, JSON_SORT_KEYS | JSON_COMPACT | JSON_REAL_PRECISION(12));
    if (!text) return study_fail(&s->error, "out of memory");
    ttt_token_hash hash = {0};
    for (const char *c = text; *c; c++) {
        const int32_t byte = (unsigned char)*c;
        ttt_token_hash_add(&hash, &byte, 1);
    }
    free(text);
    snprintf(id, STUDY_ID, "%016llx", (unsigned long long)hash.low);
    return true;
}

char *study_run_path(study *s, const char *name) { return study_print(s, "%s/runs/%s", s->work, name); }

static bool path_of(const study *s, study_shelf shelf, const char *id, char path[4096])
{
    return snprintf(path, 4096, "%s/%s/%s.json", s->work, shelves[shelf], id) < 4096;
}

bool study_has(const study *s, study_shelf shelf, const char *id)
{
    char path[4096];
    return *id && path_of(s, shelf, id, path) && access(path, R_OK) == 0;
}

json_t *study_load(study *s, study_shelf shelf, const char *id)
{
    char path[4096];
    json_error_t error;
    if (!study_has(s, shelf, id) || !path_of(s, shelf, id, path)) return NULL;
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        study_fail(&s->error, "%s is not what a study wrote (%s): remove it, and it is made again", path,
                   object ? "no object" : error.text);
        json_decref(object);
        return NULL;
    }
    return object;
}

bool study_save(study *s, study_shelf shelf, const char *id, json_t *object)
{
    char path[4096];
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(object);
    if (!text) return study_fail(&s->error, "out of memory");
    bool ok = path_of(s, shelf, id, path) || study_fail(&s->error, "the path %s is too long", s->work);
    const size_t size = strlen(text);
    text[size] = '\n'; /* in place of the end */
    ok = ok && study_write(s, path, text, size + 1);
    free(text);
    return ok;
}

/* ---- files ---- */

static bool write_all(int file, const char *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = write(file, bytes + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

static void sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

bool study_write(study *s, const char *path, const void *bytes, size_t size)
{
    char part[4200];
    snprintf(part, sizeof part, "%s.tmp", path); /* of what a killed process left, the next one makes its own */
    const int file = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool ok = file >= 0 && write_all(file, bytes, size) && fsync(file) == 0;
    int error = errno;
    if (file >= 0 && close(file) != 0 && ok) {
        error = errno;
        ok = false;
    }
    if (ok && rename(part, path) != 0) {
        error = errno;
        ok = false;
    }
    if (!ok) {
        unlink(part);
        return study_fail(&s->error, "cannot write %s: %s", path, strerror(error));
    }
    sync_folder(path);
    return true;
}

bool study_make_folder(study *s, const char *path)
{
    char *copy = study_print(s, "%s", path);
    if (!copy) return false;
    for (char *c = copy + 1; *c; c++) {
        if (*c != '/') continue;
        *c = '\0';
        mkdir(copy, 0777);
        *c = '/';
    }
    struct stat status;
    if ((mkdir(copy, 0777) == 0 || errno == EEXIST) && stat(copy, &status) == 0 && S_ISDIR(status.st_mode)) return true;
    return study_fail(&s->error, "cannot make the folder %s: %s", path, strerror(errno));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status, (void)kind, (void)place;
    remove(path);
    return 0;
}

void study_remove(const char *path) { nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS); }

/* ---- locks ---- */

bool study_locks_open(study *s, int *locks)
{
    static const char *const folders[] = {"results", "timings", "runs"};
    for (int i = 0; i < 3; i++) {
        const char *folder = study_print(s, "%s/%s", s->work, folders[i]);
        if (!folder || !study_make_folder(s, folder)) return false;
    }
    const char *path = study_run_path(s, "lock");
    *locks = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666) : -1;
    return *locks >= 0 || study_fail(&s->error, "cannot open %s: %s", path ? path : "the lock", strerror(errno));
}

/* The byte that stands for a unit. */
static struct flock place_of(const char *id, short kind)
{
    const off_t place = (off_t)(strtoull(id, NULL, 16) >> 2);
    return (struct flock){.l_type = kind, .l_whence = SEEK_SET, .l_start = place, .l_len = 1};
}

bool study_lock(study *s, int locks, const char *id, bool wait, bool *taken)
{
    struct flock place = place_of(id, F_WRLCK);
    int code;
    do code = fcntl(locks, wait ? F_SETLKW : F_SETLK, &place);
    while (code != 0 && wait && errno == EINTR);
    *taken = code != 0 && (errno == EACCES || errno == EAGAIN);
    return code == 0 || *taken || study_fail(&s->error, "cannot lock %s/runs/lock: %s", s->work, strerror(errno));
}

void study_unlock(int locks, const char *id)
{
    struct flock place = place_of(id, F_UNLCK);
    (void)fcntl(locks, F_SETLK, &place);
}
