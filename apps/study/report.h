/* SPDX-License-Identifier: MIT
 *
 * The sections of a report, in the order of the page. Each writes what it has to say, and its table of CSV; one that
 * has no results to show writes nothing.
 */
#ifndef TTT_STUDY_REPORT_H
#define TTT_STUDY_REPORT_H

#include "cells.h"
#include "page.h"

typedef struct study_report {
    study *s;
    study_plan *plan;
    study_cells *cells;
    study_page *page;
} study_report;

void report_claims(study_report *r);
void report_models(study_report *r); /* the headline: every model beside the reference, and the paper */
void report_costs(study_report *r);  /* perplexity against FLOPs and parameters */
void report_positions(study_report *r);
void report_contexts(study_report *r);
void report_reading(study_report *r);
void report_frozen(study_report *r);
void report_inner(study_report *r);
void report_speed(study_report *r);
void report_rates(study_report *r);
void report_runs(study_report *r);

/* Lines of a chart, gathered one by one. A model has one colour in all charts where it is one line, so that they can be
 * read side by side; where a model is several lines, colours are by place. */
enum { REPORT_LINES = TTT_PLOT_COLOURS, REPORT_POINTS = 128 };
typedef struct report_chart {
    ttt_plot_series lines[REPORT_LINES];
    double x[REPORT_LINES][REPORT_POINTS], y[REPORT_LINES][REPORT_POINTS], error[REPORT_LINES][REPORT_POINTS];
    char names[REPORT_LINES][96];
    size_t count;
    bool by_place;
} report_chart;

/* A new line of a model, or of none (-1); NULL: there is no room for another. */
ttt_plot_series *report_line(report_chart *chart, int model, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void report_point(report_chart *chart, double x, double y, double error); /* of the last line; NaN is left out */

/* "TTT-Linear", with size and context where the group has several. */
void report_cell_name(const study_report *r, const study_cell *cell, char *text, size_t size);
/* A cell of this group, and none of a sweep. */
bool report_is_usual(const study_cell *cell, int group);
/* Loss of a cell by a question; NaN: no results. */
study_mean report_loss(const study_report *r, const study_cell *cell, const study_question *q);
/* The difference of two cells' losses by two questions about the same documents, paired. */
study_mean report_paired(const study_report *r, const study_cell *a, const study_question *of_a, const study_cell *b,
                         const study_question *of_b);
/* The same by one question. */
study_mean report_difference(const study_report *r, const study_cell *cell, const study_cell *other,
                             const study_question *q);
/* The cell of a model beside this one; NULL: there is none. */
const study_cell *report_beside(const study_report *r, const study_cell *cell, int model);
/* The evaluation that stands for the whole: of the headline, else the first of the cell's group. -1: none. */
study_question report_headline(const study_report *r, const study_cell *cell);
/* "all 12 documents and 2 seeds" */
const char *report_sample(char text[PAGE_NUMBER], study_mean m);

#endif
