/* SPDX-License-Identifier: MIT
 *
 * Numbers as text, with a decimal point whatever the locale: a host program may have set one that writes 0,05.
 */
#ifndef TTT_BASE_NUMBER_H
#define TTT_BASE_NUMBER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

enum { TTT_NUMBER_TEXT = 32 };

/* Whether all of `text` is one finite number, which *value then is; no white space around it. */
bool ttt_number_parse(const char *text, double *value);

/* The shortest text of at least six digits that reads back as the same number; returns `text`. */
const char *ttt_number_print(char text[TTT_NUMBER_TEXT], double value);

/* vsnprintf with a decimal point. */
int ttt_vprint(char *text, size_t size, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));

/* snprintf with a decimal point. */
int ttt_print(char *text, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
