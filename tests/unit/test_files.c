/* SPDX-License-Identifier: MIT
 *
 * base/file.h and folder.h: what a writer makes of permissions, links, other writers and calls that fail; folders that
 * appear whole or not at all; locks.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fault.h"
#include "test.h"

static void check_content(const char *path, const char *content)
{
    ttt_buffer read = {0};
    CHECK_OK(ttt_file_read(&read, path, 1 << 20));
    CHECK_STR(read.data, content);
    ttt_buffer_deinit(&read);
}

static ttt_status write_text(const char *path, const char *text) { return ttt_file_write(path, text, strlen(text)); }

static unsigned mode_of(const char *path)
{
    struct stat status;
    CHECK_EQ(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static ttt_status count_entry(void *context, const char *name)
{
    (void)name;
    ++*(int *)context;
    return TTT_OK;
}

static int entries(const char *folder)
{
    int count = 0;
    CHECK_OK(ttt_folder_each(folder, count_entry, &count));
    return count;
}

static void test_modes(void)
{
    umask(027);
    CHECK_OK(write_text("plain", "1"));
    CHECK_EQ(mode_of("plain"), 0640);
    CHECK_EQ(chmod("plain", 0600), 0);
    ttt_writer *writer;
    CHECK_OK(ttt_writer_open(&writer, "plain"));
    ttt_writer_abandon(&writer);
    CHECK_OK(write_text("plain", "2"));
    CHECK_EQ(mode_of("plain"), 0600);
    CHECK_EQ(chmod("plain", 0664), 0);
    CHECK_OK(write_text("plain", "3"));
    CHECK_EQ(mode_of("plain"), 0664);
    check_content("plain", "3");
    umask(022);
}

static void test_links(void)
{
    CHECK_OK(ttt_folder_make("elsewhere"));
    CHECK_OK(write_text("elsewhere/real", "old"));
    CHECK_EQ(symlink("elsewhere/real", "link"), 0);
    CHECK_EQ(symlink("link", "second"), 0);
    CHECK_OK(write_text("second", "new"));
    check_content("elsewhere/real", "new");
    struct stat status;
    CHECK(lstat("link", &status) == 0 && S_ISLNK(status.st_mode));
    CHECK(lstat("second", &status) == 0 && S_ISLNK(status.st_mode));
    CHECK_EQ(entries("elsewhere"), 1);
    CHECK_EQ(symlink("nowhere", "dangling"), 0);
    CHECK_FAILS(write_text("dangling", "x"), TTT_ERR_IO, "a link to nothing");
    CHECK(!ttt_file_exists("nowhere"));
    CHECK_EQ(symlink("elsewhere", "folder"), 0);
    CHECK_FAILS(write_text("folder", "x"), TTT_ERR_IO, "a folder has this name");
    CHECK_EQ(mkfifo("fifo", 0600), 0);
    CHECK_FAILS(write_text("fifo", "x"), TTT_ERR_IO, "what is no regular file has this name");
}

/* Whoever guesses a name and plants a link there is not followed, and the file that was there stays. */
static void test_names(void)
{
    CHECK_OK(ttt_folder_make("names"));
    ttt_writer *a, *b;
    CHECK_OK(ttt_writer_open(&a, "names/file"));
    CHECK_OK(ttt_writer_open(&b, "names/file"));
    CHECK_EQ(entries("names"), 2);
    CHECK(ttt_file_is_temporary("a.tmp-0123456789abcdef") && !ttt_file_is_temporary("a.tmp-0123456789abcdeg"));
    CHECK(!ttt_file_is_temporary(".tmp-0123456789abcdef") && !ttt_file_is_temporary("a.tmp-0"));
    CHECK_OK(ttt_writer_write(a, "aaaa", 4));
    CHECK_OK(ttt_writer_write(b, "bb", 2));
    CHECK_OK(ttt_writer_finish(a));
    CHECK_OK(ttt_writer_patch(a, 1, "12", 2));
    CHECK_OK(ttt_writer_commit(&b));
    check_content("names/file", "bb");
    CHECK_OK(ttt_writer_commit(&a));
    check_content("names/file", "a12a");
    CHECK_EQ(entries("names"), 1);
}

