/* SPDX-License-Identifier: MIT */
#include "bench_sweep.h"

#include <inttypes.h>
#include <stdio.h>
#include <ttt/plot.h>

/* Seconds of a token: the mean and the standard deviation of the samples, from those of the rate. */
static void seconds_of(const ttt_bench_case *c, const ttt_bench_result *result, double *seconds, double *deviation)
{
    double mean, spread;
    ttt_bench_rate(c, result, &mean, &spread);
    *seconds = 1 / mean;
    *deviation = spread / (mean * mean);
}

ttt_sweep_point ttt_sweep_point_of(const ttt_bench_case *prefill, const ttt_bench_result *prefill_result,
                                   const ttt_bench_case *decode, const ttt_bench_result *decode_result)
{
    const int64_t one = prefill_result->peak_bytes, other = decode_result->peak_bytes;
    ttt_sweep_point point = {.context = prefill->tokens, .bytes = (double)(one > other ? one : other)};
    seconds_of(prefill, prefill_result, &point.prefill, &point.prefill_deviation);
    seconds_of(decode, decode_result, &point.decode, &point.decode_deviation);
    return point;
}

void ttt_sweep_print(const ttt_sweep_point *points, int index, const char *precision, int threads)
{
    if (index == 0)
        printf("| context | precision | threads | prefill, ms a token | to the first | decode, ms a token | "
               "to the first |   memory |\n"
               "| ------: | --------- | ------: | ------------------: | -----------: | -----------------: | "
               "-----------: | -------: |\n");
    const ttt_sweep_point *p = &points[index];
    char prefill[64], decode[64];
    snprintf(prefill, sizeof prefill, "%.4f ± %.4f", 1e3 * p->prefill, 1e3 * p->prefill_deviation);
    snprintf(decode, sizeof decode, "%.3f ± %.3f", 1e3 * p->decode, 1e3 * p->decode_deviation);
    printf("| %7" PRId64 " | %-9s | %7d | %20s | %12.3f | %19s | %12.3f | %5.3f GB |\n", p->context, precision, threads,
           prefill, p->prefill / points[0].prefill, decode, p->decode / points[0].decode, 1e-9 * p->bytes);
    fflush(stdout);
}

ttt_status ttt_sweep_plot(const ttt_sweep_point *points, int count, const char *title, const char *path)
{
    enum { CURVES = 3 };
    static const char *const names[CURVES] = {"prefill, time per token", "decode, time per token", "peak memory"};
    double context[TTT_LIST_MOST], y[CURVES][TTT_LIST_MOST], error[CURVES][TTT_LIST_MOST] = {0};
    for (int i = 0; i < count; i++) {
        context[i] = (double)points[i].context;
        y[0][i] = points[i].prefill / points[0].prefill;
        y[1][i] = points[i].decode / points[0].decode;
        y[2][i] = points[i].bytes / points[0].bytes;
        error[0][i] = points[i].prefill_deviation / points[0].prefill;
        error[1][i] = points[i].decode_deviation / points[0].decode;
    }
    ttt_plot_series series[CURVES + 1];
    for (int c = 0; c < CURVES; c++)
        series[c] = (ttt_plot_series){
            .name = names[c], .x = context, .y = y[c], .error = c < 2 ? error[c] : NULL, .count = (size_t)count};
    /* From nought, so that the chart does not make much of little. */
    const double ends[2] = {context[0], context[count - 1]}, nought[2] = {0, 0};
    series[CURVES] = (ttt_plot_series){.x = ends, .y = nought, .count = 2, .faint = true};
    const ttt_plot plot = {.title = title,
                           .x_label = "context, tokens",
                           .y_label = "relative to the shortest context",
                           .log_x = true,
                           .series = series,
                           .count = CURVES + 1};
    return ttt_plot_save(&plot, path);
}
