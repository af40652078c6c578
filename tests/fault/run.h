/* SPDX-License-Identifier: MIT
 *
 * A short training run in a folder, for tests in which something befalls it.
 */
#ifndef TTT_TEST_RUN_H
#define TTT_TEST_RUN_H

#include <ttt/run.h>
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static const char *const run_text = "text.txt";

/* Takes the run to its end; the number of sentences a user would have been warned with does not matter here. */
static ttt_status run_to_end(const char *folder, bool force)
{
    static const char *const settings[] = {"hidden_size=8", "num_hidden_layers=1", "num_attention_heads=2",
                                           "intermediate_size=8"};
    ttt_train_run_options options;
    ttt_train_run_options_init(&options);
    options.folder = folder;
    options.texts = &run_text;
    options.text_count = 1;
    options.settings = settings;
    options.setting_count = 4;
    options.tokenizer = "byte";
    options.context = 16;
    options.batch = 32;
    options.steps = 2;
    options.save_every = 1;
    options.threads = 1;
    options.force = force;
    ttt_train_run *run;
    ttt_status status = ttt_train_run_open(&run, &options);
    while (status == TTT_OK && !ttt_train_run_finished(run)) {
        ttt_train_report report;
        status = ttt_train_run_step(run, &report);
    }
    ttt_train_run_close(run);
    return status;
}

static void run_command(const char *format, const char *name)
{
    char command[8192];
    snprintf(command, sizeof command, format, name);
    CHECK_EQ(system(command), 0);
}

static void run_remove(const char *folder) { run_command("rm -rf '%s'", folder); }

/* Goes into a fresh folder scratch/NAME with a text to train on. */
static void run_begin(const char *name)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s/scratch/%s", TTT_BINARY_DIR, name);
    run_remove(folder);
    CHECK_OK(ttt_folder_make(folder));
    CHECK_EQ(chdir(folder), 0);
    ttt_buffer words = {0};
    for (int i = 0; i < 100; i++) CHECK_OK(ttt_buffer_print(&words, "%d times %d is %d\n", i, i, i * i));
    CHECK_OK(ttt_file_write(run_text, words.data, words.size));
    ttt_buffer_deinit(&words);
}

static void run_check_same(const char *a, const char *b, const char *what, int64_t nth)
{
    ttt_buffer x = {0}, y = {0};
    CHECK_OK(ttt_file_read(&x, a, SIZE_MAX));
    CHECK_OK(ttt_file_read(&y, b, SIZE_MAX));
    const bool same = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    if (!same) fprintf(stderr, "%s differs: %s number %lld\n", b, what, (long long)nth);
    CHECK(same);
    ttt_buffer_deinit(&x);
    ttt_buffer_deinit(&y);
}

#endif
