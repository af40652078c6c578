/* SPDX-License-Identifier: MIT */
#include "cells.h"

#include <stdlib.h>
#include <string.h>

static bool is_same(const study_run *r, const study_cell *c)
{
    return r->group == c->group && r->model == c->model && r->size == c->size && r->context == c->context &&
           (r->rate == c->rate || (isnan(r->rate) && isnan(c->rate)));
}

static bool add_run(study_cells *cells, int run)
{
    study *s = cells->plan->study;
    const study_run *r = &cells->plan->runs[run];
    size_t i = 0;
    while (i < cells->count && !is_same(r, &cells->items[i])) i++;
    study_cell *c = &cells->items[i];
    if (i == cells->count) {
        const study_group *g = &s->groups[r->group];
        cells->count++;
        *c = (study_cell){.group = r->group,
                          .model = r->model,
                          .size = r->size,
                          .context = r->context,
                          .rate = r->rate,
                          .run = r,
                          .runs = study_keep(s, calloc(g->seed_count + 1, sizeof *c->runs)),
                          .tokens = (double)(r->steps * g->batch),
                          .flops = (double)(r->steps * g->batch) * r->flops,
                          .usual = g->rate_count < 2};
    }
    if (!c->runs) return false;
    c->runs[c->seeds++] = run;
    return true;
}

bool study_cells_open(study_cells *cells, study_plan *plan)
{
    study *s = plan->study;
    *cells = (study_cells){.plan = plan};
    cells->items = study_keep(s, calloc(plan->run_count + 1, sizeof *cells->items));
    cells->results = study_keep(s, calloc(plan->unit_count + 1, sizeof *cells->results));
    cells->timings = study_keep(s, calloc(plan->unit_count + 1, sizeof *cells->timings));
    if (*s->error.text) return false;
    for (size_t i = 0; i < plan->run_count; i++)
        if (!add_run(cells, (int)i)) return false;
    for (size_t i = 0; i < plan->unit_count; i++) {
        cells->results[i] = study_load(s, STUDY_RESULTS, plan->units[i].id);
        cells->timings[i] = study_load(s, STUDY_TIMINGS, plan->units[i].id);
    }
    return !*s->error.text;
}

void study_cells_close(study_cells *cells)
{
    for (size_t i = 0; cells->plan && i < cells->plan->unit_count; i++) {
        if (cells->results) json_decref(cells->results[i]);
        if (cells->timings) json_decref(cells->timings[i]);
    }
    *cells = (study_cells){0};
}

static int find_unit(const study_cells *cells, int run, study_kind kind, int evaluation, int64_t context)
{
    const study_plan *plan = cells->plan;
    for (size_t i = 0; i < plan->unit_count; i++) {
        const study_unit *u = &plan->units[i];
        if (u->run == run && u->kind == kind && u->evaluation == evaluation &&
            (kind == STUDY_SPEED || u->context == context))
            return (int)i;
    }
    return -1;
}

const json_t *study_cell_result(const study_cells *cells, const study_cell *cell, size_t seed, int evaluation,
                                int64_t context)
{
    const int unit = find_unit(cells, cell->runs[seed], STUDY_EVALUATE, evaluation, context);
    return unit >= 0 && study_is_good(cells->results[unit]) ? cells->results[unit] : NULL;
}

const json_t *study_cell_speed(const study_cells *cells, const study_cell *cell, size_t seed, int evaluation,
                               const json_t **timing)
{
    const int unit = find_unit(cells, cell->runs[seed], STUDY_SPEED, evaluation, 0);
    *timing = unit >= 0 ? cells->timings[unit] : NULL;
    return unit >= 0 && study_is_good(cells->results[unit]) ? cells->results[unit] : NULL;
}

int64_t study_context_of(const study *s, const study_cell *cell, int evaluation, size_t index)
{
    const study_evaluation *e = &s->evaluations[evaluation];
    if (e->context_count == 0) return index == 0 ? cell->context : -1;
    return index < e->context_count ? (int64_t)e->contexts[index] : -1;
}

bool study_group_has(const study *s, int group, int evaluation)
{
    const study_list *list = &s->groups[group].evaluations;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i] == evaluation) return true;
    return false;
}

bool study_cells_match(const study_cell *a, const study_cell *b)
{
    return a->group == b->group && a->size == b->size && a->context == b->context;
}

