/* SPDX-License-Identifier: MIT
 *
 * metrics.jsonl: whatever the bytes, a chart is drawn of them, which is one svg element of printable characters; and
 * opened to go on, the file has the lines that are asked for, or fewer whole ones.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/metrics.h>
#include <ttt/plot.h>

#include "base/file.h"
#include "folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_chart(const char *path)
{
    ttt_buffer chart = {0};
    if (ttt_file_read(&chart, path, 64 << 20) != TTT_OK) abort();
    if (chart.size < 12 || strncmp(chart.data, "<svg", 4) != 0 ||
        strcmp(chart.data + chart.size - 7, "</svg>\n") != 0 || strlen(chart.data) != chart.size)
        abort();
    if (strstr(chart.data, "nan") || strstr(chart.data, "inf,") || strstr(chart.data, "-inf")) abort();
    ttt_buffer_deinit(&chart);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)fuzz_folder_make();
    fuzz_put("metrics.jsonl", data, size);
    char chart[256];
    snprintf(chart, sizeof chart, "%s", fuzz_path("loss.svg"));
    if (ttt_plot_training(fuzz_path("metrics.jsonl"), chart) == TTT_OK) check_chart(chart);
    ttt_metrics *metrics;
    if (ttt_metrics_open(&metrics, fuzz_path("metrics.jsonl"), 3) != TTT_OK) abort();
    if (ttt_metrics_lines(metrics) < 0 || ttt_metrics_lines(metrics) > 3) abort();
    ttt_metrics_close(metrics);
    return 0;
}
