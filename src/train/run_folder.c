/* SPDX-License-Identifier: MIT
 *
 * A folder is a run's if it holds checkpoints, or nothing but what a run writes before its first one. Half-written
 * files carry the writers' ".tmp-" behind the name.
 */
#include "train/run_folder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/safetensors.h"

enum { NAME = 256, KEPT = 2, HOLDER = 400 };
static const char temporary_mark[] = ".tmp-";

static void print_checkpoint(char name[NAME], int64_t step)
{
    snprintf(name, NAME, "step-%09" PRId64 ".safetensors", step);
}

static bool is_checkpoint(const char *name, int64_t *step)
{
    char again[NAME];
    if (sscanf(name, "step-%" SCNd64, step) != 1 || *step < 0) return false;
    print_checkpoint(again, *step);
    return strcmp(name, again) == 0;
}

typedef enum entry_kind { ENTRY_FOREIGN, ENTRY_FOLDER, ENTRY_FILE, ENTRY_MODEL, ENTRY_HALF } entry_kind;

/* What an entry of a run's folder is: "checkpoint", a file of the run, the weights, or something half written. */
static entry_kind classify(const char *name)
{
    static const char *const files[] = {"config.json",           "tokenizer.json", "tokenizer.model",
                                        "tokenizer_config.json", "metrics.jsonl",  "loss.svg",
                                        "generation_config.json"};
    if (strcmp(name, "checkpoint") == 0) return ENTRY_FOLDER;
    char plain[NAME];
    snprintf(plain, sizeof plain, "%s", name);
    char *mark = strstr(plain, temporary_mark);
    if (mark) *mark = '\0';
    int64_t step;
    bool file = is_checkpoint(plain, &step);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) file = file || strcmp(plain, files[i]) == 0;
    int shards;
    const bool model = ttt_shard_name_parse(plain, &shards) || strcmp(plain, "model.safetensors") == 0 ||
                       strcmp(plain, "model.safetensors.index.json") == 0;
    if (!file && !model) return ENTRY_FOREIGN;
    return mark ? ENTRY_HALF : file ? ENTRY_FILE : ENTRY_MODEL;
}

static bool is_half(const char *name) { return classify(name) == ENTRY_HALF; }
static bool is_half_checkpoint(const char *name) { return is_half(name) || strncmp(name, "lock.tmp-", 9) == 0; }
static bool is_own(const char *name) { return classify(name) > ENTRY_FOLDER; }
static bool is_written_again(const char *name) { return is_own(name) && strcmp(name, "metrics.jsonl") != 0; }

/* Clears a folder below the run's; NULL: all files. */
static ttt_status clear_below(const char *folder, const char *name, bool (*chosen)(const char *name))
{
    char *path = ttt_path_join(folder, name);
    const ttt_status status = path ? ttt_folder_clear(path, chosen) : TTT_ERR_MEMORY;
    if (path) ttt_folder_sync(path);
    ttt_free(path);
    return status;
}

static void remove_below(const char *folder, const char *name)
{
    char *path = ttt_path_join(folder, name);
    if (path) ttt_folder_remove(path);
    ttt_free(path);
}

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static ttt_status add_checkpoint(void *context, const char *name)
{
    ttt_checkpoints *list = context;
    int64_t step;
    if (!is_checkpoint(name, &step)) return TTT_OK;
    TTT_TRY(ttt_array_reserve(&list->steps, &list->capacity, (size_t)list->count + 1, sizeof step));
    list->steps[list->count++] = step;
    return TTT_OK;
}

static ttt_status list_checkpoints(const char *folder, ttt_checkpoints *list)
{
    *list = (ttt_checkpoints){0};
    char *path = ttt_path_join(folder, "checkpoint");
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_is_folder(path) ? ttt_folder_each(path, add_checkpoint, list) : TTT_OK;
    ttt_free(path);
    if (list->count) qsort(list->steps, (size_t)list->count, sizeof *list->steps, newest_first);
    if (status == TTT_OK) return TTT_OK;
    ttt_free(list->steps);
    *list = (ttt_checkpoints){0};
    return status;
}

typedef struct entries {
    bool begun;
    char file[NAME], other[NAME]; /* one of each kind; "" is none */
} entries;

static ttt_status look_at(void *context, const char *name)
{
    entries *found = context;
    const entry_kind kind = classify(name);
    found->begun = found->begun || kind == ENTRY_FOLDER;
    if (kind == ENTRY_FILE) snprintf(found->file, NAME, "%s", name);
    if (kind == ENTRY_FOREIGN || kind == ENTRY_MODEL) snprintf(found->other, NAME, "%s", name);
    return TTT_OK;
}

/* Refuses a folder without checkpoints that holds more than a run would have written by then. */
static ttt_status check_entries(const char *folder)
{
    entries found = {0};
    TTT_TRY(ttt_folder_each(folder, look_at, &found));
    if (!*found.other && (found.begun || !*found.file)) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "%s holds %s, but no checkpoint to go on from: give another folder, or --force to begin anew and "
                    "overwrite",
                    folder, *found.other ? found.other : found.file);
}

/* ---- one run at a time ---- */

/* checkpoint/lock tells people who holds the lock; what it says is not relied on. */
static char *holder_path(const char *folder) { return ttt_path_join(folder, "checkpoint/lock"); }

