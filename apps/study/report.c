/* SPDX-License-Identifier: MIT
 * ttt study report: what all sections need, and their order. */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "data.h"

static void colour_line(report_chart *chart, size_t n, int model)
{
    chart->lines[n].colour = model < 0 ? 0 : model % TTT_PLOT_COLOURS + 1;
    for (size_t i = 0; i < n; i++)
        chart->by_place = chart->by_place || chart->lines[i].colour == chart->lines[n].colour;
    for (size_t i = 0; i <= n && chart->by_place; i++) chart->lines[i].colour = 0;
}

ttt_plot_series *report_line(report_chart *chart, int model, const char *format, ...)
{
    if (chart->count == REPORT_LINES) return NULL;
    const size_t n = chart->count++;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(chart->names[n], sizeof chart->names[n], format, arguments);
    va_end(arguments);
    chart->lines[n] = (ttt_plot_series){
        .name = chart->names[n], .x = chart->x[n], .y = chart->y[n], .error = chart->error[n]};
    colour_line(chart, n, model);
    return &chart->lines[n];
}

void report_point(report_chart *chart, double x, double y, double error)
{
    const size_t n = chart->count - 1;
    ttt_plot_series *line = &chart->lines[n];
    if (!isfinite(y) || line->count == REPORT_POINTS) return;
    chart->x[n][line->count] = x;
    chart->y[n][line->count] = y;
    chart->error[n][line->count++] = isfinite(error) ? error : 0;
}

void report_cell_name(const study_report *r, const study_cell *cell, char *text, size_t size)
{
    const study *s = r->s;
    const study_group *g = &s->groups[cell->group];
    char context[32] = "", rate[32] = "";
    if (g->context_count > 1) snprintf(context, sizeof context, ", trained at %" PRId64, cell->context);
    if (g->rate_count > 1) snprintf(rate, sizeof rate, ", rate %g", cell->rate);
    snprintf(text, size, "%s%s%s%s%s", s->models[cell->model].name, g->sizes.count > 1 ? " " : "",
             g->sizes.count > 1 ? s->sizes[cell->size].name : "", context, rate);
}

bool report_is_usual(const study_cell *cell, int group) { return cell->group == group && cell->usual; }

study_mean report_loss(const study_report *r, const study_cell *cell, const study_question *q)
{
    study_mean m = {(double)NAN, (double)NAN, 0, 0};
    study_table *table = malloc(sizeof *table);
    if (table && study_cell_ask(r->cells, cell, q, table)) m = study_table_mean(table);
    free(table);
    return m;
}

study_mean report_paired(const study_report *r, const study_cell *a, const study_question *of_a, const study_cell *b,
                         const study_question *of_b)
{
    study_mean m = {(double)NAN, (double)NAN, 0, 0};
    study_table *one = malloc(sizeof *one), *other = malloc(sizeof *other);
    if (one && other && study_cell_ask(r->cells, a, of_a, one) && study_cell_ask(r->cells, b, of_b, other))
        m = study_table_difference(one, other);
    free(one);
    free(other);
    return m;
}

study_mean report_difference(const study_report *r, const study_cell *cell, const study_cell *other,
                             const study_question *q)
{
    return report_paired(r, cell, q, other, q);
}

const study_cell *report_beside(const study_report *r, const study_cell *cell, int model)
{
    for (size_t i = 0; i < r->cells->count; i++) {
        const study_cell *other = &r->cells->items[i];
        if (other->model == model && study_cells_match(other, cell) && (cell->usual || other->rate == cell->rate))
            return other;
    }
    return NULL;
}

study_question report_headline(const study_report *r, const study_cell *cell)
{
    const study *s = r->s;
    const study_list *list = &s->groups[cell->group].evaluations;
    study_question q = {.evaluation = -1};
    for (size_t i = 0; i < list->count; i++) {
        const int e = list->items[i];
        if (s->evaluations[e].speed || (q.evaluation >= 0 && e != s->headline_evaluation)) continue;
        q.evaluation = e;
    }
    if (q.evaluation >= 0) q.context = study_context_of(s, cell, q.evaluation, 0);
    return q;
}

const char *report_sample(char text[PAGE_NUMBER], study_mean m)
{
    snprintf(text, PAGE_NUMBER, "%zu document%s, %zu seed%s", m.documents, m.documents == 1 ? "" : "s", m.seeds,
             m.seeds == 1 ? "" : "s");
    return text;
}

/* How much of it is there. */
static void introduce(study_report *r)
{
    study *s = r->s;
    size_t done = 0, failed = 0;
    page_element(r->page, "title", "%s", s->title);
    fputs("</head>\n<body>\n", r->page->out);
    page_element(r->page, "h1", "%s", s->title);
    if (*s->about) page_element(r->page, "p", "%s", s->about);
    for (size_t i = 0; i < r->plan->unit_count; i++) {
        done += r->plan->units[i].done;
        failed += r->cells->results[i] && !study_is_good(r->cells->results[i]);
    }
    page_element(
        r->page, "p class=\"quiet\"",
        "%zu of %zu units of work are done%s%s. Losses are in nats per token, perplexity is their exponential. "
        "A number behind ± is a standard error over documents and seeds, both taken as drawn at random; "
        "differences are paired, document by document, as all models read the same tokens. The documents are "
        "few and of one kind: an error over them says nothing of other texts, and one over two seeds is "
        "itself uncertain.",
        done, r->plan->unit_count, failed ? "; some failed, and the table of runs names them" : "",
        done < r->plan->unit_count ? ": what follows is of these" : "");
}

static bool write_report(study_report *r, const ttt_study_options *options)
{
    if (!page_open(r->page, r->s, options->csv)) {
        page_close(r->page, NULL);
        return false;
    }
    introduce(r);
    static void (*const sections[])(study_report *) = {report_claims,   report_models,  report_costs,  report_positions,
                                                       report_contexts, report_reading, report_frozen, report_inner,
                                                       report_speed,    report_rates,   report_runs};
    for (size_t i = 0; i < sizeof sections / sizeof *sections && !*r->s->error.text; i++) sections[i](r);
    return page_close(r->page, *r->s->error.text ? NULL : options->output);
}

int ttt_study_report(const ttt_study_options *options)
{
    study s;
    study_plan plan = {0};
    study_cells cells = {0};
    json_t *data = study_open(&s, options) ? study_data_open(&s, -1, false, NULL, NULL) : NULL;
    study_page page;
    study_report r = {.s = &s, .plan = &plan, .cells = &cells, .page = &page};
    const bool ok = data && study_plan_open(&plan, &s, data) && study_cells_open(&cells, &plan) &&
                    write_report(&r, options);
    char line[STUDY_SENTENCE + 256];
    if (ok)
        snprintf(line, sizeof line, "%s is written", options->output);
    else
        snprintf(line, sizeof line, "ttt: %s: %s", options->file, s.error.text);
    if (options->say) options->say(options->context, line);
    study_cells_close(&cells);
    study_plan_close(&plan);
    json_decref(data);
    study_close(&s);
    return !ok;
}
