/* SPDX-License-Identifier: MIT */
#include "eval_report.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/plot.h>

#include "common.h"

enum { CURVES = 3 };

static const char *const names[CURVES] = {"adapting", "frozen", "gain"};

/* The curves of a result in the order of `names`; NULL for those that were not computed. */
static void get_curves(const eval_report *report, const ttt_eval_result *r, const ttt_eval_curve *curves[CURVES])
{
    curves[0] = report->mode != TTT_EVAL_FROZEN ? &r->adapting : NULL;
    curves[1] = report->mode != TTT_EVAL_ADAPTING ? &r->frozen : NULL;
    curves[2] = report->mode == TTT_EVAL_BOTH ? &r->gain : NULL;
}

static void get_range(char range[48], const ttt_eval_bin *bin)
{
    if (bin->first == bin->last)
        snprintf(range, 48, "%" PRId64, bin->first);
    else
        snprintf(range, 48, "%" PRId64 "-%" PRId64, bin->first, bin->last);
}

/* ---- table ---- */

static void print_inner(const ttt_eval_result *r)
{
    printf("inner loop's loss at the ends of mini-batches\n%5s  %17s %11s %11s %11s\n", "layer", "position", "W_0",
           "W_t-K", "W_t");
    for (int64_t layer = 0; layer < r->layers; layer++) {
        const ttt_eval_inner *inner = r->inner + layer * r->bin_count;
        for (int64_t i = 0; i < r->bin_count; i++) {
            char range[48];
            if (isnan(inner[i].first)) continue;
            get_range(range, &r->bins[i]);
            printf("%5" PRId64 "  %17s %11.6f %11.6f %11.6f\n", layer, range, inner[i].first, inner[i].before,
                   inner[i].after);
        }
    }
}

/* Of a single block there is no error. */
static void print_error(int width, double error)
{
    if (isnan(error))
        printf(" %*s", width, "-");
    else
        printf(" %*.5f", width, error);
}

static void print_positions(const ttt_eval_result *r, const ttt_eval_curve *const curves[CURVES])
{
    printf("%17s %9s", "position", "tokens");
    for (int k = 0; k < CURVES; k++)
        if (curves[k]) printf(" %10s %8s", names[k], "+/-");
    for (int64_t i = 0; i < r->bin_count; i++) {
        char range[48];
        if (r->bins[i].tokens == 0) continue;
        get_range(range, &r->bins[i]);
        printf("\n%17s %9" PRId64, range, r->bins[i].tokens);
        for (int k = 0; k < CURVES; k++)
            if (curves[k]) {
                printf(" %10.5f", curves[k]->bins[i].mean);
                print_error(8, curves[k]->bins[i].error);
            }
    }
    printf("\n");
}

static void print_result(const eval_report *report, const ttt_eval_result *r, double seconds)
{
    const ttt_eval_curve *curves[CURVES];
    get_curves(report, r, curves);
    if (report->positions) print_positions(r, curves);
    if (r->inner) print_inner(r);
    if (report->positions || r->inner) printf("\n");
    printf("context %" PRId64 ", stride %" PRId64 "%s", r->context, r->stride,
           report->bos ? ", with beginning-of-text" : "");
    if (report->state) printf(", behind the %" PRId64 " tokens of %s", report->state_tokens, report->state);
    printf(": %" PRId64 " window%s, %" PRId64 " tokens scored in %.1f s\n", r->windows, r->windows == 1 ? "" : "s",
           r->tokens, seconds);
    printf("%-9s %10s %9s %12s %14s\n", "", "loss", "+/-", "perplexity", "bits per byte");
    for (int k = 0; k < CURVES; k++) {
        if (!curves[k]) continue;
        const ttt_eval_mean all = curves[k]->all;
        printf("%-9s %10.5f", names[k], all.mean);
        print_error(9, all.error);
        if (k < 2) printf(" %12.4f %14.4f", ttt_eval_perplexity(all.mean), ttt_eval_bits_per_byte(r, all.mean));
        printf("\n");
    }
}

