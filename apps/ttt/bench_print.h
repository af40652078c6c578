/* SPDX-License-Identifier: MIT
 *
 * What ttt bench prints: a Markdown table, JSON, JSON lines or CSV, each record as soon as it is there.
 */
#ifndef TTT_APPS_BENCH_PRINT_H
#define TTT_APPS_BENCH_PRINT_H

#include "bench_run.h"

typedef enum ttt_bench_format { TTT_BENCH_MD, TTT_BENCH_JSON, TTT_BENCH_CSV, TTT_BENCH_JSONL } ttt_bench_format;

typedef struct ttt_bench_table {
    ttt_bench_format format;
    const char *model; /* folder or configuration */
    int rows;          /* printed so far */
    double most;       /* the largest part of a limit that arithmetic came to */
} ttt_bench_table;

void ttt_bench_print_case(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_result *result,
                          const ttt_limits *limits);

void ttt_bench_print_op(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_op *op,
                        const ttt_limits *limits);

/* The limits of this machine for one number of threads, measured before the tests and after them. */
typedef struct ttt_bench_bounds {
    ttt_limits before, after;
} ttt_bench_bounds;

/* After the last record: closes JSON's list, and in Markdown says the limits that were measured, `count` of them. */
void ttt_bench_print_end(ttt_bench_table *table, const ttt_bench_bounds *bounds, int count);

/* Says on standard error where the limits cannot be believed: before and after differ by more than a tenth, or
 * something was faster than they allow. */
void ttt_bench_warn(const ttt_bench_table *table, const ttt_bench_bounds *bounds, int count);

#endif
