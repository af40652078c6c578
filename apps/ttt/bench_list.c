/* SPDX-License-Identifier: MIT */
#include "bench_list.h"

#include <string.h>

static const int64_t most = (int64_t)1 << 40;
static const char not_a_number[] = "give whole numbers, such as 512 or 4k";
static const char too_many[] = "that is more than 64 values";

static const char *add(ttt_list *list, int64_t value)
{
    if (list->count == TTT_LIST_MOST) return too_many;
    list->values[list->count++] = value;
    return NULL;
}

/* A number at *text, which moves behind it. */
static bool read_number(const char **text, int64_t *value)
{
    const char *at = *text;
    for (*value = 0; *at >= '0' && *at <= '9' && *value <= most; at++) *value = 10 * *value + (*at - '0');
    if (at == *text) return false;
    if (*at == 'k' || *at == 'M') {
        *value *= *at == 'k' ? 1 << 10 : 1 << 20;
        at++;
    }
    *text = at;
    return *value <= most;
}

/* "first", "first-last", "first-last+step" or "first-last*factor" at *text. */
static const char *read_range(ttt_list *list, const char **text)
{
    int64_t first, last, by = 1;
    char how = '+';
    if (!read_number(text, &first)) return not_a_number;
    last = first;
    if (**text == '-') {
        ++*text;
        if (!read_number(text, &last)) return not_a_number;
        if (**text == '+' || **text == '*') {
            how = *(*text)++;
            if (!read_number(text, &by)) return not_a_number;
        }
    }
    if (last < first) return "a range goes upwards";
    if (by == 0 || (how == '*' && (by == 1 || first == 0))) return "a range has to come to its end";
    const char *wrong = NULL;
    for (int64_t value = first; value <= last && !wrong; value = how == '*' ? value * by : value + by)
        wrong = add(list, value);
    return wrong;
}

const char *ttt_list_add(ttt_list *list, const char *text)
{
    for (;;) {
        const char *wrong = read_range(list, &text);
        if (wrong) return wrong;
        if (*text == '\0') return NULL;
        if (*text++ != ',') return not_a_number;
    }
}

const char *ttt_list_add_doubles(ttt_list *list, const char *text)
{
    int64_t first, last;
    const char *wrong = NULL;
    if (!read_number(&text, &first) || strncmp(text, "..", 2) != 0) return "give FIRST..LAST, such as 1k..64k";
    text += 2;
    if (!read_number(&text, &last) || *text) return "give FIRST..LAST, such as 1k..64k";
    if (first < 1 || last < first) return "a range goes upwards, from 1 or more";
    for (; first <= last && !wrong; first *= 2) wrong = add(list, first);
    return wrong;
}

const char *ttt_list_add_names(ttt_list *list, const char *text, const char *const *names)
{
    for (;;) {
        const size_t length = strcspn(text, ",");
        int found = 0;
        while (names[found] && (strlen(names[found]) != length || strncmp(names[found], text, length) != 0)) found++;
        if (!names[found]) return "unknown";
        const char *wrong = add(list, found);
        if (wrong) return wrong;
        if (text[length] == '\0') return NULL;
        text += length + 1;
    }
}
