/* SPDX-License-Identifier: MIT
 *
 * A host program that has set a locale in which numbers have a comma: what the library reads and writes is the same as
 * without. The locale is made here, since a bare machine has none: a folder with the one category that matters.
 */
#include <locale.h>
#include <stdint.h>
#include <sys/stat.h>
#include <ttt/plot.h>
#include <ttt/run.h>

#include "base/file.h"
#include "base/number.h"
#include "config/config.h"
#include "test.h"

#define FOLDER TTT_BINARY_DIR "/test_locale"

/* The compiled LC_NUMERIC of the GNU C library: magic, number of values, their places, and the values: point, separator
 * of thousands, grouping, point and separator as wide characters, code set. */
static bool use_comma(void)
{
    enum { VALUES = 6, HEAD = 4 * (2 + VALUES) };
    const uint32_t head[2 + VALUES] = {
        0x20031115 ^ LC_NUMERIC, VALUES, HEAD, HEAD + 2, HEAD + 4, HEAD + 8, HEAD + 12, HEAD + 16};
    const unsigned char values[] = ",\0.\0\177\0\0\0,\0\0\0.\0\0\0UTF-8";
    unsigned char file[HEAD + sizeof values];
    memcpy(file, head, HEAD);
    memcpy(file + HEAD, values, sizeof values);
    if (ttt_folder_make(FOLDER "/locales/comma") != TTT_OK ||
        ttt_file_write(FOLDER "/locales/comma/LC_NUMERIC", file, sizeof file) != TTT_OK)
        return false;
    setenv("LOCPATH", FOLDER "/locales", 1);
    return setlocale(LC_NUMERIC, "comma") && strcmp(localeconv()->decimal_point, ",") == 0;
}

static void test_numbers(void)
{
    char text[TTT_NUMBER_TEXT];
    double value;
    CHECK(ttt_number_parse("0.05", &value) && value == 0.05);
    CHECK(ttt_number_parse("-1e-3", &value) && value == -1e-3);
    CHECK(!ttt_number_parse("0,05", &value));
    CHECK(!ttt_number_parse("", &value) && !ttt_number_parse(" 1", &value) && !ttt_number_parse("1 ", &value));
    CHECK(!ttt_number_parse("inf", &value) && !ttt_number_parse("nan", &value) && !ttt_number_parse("1e999", &value));
    CHECK_STR(ttt_number_print(text, 0.1 + 0.2), "0.30000000000000004");
    CHECK_STR(ttt_number_print(text, 0.05), "0.05");
    CHECK_STR(ttt_number_print(text, 1234567), "1234567");
    CHECK_EQ(ttt_print(text, sizeof text, "%.2f", 0.5), 4);
    CHECK_STR(text, "0.50");
}

static void test_config(void)
{
    ttt_config config;
    char *text;
    CHECK_OK(ttt_config_standard(&config, "tiny"));
    CHECK_OK(ttt_config_set(&config, "ttt_base_lr", "0.05"));
    CHECK_NEAR(config.ttt_base_lr, 0.05, 0);
    CHECK_FAILS(ttt_config_set(&config, "ttt_base_lr", "0,05"), TTT_ERR_ARGUMENT, "ttt_base_lr=0,05: must be a number");
    CHECK_OK(ttt_config_get(&config, "ttt_base_lr", &text));
    CHECK_STR(text, "0.05");
    ttt_string_free(text);
    config.rms_norm_eps = 1.5;
    CHECK_FAILS(ttt_config_check(&config, "x"), TTT_ERR_FORMAT, "rms_norm_eps is 1.5, but");
}

/* A run with the default held-out part, which is a number, and a chart of two axes. */
static void write_files(const char *folder)
{
    static const char *const settings[] = {"hidden_size=32", "intermediate_size=64", "num_hidden_layers=1",
                                           "rms_norm_eps=2.5e-6"};
    static const char *const texts[] = {FOLDER "/text.txt"};
    char path[4096];
    snprintf(path, sizeof path, "%s/text.txt", FOLDER);
    CHECK_OK(ttt_folder_make(folder));
    char content[4000];
    for (size_t i = 0; i < sizeof content; i++) content[i] = "the sea "[i % 8];
    CHECK_OK(ttt_file_write(path, content, sizeof content));
    ttt_train_run_options options;
    ttt_train_run_options_init(&options);
    options.folder = folder;
    options.texts = texts;
    options.text_count = 1;
    options.settings = settings;
    options.setting_count = sizeof settings / sizeof *settings;
    options.tokenizer = "byte";
    options.context = 32;
    options.batch = 64;
    options.steps = 3;
    options.threads = 1;
    options.force = true;
    ttt_train_run *run;
    ttt_train_report report;
    for (int part = 0; part < 2; part++) { /* the second time it goes on */
        CHECK_OK(ttt_train_run_open(&run, &options));
        while (run && !ttt_train_run_finished(run)) CHECK_OK(ttt_train_run_step(run, &report));
        ttt_train_run_close(run);
        options.force = false;
    }
    const double x[] = {0.25, 0.5, 0.75, 1.0}, y[] = {1.5, 1.25, 1.125, 1.0625};
    const ttt_plot_series series = {.name = "y", .x = x, .y = y, .count = 4};
    const ttt_plot plot = {.title = "t", .x_label = "x", .y_label = "y", .series = &series, .count = 1};
    snprintf(path, sizeof path, "%s/plot.svg", folder);
    CHECK_OK(ttt_plot_save(&plot, path));
}

static void test_files(void)
{
    static const char *const files[] = {"config.json", "model.safetensors", "plot.svg", "loss.svg"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char one[4096], other[4096];
        ttt_buffer a = {0}, b = {0};
        snprintf(one, sizeof one, FOLDER "/point/%s", files[i]);
        snprintf(other, sizeof other, FOLDER "/comma/%s", files[i]);
        CHECK_OK(ttt_file_read(&a, one, 1 << 24));
        CHECK_OK(ttt_file_read(&b, other, 1 << 24));
        CHECK(a.size > 0 && a.size == b.size && memcmp(a.data, b.data, a.size) == 0);
        ttt_buffer_deinit(&a);
        ttt_buffer_deinit(&b);
    }
}

int main(void)
{
    test_numbers();
    write_files(FOLDER "/point");
    if (!use_comma()) {
        SKIP("this C library takes no locale made here");
        return test_end();
    }
    test_numbers();
    test_config();
    write_files(FOLDER "/comma");
    test_files();
    return test_end();
}
