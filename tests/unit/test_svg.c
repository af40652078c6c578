/* SPDX-License-Identifier: MIT
 * src/plot: ticks are round and few, labels do not collide, points lie where they belong, any text stays
 * well-formed. */
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fault.h"
#include "plot/axis.h"
#include "test.h"
#include <ttt/plot.h>

static const char *const path = TTT_BINARY_DIR "/test_svg.svg";

static void check_labels(double low, double high, bool log, const char *expected)
{
    ttt_axis axis = {.low = NAN, .high = NAN, .log = log};
    ttt_axis_include(&axis, low);
    ttt_axis_include(&axis, high);
    ttt_axis_finish(&axis, 0);
    double ticks[TTT_AXIS_TICKS];
    const size_t count = ttt_axis_ticks(&axis, 6, ticks);
    ttt_buffer joined = {0};
    for (size_t i = 0; i < count; i++) {
        char label[TTT_AXIS_LABEL];
        ttt_axis_label(&axis, ticks, count, i, label);
        CHECK_OK(ttt_buffer_print(&joined, "%s%s", i ? " " : "", label));
    }
    CHECK_STR(joined.data, expected);
    ttt_buffer_deinit(&joined);
}

static void ticks(void)
{
    check_labels(0, 1, false, "0.0 0.2 0.4 0.6 0.8 1.0");
    check_labels(0, 1000, false, "0 200 400 600 800 1000");
    check_labels(0, 50000, false, "0 10k 20k 30k 40k 50k");
    check_labels(0, 3e7, false, "0 5M 10M 15M 20M 25M 30M");
    check_labels(-0.3, 0.31, false, "-0.2 0.0 0.2");
    check_labels(1.5381, 1.5384, false, "1.53810 1.53815 1.53820 1.53825 1.53830 1.53835 1.53840");
    check_labels(5, 5, false, "4.6 4.8 5.0 5.2 5.4");
    check_labels(1, 32768, true, "1 10 100 1000 10k");
    check_labels(1, 1000, true, "1 2 5 10 20 50 100 200 500 1000");
    check_labels(1.5, 1.9, true, "1.5 1.6 1.7 1.8 1.9");
    check_labels(1e-9, 1e9, true, "1e-08 0.0001 1 10k 100M");
    check_labels(1.235e13, 1.25e13, true, "12.35T 12.4T 12.45T 12.5T");
    check_labels(1.42089e13, 1.42162e13, true, "5T 10T 20T");
    check_labels(0, 3e18, false, "0.0 0.5E 1.0E 1.5E 2.0E 2.5E 3.0E");
    check_labels(4e12, 3e13, true, "5T 10T 20T");
    check_labels(0, 4.2e6, false, "0 1M 2M 3M 4M");
    ttt_axis axis = {.low = NAN, .high = NAN, .log = true};
    ttt_axis_include(&axis, -1);
    ttt_axis_include(&axis, INFINITY);
    ttt_axis_finish(&axis, 0);
    CHECK(axis.low == 1 && axis.high == 10); /* nothing to show */
}

static void places(void)
{
    ttt_axis axis = {.low = 1, .high = 100, .from = 10, .to = 30, .log = true};
    CHECK_NEAR(ttt_axis_place(&axis, 10), 20, 1e-9);
    axis.log = false;
    CHECK_NEAR(ttt_axis_place(&axis, 100), 30, 1e-9);
}

static ttt_buffer saved(const ttt_plot *plot)
{
    ttt_buffer text = {0};
    CHECK_OK(ttt_plot_save(plot, path));
    CHECK_OK(ttt_file_read(&text, path, 10000000));
    return text;
}

static int occurrences(const char *text, const char *part)
{
    int count = 0;
    for (; (text = strstr(text, part)) != NULL; text++) count++;
    return count;
}

/* Of the only series, by its number. */
static void check_colour(int number, const char *colour)
{
    const double x[] = {1, 2};
    const ttt_plot_series series = {.name = "n", .x = x, .y = x, .count = 2, .colour = number};
    const ttt_plot plot = {.title = "t", .x_label = "x", .y_label = "y", .series = &series, .count = 1};
    ttt_buffer text = saved(&plot);
    CHECK_EQ(occurrences(text.data, colour), 4); /* in the legend, the curve and its two marks */
    ttt_buffer_deinit(&text);
}

