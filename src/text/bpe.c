/* SPDX-License-Identifier: MIT
 *
 * Encoding a piece: one lookup if it is a token, else symbols in a linked list and a heap of the pairs that can merge.
 * A pair on the heap may be out of date when its turn comes; it is taken if the two neighbours now at its place still
 * become the same token, as Hugging Face and SentencePiece both do.
 */
#include "text/bpe.h"

#include "base/alloc.h"
#include "text/utf8.h"

enum { JOIN_BITS = 20 };
static const uint32_t GONE = UINT32_MAX;

static uint32_t pair_hash(uint32_t left, uint32_t right)
{
    const uint64_t key = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(key >> 32 ^ key >> 15);
}

static const ttt_merge *merge_find(const ttt_bpe *bpe, uint32_t left, uint32_t right)
{
    uint32_t i = pair_hash(left, right) & bpe->mask;
    for (; bpe->merges[i].id_plus_1 != 0; i = (i + 1) & bpe->mask)
        if (bpe->merges[i].left == left && bpe->merges[i].right == right) return &bpe->merges[i];
    return NULL;
}

static uint32_t join_index(uint32_t left, uint32_t right)
{
    return (uint32_t)(((uint64_t)left << 21 | right) * 0x9e3779b97f4a7c15u >> (64 - JOIN_BITS));
}

/* The symbol at `text` and its length: one byte, or one character. */
static uint32_t symbol_at(const ttt_bpe *bpe, const char *text, size_t size, size_t *length)
{
    uint32_t code = (unsigned char)text[0];
    const int decoded = bpe->bytes ? 1 : ttt_utf8_decode(text, size, &code);
    *length = decoded > 0 ? (size_t)decoded : 1;
    return code;
}

size_t ttt_bpe_id_count(const ttt_bpe *bpe)
{
    return bpe->words.count > bpe->vocabulary ? bpe->words.count : bpe->vocabulary;
}

ttt_status ttt_bpe_init(ttt_bpe *bpe, size_t merges)
{
    size_t slots = 16;
    while (slots < 2 * merges) slots *= 2;
    if (slots > UINT32_MAX) return ttt_fail(TTT_ERR_UNSUPPORTED, "%zu merges are too many", merges);
    bpe->mask = (uint32_t)(slots - 1);
    bpe->merges = ttt_alloc(slots, sizeof *bpe->merges);
    bpe->joins = ttt_alloc((size_t)1 << (JOIN_BITS - 6), sizeof *bpe->joins);
    bpe->whole = ttt_alloc(ttt_bpe_id_count(bpe), 1);
    return bpe->merges && bpe->joins && bpe->whole ? TTT_OK : TTT_ERR_MEMORY;
}

static void add_joins(ttt_bpe *bpe, uint32_t id)
{
    size_t size, length;
    const char *text = ttt_strings_get(&bpe->words, id, &size);
    if (size == 0) return;
    uint32_t left = symbol_at(bpe, text, size, &length);
    for (size_t i = length; i < size; i += length) {
        const uint32_t right = symbol_at(bpe, text + i, size - i, &length);
        const uint32_t index = join_index(left, right);
        bpe->joins[index >> 6] |= (uint64_t)1 << (index & 63);
        left = right;
    }
}

void ttt_bpe_add(ttt_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
    uint32_t i = pair_hash(left, right) & bpe->mask;
    while (bpe->merges[i].id_plus_1 != 0 && (bpe->merges[i].left != left || bpe->merges[i].right != right))
        i = (i + 1) & bpe->mask;
    if (bpe->merges[i].id_plus_1 == 0) bpe->used++;
    bpe->merges[i] = (ttt_merge){.left = left, .right = right, .rank = rank, .id_plus_1 = id + 1};
    add_joins(bpe, id);
}

void ttt_bpe_deinit(ttt_bpe *bpe)
{
    ttt_strings_deinit(&bpe->words);
    ttt_free(bpe->merges);
    ttt_free(bpe->joins);
    ttt_free(bpe->whole);
    ttt_free(bpe->unused);
    *bpe = (ttt_bpe){0};
}

