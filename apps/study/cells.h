/* SPDX-License-Identifier: MIT
 *
 * What results say, for a report: runs that differ in nothing but their seed are a cell, and what an evaluation found
 * of a cell is a table of documents and seeds, from which means, differences and their standard errors come.
 */
#ifndef TTT_STUDY_CELLS_H
#define TTT_STUDY_CELLS_H

#include "units.h"

typedef struct study_cell {
    int group, model, size; /* size: -1 for none */
    int64_t context;        /* of training */
    double rate;
    const study_run *run; /* the first */
    int *runs;            /* [seeds] numbers of the plan */
    size_t seeds;
    double tokens, flops; /* of the training of one run */
    bool usual;           /* not of a sweep: the group has one rate a model */
} study_cell;

typedef struct study_cells {
    study_plan *plan;
    json_t **results, **timings; /* [unit_count]; NULL: not there */
    study_cell *items;
    size_t count;
} study_cells;

bool study_cells_open(study_cells *cells, study_plan *plan);
void study_cells_close(study_cells *cells);

/* Which numbers of an evaluation: of one context; over positions first to last (0: all); frozen or adapting. */
typedef struct study_question {
    int evaluation;
    int64_t context;
    int64_t first, last;
    bool frozen;
} study_question;

enum { STUDY_DOCUMENTS = 256, STUDY_SEEDS = 64 };

typedef struct study_table {
    size_t documents, seeds;
    double values[STUDY_DOCUMENTS][STUDY_SEEDS]; /* NaN: not there */
} study_table;

typedef struct study_mean {
    double mean, error; /* NaN: unknown; an error of one document is unknown */
    size_t documents, seeds;
} study_mean;

/* What a cell's runs have lost. Seeds whose results are not there are left out. False: there are none. */
bool study_cell_ask(const study_cells *cells, const study_cell *cell, const study_question *question,
                    study_table *table);

/* The mean and its standard error: documents and seeds both are drawn at random, and each adds its part, sqrt(variance
 * of documents' means / documents + variance of seeds' means / seeds). With one seed the part of the seeds is not
 * known and left out. */
study_mean study_table_mean(const study_table *table);
/* The same of a - b, document by document and seed by seed, of those that both have. */
study_mean study_table_difference(const study_table *a, const study_table *b);

/* A result of the cell's seed number `seed`: of an evaluation at a context. */
const json_t *study_cell_result(const study_cells *cells, const study_cell *cell, size_t seed, int evaluation,
                                int64_t context);
/* The same for a measurement of speed; *timing is what it took. */
const json_t *study_cell_speed(const study_cells *cells, const study_cell *cell, size_t seed, int evaluation,
                               const json_t **timing);

/* The context at which an evaluation looks at this cell: number `index` of its list; -1: there are no more. */
int64_t study_context_of(const study *s, const study_cell *cell, int evaluation, size_t index);
bool study_group_has(const study *s, int group, int evaluation);

/* Whether two cells are of the same group, size and context, so that their models are compared. */
bool study_cells_match(const study_cell *a, const study_cell *b);

#endif
