/* SPDX-License-Identifier: MIT
 *
 * Time per token and memory against context: what stays the same, however long the text.
 */
#ifndef TTT_APPS_BENCH_SWEEP_H
#define TTT_APPS_BENCH_SWEEP_H

#include "bench_list.h"
#include "bench_print.h"

enum { TTT_SWEEP_DECODED = 128 }; /* tokens read one by one behind each context */

typedef struct ttt_sweep_point {
    int64_t context;
    double prefill, prefill_deviation, decode, decode_deviation; /* seconds a token */
    double bytes;                                                /* most memory resident */
} ttt_sweep_point;

/* From the two measurements of a context. */
ttt_sweep_point ttt_sweep_point_of(const ttt_bench_case *prefill, const ttt_bench_result *prefill_result,
                                   const ttt_bench_case *decode, const ttt_bench_result *decode_result);

/* A row of the Markdown table, with its head before the first. */
void ttt_sweep_print(const ttt_sweep_point *points, int index, const char *precision, int threads);

/* The curves, each relative to the shortest context. */
TTT_NODISCARD ttt_status ttt_sweep_plot(const ttt_sweep_point *points, int count, const char *title, const char *path);

#endif