static void drawing(void)
{
    const double x[] = {1, 2, 3, 4, 5}, y[] = {1, 2, NAN, 4, 5}, error[] = {.1, .1, .1, .1, .1};
    const ttt_plot_series series[2] = {{.name = "a < b & c", .x = x, .y = y, .error = error, .count = 5},
                                       {.name = "bad \xff\x01", .x = x, .y = x, .count = 5, .faint = true}};
    const ttt_plot plot = {.title = "caf\xc3\xa9", .x_label = "x", .y_label = "y", .series = series, .count = 2};
    ttt_buffer text = saved(&plot);
    CHECK(strstr(text.data, ">a &lt; b &amp; c<") &&
          strstr(text.data, ">bad ?"
                            "?<") &&
          strstr(text.data, ">caf\xc3\xa9<"));
    CHECK_EQ(occurrences(text.data, "<circle"), 4); /* the NaN is left out, the faint series shows none */
    CHECK(!strstr(text.data, "nan") && !strstr(text.data, "inf"));
    const char *curve = strstr(text.data, "<path d=\"M800 "); /* begins at the left edge and breaks once */
    CHECK(curve != NULL && strstr(text.data, "</svg>\n") != NULL);
    const int paths = occurrences(text.data, "<path");
    ttt_buffer_deinit(&text);

    ttt_plot_series unnamed = series[1];
    unnamed.name = NULL;
    const ttt_plot without = {.title = "", .x_label = "", .y_label = "", .series = &unnamed, .count = 1};
    text = saved(&without);
    const int curves = occurrences(text.data, "<path");
    ttt_buffer_deinit(&text);
    unnamed.name = "named";
    text = saved(&without);
    CHECK_EQ(occurrences(text.data, "<path"), curves + 1); /* the legend's */
    CHECK(paths > curves + 1);
    ttt_buffer_deinit(&text);

    check_colour(0, "#0072b2");
    check_colour(5, "#e69f00");
    check_colour(TTT_PLOT_COLOURS + 5, "#e69f00");

    const ttt_plot empty = {.title = "", .x_label = "", .y_label = "", .log_x = true, .log_y = true};
    text = saved(&empty);
    CHECK(!strstr(text.data, "nan") && !strstr(text.data, "inf"));
    ttt_buffer_deinit(&text);
    CHECK_FAILS(ttt_plot_save(&empty, TTT_BINARY_DIR), TTT_ERR_IO, TTT_BINARY_DIR);
    ttt_status status = TTT_ERR_MEMORY;
    for (int nth = 1; status != TTT_OK && nth < 100; nth++) {
        fault_at(TTT_CALL_ALLOC, nth, 0);
        status = ttt_plot_save(&plot, path);
        fault_at(TTT_CALL_ALLOC, 0, 0);
    }
    CHECK_EQ(status, TTT_OK);
}

static void many_points(void)
{
    enum { COUNT = 200000 };
    double *x = ttt_alloc(COUNT, sizeof *x), *y = ttt_alloc(COUNT, sizeof *y);
    for (int i = 0; i < COUNT; i++) {
        x[i] = i;
        y[i] = i % 17;
    }
    y[123456] = 100; /* a single outlier must not be thinned away */
    const ttt_plot_series series = {.name = "n", .x = x, .y = y, .count = COUNT};
    const ttt_plot plot = {.title = "t", .x_label = "x", .y_label = "y", .series = &series, .count = 1};
    ttt_buffer text = saved(&plot);
    CHECK(text.size < 60000);
    char point[32];
    snprintf(point, sizeof point, "L%ld ", lrint(800 + 6500 * 123456.0 / (COUNT - 1)));
    CHECK(strstr(text.data, point) != NULL);
    ttt_buffer_deinit(&text);
    ttt_free(x);
    ttt_free(y);
}

static void training_curves(void)
{
    const char *metrics = TTT_BINARY_DIR "/test_svg.jsonl";
    ttt_buffer lines = {0};
    for (int step = 0; step < 300; step++) {
        CHECK_OK(ttt_buffer_print(&lines, "{\"step\": %d, \"loss\": %.4f}\n", step, 1.6 + 4 * exp(-step / 40.0)));
        if (step % 100 == 99) CHECK_OK(ttt_buffer_print(&lines, "{\"step\": %d, \"valid_loss\": 1.8}\n", step));
    }
    CHECK_OK(ttt_buffer_print(&lines, "{\"step\": 300, \"lo"));
    CHECK_OK(ttt_file_write(metrics, lines.data, lines.size));
    ttt_buffer_deinit(&lines);
    CHECK_OK(ttt_plot_training(metrics, path));
    CHECK_OK(ttt_file_read(&lines, path, 10000000));
    CHECK_EQ(occurrences(lines.data, "<circle"), 3);
    CHECK(strstr(lines.data, ">held out<") && strstr(lines.data, ">training, smoothed<"));
    ttt_buffer_deinit(&lines);
    CHECK_FAILS(ttt_plot_training(TTT_BINARY_DIR "/absent.jsonl", path), TTT_ERR_IO, "absent.jsonl");
    unlink(metrics);
}

int main(void)
{
    ticks();
    places();
    drawing();
    many_points();
    training_curves();
    unlink(path);
    return test_end();
}
