/* SPDX-License-Identifier: MIT
 *
 * How the library's own code reports failure: ttt_fail() records the sentence and returns the code,
 * TTT_TRY passes a failure on. TTT_TRY is the only control-flow macro of the project.
 */
#ifndef TTT_BASE_ERROR_H
#define TTT_BASE_ERROR_H

#include <stddef.h>
#include <ttt/status.h>

/* Records the sentence (printf format; at most 1023 bytes are kept) for ttt_error_detail() and returns `status`. */
ttt_status ttt_fail(ttt_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " (printf format) in front of the sentence already recorded and returns `status`. */
ttt_status ttt_fail_prefix(ttt_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define TTT_TRY(expression)                                                                                            \
    do {                                                                                                               \
        const ttt_status ttt_try_status = (expression);                                                                \
        if (ttt_try_status != TTT_OK) return ttt_try_status;                                                           \
    } while (0)

#endif
