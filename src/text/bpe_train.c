/* SPDX-License-Identifier: MIT
 *
 * Trains a byte-level BPE, step by step as Hugging Face's BpeTrainer does, because the same ids are promised. Words
 * are counted; then the most frequent pair of neighbours becomes a token in all words, until there are enough tokens.
 * Ties go to the pair of smaller ids. Counts are kept up to date, not recomputed: a queue entry knows the words in
 * which its pair arose, and one whose count has changed is put back with the new count when its turn comes. Like the
 * original, a pair's own count is not reduced by its merge, and a pair that arises anew (two merges can give the same
 * token) is queued again with the new words alone.
 */
#include <string.h>

#include "base/alloc.h"
#include "text/byte_level.h"
#include "text/tokenizer.h"

enum { BYTES = 256 };

struct list {
    uint32_t *data;
    uint32_t count;
    size_t capacity;
};

struct word {
    size_t start; /* of its symbols */
    uint32_t length;
    int64_t count;
};

struct pair {
    uint32_t left, right;
    int64_t count;
    struct list words; /* in which it arose since it was last queued */
    int64_t merge;     /* its last place in the list of merges; -1: none */
    uint32_t touched;  /* the step that last added to `words`, plus 1 */
};

struct entry {
    int64_t count;
    uint32_t pair;
    struct list words;
};

struct trainer {
    ttt_strings texts; /* the words, by index */
    struct word *words;
    size_t word_capacity;
    uint32_t *symbols;
    ttt_strings tokens; /* raw bytes by id, from 1 on */
    struct pair *pairs;
    uint32_t pair_count;
    size_t pair_capacity;
    uint32_t *slots; /* index of a pair + 1, by hash; mask + 1 of them */
    uint32_t mask;
    struct list touched; /* pairs that arose in this step */
    struct entry *heap;
    size_t heap_count, heap_capacity;
    ttt_pair *merges; /* left GONE: the pair was merged again later */
    size_t merge_count, merge_capacity;
    uint32_t step;
};

static const uint32_t GONE = UINT32_MAX;

static ttt_status list_add(struct list *list, uint32_t value)
{
    TTT_TRY(ttt_array_reserve(&list->data, &list->capacity, list->count + 1, sizeof value));
    list->data[list->count++] = value;
    return TTT_OK;
}

static ttt_status count_words(struct trainer *trainer, const char *text, size_t size)
{
    while (size > 0) {
        const size_t length = ttt_byte_level_piece(text, size);
        int32_t id = ttt_strings_find(&trainer->texts, text, length);
        if (id < 0) {
            id = (int32_t)trainer->texts.count;
            TTT_TRY(
                ttt_array_reserve(&trainer->words, &trainer->word_capacity, (size_t)id + 1, sizeof *trainer->words));
            TTT_TRY(ttt_strings_set(&trainer->texts, (uint32_t)id, text, length));
            trainer->words[id] = (struct word){0};
        }
        trainer->words[id].count++;
        text += length;
        size -= length;
    }
    return TTT_OK;
}

/* The bytes are tokens 1 to 256, in the order of the characters that stand for them. */
static ttt_status add_bytes(struct trainer *trainer, uint32_t ids[BYTES])
{
    for (int i = 0; i < BYTES; i++) {
        ids[i] = 1;
        for (int k = 0; k < BYTES; k++)
            ids[i] += ttt_byte_level_char((unsigned char)k) < ttt_byte_level_char((unsigned char)i);
        TTT_TRY(ttt_strings_set(&trainer->tokens, ids[i], &(char){(char)i}, 1));
    }
    return TTT_OK;
}

