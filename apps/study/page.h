/* SPDX-License-Identifier: MIT
 *
 * A page of HTML that needs nothing else, and the tables of CSV beside it. What is written goes through these
 * functions, so that no text can break the page.
 */
#ifndef TTT_STUDY_PAGE_H
#define TTT_STUDY_PAGE_H

#include <stdio.h>
#include <ttt/plot.h>

#include "store.h"

typedef struct study_page {
    study *s;
    FILE *out; /* memory */
    char *text;
    size_t size;
    const char *csv; /* folder; NULL: none */
    int figure;
    const char *section, *caption; /* of what follows, while nothing did */
    const char *const *heads;
    size_t head_count;
    bool figures, rows; /* the open list of figures, or table, has one */
} study_page;

bool page_open(study_page *page, study *s, const char *csv);
/* Writes it whole, and closes it; path NULL: only that. */
bool page_close(study_page *page, const char *path);

/* Text is escaped. */
void page_text(study_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void page_element(study_page *page, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A heading for what follows. Headings, tables and lists of figures that nothing follows in are not written. */
void page_section(study_page *page, const char *title);

/* A table: heads and cells; a cell is a number, a name or a text, by how it is set. The strings must live to its end.
 */
void page_table_begin(study_page *page, const char *caption, const char *const *heads, size_t count);
void page_row_begin(study_page *page);
void page_cell(study_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void page_cell_wide(study_page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
void page_cell_code(study_page *page, const char *text);
void page_row_end(study_page *page);
void page_table_end(study_page *page);

/* Several charts side by side. */
void page_figures_begin(study_page *page);
void page_figures_end(study_page *page);
/* One with a sentence of what it shows, and one of what it cannot. */
void page_figure(study_page *page, const ttt_plot *plot, const char *shows, const char *cannot);

/* "12.3 ± 0.4", with as many digits as the error has a use for; "-" if it is not known. */
enum { PAGE_NUMBER = 64 };
const char *page_number(char text[PAGE_NUMBER], double value, double error);
/* "2.1 M" */
const char *page_count(char text[PAGE_NUMBER], double value);

/* A file of the CSV folder, with its head; NULL if there is none. Rows are the caller's. */
FILE *csv_open(study_page *page, const char *name, const char *head);
/* A field, quoted where it has to be, and a comma. */
void csv_text(FILE *file, const char *text);
bool csv_close(study_page *page, FILE *file);

#endif
