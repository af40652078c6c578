/* SPDX-License-Identifier: MIT
 * The sections that are charts of losses: against cost, by position, against context. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static report_chart *new_chart(study_report *r)
{
    report_chart *chart = calloc(1, sizeof *chart);
    if (!chart) study_fail(&r->s->error, "out of memory");
    return chart;
}

static size_t points_of(const report_chart *chart)
{
    size_t most = 0;
    for (size_t i = 0; i < chart->count; i++)
        if (chart->lines[i].count > most) most = chart->lines[i].count;
    return most;
}

/* ---- against cost ---- */

typedef struct cost {
    double x;
    study_mean loss;
} cost;

static int by_cost(const void *a, const void *b)
{
    const double x = ((const cost *)a)->x, y = ((const cost *)b)->x;
    return (x > y) - (x < y);
}

/* Budgets that are meant to be the same differ by as much as an update. */
static bool costs_differ(double a, double b) { return b > 1.05 * a; }

/* A line for each model of a group: perplexity against FLOPs of the training, or against parameters. *telling: these
 * are not the same for all models, nor for all points of one, as where only contexts differ. */
static report_chart *gather_costs(study_report *r, int group, bool flops, bool *telling)
{
    const study_group *g = &r->s->groups[group];
    report_chart *chart = new_chart(r);
    double least = INFINITY, most = 0;
    *telling = true;
    for (size_t m = 0; m < g->models.count && chart; m++) {
        cost costs[REPORT_POINTS];
        size_t count = 0;
        for (size_t i = 0; i < r->cells->count && count < REPORT_POINTS; i++) {
            const study_cell *cell = &r->cells->items[i];
            const study_question q = report_headline(r, cell);
            if (!report_is_usual(cell, group) || cell->model != g->models.items[m] || q.evaluation < 0) continue;
            const study_mean loss = report_loss(r, cell, &q);
            if (!isfinite(loss.mean)) continue;
            costs[count++] = (cost){flops ? cell->flops : (double)cell->run->parameters, loss};
        }
        if (count == 0 || !report_line(chart, g->models.items[m], "%s", r->s->models[g->models.items[m]].name))
            continue;
        qsort(costs, count, sizeof *costs, by_cost);
        for (size_t i = 0; i < count; i++) {
            const double perplexity = exp(costs[i].loss.mean);
            report_point(chart, costs[i].x, perplexity, perplexity * costs[i].loss.error);
        }
        least = fmin(least, costs[0].x);
        most = fmax(most, costs[count - 1].x);
        *telling = *telling && (count == 1 || costs_differ(costs[0].x, costs[count - 1].x));
    }
    *telling = *telling && costs_differ(least, most);
    return chart;
}

static void cost_figure(study_report *r, int group, bool flops)
{
    char title[160];
    bool telling;
    report_chart *chart = gather_costs(r, group, flops, &telling);
    snprintf(title, sizeof title, "Perplexity against %s: %s", flops ? "training" : "parameters",
             r->s->groups[group].name);
    const ttt_plot plot = {.title = title,
                           .x_label = flops ? "FLOP of the training" : "parameters",
                           .y_label = "perplexity",
                           .log_x = true,
                           .log_y = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && telling)
        page_figure(r->page, &plot,
                    flops ? "Perplexity on the evaluated documents against the floating-point operations of the "
                            "training; bands are standard errors."
                          : "Perplexity on the evaluated documents against the number of parameters, the embedding "
                            "counted; bands are standard errors.",
                    flops ? "It cannot show the time that a training takes: equal FLOPs are not equally fast."
                          : "It cannot show what larger models would gain from more tokens: all had one budget.");
    free(chart);
}

void report_costs(study_report *r)
{
    page_section(r->page, "Perplexity and cost");
    page_figures_begin(r->page);
    for (size_t g = 0; g < r->s->group_count; g++) {
        cost_figure(r, (int)g, true);
        cost_figure(r, (int)g, false);
    }
    page_figures_end(r->page);
}

/* ---- by position ---- */

typedef struct view {
    study_report *r;
    int group, size, evaluation;
    int64_t context, training; /* of the evaluation; of the training, 0: all that there are */
    FILE *csv;
} view;

static bool in_view(const view *v, const study_cell *cell)
{
    const study *s = v->r->s;
    if (!report_is_usual(cell, v->group) || cell->size != v->size || (v->training && cell->context != v->training))
        return false;
    return s->evaluations[v->evaluation].context_count > 0 || cell->context == v->context;
}

