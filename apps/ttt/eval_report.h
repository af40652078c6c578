/* SPDX-License-Identifier: MIT
 *
 * The result of an evaluation as a table, as JSON, as CSV and as a chart.
 */
#ifndef TTT_APPS_EVAL_REPORT_H
#define TTT_APPS_EVAL_REPORT_H

#include <ttt/eval.h>

typedef struct eval_report {
    const char *model;    /* folder */
    const char *state;    /* file from which each window goes on; NULL: none */
    int64_t state_tokens; /* that it has read */
    ttt_eval_mode mode;
    bool bos;         /* beginning-of-text was read before each window */
    bool as_trained;  /* the context is that of training because none was given */
    bool positions;   /* the table of them is wanted */
    bool interrupted; /* the last result is of a part of the text */
    int64_t bytes;    /* of text */
    int64_t count;
    const ttt_eval_result *results; /* [count], one a context */
    const double *seconds;          /* [count] */
} eval_report;

void eval_report_print(const eval_report *report);

/* One object a context, each on a line. Result: whether memory sufficed. */
bool eval_report_print_json(const eval_report *report);

/* A row for each curve and bin. Result: an exit code. */
int eval_report_save_csv(const eval_report *report, const char *path);

/* The loss by position; with the inner loop's losses also PATH with -inner before its extension. */
TTT_NODISCARD ttt_status eval_report_save_plot(const eval_report *report, const char *path);

#endif
