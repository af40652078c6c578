/* SPDX-License-Identifier: MIT
 *
 * A folder is a run's if it holds checkpoints, or nothing but what a run writes before its first one. Half-written
 * files carry the writers' ".tmp-PID" behind the name.
 */
#include "train/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

enum { NAME = 256, KEPT = 2 };
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

static bool is_shard(const char *name)
{
    int shard, shards, end = 0;
    return sscanf(name, "model-%5d-of-%5d.safetensors%n", &shard, &shards, &end) == 2 && end && !name[end];
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
    const bool model = is_shard(plain) || strcmp(plain, "model.safetensors") == 0 ||
                       strcmp(plain, "model.safetensors.index.json") == 0;
    if (!file && !model) return ENTRY_FOREIGN;
    return mark ? ENTRY_HALF : file ? ENTRY_FILE : ENTRY_MODEL;
}

typedef bool (*entry_choice)(const char *name);
static bool is_half(const char *name) { return classify(name) == ENTRY_HALF; }
static bool is_own(const char *name) { return classify(name) > ENTRY_FOLDER; }
static bool is_any(const char *name) { return name[0] != '\0'; }

static const struct dirent *next_entry(DIR *listing)
{
    const struct dirent *entry;
    do entry = readdir(listing);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry;
}

/* Removes the files in a folder that are chosen; folders in it stay. */
static void remove_files(const char *folder, entry_choice chosen)
{
    DIR *listing = opendir(folder);
    if (!listing) return;
    for (const struct dirent *entry; (entry = next_entry(listing)) != NULL;)
        if (chosen(entry->d_name)) unlinkat(dirfd(listing), entry->d_name, 0);
    closedir(listing);
}

static void remove_files_below(const char *folder, const char *name, entry_choice chosen, bool folder_too)
{
    char *path = ttt_path_join(folder, name);
    if (!path) return;
    remove_files(path, chosen);
    if (folder_too) rmdir(path);
    ttt_free(path);
}

static void remove_data(const char *folder, const char *name) { remove_files_below(folder, name, is_any, true); }

static int newest_first(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static ttt_status list_checkpoints(const char *folder, ttt_checkpoints *list)
{
    *list = (ttt_checkpoints){0};
    char *path = ttt_path_join(folder, "checkpoint");
    if (!path) return TTT_ERR_MEMORY;
    DIR *listing = opendir(path);
    ttt_status status = TTT_OK;
    if (!listing && errno != ENOENT) status = ttt_fail(TTT_ERR_IO, "cannot read folder %s: %s", path, strerror(errno));
    ttt_free(path);
    for (const struct dirent *entry; status == TTT_OK && listing && (entry = next_entry(listing)) != NULL;) {
        int64_t step;
        if (!is_checkpoint(entry->d_name, &step)) continue;
        int64_t *grown = ttt_realloc(list->steps, (size_t)list->count + 1, sizeof *grown);
        if (grown) {
            list->steps = grown;
            list->steps[list->count++] = step;
        } else {
            status = TTT_ERR_MEMORY;
        }
    }
    if (listing) closedir(listing);
    if (list->count) qsort(list->steps, (size_t)list->count, sizeof *list->steps, newest_first);
    if (status == TTT_OK) return TTT_OK;
    ttt_free(list->steps);
    *list = (ttt_checkpoints){0};
    return status;
}

/* Refuses a folder without checkpoints that holds more than a run would have written by then. */
static ttt_status check_entries(const char *folder)
{
    DIR *listing = opendir(folder);
    if (!listing) return ttt_fail(TTT_ERR_IO, "cannot read folder %s: %s", folder, strerror(errno));
    bool begun = false;
    char file[NAME] = "", other[NAME] = "";
    for (const struct dirent *entry; (entry = next_entry(listing)) != NULL;) {
        const entry_kind kind = classify(entry->d_name);
        begun = begun || kind == ENTRY_FOLDER;
        if (kind == ENTRY_FILE) snprintf(file, sizeof file, "%s", entry->d_name);
        if (kind == ENTRY_FOREIGN || kind == ENTRY_MODEL) snprintf(other, sizeof other, "%s", entry->d_name);
    }
    closedir(listing);
    if (!*other && (begun || !*file)) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "%s holds %s, but no checkpoint to go on from: give another folder, or --force to begin anew and "
                    "overwrite",
                    folder, *other ? other : file);
}

/* One run at a time. A file system without locks is no obstacle. */
static ttt_status take_lock(const char *folder, int *lock)
{
    *lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0) return ttt_fail(TTT_ERR_IO, "cannot open folder %s: %s", folder, strerror(errno));
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT, "another training works in %s: wait for its end, or give another folder", folder);
}

static ttt_status claim(const char *folder, bool force, ttt_checkpoints *checkpoints)
{
    if (!force) TTT_TRY(list_checkpoints(folder, checkpoints));
    if (!force && checkpoints->count == 0) TTT_TRY(check_entries(folder));
    char *inner = ttt_path_join(folder, "checkpoint");
    const ttt_status status = inner ? ttt_folder_make(inner) : TTT_ERR_MEMORY;
    ttt_free(inner);
    TTT_TRY(status);
    remove_files(folder, is_half);
    remove_files_below(folder, "checkpoint", is_half, false);
    remove_data(folder, "checkpoint/data.new");
    remove_data(folder, "checkpoint/data.new.ttt-partial");
    return TTT_OK;
}

ttt_status ttt_run_folder_claim(const char *folder, bool force, int *lock, ttt_checkpoints *checkpoints)
{
    *checkpoints = (ttt_checkpoints){0};
    TTT_TRY(ttt_folder_make(folder));
    TTT_TRY(take_lock(folder, lock));
    return claim(folder, force, checkpoints);
}

static ttt_status rename_data(const char *from, const char *to)
{
    if (rename(from, to) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_IO, "cannot write %s: %s", to, strerror(errno));
}

ttt_status ttt_run_folder_begin(const char *folder)
{
    remove_files(folder, is_own);
    remove_data(folder, "checkpoint/data");
    remove_files_below(folder, "checkpoint", is_own, false);
    char *from = ttt_run_data_path(folder, true), *to = ttt_run_data_path(folder, false);
    const ttt_status status = from && to ? rename_data(from, to) : TTT_ERR_MEMORY;
    ttt_free(from);
    ttt_free(to);
    return status;
}

void ttt_run_folder_abandon(const char *folder, bool created)
{
    remove_data(folder, "checkpoint/data.new");
    if (!created) return;
    remove_files_below(folder, "checkpoint", is_half, true);
    rmdir(folder);
}

void ttt_run_folder_prune(const char *folder)
{
    ttt_checkpoints list;
    if (list_checkpoints(folder, &list) != TTT_OK) return; /* one too many is no failure */
    for (int64_t i = KEPT; i < list.count; i++) {
        char *path = ttt_run_checkpoint_path(folder, list.steps[i]);
        if (path) unlink(path);
        ttt_free(path);
    }
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