static const json_t *any_result(const view *v, const study_cell *cell)
{
    const json_t *result = NULL;
    for (size_t k = 0; k < cell->seeds && !result; k++)
        result = study_cell_result(v->r->cells, cell, k, v->evaluation, v->context);
    return result;
}

/* A line of one cell: its loss by position, or its difference to another cell's. */
static void add_positions(const view *v, report_chart *chart, const study_cell *cell, const study_cell *other)
{
    const json_t *result = any_result(v, cell);
    const json_t *first = json_object_get(result, "first"), *last = json_object_get(result, "last");
    char name[96];
    report_cell_name(v->r, cell, name, sizeof name);
    if (!result || !report_line(chart, cell->model, "%s", name)) return;
    for (size_t i = 0; i < json_array_size(first); i++) {
        const study_question q = {.evaluation = v->evaluation,
                                  .context = v->context,
                                  .first = json_integer_value(json_array_get(first, i)),
                                  .last = json_integer_value(json_array_get(last, i))};
        const study_mean m = other ? report_difference(v->r, cell, other, &q) : report_loss(v->r, cell, &q);
        report_point(chart, sqrt((double)q.first * (double)q.last), m.mean, m.error);
        if (!v->csv || !isfinite(m.mean)) continue;
        csv_text(v->csv, v->r->s->groups[v->group].name);
        csv_text(v->csv, name);
        csv_text(v->csv, v->r->s->evaluations[v->evaluation].name);
        fprintf(v->csv, "%" PRId64 ",%" PRId64 ",%" PRId64 ",%s,%.9g,%.9g\n", v->context, q.first, q.last,
                other ? "difference" : "loss", m.mean, m.error);
    }
}

/* The chart of losses, or of differences to the reference (of models), or to the first (of trainings). */
static void position_figure(const view *v, bool difference)
{
    study_report *r = v->r;
    report_chart *chart = new_chart(r);
    char title[200], shows[300];
    const study_cell *first = NULL;
    for (size_t i = 0; i < r->cells->count && chart; i++) {
        const study_cell *cell = &r->cells->items[i];
        if (!in_view(v, cell)) continue;
        const study_cell *reference = report_beside(r, cell, r->s->reference);
        if (!reference) reference = first ? first : cell;
        if (!first) first = cell;
        if (!difference || reference != cell)
            add_positions(v, chart, cell, difference ? reference : NULL);
        else if (report_line(chart, cell->model, "%s", ""))
            chart->lines[chart->count - 1].name = NULL; /* every other cell has the same colour in both charts */
    }
    char windows[48] = "whole documents";
    if (v->context > 0) snprintf(windows, sizeof windows, "windows of %" PRId64, v->context);
    snprintf(title, sizeof title, "%s: %s%s%s, %s", difference ? "Loss less the reference's" : "Loss by position",
             r->s->groups[v->group].name, v->size >= 0 ? " " : "", v->size >= 0 ? r->s->sizes[v->size].name : "",
             windows);
    snprintf(shows, sizeof shows,
             difference ? "The paired difference to %s at the same tokens, with its standard error: below 0 is better."
                        : "Mean loss of the tokens that come after so many others, log-spaced, with standard errors "
                          "(%s).",
             difference ? r->s->models[r->s->reference].name : r->s->evaluations[v->evaluation].name);
    const ttt_plot plot = {.title = title,
                           .x_label = "tokens read before",
                           .y_label = difference ? "difference of losses, nats" : "loss, nats per token",
                           .log_x = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && points_of(chart) > 1)
        page_figure(r->page, &plot, shows,
                    difference ? "Neighbouring points are of the same documents: their errors are not independent."
                               : "Early points are means of few tokens, and it cannot show what of a longer past is "
                                 "used.");
    free(chart);
}

/* How many cells a chart would have. */
static size_t count_view(const view *v)
{
    size_t count = 0;
    for (size_t i = 0; i < v->r->cells->count; i++) count += in_view(v, &v->r->cells->items[i]);
    return count;
}

static void position_figures(view v)
{
    const study_group *g = &v.r->s->groups[v.group];
    if (count_view(&v) > REPORT_LINES && v.training == 0) {
        for (size_t i = 0; i < g->context_count; i++) {
            view part = v;
            part.training = (int64_t)g->contexts[i];
            position_figures(part);
        }
        return;
    }
    if (count_view(&v) == 0) return;
    position_figure(&v, false);
    if (count_view(&v) > 1) position_figure(&v, true);
}

