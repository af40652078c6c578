/* SPDX-License-Identifier: MIT
 *
 * The files of the store: FOLDER/OWNER/NAME.ttt for sessions and FOLDER/OWNER/responses/ID.ttt for responses, each a
 * whole state file (docs/FORMATS.md). A file is written under a name that no state can have, read back, and renamed, so
 * that whatever ends the server leaves the old one or the new one; what is left under such names is removed at the next
 * start. Names were checked before they come here, and make no other paths than these.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_index.h"

#define ANYONE     "everyone" /* the folder of the owner "" */
#define RESPONSES  "responses"
#define SUFFIX     ".ttt"
#define UNFINISHED ".new-" /* begins what is not finished */
enum { HEADER = 16 << 20, LONGEST_FOLDER = PATH_MAX - 1024 };

/* Paths fit: the folder's length was looked at, and the rest is bounded. */
static void print_path(char path[PATH_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print_path(char path[PATH_MAX], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, PATH_MAX, format, arguments);
    va_end(arguments);
}

/* The folder of an owner's states of a kind. */
static void folder_of(char path[PATH_MAX], const ttt_store *store, const char *owner, ttt_kept kind)
{
    print_path(path, "%s/%s%s", store->folder, *owner ? owner : ANYONE, kind == TTT_KEPT_RESPONSE ? "/" RESPONSES : "");
}

static void path_of(char path[PATH_MAX], const ttt_store *store, const char *owner, ttt_kept kind, const char *name)
{
    char folder[PATH_MAX];
    folder_of(folder, store, owner, kind);
    print_path(path, "%s/%s" SUFFIX, folder, name);
}

static void sync_folder(const char *folder)
{
    const int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return;
    (void)!fsync(file); /* some file systems cannot, which is no failure of ours */
    close(file);
}

static bool make_folder(const char *folder, ttt_refusal *refusal)
{
    char parent[PATH_MAX];
    if (mkdir(folder, 0700) == 0) {
        print_path(parent, "%s/..", folder);
        sync_folder(parent);
        return true;
    }
    if (errno == EEXIST) return true;
    ttt_refuse(refusal, 507, NULL, "%s: the folder cannot be made: %s", folder, strerror(errno));
    return false;
}

/* ---- what is there at the start ---- */

static void log_left_alone(const ttt_store *store, const char *path, const char *why)
{
    char line[PATH_MAX + 512];
    snprintf(line, sizeof line, "%s: %s; it is left alone", path, why);
    store->options.log(line);
}

/* The metadata at the head of a state file. NULL: it has none. */
static json_t *read_metadata(const char *path)
{
    static const char start[] = "{\"__metadata__\":";
    enum { START = sizeof start - 1 };
    unsigned char size[8];
    json_t *metadata = NULL;
    char *header = NULL;
    uint64_t length = 0;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file >= 0 && read(file, size, sizeof size) == sizeof size)
        for (int i = 7; i >= 0; i--) length = length << 8 | size[i];
    if (length > START && length <= HEADER) header = malloc(length);
    if (header && read(file, header, length) == (ssize_t)length && memcmp(header, start, START) == 0)
        metadata = json_loadb(header + START, length - START, JSON_DISABLE_EOF_CHECK, NULL);
    free(header);
    if (file >= 0) close(file);
    return metadata;
}

/* What a file says of itself, for the index: nothing of it is believed when the state is used. */
static bool glance(ttt_entry *entry, const char *path)
{
    json_t *metadata = read_metadata(path);
    const char *checksum, *parent, *position, *hash;
    bool known = metadata &&
                 json_unpack(metadata, "{s:s, s:s, s:s, s:s}", "checksum", &checksum, "parent", &parent, "position",
                             &position, "token_hash", &hash) == 0 &&
                 strlen(checksum) == TTT_STORE_ETAG - 1 && strlen(parent) < TTT_STORE_NAME &&
                 sscanf(hash, "%16" SCNx64 "%16" SCNx64, &entry->hash.high, &entry->hash.low) == 2 &&
                 sscanf(position, "%15" SCNd64, &entry->about.position) == 1;
    if (known) {
        snprintf(entry->about.etag, sizeof entry->about.etag, "%s", checksum);
        snprintf(entry->about.parent, sizeof entry->about.parent, "%s", parent);
    }
    json_decref(metadata);
    return known;
}