enum { THREADS = 8, ROUNDS = 50 };

static void *write_often(void *context)
{
    char text[100001] = "";
    memset(text, (int)(intptr_t)context, sizeof text - 1);
    for (int i = 0; i < ROUNDS; i++)
        if (write_text("crowd/file", text) != TTT_OK) return context;
    return NULL;
}

static void test_threads(void)
{
    CHECK_OK(ttt_folder_make("crowd"));
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, write_often, (void *)('a' + i)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        CHECK_EQ(pthread_join(threads[i], &failed), 0);
        CHECK(!failed);
    }
    CHECK_EQ(entries("crowd"), 1);
    ttt_buffer read = {0};
    CHECK_OK(ttt_file_read(&read, "crowd/file", 1 << 20));
    CHECK_EQ(read.size, 100000);
    size_t same = 0;
    while (same < read.size && read.data[same] == read.data[0]) same++;
    CHECK_EQ(same, read.size);
    ttt_buffer_deinit(&read);
}

/* Each call that a writer makes fails in turn: the old file stays, and nothing beside it. */
static void test_faults(void)
{
    static const int kinds[] = {TTT_CALL_OPEN, TTT_CALL_WRITE, TTT_CALL_SYNC, TTT_CALL_CLOSE, TTT_CALL_RENAME};
    CHECK_OK(ttt_folder_make("faults"));
    CHECK_OK(write_text("faults/file", "old"));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        fault_at(kinds[i], 1, 0);
        CHECK_FAILS(write_text("faults/file", "new"), TTT_ERR_IO, "cannot write faults/file");
        fault_at(kinds[i], 0, 0);
        check_content("faults/file", "old");
        CHECK_EQ(entries("faults"), 1);
    }
    static const int readers[] = {TTT_CALL_OPEN, TTT_CALL_READ};
    ttt_buffer read = {0};
    for (size_t i = 0; i < 2; i++) {
        fault_at(readers[i], 1, 0);
        CHECK_FAILS(ttt_file_read(&read, "faults/file", 100), TTT_ERR_IO, "faults/file");
        fault_at(readers[i], 0, 0);
        fault_at(readers[i], 1, 0);
        CHECK_FAILS(ttt_file_copy("faults/file", "faults/copy"), TTT_ERR_IO, "faults/file");
        fault_at(readers[i], 0, 0);
        CHECK_EQ(entries("faults"), 1);
    }
    ttt_buffer_deinit(&read);
    fault_at(TTT_CALL_SYNC, 2, 0); /* the folder's */
    CHECK_OK(write_text("faults/file", "new"));
    fault_at(TTT_CALL_SYNC, 0, 0);
    fault_at(TTT_CALL_MKDIR, 2, 0);
    CHECK_FAILS(ttt_folder_make("faults/a/b/c"), TTT_ERR_IO, "cannot create folder faults/a");
    fault_at(TTT_CALL_MKDIR, 0, 0);
    fault_at(TTT_CALL_REMOVE, 1, 0);
    CHECK_FAILS(ttt_folder_clear("faults", NULL), TTT_ERR_IO, "cannot remove faults/file");
    fault_at(TTT_CALL_REMOVE, 0, 0);
    fault_at(TTT_CALL_LIST, 1, 0);
    CHECK_FAILS(ttt_folder_clear("faults", NULL), TTT_ERR_IO, "cannot read folder faults");
    fault_at(TTT_CALL_LIST, 0, 0);
    ttt_map map;
    fault_at(TTT_CALL_MAP, 1, 0);
    CHECK_FAILS(ttt_map_open(&map, "faults/file"), TTT_ERR_IO, "cannot map faults/file");
    fault_at(TTT_CALL_MAP, 0, 0);
}

