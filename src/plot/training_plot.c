/* SPDX-License-Identifier: MIT
 * loss.svg: the curves of a run, read back from its metrics.jsonl, so that they also show what was before a resume. */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <ttt/plot.h>

#include "base/alloc.h"
#include "base/file.h"

enum { SMOOTHING_LEAST = 10 }; /* steps */

typedef struct curve {
    double *x, *y;
    size_t count, x_capacity, y_capacity;
} curve;

static void curve_deinit(curve *c)
{
    ttt_free(c->x);
    ttt_free(c->y);
}

static ttt_status curve_append(curve *c, double x, double y)
{
    TTT_TRY(ttt_array_reserve(&c->x, &c->x_capacity, c->count + 1, sizeof x));
    TTT_TRY(ttt_array_reserve(&c->y, &c->y_capacity, c->count + 1, sizeof y));
    c->x[c->count] = x;
    c->y[c->count++] = y;
    return TTT_OK;
}

/* A line that is no object, such as one half written, is passed over. */
static ttt_status read_line(const char *line, size_t size, curve *loss, curve *valid)
{
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *step = json_object_get(object, "step");
    const json_t *values[2] = {json_object_get(object, "loss"), json_object_get(object, "valid_loss")};
    curve *curves[2] = {loss, valid};
    ttt_status status = TTT_OK;
    for (int i = 0; status == TTT_OK && i < 2; i++) {
        if (json_is_number(step) && json_is_number(values[i]))
            status = curve_append(curves[i], json_number_value(step), json_number_value(values[i]));
    }
    json_decref(object);
    return status;
}

static ttt_status read_curves(const char *path, ttt_buffer *text, curve *loss, curve *valid)
{
    TTT_TRY(ttt_file_read(text, path, SIZE_MAX));
    for (size_t at = 0; at < text->size;) {
        const char *end = memchr(text->data + at, '\n', text->size - at);
        const size_t size = end ? (size_t)(end - text->data) - at : text->size - at;
        TTT_TRY(read_line(text->data + at, size, loss, valid));
        at += size + 1;
    }
    return TTT_OK;
}

/* The exponential average over about a hundredth of the run, corrected for its beginning. */
static ttt_status smooth(const curve *loss, curve *smoothed)
{
    const double length = fmax(SMOOTHING_LEAST, (double)loss->count / 100), keep = 1 - 1 / length;
    double sum = 0, weight = 0;
    for (size_t i = 0; i < loss->count; i++) {
        sum = keep * sum + loss->y[i];
        weight = keep * weight + 1;
        TTT_TRY(curve_append(smoothed, loss->x[i], sum / weight));
    }
    return TTT_OK;
}

static ttt_status plot(const curve *loss, const curve *smoothed, const curve *valid, const char *path)
{
    const ttt_plot_series series[3] = {
        {.name = "training", .x = loss->x, .y = loss->y, .count = loss->count, .faint = true},
        {.name = "training, smoothed", .x = smoothed->x, .y = smoothed->y, .count = smoothed->count},
        {.name = "held out", .x = valid->x, .y = valid->y, .count = valid->count},
    };
    const ttt_plot chart = {.title = "Loss while training",
                            .x_label = "step",
                            .y_label = "loss (nats per token)",
                            .series = series,
                            .count = valid->count ? 3 : 2};
    return ttt_plot_save(&chart, path);
}

ttt_status ttt_plot_training(const char *metrics, const char *path)
{
    ttt_buffer text = {0};
    curve loss = {0}, smoothed = {0}, valid = {0};
    ttt_status status = read_curves(metrics, &text, &loss, &valid);
    if (status == TTT_OK) status = smooth(&loss, &smoothed);
    if (status == TTT_OK) status = plot(&loss, &smoothed, &valid, path);
    ttt_buffer_deinit(&text);
    curve_deinit(&loss);
    curve_deinit(&smoothed);
    curve_deinit(&valid);
    return status;
}
