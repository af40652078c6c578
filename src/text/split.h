/* SPDX-License-Identifier: MIT
 *
 * Pre-tokenizers of a tokenizer.json: steps, each of which cuts the pieces that the step before made. The pieces of the
 * last one are what the model encodes.
 */
#ifndef TTT_TEXT_SPLIT_H
#define TTT_TEXT_SPLIT_H

#include <stdbool.h>

#include "base/buffer.h"
#include "text/regex.h"

typedef enum ttt_split_kind {
    TTT_SPLIT_SPACES,      /* every white space character is a match; so for the next two */
    TTT_SPLIT_NUMBERS,     /* \p{N} */
    TTT_SPLIT_PUNCTUATION, /* \p{P} and the other signs of ASCII */
    TTT_SPLIT_WORDS,       /* \w+|[^\w\s]+ */
    TTT_SPLIT_TEXT,        /* every occurrence of `text` */
    TTT_SPLIT_REGEX,
    TTT_SPLIT_METASPACE, /* spaces become `text`, and each begins a piece */
    TTT_SPLIT_BYTE_LEVEL /* GPT-2's expression; steps behind it see the alphabet of bytes (byte_level.h) */
} ttt_split_kind;

/* What becomes of a match. */
typedef enum ttt_split_behavior {
    TTT_SPLIT_REMOVED,
    TTT_SPLIT_ISOLATED,
    TTT_SPLIT_WITH_PREVIOUS,
    TTT_SPLIT_WITH_NEXT,
    TTT_SPLIT_CONTIGUOUS /* matches side by side are one piece */
} ttt_split_behavior;

typedef enum ttt_prefix { TTT_PREFIX_NEVER, TTT_PREFIX_FIRST, TTT_PREFIX_ALWAYS } ttt_prefix;

typedef struct ttt_split_step {
    ttt_split_kind kind;
    ttt_split_behavior behavior;
    bool invert;       /* what lies between matches is the match */
    ttt_prefix prefix; /* METASPACE, BYTE_LEVEL: whether a piece is made to begin with a space */
    bool pieces;       /* METASPACE, BYTE_LEVEL: cut at all */
    ttt_buffer text;
    ttt_regex *regex;
} ttt_split_step;

enum { TTT_SPLIT_STEPS = 16 };

typedef ttt_status (*ttt_split_sink)(void *context, const char *text, size_t size);

/* What goes through the steps of one text after another. Zero-initialise it, and set the first four. */
typedef struct ttt_splitter {
    const ttt_split_step *steps;
    size_t count;
    ttt_split_sink sink;
    void *context;
    ttt_buffer buffers[TTT_SPLIT_STEPS]; /* by step: its text, where it is not the one it was given */
    ttt_regex_search searches[TTT_SPLIT_STEPS];
    ttt_buffer alphabet, bytes; /* a piece in the alphabet of bytes, and a part of it taken back */
    bool mapped;                /* the sink is handed what was taken back */
} ttt_splitter;

/* Hands the pieces of a text to the sink, none of them empty. `first`: it is the beginning of all text. */
TTT_NODISCARD ttt_status ttt_split_text(ttt_splitter *splitter, const char *text, size_t size, bool first);
void ttt_splitter_deinit(ttt_splitter *splitter);

void ttt_splits_free(ttt_split_step *steps, size_t count);

#endif
