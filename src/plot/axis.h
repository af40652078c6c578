/* SPDX-License-Identifier: MIT
 *
 * One axis of a chart: which numbers it spans, where a value lies on the paper, and which values are worth a tick.
 */
#ifndef TTT_EVAL_AXIS_H
#define TTT_EVAL_AXIS_H

#include <stdbool.h>
#include <stddef.h>

enum { TTT_AXIS_TICKS = 64, TTT_AXIS_LABEL = 32 };

typedef struct ttt_axis {
    double low, high; /* values at both ends; to begin with NAN: nothing seen */
    double from, to;  /* where they lie on the paper */
    bool log;
} ttt_axis;

/* Whether the axis can show the value at all: finite, and positive if it is logarithmic. */
bool ttt_axis_shows(const ttt_axis *axis, double value);

/* Stretches the axis so that it spans the value; one it cannot show is passed over. */
void ttt_axis_include(ttt_axis *axis, double value);

/* After all values are included: makes low < high and leaves `margin` (part of the length) free at both ends. */
void ttt_axis_finish(ttt_axis *axis, double margin);

double ttt_axis_place(const ttt_axis *axis, double value);

/* Round values in ascending order, about `wanted` of them; returns how many. */
size_t ttt_axis_ticks(const ttt_axis *axis, int wanted, double ticks[TTT_AXIS_TICKS]);

/* A short text for a tick, with as many decimals as the neighbours need: 0.25, 1500, 20k, 1.5M. */
void ttt_axis_label(const ttt_axis *axis, const double *ticks, size_t count, size_t tick, char label[TTT_AXIS_LABEL]);

#endif