/* A file of an owner's: an entry, or what a killed server left. */
static bool take(ttt_store *store, const char *owner, ttt_kept kind, const char *folder, const char *file)
{
    char path[PATH_MAX], name[TTT_STORE_NAME];
    struct stat is;
    ttt_refusal none = {0};
    print_path(path, "%s/%s", folder, file);
    if (strncmp(file, UNFINISHED, strlen(UNFINISHED)) == 0) return unlink(path) == 0 || errno == ENOENT;
    const size_t length = strlen(file), suffix = strlen(SUFFIX);
    if (file[0] == '.' || lstat(path, &is) != 0 || S_ISDIR(is.st_mode)) return true;
    if (length > suffix && length - suffix < sizeof name && strcmp(file + length - suffix, SUFFIX) == 0)
        snprintf(name, sizeof name, "%.*s", (int)(length - suffix), file);
    else
        name[0] = '\0';
    if (!S_ISREG(is.st_mode) || !ttt_store_name(name, &none)) {
        log_left_alone(store, path, "this is no state of the server");
        return true;
    }
    ttt_entry *entry = ttt_index_add(store, owner, kind, name);
    if (!entry) return false;
    entry->exists = true;
    entry->about.bytes = (size_t)is.st_size;
    entry->about.changed = is.st_mtime;
    entry->known = glance(entry, path);
    store->figures.disk += entry->about.bytes;
    if (!entry->known) log_left_alone(store, path, "this is no state file, or a damaged one");
    return true;
}

static bool scan(ttt_store *store, const char *owner, ttt_kept kind)
{
    char folder[PATH_MAX];
    folder_of(folder, store, owner, kind);
    DIR *list = opendir(folder);
    if (!list) return errno == ENOENT || errno == ENOTDIR;
    bool done = true;
    for (struct dirent *file; done && (file = readdir(list));) done = take(store, owner, kind, folder, file->d_name);
    closedir(list);
    return done;
}

static bool scan_owners(ttt_store *store)
{
    DIR *list = opendir(store->folder);
    if (!list) return false;
    bool done = true;
    for (struct dirent *file; done && (file = readdir(list));) {
        const char *name = file->d_name;
        const bool anyone = strcmp(name, ANYONE) == 0;
        if (!anyone && (strlen(name) != TTT_OWNER - 1 || strspn(name, "0123456789abcdef") != TTT_OWNER - 1)) continue;
        done = scan(store, anyone ? "" : name, TTT_KEPT_SESSION) && scan(store, anyone ? "" : name, TTT_KEPT_RESPONSE);
    }
    closedir(list);
    return done;
}

