/* SPDX-License-Identifier: MIT
 *
 * Byte-pair encoding of one piece of text: of all adjacent pairs that have a merge, the lowest rank, leftmost first,
 * until none is left. One engine for Hugging Face's merge lists and SentencePiece's scores.
 *
 * Two things make it fast, and neither is a cache that would have to be shared between threads. `whole` says of every
 * token whether its own text encodes to it alone: then one lookup encodes a piece, which is the case for nearly all
 * words. `joins` knows the pairs of neighbouring characters that occur inside tokens: between two others no merge can
 * ever reach, so a piece is cut there, and a document without a pre-tokenizer falls into words as well.
 */
#ifndef TTT_TEXT_BPE_H
#define TTT_TEXT_BPE_H

#include <ttt/tokenizer.h>

#include "text/strings.h"

typedef struct ttt_merge {
    uint32_t left, right;
    uint32_t rank;
    uint32_t id_plus_1; /* 0: the slot is free */
} ttt_merge;

typedef struct ttt_bpe {
    ttt_strings words;   /* the tokens that text can become, as they stand in it (raw bytes on the byte level) */
    uint32_t vocabulary; /* words from here on are characters that are no token but part of some (SentencePiece) */
    ttt_merge *merges;   /* open addressing, mask + 1 slots */
    uint32_t mask;
    uint32_t used;
    uint64_t *joins;       /* a bit set by hash of two neighbours; a collision only cuts less */
    unsigned char *whole;  /* by id */
    unsigned char *unused; /* by id; NULL, or SentencePiece's UNUSED pieces, which are split again */
    int32_t byte_ids[256]; /* the token of a single byte: of all symbols if `bytes`, else the fallback; -1: none */
    int32_t unknown;       /* for symbols without a token; -1: they are dropped */
    bool bytes;            /* symbols are bytes, not characters */
    bool fuse_unknown;     /* a run of unknown symbols is one token */
    bool ignore_merges;    /* a piece that is a token is that token */
    bool cuts;             /* joins can be relied upon */
} ttt_bpe;

typedef struct ttt_symbol {
    uint32_t id; /* UINT32_MAX: merged into its left neighbour */
    int32_t previous, next;
} ttt_symbol;

typedef struct ttt_candidate {
    uint64_t order; /* rank, then position */
    uint32_t id;    /* that the pair becomes */
} ttt_candidate;

typedef struct ttt_pair {
    uint32_t left, right;
} ttt_pair;

/* What one encoding needs while it runs; kept from piece to piece. Zero-initialise it. */
typedef struct ttt_bpe_scratch {
    ttt_symbol *symbols;
    size_t symbol_capacity;
    ttt_candidate *heap;
    size_t heap_count;
    size_t heap_capacity;
    ttt_pair *parts;  /* by id of an UNUSED piece: what it was last proposed from */
    ttt_buffer stack; /* ids that are still to be split again */
} ttt_bpe_scratch;

/* Fill words, then init, then add every merge, then finish. Adding a pair again replaces its rank. */
TTT_NODISCARD ttt_status ttt_bpe_init(ttt_bpe *bpe, size_t merges);
void ttt_bpe_add(ttt_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);
TTT_NODISCARD ttt_status ttt_bpe_finish(ttt_bpe *bpe);
void ttt_bpe_deinit(ttt_bpe *bpe);

/* Every token and word has an id below this. */
size_t ttt_bpe_id_count(const ttt_bpe *bpe);

/* Appends the ids of a piece of text. */
TTT_NODISCARD ttt_status ttt_bpe_encode(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, const char *text, size_t size,
                                        ttt_ids *ids);
void ttt_bpe_scratch_deinit(ttt_bpe_scratch *scratch);

#endif
