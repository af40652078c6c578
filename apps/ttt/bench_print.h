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
} ttt_bench_table;

void ttt_bench_print_case(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_result *result,
                          const ttt_limits *limits);

void ttt_bench_print_op(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_op *op,
                        const ttt_limits *limits);

/* After the last record: closes JSON's list, and in Markdown says the limits that were measured, `count` of them. */
void ttt_bench_print_end(ttt_bench_table *table, const ttt_limits *limits, int count);

#endif
