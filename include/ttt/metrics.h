/* SPDX-License-Identifier: MIT
 *
 * metrics.jsonl: one JSON object a line, for each step and each evaluation. A line is written at once, so a killed run
 * loses none; a resume cuts the file back to its checkpoint, so each step is there once.
 */
#ifndef TTT_METRICS_H
#define TTT_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_metric {
    const char *name;
    double value; /* whole numbers are written as such, NaN and infinities as null */
} ttt_metric;

typedef struct ttt_metrics ttt_metrics;

/* Opens or creates the file for appending; close with ttt_metrics_close. Only its first `lines` lines are kept, or as
 * many whole ones as there are. */
TTT_API TTT_NODISCARD ttt_status ttt_metrics_open(ttt_metrics **metrics, const char *path, int64_t lines);

/* Appends one object. If it fails, for want of space say, nothing of the line stays. */
TTT_API TTT_NODISCARD ttt_status ttt_metrics_write(ttt_metrics *metrics, const ttt_metric *values, size_t count);

/* Lines in the file: what a checkpoint remembers. */
TTT_API int64_t ttt_metrics_lines(const ttt_metrics *metrics);

/* Waits until the disk holds all lines; to be called before a checkpoint is written. */
TTT_API TTT_NODISCARD ttt_status ttt_metrics_sync(ttt_metrics *metrics);

/* NULL is allowed. */
TTT_API void ttt_metrics_close(ttt_metrics *metrics);

#ifdef __cplusplus
}
#endif
#endif