/* ---- tables ---- */

static double at(const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* The mean of a document's losses in the bins that lie within the positions asked for. */
static double document_loss(const json_t *result, const json_t *document, const study_question *q)
{
    const json_t *losses = json_object_get(document, q->frozen ? "frozen_losses" : "losses");
    const json_t *all = json_object_get(document, q->frozen ? "frozen" : "loss");
    if (q->first == 0) return json_is_number(all) ? json_number_value(all) : (double)NAN;
    double sum = 0, count = 0;
    for (size_t i = 0; i < json_array_size(losses); i++) {
        const double first = at(json_object_get(result, "first"), i), last = at(json_object_get(result, "last"), i);
        const double n = at(json_object_get(document, "counts"), i), loss = at(losses, i);
        if (first < (double)q->first || last > (double)q->last || !(n > 0) || isnan(loss)) continue;
        sum += n * loss;
        count += n;
    }
    return count > 0 ? sum / count : (double)NAN;
}

bool study_cell_ask(const study_cells *cells, const study_cell *cell, const study_question *q, study_table *table)
{
    bool any = false;
    table->documents = 0;
    table->seeds = cell->seeds < STUDY_SEEDS ? cell->seeds : STUDY_SEEDS;
    for (size_t k = 0; k < table->seeds; k++) {
        const json_t *result = study_cell_result(cells, cell, k, q->evaluation, q->context);
        const json_t *documents = json_object_get(result, "documents");
        const size_t count = json_array_size(documents) < STUDY_DOCUMENTS ? json_array_size(documents)
                                                                          : STUDY_DOCUMENTS;
        for (size_t d = table->documents; d < count; d++)
            for (size_t j = 0; j < k; j++) table->values[d][j] = (double)NAN;
        if (count > table->documents) table->documents = count;
        for (size_t d = 0; d < table->documents; d++) {
            const bool there = d < count;
            table->values[d][k] = there ? document_loss(result, json_array_get(documents, d), q) : (double)NAN;
            any = any || isfinite(table->values[d][k]);
        }
    }
    return any;
}

/* The mean over what is there of a row (a document) or a column (a seed). */
static double line_mean(const study_table *t, size_t line, bool seed)
{
    double sum = 0;
    size_t count = 0;
    const size_t length = seed ? t->documents : t->seeds;
    for (size_t i = 0; i < length; i++) {
        const double value = seed ? t->values[i][line] : t->values[line][i];
        if (!isfinite(value)) continue;
        sum += value;
        count++;
    }
    return count ? sum / (double)count : (double)NAN;
}

/* Variance of the lines' means over how many there are; 0 for one. */
static double line_part(const study_table *t, bool seed, double *mean, size_t *count)
{
    double sum = 0, squares = 0;
    const size_t lines = seed ? t->seeds : t->documents;
    *count = 0;
    for (size_t i = 0; i < lines; i++) {
        const double value = line_mean(t, i, seed);
        if (isfinite(value)) sum += value;
        if (isfinite(value)) ++*count;
    }
    *mean = *count ? sum / (double)*count : (double)NAN;
    for (size_t i = 0; i < lines; i++) {
        const double value = line_mean(t, i, seed);
        if (isfinite(value)) squares += (value - *mean) * (value - *mean);
    }
    return *count > 1 ? squares / (double)(*count - 1) / (double)*count : 0;
}

study_mean study_table_mean(const study_table *table)
{
    study_mean m;
    double ignored;
    const double documents = line_part(table, false, &m.mean, &m.documents);
    const double seeds = line_part(table, true, &ignored, &m.seeds);
    m.error = m.documents > 1 ? sqrt(documents + seeds) : (double)NAN;
    return m;
}

study_mean study_table_difference(const study_table *a, const study_table *b)
{
    study_mean m = {(double)NAN, (double)NAN, 0, 0};
    study_table *d = malloc(sizeof *d);
    if (!d) return m;
    d->documents = a->documents < b->documents ? a->documents : b->documents;
    d->seeds = a->seeds < b->seeds ? a->seeds : b->seeds;
    for (size_t i = 0; i < d->documents; i++)
        for (size_t k = 0; k < d->seeds; k++) d->values[i][k] = a->values[i][k] - b->values[i][k];
    m = study_table_mean(d);
    free(d);
    return m;
}
