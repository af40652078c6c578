/* SPDX-License-Identifier: MIT
 *
 * How far training is. On a terminal one line that is redrawn in place; elsewhere (a log file, a pipe) a plain line now
 * and then. NO_COLOR and a window's width are respected.
 */
#ifndef TTT_APPS_PROGRESS_H
#define TTT_APPS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

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
} ttt_progress;

/* `first` updates were done before, by the run that is resumed. */
void ttt_progress_init(ttt_progress *progress, FILE *stream, int64_t first);

/* After each update; draws only as often as is of use. `left` is computed here. */
void ttt_progress_show(ttt_progress *progress, ttt_progress_figures figures);

/* A line of text of its own, such as an evaluation's result; the progress line continues below it. */
void ttt_progress_say(ttt_progress *progress, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Finishes the line. */
void ttt_progress_end(ttt_progress *progress);

/* The line itself: at most `columns` wide, the bar taking what the figures leave. */
void ttt_progress_render(char *line, size_t size, const ttt_progress_figures *figures, int width, bool colour);

#endif