/* The last line is what one wants to know. */
static void print_verdict(const eval_report *report, const ttt_eval_result *r)
{
    const bool frozen = report->mode == TTT_EVAL_FROZEN;
    const ttt_eval_mean mean = frozen ? r->frozen.all : r->adapting.all;
    if (report->interrupted && r == &report->results[report->count - 1]) printf("interrupted; so far: ");
    printf("%.4f bits per byte%s", ttt_eval_bits_per_byte(r, mean.mean), frozen ? " frozen" : "");
    if (report->mode != TTT_EVAL_BOTH) {
        printf(", perplexity %.4f, over %" PRId64 " tokens\n", ttt_eval_perplexity(mean.mean), r->tokens);
        return;
    }
    printf(", frozen %.4f: learning at test time saves %.4f nats per token",
           ttt_eval_bits_per_byte(r, r->frozen.all.mean), r->gain.all.mean);
    if (r->gain.all.error > 0) printf(", %.0f standard errors", r->gain.all.mean / r->gain.all.error);
    printf("\n");
}

void eval_report_print(const eval_report *report)
{
    printf("text: %" PRId64 " bytes, %.4f tokens per byte%s\n", report->bytes, report->results[0].tokens_per_byte,
           report->as_trained ? "; in windows as in training (--context all: the whole text as one)" : "");
    for (int64_t i = 0; i < report->count; i++) {
        printf("\n");
        print_result(report, &report->results[i], report->seconds[i]);
    }
    printf("\n");
    for (int64_t i = 0; i < report->count; i++) {
        if (report->count > 1) printf("context %" PRId64 ": ", report->results[i].context);
        print_verdict(report, &report->results[i]);
    }
}

/* ---- JSON ---- */

/* What is not a number has no other form in JSON than null. */
static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *curve_json(const ttt_eval_result *r, ttt_eval_mean all, bool difference)
{
    json_t *object = json_pack("{s:o, s:o}", "loss", number(all.mean), "loss_error", number(all.error));
    if (difference || !object) return object;
    json_object_set_new(object, "perplexity", number(ttt_eval_perplexity(all.mean)));
    json_object_set_new(object, "bits_per_byte", number(ttt_eval_bits_per_byte(r, all.mean)));
    return object;
}

static json_t *position_json(const ttt_eval_result *r, const ttt_eval_curve *const curves[CURVES])
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->bin_count; i++) {
        const ttt_eval_bin *bin = &r->bins[i];
        if (bin->tokens == 0) continue;
        json_t *object = json_pack("{s:I, s:I, s:I}", "first", (json_int_t)bin->first, "last", (json_int_t)bin->last,
                                   "tokens", (json_int_t)bin->tokens);
        for (int k = 0; k < CURVES; k++)
            if (curves[k])
                json_object_set_new(object, names[k],
                                    json_pack("{s:o, s:o}", "loss", number(curves[k]->bins[i].mean), "loss_error",
                                              number(curves[k]->bins[i].error)));
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *inner_json(const ttt_eval_result *r)
{
    json_t *layers = json_array();
    for (int64_t layer = 0; layer < r->layers; layer++) {
        json_t *points = json_array();
        for (int64_t i = 0; i < r->bin_count; i++) {
            const ttt_eval_inner *inner = &r->inner[layer * r->bin_count + i];
            if (isnan(inner->first)) continue;
            json_array_append_new(points, json_pack("{s:I, s:I, s:o, s:o, s:o}", "first", (json_int_t)r->bins[i].first,
                                                    "last", (json_int_t)r->bins[i].last, "W_0", number(inner->first),
                                                    "W_t-K", number(inner->before), "W_t", number(inner->after)));
        }
        json_array_append_new(layers, points);
    }
    return layers;
}

static json_t *result_json(const eval_report *report, const ttt_eval_result *r, double seconds)
{
    const ttt_eval_curve *curves[CURVES];
    get_curves(report, r, curves);
    const bool frozen = report->mode == TTT_EVAL_FROZEN;
    const ttt_eval_curve *main = frozen ? &r->frozen : &r->adapting;
    json_t *object = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "model", report->model, "learner",
                               names[frozen], "context", (json_int_t)r->context, "stride", (json_int_t)r->stride,
                               "windows", (json_int_t)r->windows, "tokens", (json_int_t)r->tokens, "bytes",
                               (json_int_t)report->bytes, "bos", report->bos, "tokens_per_byte",
                               number(r->tokens_per_byte), "seconds", number(seconds));
    json_t *all = curve_json(r, main->all, false);
    json_object_update(object, all);
    json_decref(all);
    for (int k = 1; k < CURVES && report->mode == TTT_EVAL_BOTH; k++)
        json_object_set_new(object, names[k], curve_json(r, curves[k]->all, k == 2));
    json_object_set_new(object, "by_position", position_json(r, curves));
    if (r->inner) json_object_set_new(object, "inner", inner_json(r));
    if (report->state) {
        json_object_set_new(object, "state", json_string(report->state));
        json_object_set_new(object, "state_tokens", json_integer((json_int_t)report->state_tokens));
    }
    return object;
}

