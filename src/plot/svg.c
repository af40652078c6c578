/* SPDX-License-Identifier: MIT
 * A chart drawn from the outside in: title and legend, axes with grid and numbers, then the series. All coordinates are
 * whole tenths of a pixel: no number in the file depends on the locale. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <ttt/plot.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "base/file.h"
#include "plot/axis.h"

enum {
    WIDTH = 7600, /* unless the chart says another */
    HEIGHT = 4600,
    LEFT = 800,
    RIGHT = 300,
    TOP = 480, /* without the legend's rows */
    BOTTOM = 640,
    CHARACTER = 66, /* estimated width of one at the font size of labels */
    LEGEND_ROW = 200,
    LEGEND_LINE = 300,
    THIN_COLUMNS = 700, /* a series is thinned to this many groups of points */
    MARKED_POINTS = 40  /* a series of so few points shows each */
};

/* Okabe and Ito's colours, told apart by colour-blind readers too. */
static const char *const colours[TTT_PLOT_COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                      "#e69f00", "#56b4e9", "#000000", "#8a6d3b"};

typedef struct chart {
    const ttt_plot *plot;
    ttt_axis x, y;
    long width, height;
    bool page; /* colours are the page's */
    ttt_buffer out;
} chart;

/* A property of CSS with a series' colour, which a page may set. */
static ttt_status paint(chart *c, const char *property, size_t series)
{
    const int own = c->plot->series[series].colour;
    const size_t n = (own > 0 ? (size_t)own - 1 : series) % TTT_PLOT_COLOURS;
    if (c->page) return ttt_buffer_print(&c->out, "%s:var(--series%zu,%s)", property, n, colours[n]);
    return ttt_buffer_print(&c->out, "%s:%s", property, colours[n]);
}

static long rounded(double value) { return lrint(value); }

/* Text with XML's own characters escaped, and what no XML may hold replaced. */
static ttt_status print_text(ttt_buffer *out, const char *text)
{
    for (size_t rest = strlen(text); rest > 0;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text,
                                                   (utf8proc_ssize_t)(rest < 4 ? rest : 4), &code);
        const bool shown = length > 0 && code >= 0x20 && code != 0xfffe && code != 0xffff;
        if (length < 1) length = 1;
        if (!shown)
            TTT_TRY(ttt_buffer_append(out, "?", 1));
        else if (code == '&')
            TTT_TRY(ttt_buffer_print(out, "&amp;"));
        else if (code == '<')
            TTT_TRY(ttt_buffer_print(out, "&lt;"));
        else
            TTT_TRY(ttt_buffer_append(out, text, (size_t)length));
        text += length;
        rest -= (size_t)length;
    }
    return TTT_OK;
}

static ttt_status draw_text(ttt_buffer *out, long x, long y, const char *attributes, const char *text)
{
    TTT_TRY(ttt_buffer_print(out, "<text x=\"%ld\" y=\"%ld\" %s>", x, y, attributes));
    TTT_TRY(print_text(out, text));
    return ttt_buffer_print(out, "</text>\n");
}

static ttt_status draw_line(ttt_buffer *out, long x1, long y1, long x2, long y2, const char *attributes)
{
    return ttt_buffer_print(out, "<path d=\"M%ld %ldL%ld %ld\" %s/>\n", x1, y1, x2, y2, attributes);
}

static void span(chart *c)
{
    c->x = (ttt_axis){.low = (double)NAN, .high = (double)NAN, .log = c->plot->log_x};
    c->y = (ttt_axis){.low = (double)NAN, .high = (double)NAN, .log = c->plot->log_y};
    for (size_t s = 0; s < c->plot->count; s++) {
        const ttt_plot_series *series = &c->plot->series[s];
        for (size_t i = 0; i < series->count; i++) {
            if (!ttt_axis_shows(&c->x, series->x[i]) || !ttt_axis_shows(&c->y, series->y[i])) continue;
            ttt_axis_include(&c->x, series->x[i]);
            ttt_axis_include(&c->y, series->y[i]);
            if (!series->error) continue;
            ttt_axis_include(&c->y, series->y[i] - series->error[i]);
            ttt_axis_include(&c->y, series->y[i] + series->error[i]);
        }
    }
    ttt_axis_finish(&c->x, c->plot->log_x ? 0.02 : 0);
    ttt_axis_finish(&c->y, 0.05);
}

/* One row of names, or more if they do not fit; *bottom is the y below the last. */
static ttt_status draw_legend(chart *c, long *bottom)
{
    long x = LEFT;
    *bottom = TOP;
    for (size_t s = 0; s < c->plot->count; s++) {
        const ttt_plot_series *series = &c->plot->series[s];
        if (!series->name) continue;
        const long width = LEGEND_LINE + 100 + CHARACTER * (long)strlen(series->name) + 200;
        if (*bottom == TOP || x + width > c->width - RIGHT) {
            x = LEFT;
            *bottom += LEGEND_ROW;
        }
        const long y = *bottom - LEGEND_ROW;
        TTT_TRY(ttt_buffer_print(&c->out, "<path d=\"M%ld %ldh%d\" stroke-width=\"%d\"%s style=\"", x, y - 40,
                                 LEGEND_LINE, series->faint ? 10 : 22, series->faint ? " stroke-opacity=\"0.5\"" : ""));
        TTT_TRY(paint(c, "stroke", s));
        TTT_TRY(ttt_buffer_print(&c->out, "\"/>\n"));
        TTT_TRY(draw_text(&c->out, x + LEGEND_LINE + 80, y, "", series->name));
        x += width;
    }
    return TTT_OK;
}

