/* SPDX-License-Identifier: MIT */
#include "text/unigram.h"

#include "base/alloc.h"
#include "text/utf8.h"

static uint64_t slot_of(const ttt_unigram *unigram, uint64_t from)
{
    uint64_t i = from * 0x9e3779b97f4a7c15u >> 20 & unigram->mask;
    while (unigram->edges[i].from != 0 && unigram->edges[i].from != from) i = (i + 1) & unigram->mask;
    return i;
}

static ttt_status grow(ttt_unigram *unigram)
{
    const uint64_t old = unigram->edges ? unigram->mask + 1 : 0;
    if (2 * (unigram->used + 1) <= old) return TTT_OK;
    ttt_unigram_edge *previous = unigram->edges;
    ttt_unigram_edge *edges = ttt_alloc(old ? 2 * old : 1024, sizeof *edges);
    if (!edges) return TTT_ERR_MEMORY;
    unigram->edges = edges;
    unigram->mask = (old ? 2 * old : 1024) - 1;
    for (uint64_t i = 0; i < old; i++)
        if (previous[i].from != 0) edges[slot_of(unigram, previous[i].from)] = previous[i];
    ttt_free(previous);
    return TTT_OK;
}

ttt_status ttt_unigram_add(ttt_unigram *unigram, const char *text, size_t size, int32_t id)
{
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        TTT_TRY(grow(unigram));
        const uint64_t from = (uint64_t)node * 256 + (unsigned char)text[i] + 1;
        ttt_unigram_edge *edge = &unigram->edges[slot_of(unigram, from)];
        if (edge->from == 0) {
            if (unigram->nodes == UINT32_MAX) return ttt_fail(TTT_ERR_UNSUPPORTED, "the vocabulary is too large");
            *edge = (ttt_unigram_edge){.from = from, .to = ++unigram->nodes, .id = -1};
            unigram->used++;
        }
        if (i + 1 == size) edge->id = id;
        node = edge->to;
    }
    return TTT_OK;
}

void ttt_unigram_deinit(ttt_unigram *unigram)
{
    ttt_free(unigram->edges);
    ttt_free(unigram->scores);
    *unigram = (ttt_unigram){0};
}

void ttt_unigram_scratch_deinit(ttt_unigram_scratch *scratch)
{
    ttt_free(scratch->nodes);
    ttt_ids_deinit(&scratch->backwards);
    *scratch = (ttt_unigram_scratch){0};
}

/* A way to `node` is taken if it is the first or strictly better than the one known. */
static void offer(ttt_unigram_node *node, double score, size_t start, int32_t id)
{
    if (node->reached && !(score > node->score)) return;
    *node = (ttt_unigram_node){.score = score, .start = start, .id = id, .reached = true};
}

/* The best way to every place of the text. */
static ttt_status find_ways(const ttt_unigram *unigram, ttt_unigram_node *nodes, const char *text, size_t size)
{
    for (size_t start = 0, length; start < size; start += length) {
        uint32_t code, node = 0;
        const int decoded = ttt_utf8_decode(text + start, size - start, &code);
        bool single = false; /* the character alone is a piece */
        length = decoded > 0 ? (size_t)decoded : 1;
        for (size_t i = start; i < size && unigram->edges; i++) {
            const uint64_t from = (uint64_t)node * 256 + (unsigned char)text[i] + 1;
            const ttt_unigram_edge *edge = &unigram->edges[slot_of(unigram, from)];
            if (edge->from == 0) break;
            node = edge->to;
            if (edge->id < 0) continue;
            offer(&nodes[i + 1], unigram->scores[edge->id] + nodes[start].score, start, edge->id);
            single = single || i + 1 - start == length;
        }
        if (single) continue;
        if (unigram->unknown < 0)
            return ttt_fail(TTT_ERR_FORMAT, "the vocabulary lacks the character '%.*s', and has no unknown token",
                            (int)length, text + start);
        offer(&nodes[start + length], unigram->unknown_score + nodes[start].score, start, unigram->unknown);
    }
    return TTT_OK;
}

/* A run of unknown characters, last id first: the token that it is all the same, its bytes, or the unknown token. */
static ttt_status append_unknown(const ttt_unigram *unigram, const ttt_strings *tokens, const char *text, size_t size,
                                 ttt_ids *backwards)
{
    const int32_t id = unigram->whole_runs ? ttt_strings_find(tokens, text, size) : -1;
    if (id >= 0) return ttt_ids_append(backwards, id);
    bool bytes = unigram->byte_fallback;
    for (size_t i = 0; i < size && bytes; i++) bytes = unigram->byte_ids[(unsigned char)text[i]] >= 0;
    if (!bytes) return ttt_ids_append(backwards, unigram->unknown);
    for (size_t i = size; i-- > 0;) TTT_TRY(ttt_ids_append(backwards, unigram->byte_ids[(unsigned char)text[i]]));
    return TTT_OK;
}

ttt_status ttt_unigram_encode(const ttt_unigram *unigram, const ttt_strings *tokens, ttt_unigram_scratch *scratch,
                              const char *text, size_t size, ttt_ids *ids)
{
    if (size == 0) return TTT_OK;
    if (size >= scratch->capacity) {
        ttt_free(scratch->nodes);
        scratch->nodes = ttt_alloc(size + 1, sizeof *scratch->nodes);
        scratch->capacity = scratch->nodes ? size + 1 : 0;
        if (!scratch->nodes) return TTT_ERR_MEMORY;
    }
    for (size_t i = 0; i <= size; i++) scratch->nodes[i] = (ttt_unigram_node){0};
    TTT_TRY(find_ways(unigram, scratch->nodes, text, size));
    scratch->backwards.count = 0;
    for (size_t end = size, start; end > 0; end = start) {
        const int32_t id = scratch->nodes[end].id;
        start = scratch->nodes[end].start;
        if (id != unigram->unknown) {
            TTT_TRY(ttt_ids_append(&scratch->backwards, id));
            continue;
        }
        while (start > 0 && scratch->nodes[start].id == id) start = scratch->nodes[start].start;
        TTT_TRY(append_unknown(unigram, tokens, text + start, end - start, &scratch->backwards));
    }
    for (size_t i = scratch->backwards.count; i-- > 0;) TTT_TRY(ttt_ids_append(ids, scratch->backwards.data[i]));
    return TTT_OK;
}