bool eval_report_print_json(const eval_report *report)
{
    for (int64_t i = 0; i < report->count; i++) {
        json_t *object = result_json(report, &report->results[i], report->seconds[i]);
        char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        json_decref(object);
        if (!text) return false;
        puts(text);
        free(text);
    }
    return true;
}

/* ---- CSV ---- */

static void write_rows(FILE *file, const eval_report *report, const ttt_eval_result *r)
{
    const ttt_eval_curve *curves[CURVES];
    get_curves(report, r, curves);
    for (int k = 0; k < CURVES; k++) {
        for (int64_t i = 0; i < r->bin_count && curves[k]; i++) {
            const ttt_eval_bin *bin = &r->bins[i];
            if (bin->tokens > 0)
                fprintf(file, "%" PRId64 ",%s,,%" PRId64 ",%" PRId64 ",%" PRId64 ",%.9g,%.9g\n", r->context, names[k],
                        bin->first, bin->last, bin->tokens, curves[k]->bins[i].mean, curves[k]->bins[i].error);
        }
    }
    for (int64_t i = 0; r->inner && i < r->layers * r->bin_count; i++) {
        const ttt_eval_bin *bin = &r->bins[i % r->bin_count];
        const ttt_eval_inner *inner = &r->inner[i];
        const double values[] = {inner->first, inner->before, inner->after};
        static const char *const weights[] = {"inner W_0", "inner W_t-K", "inner W_t"};
        for (int k = 0; k < 3 && !isnan(inner->first); k++)
            fprintf(file, "%" PRId64 ",%s,%" PRId64 ",%" PRId64 ",%" PRId64 ",,%.9g,\n", r->context, weights[k],
                    i / r->bin_count, bin->first, bin->last, values[k]);
    }
}

int eval_report_save_csv(const eval_report *report, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file) return ttt_app_fail("cannot write %s: %s", path, strerror(errno));
    fputs("context,curve,layer,first,last,tokens,loss,error\n", file);
    for (int64_t i = 0; i < report->count; i++) write_rows(file, report, &report->results[i]);
    const bool failed = ferror(file);
    if (fclose(file) != 0 || failed) return ttt_app_fail("cannot write %s: %s", path, strerror(errno));
    return 0;
}

/* ---- charts ---- */

/* A point in the middle of its bin, on a logarithmic axis. */
static double middle(const ttt_eval_bin *bin) { return sqrt((double)bin->first * (double)bin->last); }

