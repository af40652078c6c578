/* SPDX-License-Identifier: MIT
 * What goes on inside: the learners' own losses, and what a token takes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

enum { WEIGHTS = 3 };
static const char *const weights[WEIGHTS] = {"W_0", "W_t-K", "W_t"};

/* ---- the inner loop ---- */

static double inner_at(const json_t *document, size_t layer, size_t bin, int weight)
{
    const json_t *rows = json_array_get(json_object_get(document, "inner"), layer);
    const json_t *value = json_array_get(json_array_get(rows, bin), (size_t)weight);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

typedef struct inner_view {
    const study_report *r;
    const study_cell *cell;
    int evaluation;
    int64_t context;
    const json_t *result; /* the first seed's */
    size_t layers, bins;
} inner_view;

static bool open_view(inner_view *v)
{
    for (size_t k = 0; k < v->cell->seeds && !v->result; k++)
        v->result = study_cell_result(v->r->cells, v->cell, k, v->evaluation, v->context);
    const json_t *inner = json_object_get(json_array_get(json_object_get(v->result, "documents"), 0), "inner");
    v->layers = json_array_size(inner);
    v->bins = json_array_size(json_array_get(inner, 0));
    return v->layers > 0;
}

/* Fills a table with a layer's numbers at a bin, or their means over all bins (weighted by their tokens; bin -1). */
static void ask_inner(const inner_view *v, size_t layer, int bin, int weight, study_table *t)
{
    t->documents = 0;
    t->seeds = v->cell->seeds < STUDY_SEEDS ? v->cell->seeds : STUDY_SEEDS;
    for (size_t d = 0; d < STUDY_DOCUMENTS; d++)
        for (size_t k = 0; k < t->seeds; k++) t->values[d][k] = (double)NAN;
    for (size_t k = 0; k < t->seeds; k++) {
        const json_t *result = study_cell_result(v->r->cells, v->cell, k, v->evaluation, v->context);
        const json_t *documents = json_object_get(result, "documents");
        const size_t count = json_array_size(documents) < STUDY_DOCUMENTS ? json_array_size(documents)
                                                                          : STUDY_DOCUMENTS;
        if (count > t->documents) t->documents = count;
        for (size_t d = 0; d < count; d++) {
            const json_t *document = json_array_get(documents, d), *counts = json_object_get(document, "counts");
            double sum = 0, n = 0;
            for (size_t b = bin < 0 ? 0 : (size_t)bin; b < (bin < 0 ? v->bins : (size_t)bin + 1); b++) {
                const double value = inner_at(document, layer, b, weight);
                const double tokens = json_number_value(json_array_get(counts, b));
                if (isnan(value)) continue;
                sum += tokens * value;
                n += tokens;
            }
            t->values[d][k] = n > 0 ? sum / n : (double)NAN;
        }
    }
}

static void inner_chart(study_report *r, const inner_view *v, size_t layer, FILE *csv)
{
    const json_t *first = json_object_get(v->result, "first"), *last = json_object_get(v->result, "last");
    report_chart *chart = calloc(1, sizeof *chart);
    study_table *table = malloc(sizeof *table);
    char title[160], name[96];
    report_cell_name(r, v->cell, name, sizeof name);
    for (int w = 0; w < WEIGHTS && chart && table; w++) {
        report_line(chart, -1, "%s", weights[w]);
        for (size_t b = 0; b < v->bins; b++) {
            ask_inner(v, layer, (int)b, w, table);
            const study_mean m = study_table_mean(table);
            const double from = json_number_value(json_array_get(first, b)),
                         to = json_number_value(json_array_get(last, b));
            report_point(chart, sqrt(from * to), m.mean, m.error);
            if (!csv || !isfinite(m.mean)) continue;
            csv_text(csv, r->s->groups[v->cell->group].name);
            csv_text(csv, name);
            fprintf(csv, "%zu,%s,%.0f,%.0f,%.9g,%.9g\n", layer, weights[w], from, to, m.mean, m.error);
        }
    }
    snprintf(title, sizeof title, "Inner loss: %s, layer %zu", name, layer);
    const ttt_plot plot = {.title = title,
                           .x_label = "tokens read",
                           .y_label = "loss of the inner loop",
                           .log_x = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && table && chart->lines[0].count > 1)
        page_figure(r->page, &plot,
                    "The learner's own loss at the last token of each mini-batch: with its first weights, those before "
                    "the mini-batch, and those after it.",
                    "A smaller inner loss need not be a smaller loss of the model.");
    free(chart);
    free(table);
}

static void inner_row(study_report *r, const inner_view *v, size_t layer)
{
    study_table *tables = malloc(WEIGHTS * sizeof *tables);
    char name[96], number[PAGE_NUMBER];
    if (!tables) return;
    for (int w = 0; w < WEIGHTS; w++) ask_inner(v, layer, -1, w, &tables[w]);
    const study_mean step = study_table_difference(&tables[2], &tables[1]);
    const study_mean learnt = study_table_difference(&tables[1], &tables[0]);
    report_cell_name(r, v->cell, name, sizeof name);
    page_row_begin(r->page);
    page_cell(r->page, "%s", name);
    page_cell(r->page, "%zu", layer);
    for (int w = 0; w < WEIGHTS; w++) {
        const study_mean m = study_table_mean(&tables[w]);
        page_cell(r->page, "%s", page_number(number, m.mean, m.error));
    }
    page_cell(r->page, "%s", page_number(number, learnt.mean, learnt.error));
    page_cell(r->page, "%s", page_number(number, step.mean, step.error));
    const bool known = isfinite(step.error) && isfinite(learnt.error);
    const bool holds = step.mean < -2 * step.error && learnt.mean < -2 * learnt.error;
    page_cell(r->page, "%s", !known ? "-" : holds ? "yes" : "no");
    page_row_end(r->page);
    free(tables);
}

/* Calls `each` for the layers of the headline's cells that something learns in. */
static void each_layer(study_report *r, bool rows, FILE *csv)
{
    const study *s = r->s;
    for (size_t i = 0; i < r->cells->count; i++) {
        const study_cell *cell = &r->cells->items[i];
        for (size_t e = 0; e < s->evaluation_count; e++) {
            if (!s->evaluations[e].inner || cell->group != s->headline || !study_group_has(s, cell->group, (int)e))
                continue;
            inner_view v = {
                .r = r, .cell = cell, .evaluation = (int)e, .context = study_context_of(s, cell, (int)e, 0)};
            if (!open_view(&v)) continue;
            for (size_t layer = 0; layer < v.layers; layer++) {
                if (rows)
                    inner_row(r, &v, layer);
                else
                    inner_chart(r, &v, layer, csv);
            }
        }
    }
}

void report_inner(study_report *r)
{
    bool any = false;
    for (size_t e = 0; e < r->s->evaluation_count; e++) any = any || r->s->evaluations[e].inner;
    if (!any) return;
    static const char *const heads[] = {
        "model", "layer", "W_0", "W_t-K", "W_t", "W_t-K less W_0", "W_t less W_t-K", "W_t < W_t-K < W_0 by two errors"};
    FILE *csv = csv_open(r->page, "inner", "runs,model,layer,weights,first,last,loss,error");
    page_section(r->page, "The inner loop");
    page_figures_begin(r->page);
    each_layer(r, false, csv);
    page_figures_end(r->page);
    page_table_begin(
        r->page, "The inner loss of each layer, mean over positions, and what the steps make of it, paired.", heads, 8);
    each_layer(r, true, NULL);
    page_table_end(r->page);
    csv_close(r->page, csv);
}

/* ---- speed ---- */

enum { MEMORY, WRITING, READING, MEASURES };

/* The mean over seeds of what was measured at each context. */
static double measured(const study_report *r, const study_cell *cell, int evaluation, size_t index, int measure)
{
    static const char *const keys[] = {"bytes", "seconds_writing", "seconds_reading"};
    double sum = 0, count = 0;
    for (size_t k = 0; k < cell->seeds; k++) {
        const json_t *timing, *result = study_cell_speed(r->cells, cell, k, evaluation, &timing);
        const json_t *value = json_array_get(json_object_get(measure == MEMORY ? result : timing, keys[measure]),
                                             index);
        if (!json_is_number(value)) continue;
        sum += json_number_value(value);
        count++;
    }
    return count > 0 ? sum / count : (double)NAN;
}

static void speed_figure(study_report *r, int group, int evaluation, int measure)
{
    static const char *const titles[] = {"Memory of a text", "Time to write a token", "Time to read a token"};
    static const char *const labels[] = {"bytes", "microseconds", "microseconds"};
    static const char *const shows[] = {
        "Bytes of the state of one text after so many tokens.",
        "Time of a single token after so many others, one thread, one text at a time.",
        "Time of a token while a text is read in pieces of 256 tokens, from the context before up to this one."};
    static const char *const cannot[] = {
        "It cannot show the memory of the weights, which all texts share.",
        "It is of one machine, one text at a time, and one measurement a seed: no standard error.",
        "It cannot show several texts at a time, or more threads."};
    const study *s = r->s;
    const study_evaluation *e = &s->evaluations[evaluation];
    report_chart *chart = calloc(1, sizeof *chart);
    for (size_t i = 0; i < r->cells->count && chart; i++) {
        const study_cell *cell = &r->cells->items[i];
        char name[96];
        report_cell_name(r, cell, name, sizeof name);
        if (!report_is_usual(cell, group) || !report_line(chart, cell->model, "%s", name)) continue;
        for (size_t k = 0; k < e->context_count; k++)
            report_point(chart, e->contexts[k],
                         measured(r, cell, evaluation, k, measure) * (measure == MEMORY ? 1 : 1e6), 0);
    }
    const ttt_plot plot = {.title = titles[measure],
                           .x_label = "tokens read before",
                           .y_label = labels[measure],
                           .log_x = true,
                           .log_y = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && chart->count && chart->lines[0].count) page_figure(r->page, &plot, shows[measure], cannot[measure]);
    free(chart);
}

static void speed_rows(const study_report *r, int group, int evaluation, FILE *csv)
{
    const study *s = r->s;
    const study_evaluation *e = &s->evaluations[evaluation];
    for (size_t i = 0; i < r->cells->count && csv; i++) {
        const study_cell *cell = &r->cells->items[i];
        char name[96];
        report_cell_name(r, cell, name, sizeof name);
        for (size_t k = 0; k < e->context_count && report_is_usual(cell, group); k++) {
            csv_text(csv, s->groups[group].name);
            csv_text(csv, name);
            fprintf(csv, "%.0f,%.0f,%.6g,%.6g\n", e->contexts[k], measured(r, cell, evaluation, k, MEMORY),
                    measured(r, cell, evaluation, k, WRITING), measured(r, cell, evaluation, k, READING));
        }
    }
}

void report_speed(study_report *r)
{
    const study *s = r->s;
    bool any = false;
    for (size_t e = 0; e < s->evaluation_count; e++) any = any || s->evaluations[e].speed;
    if (!any) return;
    FILE *csv = csv_open(r->page, "speed", "runs,model,context,bytes,seconds_writing,seconds_reading");
    page_section(r->page, "Time and memory");
    page_figures_begin(r->page);
    for (size_t g = 0; g < s->group_count; g++) {
        for (size_t e = 0; e < s->evaluation_count; e++) {
            if (!s->evaluations[e].speed || !study_group_has(s, (int)g, (int)e) || s->groups[g].rate_count > 1)
                continue;
            for (int m = 0; m < MEASURES; m++) speed_figure(r, (int)g, (int)e, m);
            speed_rows(r, (int)g, (int)e, csv);
        }
    }
    page_figures_end(r->page);
    csv_close(r->page, csv);
}
