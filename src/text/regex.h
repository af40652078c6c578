/* SPDX-License-Identifier: MIT
 *
 * The regular expressions of tokenizer.json, which are written for Oniguruma and are matched here by PCRE2. Where the
 * two differ the expression is rewritten (\s, \w, \h, scripts, classes within classes) or refused by name, and
 * characters that the Unicode of Oniguruma (14) does not know are shown to PCRE2 as unassigned ones.
 */
#ifndef TTT_TEXT_REGEX_H
#define TTT_TEXT_REGEX_H

#include <stdbool.h>

#include "base/buffer.h"

typedef struct ttt_regex ttt_regex; /* immutable: may be shared by threads */

/* `where` is a phrase for errors, such as "a pre_tokenizer". */
TTT_NODISCARD ttt_status ttt_regex_new(ttt_regex **regex, const char *pattern, size_t size, const char *where);
void ttt_regex_free(ttt_regex *regex); /* NULL is allowed */

/* One text gone through from its start by one expression. Zero-initialise it; may be used again for another. */
typedef struct ttt_regex_search {
    const ttt_regex *regex;
    const char *text;
    size_t size;
    size_t from;                  /* where the next search begins */
    size_t last_end;              /* of the match before; an empty match there does not count */
    bool matched;                 /* there was one */
    ttt_buffer shown;             /* the text as PCRE2 sees it, if that is not the text itself */
    void *data, *context, *stack; /* PCRE2's */
} ttt_regex_search;

TTT_NODISCARD ttt_status ttt_regex_begin(ttt_regex_search *search, const ttt_regex *regex, const char *text,
                                         size_t size);

/* The next match [*start, *end); *found false: none. An expression that takes too much work on this text is
 * TTT_ERR_UNSUPPORTED. */
TTT_NODISCARD ttt_status ttt_regex_next(ttt_regex_search *search, size_t *start, size_t *end, bool *found);
void ttt_regex_search_deinit(ttt_regex_search *search);

#endif
