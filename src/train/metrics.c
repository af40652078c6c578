/* SPDX-License-Identifier: MIT
 * One write(2) per line at the end of the file; nothing is buffered in the process. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/metrics.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/system.h"

enum { DIGITS = 9 }; /* tell any two floats apart */

struct ttt_metrics {
    int fd;
    char *path;
    size_t size;   /* of the file */
    int64_t lines; /* in it */
};

static ttt_status fail(const ttt_metrics *metrics, const char *what)
{
    return ttt_fail(TTT_ERR_IO, "cannot %s %s: %s", what, metrics->path, strerror(errno));
}

/* The size of the first `lines` lines, or of as many whole ones as there are. */
static size_t size_to_keep(const ttt_buffer *text, int64_t *lines)
{
    size_t keep = 0;
    int64_t kept = 0;
    while (kept < *lines && keep < text->size) {
        const char *end = memchr(text->data + keep, '\n', text->size - keep);
        if (!end) break;
        keep = (size_t)(end - text->data) + 1;
        kept++;
    }
    *lines = kept;
    return keep;
}

static ttt_status open_and_cut(ttt_metrics *metrics, int64_t lines, ttt_buffer *text)
{
    metrics->fd = ttt_sys_open(metrics->path, O_RDWR | O_CREAT | O_APPEND, 0666);
    if (metrics->fd < 0) return fail(metrics, "open");
    ttt_folder_sync_parent(metrics->path);
    TTT_TRY(ttt_file_read(text, metrics->path, SIZE_MAX));
    metrics->size = size_to_keep(text, &lines);
    metrics->lines = lines;
    return ttt_sys_truncate(metrics->fd, (off_t)metrics->size) == 0 ? TTT_OK : fail(metrics, "cut");
}

ttt_status ttt_metrics_open(ttt_metrics **out, const char *path, int64_t lines)
{
    *out = NULL;
    ttt_metrics *metrics = ttt_alloc(1, sizeof *metrics);
    if (!metrics) return TTT_ERR_MEMORY;
    metrics->fd = -1;
    metrics->path = ttt_strdup(path);
    ttt_buffer text = {0};
    const ttt_status status = metrics->path ? open_and_cut(metrics, lines, &text) : TTT_ERR_MEMORY;
    ttt_buffer_deinit(&text);
    if (status == TTT_OK)
        *out = metrics;
    else
        ttt_metrics_close(metrics);
    return status;
}

static json_t *number(double value)
{
    if (!isfinite(value)) return json_null();
    return value == floor(value) && fabs(value) < 0x1p53 ? json_integer((json_int_t)value) : json_real(value);
}

static ttt_status append(ttt_metrics *metrics, const char *line, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t written = ttt_sys_write(metrics->fd, line + at, size - at);
        if (written < 0) {
            const ttt_status status = fail(metrics, "write");
            /* Should this fail too, the half line is dropped when the file is opened again. */
            (void)ttt_sys_truncate(metrics->fd, (off_t)metrics->size);
            return status;
        }
        at += (size_t)written;
    }
    metrics->size += size;
    metrics->lines++;
    return TTT_OK;
}

ttt_status ttt_metrics_write(ttt_metrics *metrics, const ttt_metric *values, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++) {
        if (json_object_set_new(object, values[i].name, number(values[i].value)) != 0) {
            json_decref(object);
            return ttt_fail(TTT_ERR_MEMORY, "%s: cannot write the metric %s", metrics->path, values[i].name);
        }
    }
    char *text = json_dumps(object, JSON_REAL_PRECISION(DIGITS));
    json_decref(object);
    if (!text) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot write %s", metrics->path);
    ttt_buffer line = {0};
    ttt_status status = ttt_buffer_print(&line, "%s\n", text);
    free(text);
    if (status == TTT_OK) status = append(metrics, line.data, line.size);
    ttt_buffer_deinit(&line);
    return status;
}

int64_t ttt_metrics_lines(const ttt_metrics *metrics) { return metrics->lines; }

ttt_status ttt_metrics_sync(ttt_metrics *metrics)
{
    return ttt_sys_sync(metrics->fd) == 0 ? TTT_OK : fail(metrics, "write");
}

void ttt_metrics_close(ttt_metrics *metrics)
{
    if (!metrics) return;
    if (metrics->fd >= 0) close(metrics->fd);
    ttt_free(metrics->path);
    ttt_free(metrics);
}
