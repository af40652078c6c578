/* SPDX-License-Identifier: MIT */
#include "bench_print.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* ---- records of names and values: JSON, JSON lines, CSV ---- */

enum { DIGITS = 7 };

static void print_csv_value(const json_t *value)
{
    size_t i;
    const json_t *element;
    if (json_is_string(value)) {
        putchar('"');
        for (const char *c = json_string_value(value); *c; c++) printf(*c == '"' ? "\"\"" : "%c", *c);
        putchar('"');
    } else if (json_is_integer(value)) {
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        printf("%.*g", DIGITS, json_real_value(value));
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, element) printf(i ? " %.*g" : "%.*g", DIGITS, json_real_value(element));
    }
}

static void print_csv(const ttt_bench_table *table, json_t *record)
{
    const char *key, *comma = "";
    json_t *value;
    if (table->rows == 0) {
        json_object_foreach(record, key, value)
        {
            printf("%s%s", comma, key);
            comma = ",";
        }
        putchar('\n');
    }
    comma = "";
    json_object_foreach(record, key, value)
    {
        fputs(comma, stdout);
        print_csv_value(value);
        comma = ",";
    }
    putchar('\n');
}

/* Takes the record over. */
static void print_record(ttt_bench_table *table, json_t *record)
{
    if (table->format == TTT_BENCH_CSV) {
        print_csv(table, record);
    } else {
        const bool list = table->format == TTT_BENCH_JSON;
        if (list) fputs(table->rows ? ",\n" : "[\n", stdout);
        char *text = json_dumps(record, JSON_REAL_PRECISION(DIGITS) | (list ? JSON_INDENT(2) : JSON_COMPACT));
        if (text) fputs(text, stdout);
        free(text);
        if (!list) putchar('\n');
    }
    json_decref(record);
}

/* ---- one measurement ---- */

static const char *const test_names[] = {"prefill", "decode", "train"};

/* What follows from a result. */
typedef struct figures {
    double mean, deviation, gflops, gb_per_s, fraction;
    bool memory_bound;
} figures;

/* Memory may be faster than its limit, for what lies in the caches; arithmetic may not. */
static void note_fraction(ttt_bench_table *table, double fraction, bool memory_bound)
{
    if (!memory_bound && fraction > table->most) table->most = fraction;
}

static figures figures_of(const ttt_bench_case *c, const ttt_bench_result *result, const ttt_limits *limits)
{
    figures f = {0};
    if (result->status != TTT_OK) return f;
    ttt_bench_rate(c, result, &f.mean, &f.deviation);
    const double seconds = (double)(c->tokens * c->sequences) / f.mean;
    f.gflops = 1e-9 * (result->work.products + result->work.others) / seconds;
    f.gb_per_s = 1e-9 * result->work.bytes / seconds;
    f.fraction = ttt_work_seconds(&result->work, limits, result->precision, &f.memory_bound) / seconds;
    return f;
}

static json_t *number(const ttt_bench_result *result, double value)
{
    return result->status == TTT_OK ? json_real(value) : json_null();
}

static json_t *case_record(const ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_result *result,
                           const ttt_limits *limits)
{
    const figures f = figures_of(c, result, limits);
    const bool ok = result->status == TTT_OK, train = c->test == TTT_BENCH_TRAIN;
    const char *precision = ok ? result->precision : c->precision;
    char layer[TTT_APP_LAYER];
    json_t *samples = json_array(), *r = json_object();
    for (int i = 0; i < result->count; i++)
        json_array_append_new(samples, json_real((double)(c->tokens * c->sequences) / result->seconds[i]));
    json_object_set_new(r, "test", json_string(test_names[c->test]));
    json_object_set_new(r, "model", json_string(table->model));
    json_object_set_new(r, "parameters", json_integer(ttt_config_parameters(c->config)));
    json_object_set_new(r, "layer", json_string(ttt_app_layer_of(c->config, layer)));
    json_object_set_new(r, "weights", json_string(train ? "f32" : precision));
    json_object_set_new(r, "precision", json_string(precision));
    json_object_set_new(r, "isa", json_string(limits->isa));
    json_object_set_new(r, "threads", json_integer(limits->threads));
    json_object_set_new(r, "tokens", json_integer(c->tokens));
    json_object_set_new(r, "depth", json_integer(c->depth));
    json_object_set_new(r, "sequences", json_integer(c->sequences));
    json_object_set_new(r, "tokens_per_s", number(result, f.mean));
    json_object_set_new(r, "stddev", number(result, f.deviation));
    json_object_set_new(r, "gflops", number(result, f.gflops));
    json_object_set_new(r, "gb_per_s", number(result, f.gb_per_s));
    json_object_set_new(r, "fraction_of_limit", number(result, f.fraction));
    json_object_set_new(r, "limit", ok ? json_string(f.memory_bound ? "memory" : "compute") : json_null());
    json_object_set_new(r, "limit_fma_gflops", json_real(1e-9 * limits->fma));
    json_object_set_new(r, "limit_bf16_gflops", limits->bf16 > 0 ? json_real(1e-9 * limits->bf16) : json_null());
    json_object_set_new(r, "limit_bytes_gops", json_real(1e-9 * limits->bytes));
    json_object_set_new(r, "limit_gb_per_s", json_real(1e-9 * limits->read));
    json_object_set_new(r, "peak_rss_bytes", ok ? json_integer(result->peak_bytes) : json_null());
    json_object_set_new(r, "samples", samples);
    json_object_set_new(r, "error", ok ? json_null() : json_string(result->sentence));
    return r;
}