static ttt_status draw_x_axis(chart *c)
{
    double ticks[TTT_AXIS_TICKS];
    const size_t count = ttt_axis_ticks(&c->x, 8, ticks);
    double free_from = 0; /* labels must not touch the one before */
    for (size_t i = 0; i < count; i++) {
        char label[TTT_AXIS_LABEL];
        ttt_axis_label(&c->x, ticks, count, i, label);
        const double x = ttt_axis_place(&c->x, ticks[i]), half = CHARACTER * (double)strlen(label) / 2;
        TTT_TRY(draw_line(&c->out, rounded(x), rounded(c->y.from), rounded(x), rounded(c->y.to), "class=\"grid\""));
        if (x - half < free_from) continue;
        TTT_TRY(draw_text(&c->out, rounded(x), rounded(c->y.from) + 190, "text-anchor=\"middle\"", label));
        free_from = x + half + CHARACTER;
    }
    return draw_text(&c->out, rounded((c->x.from + c->x.to) / 2), c->height - 170, "text-anchor=\"middle\"",
                     c->plot->x_label);
}

static ttt_status draw_y_axis(chart *c)
{
    double ticks[TTT_AXIS_TICKS];
    const size_t count = ttt_axis_ticks(&c->y, 7, ticks);
    double free_above = (double)c->height;
    for (size_t i = 0; i < count; i++) {
        char label[TTT_AXIS_LABEL];
        ttt_axis_label(&c->y, ticks, count, i, label);
        const double y = ttt_axis_place(&c->y, ticks[i]);
        TTT_TRY(draw_line(&c->out, rounded(c->x.from), rounded(y), rounded(c->x.to), rounded(y), "class=\"grid\""));
        if (y > free_above) continue;
        TTT_TRY(draw_text(&c->out, rounded(c->x.from) - 80, rounded(y) + 42, "text-anchor=\"end\"", label));
        free_above = y - 140;
    }
    char turn[64];
    const long middle = rounded((c->y.from + c->y.to) / 2);
    snprintf(turn, sizeof turn, "text-anchor=\"middle\" transform=\"rotate(-90 190 %ld)\"", middle);
    return draw_text(&c->out, 190, middle, turn, c->plot->y_label);
}

/* A file by itself is white; on a page there is the page's paper and ink, and as much room as it gives. */
static ttt_status draw_paper(chart *c)
{
    TTT_TRY(ttt_buffer_print(&c->out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %ld %ld\" ", c->width,
                             c->height));
    if (c->page) return ttt_buffer_print(&c->out, "role=\"img\" font-size=\"120\" fill=\"currentColor\">\n");
    return ttt_buffer_print(&c->out,
                            "width=\"%ld\" height=\"%ld\" font-family=\"Helvetica,Arial,sans-serif\" font-size=\"120\" "
                            "fill=\"#222222\">\n"
                            "<style>path{fill:none;stroke-linejoin:round}.grid{stroke:#dddddd;stroke-width:8}</style>\n"
                            "<rect width=\"%ld\" height=\"%ld\" fill=\"#ffffff\"/>\n",
                            c->width / 10, c->height / 10, c->width, c->height);
}

static ttt_status draw_frame(chart *c)
{
    TTT_TRY(draw_paper(c));
    TTT_TRY(draw_text(&c->out, c->width / 2, 260,
                      c->page ? "text-anchor=\"middle\" font-size=\"132\" font-weight=\"bold\""
                              : "text-anchor=\"middle\" font-size=\"160\" font-weight=\"bold\"",
                      c->plot->title));
    long top;
    TTT_TRY(draw_legend(c, &top));
    c->x.from = LEFT;
    c->x.to = (double)(c->width - RIGHT);
    c->y.from = (double)(c->height - BOTTOM);
    c->y.to = (double)(top - 80);
    TTT_TRY(draw_x_axis(c));
    TTT_TRY(draw_y_axis(c));
    return ttt_buffer_print(&c->out, "<path d=\"M%d %ldV%ldH%ld\" stroke=\"%s\" stroke-width=\"12\"/>\n", LEFT,
                            rounded(c->y.to), rounded(c->y.from), c->width - RIGHT,
                            c->page ? "currentColor" : "#222222");
}

static bool shown(const chart *c, const ttt_plot_series *series, size_t i)
{
    return ttt_axis_shows(&c->x, series->x[i]) && ttt_axis_shows(&c->y, series->y[i]);
}

/* Continues the line to point i, or begins a new one. */
static ttt_status line_to(chart *c, const ttt_plot_series *series, size_t i, bool *open)
{
    TTT_TRY(ttt_buffer_print(&c->out, "%c%ld %ld", *open ? 'L' : 'M', rounded(ttt_axis_place(&c->x, series->x[i])),
                             rounded(ttt_axis_place(&c->y, series->y[i]))));
    *open = true;
    return TTT_OK;
}