static ttt_status save_losses(const eval_report *report, const char *path)
{
    enum { MOST = 2 }; /* a difference has another scale: the gain is not drawn */
    const size_t most = (size_t)report->count * MOST;
    ttt_plot_series *series = calloc(most, sizeof *series);
    double(*points)[3][TTT_EVAL_BINS] = calloc(most, sizeof *points);
    char(*labels)[64] = calloc(most, sizeof *labels);
    ttt_status status = TTT_ERR_MEMORY;
    size_t count = 0;
    for (int64_t i = 0; i < report->count && series && points && labels; i++) {
        const ttt_eval_result *r = &report->results[i];
        const ttt_eval_curve *curves[CURVES];
        get_curves(report, r, curves);
        for (int k = 0; k < MOST; k++) {
            if (!curves[k]) continue;
            snprintf(labels[count], sizeof *labels, "%s, context %" PRId64, names[k], r->context);
            for (int64_t j = 0; j < r->bin_count; j++) {
                points[count][0][j] = middle(&r->bins[j]);
                points[count][1][j] = curves[k]->bins[j].mean;
                const double error = curves[k]->bins[j].error;
                points[count][2][j] = isnan(error) ? 0 : error;
            }
            series[count] = (ttt_plot_series){.name = report->count > 1 ? labels[count] : names[k],
                                              .x = points[count][0],
                                              .y = points[count][1],
                                              .error = points[count][2],
                                              .count = (size_t)r->bin_count};
            count++;
        }
    }
    if (series && points && labels) {
        const ttt_plot plot = {.title = "Loss by position",
                               .x_label = "tokens read",
                               .y_label = "loss, nats per token",
                               .log_x = true,
                               .series = series,
                               .count = count};
        status = ttt_plot_save(&plot, path);
    }
    free(labels);
    free(points);
    free(series);
    return status;
}

/* The inner loop's losses of the longest context, mean over layers. */
static ttt_status save_inner(const eval_report *report, const char *path)
{
    const ttt_eval_result *r = &report->results[0];
    for (int64_t i = 1; i < report->count; i++)
        if (report->results[i].context > r->context) r = &report->results[i];
    double x[TTT_EVAL_BINS], y[3][TTT_EVAL_BINS] = {0};
    for (int64_t i = 0; i < r->bin_count; i++) {
        x[i] = middle(&r->bins[i]);
        for (int64_t layer = 0; layer < r->layers; layer++) {
            const ttt_eval_inner *inner = &r->inner[layer * r->bin_count + i];
            y[0][i] += inner->first / (double)r->layers;
            y[1][i] += inner->before / (double)r->layers;
            y[2][i] += inner->after / (double)r->layers;
        }
    }
    const size_t n = (size_t)r->bin_count;
    const ttt_plot_series series[] = {
        {.name = "with the first weights W_0", .x = x, .y = y[0], .count = n},
        {.name = "with those before the mini-batch, W_t-K", .x = x, .y = y[1], .count = n},
        {.name = "with those after it, W_t", .x = x, .y = y[2], .count = n},
    };
    const ttt_plot plot = {.title = "The learner's own loss, mean over layers",
                           .x_label = "tokens read",
                           .y_label = "loss of the inner loop",
                           .log_x = true,
                           .series = series,
                           .count = 3};
    return ttt_plot_save(&plot, path);
}

ttt_status eval_report_save_plot(const eval_report *report, const char *path)
{
    const ttt_status status = save_losses(report, path);
    if (status != TTT_OK || !report->results[0].inner) return status;
    const char *base = strrchr(path, '/'), *extension = strrchr(base ? base : path, '.');
    const int stem = (int)(extension ? extension - path : (ptrdiff_t)strlen(path));
    char *inner;
    if (asprintf(&inner, "%.*s-inner%s", stem, path, extension ? extension : "") < 0) return TTT_ERR_MEMORY;
    const ttt_status drawn = save_inner(report, inner);
    free(inner);
    return drawn;
}
