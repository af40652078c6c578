/* SPDX-License-Identifier: MIT
 *
 * The Unigram model: every piece has a score, the logarithm of its probability, and a text becomes the pieces with the
 * highest sum. One pass over the text keeps, for every place, the best way to get there (Viterbi); pieces that begin at
 * a place are found in a trie.
 */
#ifndef TTT_TEXT_UNIGRAM_H
#define TTT_TEXT_UNIGRAM_H

#include <ttt/tokenizer.h>

#include "text/strings.h"

typedef struct ttt_unigram_edge {
    uint64_t from; /* node * 256 + byte, + 1; 0: the slot is free */
    uint32_t to;   /* node */
    int32_t id;    /* of the piece that ends there; -1: none */
} ttt_unigram_edge;

typedef struct ttt_unigram {
    ttt_unigram_edge *edges; /* open addressing, mask + 1 slots */
    uint64_t mask, used;
    uint32_t nodes;
    double *scores;       /* by id */
    double unknown_score; /* of a character that is no piece */
    int32_t unknown;      /* its token; -1: none */
    int32_t byte_ids[256];
    bool byte_fallback; /* unknown characters become the tokens of their bytes */
    bool whole_runs;    /* a run of unknown characters that is a token all the same is that token: Hugging Face */
} ttt_unigram;

/* A way to a place of the text: its sum, where its last piece begins, and which one that is. */
typedef struct ttt_unigram_node {
    double score;
    size_t start;
    int32_t id;
    bool reached;
} ttt_unigram_node;

typedef struct ttt_unigram_scratch {
    ttt_unigram_node *nodes; /* of every place */
    size_t capacity;
    ttt_ids backwards;
} ttt_unigram_scratch;

/* Adds a piece; text that is a piece already gets the new id. */
TTT_NODISCARD ttt_status ttt_unigram_add(ttt_unigram *unigram, const char *text, size_t size, int32_t id);
void ttt_unigram_deinit(ttt_unigram *unigram);

/* Appends the ids of a piece of text, which must be UTF-8. `tokens`: a run of unknown characters may be one of them. */
TTT_NODISCARD ttt_status ttt_unigram_encode(const ttt_unigram *unigram, const ttt_strings *tokens,
                                            ttt_unigram_scratch *scratch, const char *text, size_t size, ttt_ids *ids);
void ttt_unigram_scratch_deinit(ttt_unigram_scratch *scratch);

#endif
