/* SPDX-License-Identifier: MIT
 *
 * A set of strings to be found inside a text, longest first: added tokens and SentencePiece's user-defined symbols.
 */
#ifndef TTT_TEXT_TRIE_H
#define TTT_TEXT_TRIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

typedef struct ttt_trie_node {
    uint32_t child;   /* 0: none, as the root is nobody's child */
    uint32_t sibling; /* 0: none */
    int32_t value;    /* of the string that ends here; -1: none does */
    unsigned char byte;
} ttt_trie_node;

typedef struct ttt_trie {
    ttt_trie_node *nodes; /* nodes[0] is the root; NULL while the set is empty */
    uint32_t count;
    size_t capacity;
    bool starts[256]; /* whether some string begins with this byte */
} ttt_trie;

/* Adds a non-empty string with a value >= 0; adding it again replaces the value. */
TTT_NODISCARD ttt_status ttt_trie_add(ttt_trie *trie, const char *text, size_t size, int32_t value);
void ttt_trie_deinit(ttt_trie *trie);

/* The value of the longest string of the set that `text` begins with, and its length; -1 if there is none. */
int32_t ttt_trie_match(const ttt_trie *trie, const char *text, size_t size, size_t *length);

/* The same at the first place from *text on where there is one: *text is moved there, or to `end`. */
int32_t ttt_trie_find(const ttt_trie *trie, const char **text, const char *end, size_t *length);

#endif