static uint32_t pair_slot(const struct trainer *trainer, uint32_t left, uint32_t right)
{
    uint32_t i = (uint32_t)(((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u >> 32) & trainer->mask;
    for (; trainer->slots[i] != 0; i = (i + 1) & trainer->mask) {
        const struct pair *pair = &trainer->pairs[trainer->slots[i] - 1];
        if (pair->left == left && pair->right == right) break;
    }
    return i;
}

static ttt_status grow_slots(struct trainer *trainer)
{
    if (trainer->slots && 2 * (size_t)trainer->pair_count < trainer->mask) return TTT_OK;
    const size_t count = trainer->slots ? 2 * ((size_t)trainer->mask + 1) : 1 << 16;
    uint32_t *slots = ttt_alloc(count, sizeof *slots);
    if (!slots) return TTT_ERR_MEMORY;
    ttt_free(trainer->slots);
    trainer->slots = slots;
    trainer->mask = (uint32_t)(count - 1);
    for (uint32_t i = 0; i < trainer->pair_count; i++)
        trainer->slots[pair_slot(trainer, trainer->pairs[i].left, trainer->pairs[i].right)] = i + 1;
    return TTT_OK;
}

/* The pair occurs `change` times more in the text, or fewer, because of one word. */
static ttt_status change_pair(struct trainer *trainer, uint32_t left, uint32_t right, int64_t change, uint32_t word)
{
    TTT_TRY(grow_slots(trainer));
    const uint32_t slot = pair_slot(trainer, left, right);
    if (trainer->slots[slot] == 0) {
        TTT_TRY(ttt_array_reserve(&trainer->pairs, &trainer->pair_capacity, trainer->pair_count + 1,
                                  sizeof *trainer->pairs));
        trainer->pairs[trainer->pair_count] = (struct pair){.left = left, .right = right, .merge = -1};
        trainer->slots[slot] = ++trainer->pair_count;
    }
    const uint32_t index = trainer->slots[slot] - 1;
    struct pair *pair = &trainer->pairs[index];
    pair->count += change;
    if (change < 0) return TTT_OK;
    if (pair->touched != trainer->step + 1) TTT_TRY(list_add(&trainer->touched, index));
    pair->touched = trainer->step + 1;
    if (pair->words.count > 0 && pair->words.data[pair->words.count - 1] == word) return TTT_OK;
    return list_add(&pair->words, word);
}

static bool before(const struct trainer *trainer, const struct entry *a, const struct entry *b)
{
    const struct pair *p = &trainer->pairs[a->pair], *q = &trainer->pairs[b->pair];
    if (a->count != b->count) return a->count > b->count;
    return p->left != q->left ? p->left < q->left : p->right < q->right;
}

/* Takes the words over, also if it fails. */
static ttt_status heap_push(struct trainer *trainer, struct entry entry)
{
    const ttt_status status = ttt_array_reserve(&trainer->heap, &trainer->heap_capacity, trainer->heap_count + 1,
                                                sizeof *trainer->heap);
    if (status != TTT_OK) {
        ttt_free(entry.words.data);
        return status;
    }
    size_t i = trainer->heap_count++;
    for (; i > 0 && before(trainer, &entry, &trainer->heap[(i - 1) / 2]); i = (i - 1) / 2)
        trainer->heap[i] = trainer->heap[(i - 1) / 2];
    trainer->heap[i] = entry;
    return TTT_OK;
}

static struct entry heap_pop(struct trainer *trainer)
{
    struct entry *heap = trainer->heap;
    const struct entry top = heap[0], last = heap[--trainer->heap_count];
    size_t i = 0;
    for (size_t child = 1; child < trainer->heap_count; child = 2 * i + 1) {
        if (child + 1 < trainer->heap_count && before(trainer, &heap[child + 1], &heap[child])) child++;
        if (!before(trainer, &heap[child], &last)) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* Queues the pairs that arose, each with its words. */
static ttt_status queue_touched(struct trainer *trainer)
{
    ttt_status status = TTT_OK;
    for (uint32_t i = 0; i < trainer->touched.count && status == TTT_OK; i++) {
        struct pair *pair = &trainer->pairs[trainer->touched.data[i]];
        const struct entry entry = {.count = pair->count, .pair = trainer->touched.data[i], .words = pair->words};
        pair->words = (struct list){0};
        if (entry.count > 0)
            status = heap_push(trainer, entry);
        else
            ttt_free(entry.words.data);
    }
    trainer->touched.count = 0;
    trainer->step++;
    return status;
}

static ttt_status split_words(struct trainer *trainer)
{
    uint32_t ids[BYTES];
    TTT_TRY(add_bytes(trainer, ids));
    trainer->symbols = ttt_alloc(trainer->texts.pool.size, sizeof *trainer->symbols);
    if (!trainer->symbols) return TTT_ERR_MEMORY;
    for (uint32_t w = 0; w < trainer->texts.count; w++) {
        size_t size;
        const char *text = ttt_strings_get(&trainer->texts, w, &size);
        struct word *word = &trainer->words[w];
        word->start = trainer->texts.spans[w].offset;
        word->length = (uint32_t)size;
        for (size_t i = 0; i < size; i++) trainer->symbols[word->start + i] = ids[(unsigned char)text[i]];
        for (size_t i = 1; i < size; i++) {
            const uint32_t *symbol = &trainer->symbols[word->start + i];
            TTT_TRY(change_pair(trainer, symbol[-1], symbol[0], word->count, w));
        }
    }
    return queue_touched(trainer);
}

/* Replaces the pair by `token` in one word, from left to right. */
static ttt_status merge_in_word(struct trainer *trainer, uint32_t index, uint32_t left, uint32_t right, uint32_t token)
{
    struct word *word = &trainer->words[index];
    uint32_t *symbols = trainer->symbols + word->start;
    uint32_t length = 0; /* of what is done */
    for (uint32_t i = 0; i < word->length; i++) {
        if (i + 1 == word->length || symbols[i] != left || symbols[i + 1] != right) {
            symbols[length++] = symbols[i];
            continue;
        }
        if (length > 0) {
            TTT_TRY(change_pair(trainer, symbols[length - 1], left, -word->count, index));
            TTT_TRY(change_pair(trainer, symbols[length - 1], token, word->count, index));
        }
        if (i + 2 < word->length) {
            TTT_TRY(change_pair(trainer, right, symbols[i + 2], -word->count, index));
            TTT_TRY(change_pair(trainer, token, symbols[i + 2], word->count, index));
        }
        symbols[length++] = token;
        i++;
    }
    word->length = length;
    return TTT_OK;
}

/* The token that a pair becomes; it exists already if other parts gave the same text. */
static ttt_status join_token(struct trainer *trainer, const struct pair *pair, uint32_t *token)
{
    ttt_buffer text = {0};
    size_t size;
    const char *part = ttt_strings_get(&trainer->tokens, pair->left, &size);
    ttt_status status = ttt_buffer_append(&text, part, size);
    part = ttt_strings_get(&trainer->tokens, pair->right, &size);
    if (status == TTT_OK) status = ttt_buffer_append(&text, part, size);
    const int32_t known = status == TTT_OK ? ttt_strings_find(&trainer->tokens, text.data, text.size) : -1;
    *token = known >= 0 ? (uint32_t)known : trainer->tokens.count;
    if (status == TTT_OK && known < 0) status = ttt_strings_set(&trainer->tokens, *token, text.data, text.size);
    ttt_buffer_deinit(&text);
    return status;
}

static ttt_status merge(struct trainer *trainer, const struct entry *entry)
{
    struct pair *pair = &trainer->pairs[entry->pair];
    const uint32_t left = pair->left, right = pair->right;
    uint32_t token;
    TTT_TRY(join_token(trainer, pair, &token));
    TTT_TRY(ttt_array_reserve(&trainer->merges, &trainer->merge_capacity, trainer->merge_count + 1,
                              sizeof *trainer->merges));
    if (pair->merge >= 0) trainer->merges[pair->merge].left = GONE;
    pair->merge = (int64_t)trainer->merge_count;
    trainer->merges[trainer->merge_count++] = (ttt_pair){.left = left, .right = right};
    for (uint32_t i = 0; i < entry->words.count; i++)
        TTT_TRY(merge_in_word(trainer, entry->words.data[i], left, right, token));
    return queue_touched(trainer);
}

static ttt_status train(struct trainer *trainer, int64_t vocabulary)
{
    TTT_TRY(split_words(trainer));
    while (trainer->tokens.count < vocabulary && trainer->heap_count > 0) {
        struct entry top = heap_pop(trainer);
        const int64_t count = trainer->pairs[top.pair].count;
        if (top.count != count) {
            top.count = count;
            TTT_TRY(heap_push(trainer, top));
            continue;
        }
        const ttt_status status = count < 1 ? TTT_OK : merge(trainer, &top);
        ttt_free(top.words.data);
        TTT_TRY(status);
        if (count < 1) break;
    }
    return TTT_OK;
}

static void trainer_deinit(struct trainer *trainer)
{
    for (uint32_t i = 0; i < trainer->pair_count; i++) ttt_free(trainer->pairs[i].words.data);
    for (size_t i = 0; i < trainer->heap_count; i++) ttt_free(trainer->heap[i].words.data);
    ttt_strings_deinit(&trainer->texts);
    ttt_strings_deinit(&trainer->tokens);
    ttt_free(trainer->words);
    ttt_free(trainer->symbols);
    ttt_free(trainer->pairs);
    ttt_free(trainer->slots);
    ttt_free(trainer->touched.data);
    ttt_free(trainer->heap);
    ttt_free(trainer->merges);
}

static ttt_status load_written(ttt_tokenizer **tokenizer, const ttt_strings *tokens, const ttt_pair *merges,
                               size_t merge_count, bool pieces)
{
    ttt_buffer json = {0};
    ttt_status status = ttt_tokenizer_write_json(&json, tokens, merges, merge_count, pieces);
    if (status == TTT_OK) status = ttt_tokenizer_load(tokenizer, json.data, json.size);
    ttt_buffer_deinit(&json);
    return status;
}

ttt_status ttt_tokenizer_train(ttt_tokenizer **tokenizer, int64_t vocabulary, ttt_text_source source, void *context)
{
    *tokenizer = NULL;
    if (vocabulary < BYTES + 1 || vocabulary > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "a vocabulary of %lld is not possible: 257 (end-of-text and 256 bytes) to 2^31 - 1",
                        (long long)vocabulary);
    struct trainer trainer = {0};
    const char *text = "";
    ttt_status status = TTT_OK;
    while (status == TTT_OK && text) {
        size_t size = 0;
        text = NULL;
        status = source(context, &text, &size);
        if (status == TTT_OK && text) status = count_words(&trainer, text, size);
    }
    if (status == TTT_OK) status = train(&trainer, vocabulary);
    size_t kept = 0;
    for (size_t i = 0; i < trainer.merge_count; i++)
        if (trainer.merges[i].left != GONE) trainer.merges[kept++] = trainer.merges[i];
    if (status == TTT_OK) status = load_written(tokenizer, &trainer.tokens, trainer.merges, kept, true);
    trainer_deinit(&trainer);
    return status;
}

ttt_status ttt_tokenizer_new_bytes(ttt_tokenizer **tokenizer)
{
    *tokenizer = NULL;
    ttt_strings tokens = {0};
    ttt_status status = TTT_OK;
    for (uint32_t byte = 0; byte < BYTES && status == TTT_OK; byte++)
        status = ttt_strings_set(&tokens, byte + 1, &(char){(char)byte}, 1);
    if (status == TTT_OK) status = load_written(tokenizer, &tokens, NULL, 0, false);
    ttt_strings_deinit(&tokens);
    return status;
}