/* Of each evaluation the longest context; of one without its own, each context of training. */
static void positions_of(study_report *r, int group, int evaluation, FILE *csv)
{
    const study *s = r->s;
    const study_group *g = &s->groups[group];
    const study_evaluation *e = &s->evaluations[evaluation];
    for (size_t z = 0; z < (g->sizes.count ? g->sizes.count : 1); z++) {
        view v = {.r = r, .group = group, .evaluation = evaluation, .csv = csv};
        v.size = g->sizes.count ? g->sizes.items[z] : -1;
        if (e->context_count > 0) {
            v.context = (int64_t)e->contexts[e->context_count - 1];
            position_figures(v);
            continue;
        }
        for (size_t c = 0; c < g->context_count; c++) {
            v.context = v.training = (int64_t)g->contexts[c];
            position_figures(v);
        }
    }
}

void report_positions(study_report *r)
{
    const study *s = r->s;
    FILE *csv = csv_open(r->page, "positions", "runs,model,evaluation,context,first,last,what,value,error");
    page_section(r->page, "By position");
    page_figures_begin(r->page);
    for (size_t g = 0; g < s->group_count; g++) {
        if (s->groups[g].rate_count > 1) continue;
        for (size_t e = 0; e < s->evaluation_count; e++)
            if (!s->evaluations[e].speed && s->evaluations[e].setting_count == 0 && study_group_has(s, (int)g, (int)e))
                positions_of(r, (int)g, (int)e, csv);
    }
    page_figures_end(r->page);
    csv_close(r->page, csv);
}

/* ---- against context ---- */

/* Evaluated at several contexts: a line a cell; of one context of training, or of all (0). */
static void evaluated_figure(study_report *r, int group, int evaluation, int64_t training, FILE *csv)
{
    const study *s = r->s;
    const study_evaluation *e = &s->evaluations[evaluation];
    report_chart *chart = new_chart(r);
    for (size_t i = 0; i < r->cells->count && chart; i++) {
        const study_cell *cell = &r->cells->items[i];
        char name[96];
        report_cell_name(r, cell, name, sizeof name);
        if (!report_is_usual(cell, group) || (training && cell->context != training)) continue;
        if (!report_line(chart, cell->model, "%s", name)) continue;
        for (size_t k = 0; k < e->context_count; k++) {
            const study_question q = {.evaluation = evaluation, .context = (int64_t)e->contexts[k]};
            const study_mean m = report_loss(r, cell, &q);
            const double perplexity = exp(m.mean);
            if (q.context > 0) report_point(chart, (double)q.context, perplexity, perplexity * m.error);
            if (!csv || !isfinite(m.mean)) continue;
            csv_text(csv, s->groups[group].name);
            csv_text(csv, name);
            csv_text(csv, e->name);
            fprintf(csv, "%" PRId64 ",%" PRId64 ",%.6g,%.9g,%.9g,%.9g\n", cell->context, q.context, cell->flops, m.mean,
                    m.error, perplexity);
        }
    }
    char title[160];
    snprintf(title, sizeof title, "Perplexity by window: %s, %s", s->groups[group].name, e->name);
    const ttt_plot plot = {.title = title,
                           .x_label = "tokens of a window",
                           .y_label = "perplexity",
                           .log_x = true,
                           .log_y = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && points_of(chart) > 1)
        page_figure(r->page, &plot,
                    "Perplexity of the same documents read in windows of so many tokens, each from a fresh state, by "
                    "the same weights.",
                    "A window's first tokens have little before them, so a longer one gains by that alone.");
    free(chart);
}

/* As many charts as keep each to lines that can be told apart. */
static void evaluated_figures(study_report *r, int group, int evaluation, FILE *csv)
{
    const study_group *g = &r->s->groups[group];
    size_t cells = 0;
    for (size_t i = 0; i < r->cells->count; i++) cells += report_is_usual(&r->cells->items[i], group);
    if (cells <= REPORT_LINES) evaluated_figure(r, group, evaluation, 0, csv);
    for (size_t c = 0; c < g->context_count && cells > REPORT_LINES; c++)
        evaluated_figure(r, group, evaluation, (int64_t)g->contexts[c], csv);
}