/* "pp512", "tg128 @ d1024", "train1024 x 8": llama-bench's names, and one for training. */
static void print_test(const ttt_bench_case *c)
{
    static const char *const names[] = {"pp", "tg", "train"};
    char text[64];
    int used = snprintf(text, sizeof text, "%s%" PRId64, names[c->test], c->tokens);
    if (c->depth > 0) used += snprintf(text + used, sizeof text - (size_t)used, " @ d%" PRId64, c->depth);
    if (c->sequences > 1) snprintf(text + used, sizeof text - (size_t)used, " x %" PRId64, c->sequences);
    printf(" %15s |", text);
}

static void print_row(const ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_result *result,
                      const ttt_limits *limits)
{
    if (table->rows == 0)
        printf("| model                |  params | layer      | precision | threads |            test |"
               "               t/s | GFLOP/s |  GB/s |      of the limit |   memory |\n"
               "| -------------------- | ------: | ---------- | --------- | ------: | --------------: |"
               " ----------------: | ------: | ----: | ----------------: | -------: |\n");
    char layer[TTT_APP_LAYER];
    const bool ok = result->status == TTT_OK;
    printf("| %-20s | %5.1f M | %-10s | %-9s | %7d |", table->model, (double)ttt_config_parameters(c->config) * 1e-6,
           ttt_app_layer_of(c->config, layer), ok ? result->precision : c->precision, limits->threads);
    print_test(c);
    if (!ok) {
        printf(" not available: %s |\n", result->sentence);
        return;
    }
    const figures f = figures_of(c, result, limits);
    char rate[64], limit[64];
    snprintf(rate, sizeof rate, "%.2f ± %.2f", f.mean, f.deviation);
    snprintf(limit, sizeof limit, "%.1f %% of %s", 100 * f.fraction, f.memory_bound ? "memory" : "compute");
    printf(" %18s | %7.1f | %5.1f | %17s | %5.2f GB |\n", rate, f.gflops, f.gb_per_s, limit,
           1e-9 * (double)result->peak_bytes);
}

void ttt_bench_print_case(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_result *result,
                          const ttt_limits *limits)
{
    if (table->format == TTT_BENCH_MD)
        print_row(table, c, result, limits);
    else
        print_record(table, case_record(table, c, result, limits));
    const figures f = figures_of(c, result, limits);
    note_fraction(table, f.fraction, f.memory_bound);
    table->rows++;
    fflush(stdout);
}

/* ---- single operations ---- */

static json_t *op_record(const ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_op *op,
                         const ttt_limits *limits)
{
    bool memory_bound;
    const double least = ttt_work_seconds(&op->work, limits, op->precision, &memory_bound);
    json_t *r = json_object();
    json_object_set_new(r, "test", json_string("op"));
    json_object_set_new(r, "model", json_string(table->model));
    json_object_set_new(r, "operation", json_string(op->operation));
    json_object_set_new(r, "shape", json_string(op->shape));
    json_object_set_new(r, "precision", json_string(op->precision));
    json_object_set_new(r, "isa", json_string(limits->isa));
    json_object_set_new(r, "threads", json_integer(limits->threads));
    json_object_set_new(r, "tokens", json_integer(c->tokens));
    json_object_set_new(r, "seconds", json_real(op->seconds));
    if (op->dual > 0) json_object_set_new(r, "times_the_dual_form", json_real(op->dual));
    json_object_set_new(r, "gflops", json_real(1e-9 * (op->work.products + op->work.others) / op->seconds));
    json_object_set_new(r, "gb_per_s", json_real(1e-9 * op->work.bytes / op->seconds));
    json_object_set_new(r, "fraction_of_limit", json_real(least / op->seconds));
    json_object_set_new(r, "limit", json_string(memory_bound ? "memory" : "compute"));
    return r;
}