static ttt_status write_holder(const char *folder)
{
    char host[NAME] = "", since[NAME] = "", text[3 * NAME];
    (void)gethostname(host, sizeof host - 1);
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &utc);
    const int length = snprintf(text, sizeof text, "process %ld on %s since %s UTC\n", (long)getpid(), host, since);
    return ttt_file_write_in(folder, "checkpoint/lock", text, (size_t)length);
}

static void remove_holder(const char *folder)
{
    char *path = holder_path(folder);
    if (path) unlink(path);
    ttt_free(path);
}

/* " (process ...)", or "" where nothing readable is said. */
static void read_holder(const char *folder, char text[HOLDER])
{
    text[0] = '\0';
    char *path = holder_path(folder);
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[HOLDER - 4];
    if (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        for (char *c = line; *c; c++)
            if (*c < ' ' || *c > '~') *c = '?';
        snprintf(text, HOLDER, " (%s)", line);
    }
    if (file) fclose(file);
    ttt_free(path);
}

/* Ranks that a launcher has just killed may hold the folder for a moment after it has ended itself. */
static ttt_status take_lock(const char *folder, int *lock)
{
    enum { TRIES = 40 };
    const struct timespec nap = {.tv_nsec = 50 * 1000 * 1000};
    bool taken = true;
    for (int i = 0; i < TRIES && taken; i++) {
        if (i > 0) nanosleep(&nap, NULL);
        TTT_TRY(ttt_folder_lock(folder, lock, &taken));
    }
    if (!taken) return TTT_OK;
    char holder[HOLDER];
    read_holder(folder, holder);
    return ttt_fail(TTT_ERR_ARGUMENT, "another training works in %s%s: wait for its end, or give another folder",
                    folder, holder);
}

void ttt_run_folder_release(const char *folder, int lock)
{
    if (lock < 0) return;
    remove_holder(folder);
    close(lock);
}

/* ---- the life of a folder ---- */

static ttt_status claim(const char *folder, bool force, ttt_checkpoints *checkpoints)
{
    if (!force) TTT_TRY(list_checkpoints(folder, checkpoints));
    if (!force && checkpoints->count == 0) TTT_TRY(check_entries(folder));
    char *inner = ttt_path_join(folder, "checkpoint");
    const ttt_status status = inner ? ttt_folder_make(inner) : TTT_ERR_MEMORY;
    ttt_free(inner);
    TTT_TRY(status);
    TTT_TRY(write_holder(folder));
    TTT_TRY(ttt_folder_clear(folder, is_half));
    TTT_TRY(clear_below(folder, "checkpoint", is_half_checkpoint));
    remove_below(folder, "checkpoint/data.new");
    remove_below(folder, "checkpoint/data.new.ttt-partial");
    return TTT_OK;
}

ttt_status ttt_run_folder_claim(const char *folder, bool force, int *lock, ttt_checkpoints *checkpoints)
{
    *checkpoints = (ttt_checkpoints){0};
    *lock = -1;
    TTT_TRY(ttt_folder_make(folder));
    TTT_TRY(take_lock(folder, lock));
    const ttt_status status = claim(folder, force, checkpoints);
    if (status == TTT_OK) return TTT_OK;
    close(*lock); /* without a look at checkpoint/lock, which may be somebody's */
    *lock = -1;
    return status;
}

ttt_status ttt_run_folder_begin(const char *folder)
{
    TTT_TRY(ttt_folder_clear(folder, is_written_again));
    ttt_folder_sync(folder);
    TTT_TRY(clear_below(folder, "checkpoint", is_own));
    TTT_TRY(clear_below(folder, "checkpoint/data", NULL));
    TTT_TRY(ttt_folder_clear(folder, is_own));
    remove_below(folder, "checkpoint/data");
    char *from = ttt_run_data_path(folder, true), *to = ttt_run_data_path(folder, false);
    const ttt_status status = from && to ? ttt_folder_rename(from, to) : TTT_ERR_MEMORY;
    ttt_free(from);
    ttt_free(to);
    return status;
}

void ttt_run_folder_abandon(const char *folder, bool created)
{
    remove_below(folder, "checkpoint/data.new");
    remove_holder(folder);
    if (!created) return;
    char *inner = ttt_path_join(folder, "checkpoint");
    if (inner) ttt_folder_remove(inner);
    ttt_free(inner);
    rmdir(folder);
}

void ttt_run_folder_prune(const char *folder)
{
    ttt_checkpoints list;
    if (list_checkpoints(folder, &list) != TTT_OK) return; /* one too many is no failure */
    char *inner = ttt_path_join(folder, "checkpoint");
    for (int64_t i = KEPT; inner && i < list.count; i++) {
        char name[NAME];
        print_checkpoint(name, list.steps[i]);
        ttt_folder_drop(inner, name);
    }
    ttt_free(inner);
    ttt_free(list.steps);
}

char *ttt_run_checkpoint_path(const char *folder, int64_t step)
{
    char name[NAME];
    print_checkpoint(name, step);
    char *inner = ttt_path_join(folder, "checkpoint");
    char *path = inner ? ttt_path_join(inner, name) : NULL;
    ttt_free(inner);
    return path;
}

char *ttt_run_data_path(const char *folder, bool made)
{
    return ttt_path_join(folder, made ? "checkpoint/data.new" : "checkpoint/data");
}
