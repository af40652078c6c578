/* SPDX-License-Identifier: MIT
 *
 * A training run in which every write in turn finds the disk full, and every allocation in turn fails: it ends with a
 * sentence, and when it is begun again it ends with the very model of a run in which nothing failed.
 */
#include <sys/stat.h>
#include <ttt/run.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "test.h"

enum { STEPS = 2 };
static const char *const text = "text.txt";

/* Takes the run to its end; the number of sentences a user would have been warned with does not matter here. */
static ttt_status run_to_end(const char *folder)
{
    static const char *const settings[] = {"hidden_size=8", "num_hidden_layers=1", "num_attention_heads=2",
                                           "intermediate_size=8"};
    ttt_train_run_options options;
    ttt_train_run_options_init(&options);
    options.folder = folder;
    options.texts = &text;
    options.text_count = 1;
    options.settings = settings;
    options.setting_count = 4;
    options.tokenizer = "byte";
    options.context = 16;
    options.batch = 32;
    options.steps = STEPS;
    options.save_every = 1;
    options.threads = 1;
    ttt_train_run *run;
    ttt_status status = ttt_train_run_open(&run, &options);
    while (status == TTT_OK && !ttt_train_run_finished(run)) {
        ttt_train_report report;
        status = ttt_train_run_step(run, &report);
    }
    ttt_train_run_close(run);
    return status;
}

static void remove_all(const char *folder)
{
    char command[8192];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_EQ(system(command), 0);
}

static void check_same(const char *a, const char *b, int64_t nth)
{
    ttt_buffer x = {0}, y = {0};
    CHECK_OK(ttt_file_read(&x, a, SIZE_MAX));
    CHECK_OK(ttt_file_read(&y, b, SIZE_MAX));
    const bool same = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    if (!same) fprintf(stderr, "%s differs after failure %lld\n", b, (long long)nth);
    CHECK(same);
    ttt_buffer_deinit(&x);
    ttt_buffer_deinit(&y);
}

static void test_writes(int64_t writes)
{
    for (int64_t nth = 1; nth <= writes; nth++) {
        remove_all("full");
        ttt_write_fault(nth);
        CHECK_FAILS(run_to_end("full"), TTT_ERR_IO, "No space left on device");
        ttt_write_fault(0);
        CHECK_OK(run_to_end("full"));
        check_same("whole/model.safetensors", "full/model.safetensors", nth);
    }
}

/* A failed allocation may be one that is not missed, such as for a line of a chart; it must not go unnoticed in what is
 * left behind. All of them are too many for a short test, in which most of the time is the disk's: evenly spread ones.
 */
static void test_allocations(int64_t allocations)
{
    const int64_t stride = allocations / 80 + 1;
    for (int64_t nth = 1; nth <= allocations; nth += stride) {
        remove_all("short");
        ttt_alloc_fault(nth, nth % 2 != 0);
        const ttt_status status = run_to_end("short");
        ttt_alloc_fault(0, 0);
        CHECK(status == TTT_OK || status == TTT_ERR_MEMORY);
        if (status != TTT_OK) CHECK(ttt_error_detail()[0] != '\0');
        CHECK_OK(run_to_end("short"));
        check_same("whole/model.safetensors", "short/model.safetensors", nth);
    }
}

int main(void)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/scratch/fault_run", TTT_BINARY_DIR);
    remove_all(folder);
    CHECK_OK(ttt_folder_make(folder));
    CHECK_EQ(chdir(folder), 0);
    ttt_buffer words = {0};
    for (int i = 0; i < 100; i++) CHECK_OK(ttt_buffer_print(&words, "%d times %d is %d\n", i, i, i * i));
    CHECK_OK(ttt_file_write(text, words.data, words.size));
    ttt_buffer_deinit(&words);

    const int64_t writes = ttt_write_count(), allocations = ttt_alloc_count();
    CHECK_OK(run_to_end("whole"));
    const int64_t more_writes = ttt_write_count() - writes, more_allocations = ttt_alloc_count() - allocations;
    printf("%lld writes, %lld allocations\n", (long long)more_writes, (long long)more_allocations);
    CHECK(more_writes >= 10);
    test_writes(more_writes);
    test_allocations(more_allocations);
    return test_end();
}