void ttt_bench_print_op(ttt_bench_table *table, const ttt_bench_case *c, const ttt_bench_op *op,
                        const ttt_limits *limits)
{
    bool memory_bound;
    const double least = ttt_work_seconds(&op->work, limits, op->precision, &memory_bound);
    note_fraction(table, least / op->seconds, memory_bound);
    if (table->format == TTT_BENCH_MD) {
        if (table->rows == 0)
            printf("| operation                        | shape                  | precision | threads |        us | "
                   "GFLOP/s |  GB/s |      of the limit |\n"
                   "| -------------------------------- | ---------------------- | --------- | ------: | --------: | "
                   "------: | ----: | ----------------: |\n");
        char limit[64];
        snprintf(limit, sizeof limit, "%.1f %% of %s", 100 * least / op->seconds, memory_bound ? "memory" : "compute");
        if (op->dual > 0) snprintf(limit, sizeof limit, "%.1f x the dual", op->dual);
        printf("| %-32s | %-22s | %-9s | %7d | %9.1f | %7.1f | %5.1f | %17s |\n", op->operation, op->shape,
               op->precision, limits->threads, 1e6 * op->seconds,
               1e-9 * (op->work.products + op->work.others) / op->seconds, 1e-9 * op->work.bytes / op->seconds, limit);
    } else {
        print_record(table, op_record(table, c, op, limits));
    }
    table->rows++;
    fflush(stdout);
}

static void print_limits(const ttt_limits *limits, const char *when)
{
    printf("limits of this machine, %d thread%s, %s: %.1f GFLOP/s (FMA, %s), ", limits->threads,
           limits->threads == 1 ? "" : "s", when, 1e-9 * limits->fma, limits->isa);
    if (limits->bf16 > 0) printf("%.1f GFLOP/s (bf16), ", 1e-9 * limits->bf16);
    printf("%.1f G/s (products of bytes, two operations each), %.1f GB/s (reading memory)\n", 1e-9 * limits->bytes,
           1e-9 * limits->read);
}

/* Says which limit, if any, was another afterwards. */
static void compare_limits(const ttt_bench_bounds *bounds)
{
    const ttt_limits *b = &bounds->before, *a = &bounds->after;
    const struct {
        const char *name;
        double before, after;
    } pairs[] = {{"FMA", b->fma, a->fma},
                 {"bf16", b->bf16, a->bf16},
                 {"products of bytes", b->bytes, a->bytes},
                 {"reading memory", b->read, a->read}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const double before = pairs[i].before, after = pairs[i].after;
        if (before > 1.1 * after || after > 1.1 * before)
            fprintf(stderr,
                    "warning: this machine changed while it was measured: with %d thread%s the limit of %s was %.1f "
                    "G/s before and %.1f G/s after; other work or another guest may be on it\n",
                    b->threads, b->threads == 1 ? "" : "s", pairs[i].name, 1e-9 * before, 1e-9 * after);
    }
}

void ttt_bench_print_end(ttt_bench_table *table, const ttt_bench_bounds *bounds, int count)
{
    if (table->format == TTT_BENCH_JSON) puts(table->rows ? "\n]" : "[]");
    if (table->format == TTT_BENCH_MD) putchar('\n');
    for (int i = 0; i < count && table->format == TTT_BENCH_MD; i++) {
        print_limits(&bounds[i].before, "before");
        print_limits(&bounds[i].after, "after");
    }
}

void ttt_bench_warn(const ttt_bench_table *table, const ttt_bench_bounds *bounds, int count)
{
    fflush(stdout);
    for (int i = 0; i < count; i++) compare_limits(&bounds[i]);
    if (table->most > 1)
        fprintf(stderr,
                "warning: a test came to %.0f %% of the limit of arithmetic, which was measured too low: other work "
                "was on this machine\n",
                100 * table->most);
}
