/* SPDX-License-Identifier: MIT */
#include "base/number.h"

#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The "C" locale for this thread alone, until `leave`. Without memory for one the host's stays. */
typedef struct point {
    locale_t own, before;
} point;

static point enter(void)
{
    point p = {.own = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    if (p.own != (locale_t)0) p.before = uselocale(p.own);
    return p;
}

static void leave(point p)
{
    if (p.own == (locale_t)0) return;
    uselocale(p.before);
    freelocale(p.own);
}

bool ttt_number_parse(const char *text, double *value)
{
    char *end;
    const point p = enter();
    *value = strtod(text, &end);
    leave(p);
    return end != text && *end == '\0' && isfinite(*value) && !isspace((unsigned char)*text);
}

const char *ttt_number_print(char text[TTT_NUMBER_TEXT], double value)
{
    double back;
    for (int digits = 6; digits <= 17; digits++) {
        ttt_print(text, TTT_NUMBER_TEXT, "%.*g", digits, value);
        if (ttt_number_parse(text, &back) && back == value) break;
    }
    return text;
}

int ttt_vprint(char *text, size_t size, const char *format, va_list arguments)
{
    const point p = enter();
    const int length = vsnprintf(text, size, format, arguments);
    leave(p);
    return length;
}

int ttt_print(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = ttt_vprint(text, size, format, arguments);
    va_end(arguments);
    return length;
}