void ttt_bpe_scratch_deinit(ttt_bpe_scratch *scratch)
{
    ttt_free(scratch->symbols);
    ttt_free(scratch->heap);
    ttt_free(scratch->parts);
    ttt_buffer_deinit(&scratch->stack);
    *scratch = (ttt_bpe_scratch){0};
}

ttt_status ttt_ids_append(ttt_ids *ids, int32_t id)
{
    TTT_TRY(ttt_array_reserve(&ids->data, &ids->capacity, ids->count + 1, sizeof id));
    ids->data[ids->count++] = id;
    return TTT_OK;
}

static ttt_status heap_push(ttt_bpe_scratch *scratch, ttt_candidate candidate)
{
    TTT_TRY(ttt_array_reserve(&scratch->heap, &scratch->heap_capacity, scratch->heap_count + 1, sizeof candidate));
    size_t i = scratch->heap_count++;
    while (i > 0 && scratch->heap[(i - 1) / 2].order > candidate.order) {
        scratch->heap[i] = scratch->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    scratch->heap[i] = candidate;
    return TTT_OK;
}

static ttt_candidate heap_pop(ttt_bpe_scratch *scratch)
{
    ttt_candidate *heap = scratch->heap;
    const ttt_candidate top = heap[0], last = heap[--scratch->heap_count];
    const size_t count = scratch->heap_count;
    size_t i = 0;
    for (size_t child = 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && heap[child + 1].order < heap[child].order) child++;
        if (heap[child].order >= last.order) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* Proposes the pair that begins at `position`, if it has a merge. */
static ttt_status propose(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, int32_t position)
{
    if (position < 0) return TTT_OK;
    const ttt_symbol *left = &scratch->symbols[position];
    if (left->next < 0) return TTT_OK;
    const uint32_t right = scratch->symbols[left->next].id;
    const ttt_merge *merge = merge_find(bpe, left->id, right);
    if (!merge) return TTT_OK;
    const uint32_t id = merge->id_plus_1 - 1;
    if (bpe->unused && bpe->unused[id]) scratch->parts[id] = (ttt_pair){.left = left->id, .right = right};
    return heap_push(scratch, (ttt_candidate){.order = (uint64_t)merge->rank << 32 | (uint32_t)position, .id = id});
}

static ttt_status merge_all(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, size_t count)
{
    ttt_symbol *symbols = scratch->symbols;
    scratch->heap_count = 0;
    for (size_t i = 0; i + 1 < count; i++) TTT_TRY(propose(bpe, scratch, (int32_t)i));
    while (scratch->heap_count > 0) {
        const ttt_candidate top = heap_pop(scratch);
        const int32_t position = (int32_t)(uint32_t)top.order;
        ttt_symbol *left = &symbols[position];
        if (left->id == GONE || left->next < 0) continue;
        ttt_symbol *right = &symbols[left->next];
        const ttt_merge *merge = merge_find(bpe, left->id, right->id);
        if (!merge || merge->id_plus_1 - 1 != top.id) continue;
        left->id = top.id;
        left->next = right->next;
        if (right->next >= 0) symbols[right->next].previous = position;
        right->id = GONE;
        TTT_TRY(propose(bpe, scratch, left->previous));
        TTT_TRY(propose(bpe, scratch, position));
    }
    return TTT_OK;
}

/* Appends the symbols of `size` bytes at `text`: bytes, or characters with byte fallback. */
static size_t symbols_init(const ttt_bpe *bpe, ttt_symbol *symbols, const char *text, size_t size)
{
    size_t count = 0, length;
    for (size_t i = 0; i < size; i += length) {
        const uint32_t code = symbol_at(bpe, text + i, size - i, &length);
        const int32_t id = bpe->bytes ? bpe->byte_ids[code] : ttt_strings_find(&bpe->words, text + i, length);
        const bool fallback = !bpe->bytes && id < 0 && bpe->byte_ids[0] >= 0;
        for (size_t k = 0; k < (fallback ? length : 1); k++) {
            const int32_t symbol = fallback ? bpe->byte_ids[(unsigned char)text[i + k]] : id >= 0 ? id : bpe->unknown;
            if (symbol >= 0) symbols[count++].id = (uint32_t)symbol;
        }
    }
    for (size_t i = 0; i < count; i++) {
        symbols[i].previous = (int32_t)i - 1;
        symbols[i].next = i + 1 < count ? (int32_t)i + 1 : -1;
    }
    return count;
}

/* Appends one symbol's token; `first` is where the piece's ids begin. Characters that are no token become bytes or
 * the unknown token only now, since they had to take part in merges. */
static ttt_status emit(const ttt_bpe *bpe, uint32_t symbol, size_t first, ttt_ids *ids)
{
    int32_t id = (int32_t)symbol;
    if (symbol >= bpe->vocabulary || (bpe->unused && bpe->unused[symbol])) {
        size_t size;
        const char *text = ttt_strings_get(&bpe->words, symbol, &size);
        for (size_t i = 0; i < size && bpe->byte_ids[0] >= 0; i++)
            TTT_TRY(ttt_ids_append(ids, bpe->byte_ids[(unsigned char)text[i]]));
        if (bpe->byte_ids[0] >= 0 || bpe->unknown < 0) return TTT_OK;
        id = bpe->unknown;
    }
    if (id == bpe->unknown && bpe->fuse_unknown && ids->count > first && ids->data[ids->count - 1] == id) return TTT_OK;
    return ttt_ids_append(ids, id);
}

/* The same for an UNUSED piece: it is split again, the left part first, until no part is one. */
static ttt_status emit_split(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, uint32_t symbol, size_t first, ttt_ids *ids)
{
    scratch->stack.size = 0;
    TTT_TRY(ttt_buffer_append(&scratch->stack, &symbol, sizeof symbol));
    while (scratch->stack.size > 0) {
        scratch->stack.size -= sizeof symbol;
        memcpy(&symbol, scratch->stack.data + scratch->stack.size, sizeof symbol);
        const ttt_pair parts = bpe->unused[symbol] ? scratch->parts[symbol] : (ttt_pair){.left = GONE};
        if (parts.left == GONE) { /* not UNUSED, or a single character that is */
            TTT_TRY(emit(bpe, symbol, first, ids));
            continue;
        }
        TTT_TRY(ttt_buffer_append(&scratch->stack, &parts.right, sizeof symbol));
        TTT_TRY(ttt_buffer_append(&scratch->stack, &parts.left, sizeof symbol));
    }
    return TTT_OK;
}

static ttt_status scratch_reserve(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, size_t size)
{
    if (size >= INT32_MAX) {
        (void)ttt_fail(TTT_ERR_UNSUPPORTED, "the tokenizer cannot split the text into parts below 2 GiB");
        return TTT_ERR_UNSUPPORTED;
    }
    if (bpe->unused && !scratch->parts) {
        scratch->parts = ttt_alloc(ttt_bpe_id_count(bpe), sizeof *scratch->parts);
        if (!scratch->parts) return TTT_ERR_MEMORY;
        memset(scratch->parts, 0xff, ttt_bpe_id_count(bpe) * sizeof *scratch->parts); /* GONE */
    }
    if (size <= scratch->symbol_capacity) return TTT_OK;
    const size_t capacity = size < 256 ? 256 : size;
    ttt_free(scratch->symbols);
    scratch->symbols = ttt_alloc(capacity, sizeof *scratch->symbols);
    scratch->symbol_capacity = scratch->symbols ? capacity : 0;
    return scratch->symbols ? TTT_OK : TTT_ERR_MEMORY;
}

/* A part that no merge reaches beyond; `first` is where the ids of its piece begin. */
static ttt_status encode_part(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, const char *text, size_t size, size_t first,
                              ttt_ids *ids)
{
    const int32_t id = ttt_strings_find(&bpe->words, text, size);
    if (id >= 0 && bpe->whole[id]) return ttt_ids_append(ids, id);
    TTT_TRY(scratch_reserve(bpe, scratch, size));
    const size_t count = symbols_init(bpe, scratch->symbols, text, size);
    if (count == 0) return TTT_OK;
    TTT_TRY(merge_all(bpe, scratch, count));
    for (int32_t i = 0; i >= 0; i = scratch->symbols[i].next) {
        const uint32_t symbol = scratch->symbols[i].id;
        TTT_TRY(bpe->unused ? emit_split(bpe, scratch, symbol, first, ids) : emit(bpe, symbol, first, ids));
    }
    return TTT_OK;
}

ttt_status ttt_bpe_encode(const ttt_bpe *bpe, ttt_bpe_scratch *scratch, const char *text, size_t size, ttt_ids *ids)
{
    if (size == 0) return TTT_OK;
    const int32_t id = ttt_strings_find(&bpe->words, text, size);
    if (id >= 0 && (bpe->whole[id] || (bpe->ignore_merges && (uint32_t)id < bpe->vocabulary)))
        return ttt_ids_append(ids, id);
    const size_t first = ids->count;
    if (!bpe->cuts) return encode_part(bpe, scratch, text, size, first, ids);
    size_t start = 0, length;
    uint32_t left = symbol_at(bpe, text, size, &length);
    for (size_t i = length; i < size; i += length) {
        const uint32_t right = symbol_at(bpe, text + i, size - i, &length);
        const uint32_t index = join_index(left, right);
        if (!(bpe->joins[index >> 6] >> (index & 63) & 1)) {
            TTT_TRY(encode_part(bpe, scratch, text + start, i - start, first, ids));
            start = i;
        }
        left = right;
    }
    return encode_part(bpe, scratch, text + start, size - start, first, ids);
}

/* Cutting sees only the text of tokens, so it is right unless a merge takes what stands for other text (the unknown
 * token or a byte's), or symbols without a token are dropped and their neighbours meet. UNUSED pieces are split as the
 * whole text last proposed them. */
static bool can_cut(ttt_bpe *bpe)
{
    bool drops = bpe->unknown < 0 && bpe->byte_ids[0] < 0;
    for (int byte = 0; byte < 256 && bpe->bytes && bpe->unknown < 0; byte++) drops = drops || bpe->byte_ids[byte] < 0;
    bool cuts = !bpe->unused && !drops;
    unsigned char *stands_in = bpe->whole; /* not yet needed as such */
    if (bpe->unknown >= 0) stands_in[bpe->unknown] = 1;
    for (int byte = 0; byte < 256 && !bpe->bytes; byte++)
        if (bpe->byte_ids[byte] >= 0) stands_in[bpe->byte_ids[byte]] = 1;
    for (size_t i = 0; i <= bpe->mask; i++) {
        const ttt_merge *merge = &bpe->merges[i];
        if (merge->id_plus_1 != 0 && (stands_in[merge->left] || stands_in[merge->right])) cuts = false;
    }
    memset(stands_in, 0, ttt_bpe_id_count(bpe));
    return cuts;
}

ttt_status ttt_bpe_finish(ttt_bpe *bpe)
{
    ttt_bpe_scratch scratch = {0};
    ttt_ids ids = {0};
    ttt_status status = TTT_OK;
    bpe->cuts = can_cut(bpe);
    for (uint32_t id = 0; id < bpe->vocabulary && !bpe->unused && status == TTT_OK; id++) {
        size_t size;
        if (!ttt_strings_has(&bpe->words, id)) continue;
        const char *text = ttt_strings_get(&bpe->words, id, &size);
        ids.count = 0;
        status = encode_part(bpe, &scratch, text, size, 0, &ids);
        bpe->whole[id] = status == TTT_OK && ids.count == 1 && ids.data[0] == (int32_t)id;
    }
    ttt_bpe_scratch_deinit(&scratch);
    ttt_ids_deinit(&ids);
    return status;
}
