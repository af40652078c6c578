/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static _Thread_local char detail[1024];

const char *ttt_status_text(ttt_status status)
{
    switch (status) {
#define TTT_STATUS_CASE(code, text)                                                                                    \
    case code: return text;
        TTT_STATUS_MAP(TTT_STATUS_CASE)
#undef TTT_STATUS_CASE
    }
    return "unknown status";
}

const char *ttt_error_detail(void) { return detail; }

ttt_status ttt_fail(ttt_status status, const char *format, ...)
{
    /* The arguments may point into the previous sentence, so the new one is built beside it. */
    char sentence[sizeof detail];
    va_list arguments;
    va_start(arguments, format);
    ttt_vprint(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    memcpy(detail, sentence, sizeof detail);
    return status;
}

ttt_status ttt_fail_prefix(ttt_status status, const char *format, ...)
{
    char sentence[sizeof detail];
    va_list arguments;
    va_start(arguments, format);
    ttt_vprint(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    const size_t used = strlen(sentence), room = sizeof sentence - used;
    snprintf(sentence + used, room, ": %.*s", (int)room, detail);
    memcpy(detail, sentence, sizeof detail);
    return status;
}
