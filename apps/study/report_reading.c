/* SPDX-License-Identifier: MIT
 * The same weights and documents read otherwise: in other windows, or with other keys than they were trained with. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* What reading otherwise is worth to the same weights: an evaluation at its context number `index`. */
static void window_row(study_report *r, const study_cell *cell, int first, int evaluation, size_t index, FILE *csv)
{
    const study_evaluation *e = &r->s->evaluations[evaluation];
    const study_question at_first = {.evaluation = first, .context = study_context_of(r->s, cell, first, 0)};
    const study_question other = {.evaluation = evaluation, .context = study_context_of(r->s, cell, evaluation, index)};
    const study_mean loss = report_loss(r, cell, &other), m = report_paired(r, cell, &other, cell, &at_first);
    if (!isfinite(loss.mean)) return;
    char name[96], number[PAGE_NUMBER], how[160] = "the whole document";
    if (other.context > 0) snprintf(how, sizeof how, "windows of %" PRId64, other.context);
    for (size_t i = 0; i < e->setting_count; i++) {
        const size_t used = strlen(how);
        snprintf(how + used, sizeof how - used, ", %s", e->settings[i]);
    }
    report_cell_name(r, cell, name, sizeof name);
    page_row_begin(r->page);
    page_cell(r->page, "%s", r->s->groups[cell->group].name);
    page_cell(r->page, "%s", name);
    page_cell_wide(r->page, "%s", how);
    page_cell(r->page, "%s", page_number(number, exp(loss.mean), exp(loss.mean) * loss.error));
    if (evaluation == first && index == 0)
        page_cell(r->page, "-");
    else
        page_cell(r->page, "%s", page_number(number, m.mean, m.error));
    page_row_end(r->page);
    if (!csv) return;
    csv_text(csv, r->s->groups[cell->group].name);
    csv_text(csv, name);
    csv_text(csv, e->name);
    csv_text(csv, how);
    fprintf(csv, "%" PRId64 ",%" PRId64 ",%.9g,%.9g,%.9g\n", at_first.context, other.context, loss.mean, m.mean,
            m.error);
}

/* Whether an evaluation reads the tokens of another one otherwise. */
static bool reads_otherwise(const study *s, int evaluation, int first)
{
    const study_evaluation *e = &s->evaluations[evaluation], *of = &s->evaluations[first];
    return evaluation == first ||
           (e->setting_count > 0 && !e->speed && e->tokens == of->tokens && strcmp(e->documents, of->documents) == 0);
}

static void window_table(study_report *r, int first, FILE *csv)
{
    const study *s = r->s;
    static const char *const heads[] = {"runs", "model", "read in", "perplexity", "loss less that in the first window"};
    char caption[320];
    snprintf(caption, sizeof caption,
             "%s: the same weights and documents, read otherwise than in windows of %.0f tokens, paired by document. "
             "More than 0: what that gives is less than what it takes.",
             s->evaluations[first].name, s->evaluations[first].contexts[0]);
    page_table_begin(r->page, caption, heads, 5);
    for (size_t i = 0; i < r->cells->count; i++) {
        const study_cell *cell = &r->cells->items[i];
        for (int e = 0; e < (int)s->evaluation_count && cell->usual; e++) {
            if (!reads_otherwise(s, e, first) || !study_group_has(s, cell->group, e)) continue;
            for (size_t k = 0; study_context_of(s, cell, e, k) >= 0; k++) window_row(r, cell, first, e, k, csv);
        }
    }
    page_table_end(r->page);
}

/* By position, of one cell: as the first evaluation's longest window has it, and each of the others. */
static void reading_figure(study_report *r, const study_cell *cell, int first)
{
    const study *s = r->s;
    report_chart *chart = calloc(1, sizeof *chart);
    char title[160], name[96];
    for (int e = 0; e < (int)s->evaluation_count && chart; e++) {
        const study_evaluation *of = &s->evaluations[e];
        if (!reads_otherwise(s, e, first) || !study_group_has(s, cell->group, e)) continue;
        study_question q = {.evaluation = e};
        q.context = study_context_of(s, cell, e, of->context_count ? of->context_count - 1 : 0);
        const json_t *result = study_cell_result(r->cells, cell, 0, e, q.context);
        const json_t *begin = json_object_get(result, "first"), *end = json_object_get(result, "last");
        if (!result || !report_line(chart, -1, "%s", e == first ? "as trained" : of->name)) continue;
        for (size_t i = 0; i < json_array_size(begin); i++) {
            q.first = json_integer_value(json_array_get(begin, i));
            q.last = json_integer_value(json_array_get(end, i));
            const study_mean m = report_loss(r, cell, &q);
            report_point(chart, sqrt((double)q.first * (double)q.last), m.mean, m.error);
        }
    }
    report_cell_name(r, cell, name, sizeof name);
    snprintf(title, sizeof title, "Loss by position, read otherwise: %s", name);
    const ttt_plot plot = {.title = title,
                           .x_label = "tokens read before",
                           .y_label = "loss, nats per token",
                           .log_x = true,
                           .series = chart ? chart->lines : NULL,
                           .count = chart ? chart->count : 0};
    if (chart && chart->count > 1)
        page_figure(r->page, &plot,
                    "The same weights on the same tokens, with the keys that they were trained with and with others.",
                    "It cannot show what weights would do that were trained with the other keys.");
    free(chart);
}

/* Whether something is read otherwise than by this evaluation, which has windows and keys as trained. */
static bool is_first(const study *s, int evaluation)
{
    const study_evaluation *of = &s->evaluations[evaluation];
    bool any = of->context_count > 1;
    for (int e = 0; e < (int)s->evaluation_count; e++)
        any = any || (e != evaluation && reads_otherwise(s, e, evaluation));
    return any && of->context_count > 0 && of->setting_count == 0 && !of->speed;
}

void report_reading(study_report *r)
{
    const study *s = r->s;
    bool any = false;
    for (int e = 0; e < (int)s->evaluation_count; e++) any = any || is_first(s, e);
    if (!any) return;
    FILE *csv = csv_open(r->page, "windows", "runs,model,evaluation,read_in,first_window,window,loss,difference,error");
    page_section(r->page, "Read otherwise");
    page_figures_begin(r->page);
    for (int e = 0; e < (int)s->evaluation_count; e++)
        for (size_t i = 0; i < r->cells->count && is_first(s, e); i++)
            if (r->cells->items[i].usual && study_group_has(s, r->cells->items[i].group, e))
                reading_figure(r, &r->cells->items[i], e);
    page_figures_end(r->page);
    for (int e = 0; e < (int)s->evaluation_count; e++)
        if (is_first(s, e)) window_table(r, e, csv);
    csv_close(r->page, csv);
}