/* Of each group of neighbouring points the first, the lowest, the highest and the last, in order. */
static ttt_status draw_curve(chart *c, size_t s)
{
    const ttt_plot_series *series = &c->plot->series[s];
    const size_t group = 1 + series->count / THIN_COLUMNS;
    TTT_TRY(ttt_buffer_print(&c->out, "<path d=\""));
    bool open = false;
    for (size_t first = 0; first < series->count; first += group) {
        const size_t end = first + group < series->count ? first + group : series->count;
        size_t low = first, high = first;
        for (size_t i = first; i < end; i++) {
            if (!shown(c, series, i)) continue;
            if (!shown(c, series, low) || series->y[i] < series->y[low]) low = i;
            if (!shown(c, series, high) || series->y[i] > series->y[high]) high = i;
        }
        for (size_t i = first; i < end; i++) {
            if (!shown(c, series, i))
                open = false;
            else if (group <= 4 || i == first || i == low || i == high || i == end - 1)
                TTT_TRY(line_to(c, series, i, &open));
        }
    }
    TTT_TRY(ttt_buffer_print(&c->out, "\" stroke-width=\"%d\"%s style=\"", series->faint ? 8 : 18,
                             series->faint ? " stroke-opacity=\"0.4\"" : ""));
    TTT_TRY(paint(c, "stroke", s));
    return ttt_buffer_print(&c->out, "\"/>\n");
}

static ttt_status draw_band(chart *c, size_t s)
{
    const ttt_plot_series *series = &c->plot->series[s];
    TTT_TRY(ttt_buffer_print(&c->out, "<path d=\""));
    char command = 'M';
    for (size_t k = 0; k < 2 * series->count; k++) { /* along the upper edge, then back along the lower */
        const bool upper = k < series->count;
        const size_t i = upper ? k : 2 * series->count - 1 - k;
        const double y = series->y[i] + (upper ? series->error[i] : -series->error[i]);
        if (!shown(c, series, i) || !isfinite(y)) continue;
        const double place = ttt_axis_shows(&c->y, y) ? ttt_axis_place(&c->y, y) : c->y.from;
        TTT_TRY(ttt_buffer_print(&c->out, "%c%ld %ld", command, rounded(ttt_axis_place(&c->x, series->x[i])),
                                 rounded(place)));
        command = 'L';
    }
    TTT_TRY(ttt_buffer_print(&c->out, "\" style=\"fill-opacity:0.18;"));
    TTT_TRY(paint(c, "fill", s));
    return ttt_buffer_print(&c->out, "\"/>\n");
}

static ttt_status draw_marks(chart *c, size_t s)
{
    const ttt_plot_series *series = &c->plot->series[s];
    for (size_t i = 0; i < series->count; i++) {
        if (!shown(c, series, i)) continue;
        TTT_TRY(ttt_buffer_print(&c->out, "<circle cx=\"%ld\" cy=\"%ld\" r=\"28\" style=\"",
                                 rounded(ttt_axis_place(&c->x, series->x[i])),
                                 rounded(ttt_axis_place(&c->y, series->y[i]))));
        TTT_TRY(paint(c, "fill", s));
        TTT_TRY(ttt_buffer_print(&c->out, "\"/>\n"));
    }
    return TTT_OK;
}

static ttt_status draw(chart *c)
{
    span(c);
    TTT_TRY(draw_frame(c));
    for (size_t s = 0; s < c->plot->count; s++) {
        if (c->plot->series[s].error) TTT_TRY(draw_band(c, s));
    }
    for (size_t s = 0; s < c->plot->count; s++) {
        TTT_TRY(draw_curve(c, s));
        if (c->plot->series[s].count <= MARKED_POINTS && !c->plot->series[s].faint) TTT_TRY(draw_marks(c, s));
    }
    return ttt_buffer_print(&c->out, "</svg>\n");
}

static chart begin(const ttt_plot *plot, bool page)
{
    return (chart){.plot = plot,
                   .width = plot->width ? 10 * (long)plot->width : WIDTH,
                   .height = plot->height ? 10 * (long)plot->height : HEIGHT,
                   .page = page};
}

ttt_status ttt_plot_save(const ttt_plot *plot, const char *path)
{
    chart c = begin(plot, false);
    ttt_status status = draw(&c);
    if (status == TTT_OK) status = ttt_file_write(path, c.out.data, c.out.size);
    ttt_buffer_deinit(&c.out);
    return status;
}

ttt_status ttt_plot_print(const ttt_plot *plot, char **svg)
{
    chart c = begin(plot, true);
    *svg = NULL;
    ttt_status status = draw(&c);
    if (status == TTT_OK) status = ttt_buffer_append(&c.out, "", 1);
    if (status == TTT_OK) *svg = ttt_strdup(c.out.data);
    if (status == TTT_OK && !*svg) status = TTT_ERR_MEMORY;
    ttt_buffer_deinit(&c.out);
    return status;
}
