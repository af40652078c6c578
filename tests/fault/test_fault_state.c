/* SPDX-License-Identifier: MIT
 *
 * A state saved and loaded while every allocation and every call of the system fails in turn, and while the process is
 * killed before each of them: a sentence, no leak, and of a file that was there before the old content or the whole new
 * one, with nothing beside it.
 */
#include <dirent.h>
#include <ttt/state.h>

#include "base/buffer.h"
#include "base/file.h"
#include "child.h"
#include "model/state.h"
#include "small_config.h"

enum { V = 61, TOKENS = 40 };

static int32_t tokens[TOKENS];
static ttt_model *model;
static ttt_state *earlier, *later; /* after TOKENS / 2 and TOKENS tokens */
static const ttt_state_about about = {.name = "kept", .note = "a note", .tokens = true};

static ttt_state *state_after(int64_t count)
{
    ttt_context *context;
    ttt_state *state;
    CHECK_OK(ttt_context_new(&context, model, 1));
    CHECK_OK(ttt_state_new(&state, model));
    CHECK_OK(ttt_state_remember(state));
    const ttt_feed feed = {.state = state, .tokens = tokens, .count = count};
    CHECK_OK(ttt_context_advance(context, &feed, 1));
    ttt_context_free(context);
    return state;
}

static ttt_status save(const void *state) { return ttt_state_save(state, "a.ttt", &about); }

static ttt_status save_later(void *none)
{
    (void)none;
    return save(later);
}

static ttt_status write_bytes(void *none)
{
    (void)none;
    void *bytes = NULL;
    size_t size = 0;
    ttt_state_file *file = NULL;
    ttt_state *state = NULL;
    ttt_status status = ttt_state_write(later, &about, &bytes, &size);
    if (status == TTT_OK) status = ttt_state_file_parse(&file, bytes, size, "the bytes");
    if (status == TTT_OK) status = ttt_state_file_load(file, model, &state);
    CHECK(status == TTT_OK || !state);
    ttt_state_free(state);
    ttt_state_file_close(file);
    ttt_state_bytes_free(bytes);
    return status;
}

static ttt_status load(void *none)
{
    (void)none;
    ttt_state *state;
    const ttt_status status = ttt_state_load(&state, model, "a.ttt");
    CHECK((status == TTT_OK) == (state != NULL));
    ttt_state_free(state);
    return status;
}

static ttt_status fork_file(void *none)
{
    (void)none;
    ttt_state_file *file;
    ttt_status status = ttt_state_file_open(&file, "a.ttt");
    if (status == TTT_OK) status = ttt_state_file_save(file, "b.ttt", &about);
    ttt_state_file_close(file);
    return status;
}

static ttt_status copy(void *none)
{
    (void)none;
    ttt_state *state;
    ttt_status status = ttt_state_new(&state, model);
    if (status == TTT_OK) status = ttt_state_copy(state, later);
    ttt_state_free(state);
    return status;
}

/* The number of the files in the folder; a.ttt is of the earlier or the later state. */
static int check_folder(bool old_alone)
{
    DIR *folder = opendir(".");
    int files = 0;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) files += entry->d_name[0] != '.';
    closedir(folder);
    ttt_state *state;
    CHECK_OK(ttt_state_load(&state, model, "a.ttt"));
    const int64_t position = state ? ttt_state_position(state) : -1;
    CHECK(position == TOKENS / 2 || (position == TOKENS && !old_alone));
    ttt_state_free(state);
    return files;
}

/* A save that fails leaves the old file. Not all calls that fail are missed: a folder that cannot be synced, say. */
static void test_calls(void)
{
    static const int kinds[] = {TTT_CALL_OPEN, TTT_CALL_WRITE, TTT_CALL_SYNC, TTT_CALL_CLOSE, TTT_CALL_RENAME};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int64_t nth = 1;; nth++) {
            CHECK_OK(save(earlier));
            const int64_t before = fault_count(kinds[k]);
            fault_at(kinds[k], nth, 0);
            const ttt_status status = save(later);
            fault_at(kinds[k], 0, 0);
            const bool failed = fault_count(kinds[k]) - before >= nth;
            CHECK(status == TTT_OK ? !failed || kinds[k] == TTT_CALL_SYNC : status == TTT_ERR_IO);
            if (status != TTT_OK) CHECK(strstr(ttt_error_detail(), "a.ttt"));
            CHECK_EQ(check_folder(status != TTT_OK), 1);
            if (!failed) break;
            CHECK(nth < 100);
        }
    }
    CHECK(fault_each(TTT_CALL_MAP, load, NULL, 0, TTT_ERR_IO) == 1);
    CHECK(fault_each(TTT_CALL_OPEN, load, NULL, 0, TTT_ERR_IO) == 1);
}

static void test_kills(void)
{
    int64_t calls;
    CHECK_EQ(child_run(save, later, 0, false, &calls), TTT_OK);
    CHECK(calls >= 5);
    for (int64_t nth = 1; nth <= calls; nth++) {
        CHECK_OK(save(earlier));
        CHECK_EQ(child_run(save, later, nth, false, NULL), 128 + SIGKILL);
        check_folder(false);
        CHECK_EQ(system("rm -f *.tmp-*"), 0); /* what a killed process leaves is known by that */
        CHECK_EQ(check_folder(false), 1);
    }
}

int main(void)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "rm -rf '%s/scratch/fault_state'", TTT_BINARY_DIR);
    CHECK_EQ(system(folder), 0);
    snprintf(folder, sizeof folder, "%s/scratch/fault_state", TTT_BINARY_DIR);
    CHECK_OK(ttt_folder_make(folder));
    CHECK_EQ(chdir(folder), 0);
    fault_watch_json();
    ttt_config config = small_config(V, 8, 2, 1);
    config.sliding_window = 7;
    CHECK_OK(ttt_config_set(&config, "layers", "conv+ttt_linear+ffn,attention,mamba"));
    CHECK_OK(ttt_model_new(&model, &config, 1, &(ttt_model_options){.threads = 1}));
    for (int i = 0; i < TOKENS; i++) tokens[i] = i * 7 % V;
    earlier = state_after(TOKENS / 2);
    later = state_after(TOKENS);
    CHECK_OK(save(earlier));
    test_calls();
    test_kills();
    for (int forever = 0; forever < 2; forever++) {
        CHECK(fault_allocations(save_later, NULL, forever) > 5);
        CHECK(fault_allocations(load, NULL, forever) > 10);
        CHECK(fault_allocations(write_bytes, NULL, forever) > 15);
        CHECK(fault_allocations(fork_file, NULL, forever) > 10);
        CHECK(fault_allocations(copy, NULL, forever) > 5);
    }
    CHECK(fault_json(load, NULL) > 20);
    ttt_state_free(earlier);
    ttt_state_free(later);
    ttt_model_free(model);
    return test_end();
}
