/* SPDX-License-Identifier: MIT
 *
 * How far a command is. On a terminal one line that is redrawn in place; elsewhere (a log file, a pipe) a plain line
 * now and then. NO_COLOR and a window's width are respected.
 */
#ifndef TTT_APPS_PROGRESS_H
#define TTT_APPS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <ttt/status.h>

typedef struct ttt_progress_figures {
    int64_t step, steps;   /* updates done, of the whole run */
    double loss, smoothed; /* nats per token */
    double tokens_per_s;
    double left; /* seconds to go; negative: not known yet */
} ttt_progress_figures;

typedef struct ttt_progress {
    FILE *stream;
    bool terminal, colour;
    bool drawn;            /* a line stands on the terminal that is not finished */
    int64_t first;         /* updates done before this run of the program */
    double started, shown; /* seconds of the monotonic clock */
    char doing[48];        /* what ttt_progress_note tells of */
} ttt_progress;

/* `first` updates were done before, by the run that is resumed. */
void ttt_progress_init(ttt_progress *progress, FILE *stream, int64_t first);

/* After each update; draws only as often as is of use. `left` is computed here. */
void ttt_progress_show(ttt_progress *progress, ttt_progress_figures figures);

/* For work that may be short: what is done of it and, from its second second on, how long it will take; `part` of it is
 * done, or it is negative where that is not known. Work with another text than before begins at its first second.
 * TTT_ERR_INTERRUPTED if a signal asks for the end. */
ttt_status ttt_progress_note(void *context, double part, const char *doing);

/* What is being done, as a line of the caller's; drawn only as often as is of use. */
void ttt_progress_line(ttt_progress *progress, const char *text);

/* An update that takes longer than ten seconds: `done` of its `passes` are. */
void ttt_progress_pass(void *context, int64_t step, int64_t done, int64_t passes);

/* A line of text of its own, such as an evaluation's result; the progress line continues below it. */
void ttt_progress_say(ttt_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A warning, as a hook of the library, as ttt_progress_note and ttt_progress_pass are: the progress is their context.
 */
void ttt_progress_warn(void *progress, const char *sentence);

/* Finishes the line; `clear` takes it away. */
void ttt_progress_end(ttt_progress *progress, bool clear);

/* The line itself: at most `columns` wide, the bar taking what the figures leave. */
void ttt_progress_render(char *line, size_t size, const ttt_progress_figures *figures, int width, bool colour);

#endif