/* A new folder's parent, and both parents of what is renamed, are synced. */
static void test_syncs(void)
{
    int64_t before = fault_count(TTT_CALL_SYNC);
    CHECK_OK(ttt_folder_make("synced/a/b"));
    CHECK_EQ(fault_count(TTT_CALL_SYNC) - before, 3);
    CHECK_OK(ttt_folder_make("synced/a/b"));
    CHECK_EQ(fault_count(TTT_CALL_SYNC) - before, 3);
    CHECK_OK(ttt_folder_rename("synced/a/b", "synced/c"));
    CHECK_EQ(fault_count(TTT_CALL_SYNC) - before, 5);
}

static void test_partial(void)
{
    ttt_partial first, second;
    CHECK_OK(ttt_folder_make("out.ttt-partial"));
    CHECK_OK(write_text("out.ttt-partial/left", "of a killed process"));
    CHECK_OK(ttt_partial_open(&first, "out/"));
    CHECK_EQ(entries(first.partial), 0);
    CHECK_FAILS(ttt_partial_open(&second, "out"), TTT_ERR_ARGUMENT, "another process is making out");
    ttt_partial_abandon(&second);
    CHECK(ttt_is_folder("out.ttt-partial"));
    CHECK_OK(write_text("out.ttt-partial/file", "x"));
    CHECK_OK(ttt_partial_commit(&first));
    ttt_partial_abandon(&first);
    check_content("out/file", "x");
    CHECK_OK(ttt_partial_open(&second, "out"));
    CHECK_FAILS(ttt_partial_commit(&second), TTT_ERR_IO, "cannot write out");
    ttt_partial_abandon(&second);
    CHECK(!ttt_file_exists("out.ttt-partial"));
    check_content("out/file", "x");
}

/* Many processes make the same folder at once: one wins, the others are told, and what is there is one's alone. */
static void test_race(void)
{
    enum { PROCESSES = 8 };
    for (int round = 0; round < 20; round++) {
        pid_t children[PROCESSES];
        int winners = 0;
        for (int i = 0; i < PROCESSES; i++) {
            children[i] = fork();
            if (children[i] != 0) continue;
            ttt_partial partial;
            char name[100], text[2] = {(char)('0' + i)};
            ttt_status status = ttt_partial_open(&partial, "race");
            for (int k = 0; k < 3 && status == TTT_OK; k++) {
                snprintf(name, sizeof name, "%s/%d", partial.partial, k);
                status = write_text(name, text);
            }
            if (status == TTT_OK) status = ttt_partial_commit(&partial);
            ttt_partial_abandon(&partial);
            _exit(status == TTT_OK ? 0 : status == TTT_ERR_ARGUMENT || status == TTT_ERR_IO ? 1 : 2);
        }
        for (int i = 0; i < PROCESSES; i++) {
            int status;
            CHECK_EQ(waitpid(children[i], &status, 0), children[i]);
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
            winners += WIFEXITED(status) && WEXITSTATUS(status) == 0;
        }
        CHECK_EQ(winners, 1);
        ttt_buffer all = {0};
        for (int k = 0; k < 3; k++) {
            char name[100];
            snprintf(name, sizeof name, "race/%d", k);
            CHECK_OK(ttt_file_read(&all, name, 100));
        }
        CHECK(all.size == 3 && all.data[0] == all.data[1] && all.data[1] == all.data[2]);
        ttt_buffer_deinit(&all);
        CHECK(!ttt_file_exists("race.ttt-partial"));
        ttt_folder_remove("race");
        CHECK(!ttt_file_exists("race"));
    }
}

static void test_paths(void)
{
    CHECK(ttt_path_ends("a.jsonl.zst", ".zst") && !ttt_path_ends("zst", ".zst") && ttt_path_ends("x", ""));
    char *path = ttt_path_join("a/", "b");
    CHECK_STR(path, "a/b");
    ttt_free(path);
}

int main(void)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -rf '%s/scratch/files' && mkdir -p '%s/scratch/files'", TTT_BINARY_DIR,
             TTT_BINARY_DIR);
    CHECK_EQ(system(command), 0);
    snprintf(command, sizeof command, "%s/scratch/files", TTT_BINARY_DIR);
    CHECK_EQ(chdir(command), 0);
    test_modes();
    test_links();
    test_names();
    test_threads();
    test_faults();
    test_syncs();
    test_partial();
    test_race();
    test_paths();
    return test_end();
}