bool ttt_files_open(ttt_store *store, ttt_refusal *refusal)
{
    char lock[PATH_MAX];
    if (strlen(store->options.folder) > LONGEST_FOLDER) {
        ttt_refuse(refusal, 500, NULL, "--states: the name of the folder is too long");
        return false;
    }
    store->folder = strdup(store->options.folder);
    if (!store->folder || !make_folder(store->folder, refusal)) return false;
    print_path(lock, "%s/.lock", store->folder);
    store->folder_lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->folder_lock < 0)
        ttt_refuse(refusal, 500, NULL, "%s: nothing can be written there: %s", store->folder, strerror(errno));
    else if (flock(store->folder_lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        ttt_refuse(refusal, 500, NULL, "%s: another server keeps its states there: give each a folder of its own",
                   store->folder);
    else if (!scan_owners(store))
        ttt_refuse(refusal, 500, NULL, "%s: the states there cannot be listed: %s", store->folder, strerror(errno));
    else
        return true;
    return false;
}

void ttt_files_close(ttt_store *store)
{
    if (store->folder_lock >= 0) close(store->folder_lock);
    free(store->folder);
}

/* ---- reading ---- */

ttt_state_file *ttt_files_read(ttt_store *store, const char *owner, ttt_kept kind, const char *name,
                               ttt_refusal *refusal)
{
    char path[PATH_MAX];
    ttt_state_file *file;
    path_of(path, store, owner, kind, name);
    const ttt_status status = ttt_state_file_open(&file, path);
    if (status == TTT_OK) return file;
    if (access(path, F_OK) != 0)
        ttt_refuse(refusal, 404, NULL, "there is no %s %s", kind == TTT_KEPT_RESPONSE ? "response" : "session", name);
    ttt_refuse(refusal,
               status == TTT_ERR_UNSUPPORTED ? 422
               : status == TTT_ERR_MEMORY    ? 503
                                             : 500,
               NULL, "%s", ttt_error_detail());
    return NULL;
}

void ttt_files_about(const ttt_state_file *file, ttt_store_about *about)
{
    const ttt_state_info *info = ttt_state_file_info(file);
    snprintf(about->parent, sizeof about->parent, "%s", info->parent);
    snprintf(about->etag, sizeof about->etag, "%s", info->checksum);
    about->position = info->position;
    about->bytes = info->bytes;
}

/* All of a file, from malloc. */
static void *read_all(const char *path, size_t *size)
{
    struct stat is;
    char *bytes = NULL;
    size_t got = 0;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file >= 0 && fstat(file, &is) == 0 && is.st_size > 0) bytes = malloc((size_t)is.st_size);
    while (bytes && got < (size_t)is.st_size) {
        const ssize_t n = read(file, bytes + got, (size_t)is.st_size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    if (file >= 0) close(file);
    *size = got;
    return bytes;
}

bool ttt_files_bytes(ttt_store *store, const char *owner, const char *name, void **bytes, size_t *size,
                     ttt_store_about *about, ttt_refusal *refusal)
{
    char path[PATH_MAX];
    ttt_state_file *file;
    path_of(path, store, owner, TTT_KEPT_SESSION, name);
    *bytes = read_all(path, size);
    if (!*bytes) {
        ttt_refuse(refusal, access(path, F_OK) == 0 ? 503 : 404, NULL, "session %s cannot be read", name);
        return false;
    }
    const ttt_status status = ttt_state_file_parse(&file, *bytes, *size, name);
    if (status == TTT_OK) {
        ttt_files_about(file, about);
        ttt_state_file_close(file);
        return true;
    }
    free(*bytes);
    *bytes = NULL;
    ttt_refuse_failure(refusal, status);
    return false;
}

/* ---- writing ---- */

/* Accounts for bytes that come in the place of others, if they may. */
static bool account(ttt_store *store, size_t old, size_t new, ttt_refusal *refusal)
{
    pthread_mutex_lock(&store->mutex);
    const size_t rest = store->figures.disk > old ? store->figures.disk - old : 0;
    const bool fits = new <= store->options.disk &&rest <= store->options.disk - new;
    if (fits) store->figures.disk = rest + new;
    pthread_mutex_unlock(&store->mutex);
    if (!fits)
        ttt_refuse(
            refusal, 507, NULL,
            "--state-disk: states may take %.1f MB, and with this one of %.1f MB they would take %.1f MB: delete "
            "some; nothing has changed",
            (double)store->options.disk / 1e6, (double)new / 1e6, (double)(rest + new) / 1e6);
    return fits;
}

/* Where there is no disk, what may not leave must fit in. */
static bool save_in_memory(ttt_store *store, const ttt_entry *entry, ttt_held *held, const char *parent,
                           ttt_store_about *about, ttt_refusal *refusal)
{
    void *bytes;
    ttt_state_file *file = NULL;
    size_t others = 0;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < store->count; i++) {
        const ttt_entry *other = store->entries[i];
        if (other != entry && other->held && other->kind == TTT_KEPT_SESSION)
            others += other->held->bytes / (size_t)other->held->users;
    }
    pthread_mutex_unlock(&store->mutex);
    if (held->bytes > store->options.memory || others > store->options.memory - held->bytes) {
        ttt_refuse(refusal, 507, NULL,
                   "--state-memory: states may take %.1f MB, and with this one of %.1f MB sessions would take %.1f MB: "
                   "delete some, or start the server with --states; nothing has changed",
                   (double)store->options.memory / 1e6, (double)held->bytes / 1e6,
                   (double)(others + held->bytes) / 1e6);
        return false;
    }
    size_t size;
    if (!ttt_held_write(held, about->name, parent, &bytes, &size, refusal)) return false;
    const ttt_status status = ttt_state_file_parse(&file, bytes, size, about->name);
    if (status == TTT_OK)
        ttt_files_about(file, about);
    else
        ttt_refuse_failure(refusal, status);
    ttt_state_file_close(file);
    free(bytes);
    return status == TTT_OK;
}

/* Under a name that is no state's; read back, what it is. */
static bool stage(const char *path, ttt_held *held, const ttt_state_about *says, ttt_store_about *about,
                  ttt_refusal *refusal)
{
    ttt_state_file *file = NULL;
    pthread_mutex_lock(&held->reading);
    ttt_status status = ttt_state_save(held->state, path, says);
    pthread_mutex_unlock(&held->reading);
    if (status == TTT_ERR_IO)
        ttt_refuse(refusal, 507, NULL, "the state cannot be written, and nothing has changed: %s", ttt_error_detail());
    if (status == TTT_OK) status = ttt_state_file_open(&file, path);
    if (status == TTT_OK)
        ttt_files_about(file, about);
    else
        ttt_refuse_failure(refusal, status);
    ttt_state_file_close(file);
    return status == TTT_OK;
}

bool ttt_files_save(ttt_store *store, const ttt_entry *entry, ttt_held *held, const char *parent, const char *note,
                    ttt_store_about *about, ttt_refusal *refusal)
{
    char folder[PATH_MAX], path[PATH_MAX], staged[PATH_MAX];
    int64_t count;
    about->changed = time(NULL);
    if (!store->folder) return save_in_memory(store, entry, held, parent, about, refusal);
    folder_of(folder, store, entry->owner, TTT_KEPT_SESSION);
    if (!make_folder(folder, refusal)) return false;
    folder_of(folder, store, entry->owner, entry->kind);
    if (!make_folder(folder, refusal)) return false;
    path_of(path, store, entry->owner, entry->kind, entry->about.name);
    pthread_mutex_lock(&store->mutex);
    print_path(staged, "%s/" UNFINISHED "%" PRIu64, folder, store->staged++);
    pthread_mutex_unlock(&store->mutex);
    const ttt_state_about says = {.name = entry->about.name,
                                  .parent = parent,
                                  .note = note,
                                  .tokens = ttt_state_tokens(held->state, &count) != NULL};
    const size_t old = entry->exists ? entry->about.bytes : 0;
    bool done = stage(staged, held, &says, about, refusal) && account(store, old, about->bytes, refusal);
    if (done && rename(staged, path) != 0) {
        ttt_refuse(refusal, 507, NULL, "%s: the state cannot be renamed, and nothing has changed: %s", path,
                   strerror(errno));
        account(store, about->bytes, old, refusal);
        done = false;
    }
    if (!done) {
        unlink(staged);
        return false;
    }
    sync_folder(folder);
    pthread_mutex_lock(&store->mutex);
    store->figures.saved++;
    pthread_mutex_unlock(&store->mutex);
    return true;
}

bool ttt_files_remove(ttt_store *store, const ttt_entry *entry, ttt_refusal *refusal)
{
    char folder[PATH_MAX], path[PATH_MAX];
    if (!store->folder || !entry->exists) return true;
    folder_of(folder, store, entry->owner, entry->kind);
    path_of(path, store, entry->owner, entry->kind, entry->about.name);
    if (unlink(path) != 0 && errno != ENOENT) {
        ttt_refuse(refusal, 500, NULL, "%s: the state cannot be deleted: %s", path, strerror(errno));
        return false;
    }
    sync_folder(folder);
    return account(store, entry->about.bytes, 0, refusal);
}