/* Trained at several contexts with the same budget: a line a model, and where it is least. */
static void trained_figure(study_report *r, int group)
{
    const study *s = r->s;
    const study_group *g = &s->groups[group];
    report_chart *chart = new_chart(r);
    for (size_t m = 0; m < g->models.count * (g->sizes.count ? g->sizes.count : 1) && chart; m++) {
        const int model = g->models.items[m % g->models.count];
        const int size = g->sizes.count ? g->sizes.items[m / g->models.count] : -1;
        if (!report_line(chart, model, "%s%s%s", s->models[model].name, g->sizes.count > 1 ? " " : "",
                         g->sizes.count > 1 ? s->sizes[size].name : ""))
            continue;
        for (size_t i = 0; i < r->cells->count; i++) {
            const study_cell *cell = &r->cells->items[i];
            const study_question q = report_headline(r, cell);
            if (!report_is_usual(cell, group) || cell->model != model || cell->size != size || q.evaluation < 0)
                continue;
            const study_mean loss = report_loss(r, cell, &q);
            report_point(chart, (double)cell->context, exp(loss.mean), exp(loss.mean) * loss.error);
        }
    }
    char title[160];
    snprintf(title, sizeof title, "Perplexity by context of training: %s", g->name);
    const ttt_plot plot = {.title = title,
                           .x_label = "context of training, tokens",
                           .y_label = "perplexity",
                           .log_x = true,
                           .log_y = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && points_of(chart) > 1)
        page_figure(r->page, &plot,
                    "Perplexity on the same documents of models trained at each context with the same budget.",
                    "It cannot show what another budget would choose: see the table of the best context by budget.");
    free(chart);
}

/* The context with the least loss, and how far the second is. */
static void best_row(study_report *r, int group, int model, int size)
{
    const study_cell *best = NULL, *second = NULL;
    double least = INFINITY, next = INFINITY;
    study_question q = {0};
    for (size_t i = 0; i < r->cells->count; i++) {
        const study_cell *cell = &r->cells->items[i];
        if (!report_is_usual(cell, group) || cell->model != model || cell->size != size) continue;
        q = report_headline(r, cell);
        const double loss = q.evaluation >= 0 ? report_loss(r, cell, &q).mean : (double)NAN;
        if (loss < least) {
            second = best;
            next = least;
            best = cell;
            least = loss;
        } else if (loss < next) {
            second = cell;
            next = loss;
        }
    }
    if (!best || !second) return;
    /* The windows may differ with the context of training, the documents do not. */
    const study_question of_best = report_headline(r, best), of_second = report_headline(r, second);
    const study_mean m = report_paired(r, best, &of_best, second, &of_second);
    char number[PAGE_NUMBER];
    page_row_begin(r->page);
    page_cell(r->page, "%s", r->s->groups[group].name);
    page_cell(r->page, "%s%s%s", r->s->models[model].name, size >= 0 ? " " : "",
              size >= 0 ? r->s->sizes[size].name : "");
    page_cell(r->page, "%sFLOP", page_count(number, best->flops));
    page_cell(r->page, "%" PRId64, best->context);
    page_cell(r->page, "%" PRId64 ": %s", second->context, page_number(number, m.mean, m.error));
    page_row_end(r->page);
}

static void best_table(study_report *r)
{
    const study *s = r->s;
    bool any = false;
    for (size_t g = 0; g < s->group_count; g++)
        any = any || (s->groups[g].context_count > 1 && s->groups[g].rate_count < 2);
    if (!any) return;
    static const char *const heads[] = {"runs", "model", "training", "best context", "less than the second best"};
    page_table_begin(r->page,
                     "The context of training with the least loss at each budget, and its paired difference to "
                     "the second best: less than two standard errors is a tie.",
                     heads, 5);
    for (size_t g = 0; g < s->group_count; g++) {
        const study_group *group = &s->groups[g];
        if (group->context_count < 2 || group->rate_count > 1) continue;
        for (size_t m = 0; m < group->models.count; m++)
            for (size_t z = 0; z < (group->sizes.count ? group->sizes.count : 1); z++)
                best_row(r, (int)g, group->models.items[m], group->sizes.count ? group->sizes.items[z] : -1);
    }
    page_table_end(r->page);
}

void report_contexts(study_report *r)
{
    const study *s = r->s;
    FILE *csv = csv_open(r->page, "contexts", "runs,model,evaluation,trained_at,context,flops,loss,error,perplexity");
    page_section(r->page, "Context length");
    page_figures_begin(r->page);
    for (size_t g = 0; g < s->group_count; g++) {
        if (s->groups[g].rate_count > 1) continue;
        if (s->groups[g].context_count > 1) trained_figure(r, (int)g);
        for (size_t e = 0; e < s->evaluation_count; e++)
            if (s->evaluations[e].context_count > 1 && !s->evaluations[e].speed && study_group_has(s, (int)g, (int)e))
                evaluated_figures(r, (int)g, (int)e, csv);
    }
    page_figures_end(r->page);
    best_table(r);
    csv_close(r->page, csv);
}
