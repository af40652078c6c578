/* SPDX-License-Identifier: MIT
 * Ticks are 1, 2 or 5 times a power of ten: evenly spaced on a linear axis; on a logarithmic one all of these while
 * there are few, else whole decades. A logarithmic axis too short for that is ticked like a linear one. */
#include "plot/axis.h"

#include <math.h>

#include "base/number.h"

static const double SLACK = 1e-9; /* a tick at an end of the axis must not be lost to rounding */

bool ttt_axis_shows(const ttt_axis *axis, double value) { return isfinite(value) && (!axis->log || value > 0); }

void ttt_axis_include(ttt_axis *axis, double value)
{
    if (!ttt_axis_shows(axis, value)) return;
    if (!(axis->low <= value)) axis->low = value;
    if (!(axis->high >= value)) axis->high = value;
}

void ttt_axis_finish(ttt_axis *axis, double margin)
{
    if (!isfinite(axis->low)) {
        axis->low = axis->log ? 1 : 0;
        axis->high = axis->log ? 10 : 1;
    }
    double low = axis->log ? log10(axis->low) : axis->low, high = axis->log ? log10(axis->high) : axis->high;
    /* Below that, labels would all look alike; those of a logarithmic axis have four digits. */
    const double least = axis->log ? 0.002 : 1e-6 * fmax(fabs(low), fabs(high));
    if (high - low <= least) {
        const double half = axis->log ? 0.5 : fmax(0.1 * fabs(low), 1e-6);
        low -= half;
        high += half;
    }
    const double free_part = margin * (high - low);
    axis->low = axis->log ? pow(10, low - free_part) : low - free_part;
    axis->high = axis->log ? pow(10, high + free_part) : high + free_part;
}

double ttt_axis_place(const ttt_axis *axis, double value)
{
    const double part = axis->log ? (log10(value) - log10(axis->low)) / (log10(axis->high) - log10(axis->low))
                                  : (value - axis->low) / (axis->high - axis->low);
    return axis->from + part * (axis->to - axis->from);
}

static double linear_step(const ttt_axis *axis, int wanted)
{
    const double rough = (axis->high - axis->low) / wanted, power = pow(10, floor(log10(rough))), lead = rough / power;
    return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

static size_t linear_ticks(const ttt_axis *axis, int wanted, double ticks[TTT_AXIS_TICKS])
{
    const double step = linear_step(axis, wanted);
    size_t count = 0;
    const double first = ceil(axis->low / step - SLACK);
    for (; first + (double)count <= axis->high / step + SLACK && count < TTT_AXIS_TICKS; count++)
        ticks[count] = (first + (double)count) * step + 0; /* + 0 makes a -0 a 0 */
    return count;
}

/* The `leads` of each decade, or with leads == 1 every `stride`th decade. */
static size_t log_ticks(const ttt_axis *axis, size_t leads, int stride, double ticks[TTT_AXIS_TICKS])
{
    static const double lead[] = {1, 2, 5};
    size_t count = 0;
    const int first = (int)floor(log10(axis->low)), last = (int)ceil(log10(axis->high));
    for (int decade = first; decade <= last; decade++) {
        if (decade % stride != 0) continue;
        for (size_t i = 0; i < leads; i++) {
            const double value = lead[i] * pow(10, decade);
            if (value >= axis->low * (1 - SLACK) && value <= axis->high * (1 + SLACK) && count < TTT_AXIS_TICKS)
                ticks[count++] = value;
        }
    }
    return count;
}

size_t ttt_axis_ticks(const ttt_axis *axis, int wanted, double ticks[TTT_AXIS_TICKS])
{
    if (!axis->log) return linear_ticks(axis, wanted, ticks);
    const double decades = log10(axis->high) - log10(axis->low);
    if (3 * decades > 2 * wanted) return log_ticks(axis, 1, 1 + (int)decades / wanted, ticks);
    const size_t count = log_ticks(axis, 3, 1, ticks);
    return count >= 3 ? count : linear_ticks(axis, wanted, ticks);
}

void ttt_axis_label(const ttt_axis *axis, const double *ticks, size_t count, size_t tick, char label[TTT_AXIS_LABEL])
{
    const double value = ticks[tick];
    const double largest = axis->log ? value : fmax(fabs(axis->low), fabs(axis->high));
    static const char *const names[] = {"", "k", "M", "G", "T", "P", "E"};
    size_t power = 0;
    while (largest >= (power ? 1 : 10) * pow(1e3, (double)power + 1) && power + 1 < sizeof names / sizeof *names)
        power++;
    const double unit = pow(1e3, (double)power);
    const char *name = value == 0 ? "" : names[power];
    const double step = count > 1 ? (ticks[1] - ticks[0]) / unit : 1;
    const double decimals = -floor(log10(step) + 1e-9); /* the step is 1, 2 or 5 times a power of ten */
    if (axis->log || decimals > 6 || largest / unit >= 1e6)
        ttt_print(label, TTT_AXIS_LABEL, "%.4g%s", value / unit, name);
    else
        ttt_print(label, TTT_AXIS_LABEL, "%.*f%s", decimals > 0 ? (int)decimals : 0, value / unit, name);
}
