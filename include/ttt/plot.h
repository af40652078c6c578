/* SPDX-License-Identifier: MIT
 *
 * Line charts as SVG that every browser shows: several named series with a legend, linear or logarithmic axes, error
 * bands. As a file the background is white, so that it reads the same in light and dark viewers.
 */
#ifndef TTT_PLOT_H
#define TTT_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TTT_PLOT_COLOURS = 8 };

typedef struct ttt_plot_series {
    const char *name;    /* NULL: not in the legend */
    const double *x, *y; /* `count` points, x ascending; the line breaks where a point cannot be shown (NaN, or not
                            positive on a logarithmic axis) */
    const double *error; /* NULL: none; else the band y - error .. y + error is shaded */
    size_t count;
    bool faint; /* thin and pale, such as raw values behind smoothed ones */
    int colour; /* 1 to TTT_PLOT_COLOURS, and from the first again beyond; 0: that of its place among the series */
} ttt_plot_series;

typedef struct ttt_plot {
    const char *title, *x_label, *y_label; /* UTF-8 */
    bool log_x, log_y;
    int width, height; /* in pixels, or in units of a picture that is scaled; 0: 760, 460 */
    const ttt_plot_series *series;
    size_t count;
} ttt_plot;

/* Writes the chart, whole or not at all. Series of many points are thinned without losing their extremes. */
TTT_API TTT_NODISCARD ttt_status ttt_plot_save(const ttt_plot *plot, const char *path);

/* The chart as an element of a page (*svg a new string, NULL on failure: release with ttt_string_free): it takes the
 * width it is given and the page's colour of text. The page says `path{fill:none}` for it, what .grid looks like, and,
 * if it wants other colours for series, --series0 to --series7. */
TTT_API TTT_NODISCARD ttt_status ttt_plot_print(const ttt_plot *plot, char **svg);

/* Draws the curves of a training run, MODEL/loss.svg, from its MODEL/metrics.jsonl: "loss" of each step, the same
 * smoothed, and "valid_loss" of each evaluation, against "step". */
TTT_API TTT_NODISCARD ttt_status ttt_plot_training(const char *metrics, const char *path);

#ifdef __cplusplus
}
#endif
#endif
