/* SPDX-License-Identifier: MIT
 *
 * Reads SentencePiece's tokenizer.model: a protobuf message, of which three kinds of messages matter (ModelProto with
 * its pieces, TrainerSpec, NormalizerSpec). SentencePiece has no list of merges: two neighbours merge if together they
 * are a piece, the best score first. So the list is made here, from every way to cut every piece in two.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* Longer pieces could only be meant to exhaust us: a piece is cut in two in as many ways as it has characters. */
enum { PIECE_LIMIT = 1024 };

enum { UNIGRAM = 1, BPE = 2 }; /* model types */

struct wire {
    const unsigned char *data, *end, *start;
};

/* One field: a number (varint, or the bits of a float), or the bytes of a string or message. */
struct field {
    uint32_t number;
    unsigned type; /* 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes */
    uint64_t value;
    struct wire bytes;
};

struct reader {
    ttt_tokenizer *tokenizer;
    float *scores; /* by id, as settings->types */
    uint32_t count;
    size_t type_capacity, score_capacity;
    uint64_t model_type;
    bool byte_fallback;
    int64_t unknown, bos, eos;
};

static ttt_status fail_wire(const struct wire *wire, const char *what)
{
    return ttt_fail(TTT_ERR_FORMAT, "this is no tokenizer.model: %s at byte %zu", what,
                    (size_t)(wire->data - wire->start));
}

static ttt_status read_varint(struct wire *wire, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && wire->data < wire->end; shift += 7) {
        const unsigned char byte = *wire->data++;
        *value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return TTT_OK;
    }
    return fail_wire(wire, "a number without end");
}

static ttt_status read_field(struct wire *wire, struct field *field)
{
    uint64_t key;
    TTT_TRY(read_varint(wire, &key));
    *field = (struct field){.number = key >> 3 <= UINT32_MAX ? (uint32_t)(key >> 3) : 0, .type = key & 7};
    if (field->number == 0) return fail_wire(wire, "a field without a number");
    if (field->type == 0) return read_varint(wire, &field->value);
    uint64_t size = field->type == 1 ? 8 : 4;
    if (field->type == 2)
        TTT_TRY(read_varint(wire, &size));
    else if (field->type != 1 && field->type != 5)
        return fail_wire(wire, "a field of an unknown type");
    const size_t left = (size_t)(wire->end - wire->data);
    if (size > left) return fail_wire(wire, "a field longer than what holds it");
    field->bytes.data = wire->data;
    field->bytes.end = wire->data + size;
    field->bytes.start = wire->start;
    for (uint64_t i = 0; field->type != 2 && i < size; i++) field->value |= (uint64_t)wire->data[i] << (8 * i);
    wire->data += size;
    return TTT_OK;
}

static ttt_status field_text(const struct field *field, ttt_buffer *text)
{
    text->size = 0;
    if (field->type != 2) return fail_wire(&field->bytes, "a string that is none");
    return ttt_buffer_append(text, field->bytes.data, (size_t)(field->bytes.end - field->bytes.data));
}

static ttt_status grow_pieces(struct reader *reader)
{
    ttt_sentencepiece *settings = &reader->tokenizer->sentencepiece;
    const size_t count = (size_t)reader->count + 1;
    TTT_TRY(ttt_array_reserve(&settings->types, &reader->type_capacity, count, sizeof *settings->types));
    return ttt_array_reserve(&reader->scores, &reader->score_capacity, count, sizeof *reader->scores);
}

static ttt_status read_piece(struct reader *reader, struct wire wire)
{
    ttt_tokenizer *tokenizer = reader->tokenizer;
    const uint32_t id = reader->count;
    const char *text = NULL;
    size_t size = 0;
    float score = 0;
    uint64_t type = TTT_PIECE_NORMAL;
    while (wire.data < wire.end) {
        struct field field;
        TTT_TRY(read_field(&wire, &field));
        if (field.number == 1 && field.type == 2) {
            text = (const char *)field.bytes.data;
            size = (size_t)(field.bytes.end - field.bytes.data);
        } else if (field.number == 2 && field.type == 5) {
            const uint32_t bits = (uint32_t)field.value;
            memcpy(&score, &bits, sizeof score);
        } else if (field.number == 3 && field.type == 0) {
            type = field.value;
        }
    }
    if (size == 0 || size > PIECE_LIMIT || ttt_utf8_valid(text, size) < size)
        return ttt_fail(TTT_ERR_FORMAT, "piece %lu is not 1 to %d bytes of UTF-8", (unsigned long)id, PIECE_LIMIT);
    if (type < TTT_PIECE_NORMAL || type > TTT_PIECE_BYTE || isnan(score))
        return ttt_fail(TTT_ERR_FORMAT, "piece %lu has an unknown type or a score that is no number",
                        (unsigned long)id);
    if (ttt_strings_find(&tokenizer->tokens, text, size) >= 0)
        return ttt_fail(TTT_ERR_FORMAT, "the piece '%.*s' is listed twice", (int)size, text);
    TTT_TRY(grow_pieces(reader));
    TTT_TRY(ttt_strings_set(&tokenizer->tokens, id, text, size));
    tokenizer->sentencepiece.types[id] = (unsigned char)type;
    reader->scores[id] = score;
    reader->count++;
    return TTT_OK;
}

static ttt_status read_trainer(struct reader *reader, struct wire wire)
{
    ttt_sentencepiece *settings = &reader->tokenizer->sentencepiece;
    while (wire.data < wire.end) {
        struct field field;
        TTT_TRY(read_field(&wire, &field));
        switch (field.number) {
        case 3: reader->model_type = field.value; break;
        case 24: settings->suffix = field.value != 0; break;
        case 35: reader->byte_fallback = field.value != 0; break;
        case 40: reader->unknown = (int32_t)(uint32_t)field.value; break;
        case 41: reader->bos = (int32_t)(uint32_t)field.value; break;
        case 42: reader->eos = (int32_t)(uint32_t)field.value; break;
        case 44: TTT_TRY(field_text(&field, &settings->unknown_surface)); break;
        default: break;
        }
    }
    const size_t size = settings->unknown_surface.size;
    if (ttt_utf8_valid(settings->unknown_surface.data, size) < size)
        return ttt_fail(TTT_ERR_FORMAT, "the unk_surface is not UTF-8");
    return TTT_OK;
}

static ttt_status read_normalizer(struct reader *reader, struct wire wire)
{
    ttt_sentencepiece *settings = &reader->tokenizer->sentencepiece;
    while (wire.data < wire.end) {
        struct field field;
        TTT_TRY(read_field(&wire, &field));
        switch (field.number) {
        case 2: TTT_TRY(field_text(&field, &settings->charsmap)); break;
        case 3: settings->dummy_prefix = field.value != 0; break;
        case 4: settings->remove_extra = field.value != 0; break;
        case 5: settings->escape = field.value != 0; break;
        default: break;
        }
    }
    return TTT_OK;
}

/* A denormalizer would rewrite decoded text. */
static ttt_status check_denormalizer(struct wire wire)
{
    while (wire.data < wire.end) {
        struct field field;
        TTT_TRY(read_field(&wire, &field));
        if (field.number == 2 && field.bytes.data < field.bytes.end)
            return ttt_fail(TTT_ERR_UNSUPPORTED, "the model has a denormalizer, which is not supported");
    }
    return TTT_OK;
}

static ttt_status read_model(struct reader *reader, struct wire wire)
{
    while (wire.data < wire.end) {
        struct field field;
        TTT_TRY(read_field(&wire, &field));
        if (field.number > 5 || field.number == 4) continue;
        if (field.type != 2) return fail_wire(&wire, "a message that is none");
        switch (field.number) {
        case 1: TTT_TRY(read_piece(reader, field.bytes)); break;
        case 2: TTT_TRY(read_trainer(reader, field.bytes)); break;
        case 3: TTT_TRY(read_normalizer(reader, field.bytes)); break;
        default: TTT_TRY(check_denormalizer(field.bytes)); break;
        }
    }
    return TTT_OK;
}

static ttt_status check_model(const struct reader *reader)
{
    static const char *const types[] = {"0", "Unigram", "BPE", "Word", "Char"};
    const ttt_tokenizer *tokenizer = reader->tokenizer;
    uint32_t unknown = 0, bytes = 0;
    if (reader->count == 0) return ttt_fail(TTT_ERR_FORMAT, "this is no tokenizer.model: it has no pieces");
    if (reader->model_type != UNIGRAM && reader->model_type != BPE)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "the model is of type %s; BPE and Unigram are supported",
                        reader->model_type < 5 ? types[reader->model_type] : "unknown");
    for (uint32_t id = 0; id < reader->count; id++) {
        unknown += tokenizer->sentencepiece.types[id] == TTT_PIECE_UNKNOWN;
        bytes += tokenizer->sentencepiece.types[id] == TTT_PIECE_BYTE;
    }
    if (unknown != 1)
        return ttt_fail(TTT_ERR_FORMAT, "the model has %lu unknown pieces, not one", (unsigned long)unknown);
    if (bytes != (reader->byte_fallback ? 256 : 0))
        return ttt_fail(TTT_ERR_FORMAT, "the model has %lu byte pieces, with byte_fallback %s", (unsigned long)bytes,
                        reader->byte_fallback ? "on" : "off");
    return TTT_OK;
}

static bool in_text(const struct reader *reader, uint32_t id)
{
    const unsigned char type = reader->tokenizer->sentencepiece.types[id];
    return type == TTT_PIECE_NORMAL || type == TTT_PIECE_USER_DEFINED || type == TTT_PIECE_UNUSED;
}

/* The words of the BPE: the pieces that occur in text, and behind them the characters that occur in pieces but are none
 * themselves. *merges: an upper bound of the merges to come. */
static ttt_status make_words(struct reader *reader, size_t *merges)
{
    ttt_bpe *bpe = &reader->tokenizer->bpe;
    const ttt_strings *tokens = &reader->tokenizer->tokens;
    size_t size, length;
    *merges = 0;
    for (uint32_t id = 0; id < reader->count; id++) {
        const char *text = ttt_strings_get(tokens, id, &size);
        if (in_text(reader, id)) TTT_TRY(ttt_strings_set(&bpe->words, id, text, size));
    }
    uint32_t next = bpe->vocabulary = reader->count;
    for (uint32_t id = 0; id < reader->count; id++) {
        if (!in_text(reader, id)) continue;
        const char *text = ttt_strings_get(tokens, id, &size);
        for (size_t i = 0; i < size; i += length, ++*merges) {
            uint32_t code;
            length = (size_t)ttt_utf8_decode(text + i, size - i, &code);
            if (length == size || ttt_strings_find(&bpe->words, text + i, length) >= 0) continue;
            TTT_TRY(ttt_strings_set(&bpe->words, next++, text + i, length));
        }
    }
    return TTT_OK;
}

typedef struct scored {
    float score;
    uint32_t id;
} scored;

static int compare_scores(const void *a, const void *b)
{
    const float x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

/* The same score is the same rank: between such pairs only the position decides. */
static ttt_status add_merges(struct reader *reader)
{
    ttt_bpe *bpe = &reader->tokenizer->bpe;
    scored *order = ttt_alloc(reader->count, sizeof *order);
    if (!order) return TTT_ERR_MEMORY;
    for (uint32_t id = 0; id < reader->count; id++) order[id] = (scored){.score = reader->scores[id], .id = id};
    qsort(order, reader->count, sizeof *order, compare_scores);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < reader->count; i++) {
        if (i > 0 && order[i].score < order[i - 1].score) rank++;
        size_t size, length;
        if (!in_text(reader, order[i].id)) continue;
        const char *text = ttt_strings_get(&bpe->words, order[i].id, &size);
        for (size_t cut = 0; cut < size; cut += length) {
            uint32_t code;
            length = (size_t)ttt_utf8_decode(text + cut, size - cut, &code);
            const int32_t left = ttt_strings_find(&bpe->words, text, cut);
            const int32_t right = ttt_strings_find(&bpe->words, text + cut, size - cut);
            if (cut > 0 && left >= 0 && right >= 0)
                ttt_bpe_add(bpe, (uint32_t)left, (uint32_t)right, rank, order[i].id);
        }
    }
    ttt_free(order);
    return TTT_OK;
}

static ttt_status set_byte_ids(struct reader *reader)
{
    ttt_tokenizer *tokenizer = reader->tokenizer;
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        const int32_t id = ttt_strings_find(&tokenizer->tokens, name, strlen(name));
        const bool found = id >= 0 && tokenizer->sentencepiece.types[id] == TTT_PIECE_BYTE;
        if (reader->byte_fallback && !found) return ttt_fail(TTT_ERR_FORMAT, "the byte piece '%s' is missing", name);
        tokenizer->bpe.byte_ids[byte] = reader->byte_fallback ? id : -1;
    }
    return TTT_OK;
}

/* Pieces that are more than text: control pieces are special, user-defined ones are cut out, UNUSED ones split. */
static ttt_status set_types(struct reader *reader)
{
    ttt_tokenizer *tokenizer = reader->tokenizer;
    tokenizer->special = ttt_alloc(reader->count, 1);
    tokenizer->added = ttt_alloc(reader->count, sizeof *tokenizer->added);
    if (!tokenizer->special || !tokenizer->added) return TTT_ERR_MEMORY;
    for (uint32_t id = 0; id < reader->count; id++) {
        const unsigned char type = tokenizer->sentencepiece.types[id];
        size_t size;
        const char *text = ttt_strings_get(&tokenizer->tokens, id, &size);
        if (type == TTT_PIECE_UNKNOWN) tokenizer->bpe.unknown = (int32_t)id;
        if (type == TTT_PIECE_USER_DEFINED)
            TTT_TRY(ttt_trie_add(&tokenizer->sentencepiece.user_defined, text, size, (int32_t)id));
        if (type == TTT_PIECE_CONTROL) {
            tokenizer->special[id] = true;
            tokenizer->added[tokenizer->added_count] = (ttt_added){.id = (int32_t)id, .special = true};
            TTT_TRY(ttt_trie_add(&tokenizer->added_raw, text, size, (int32_t)tokenizer->added_count++));
        }
        if (type == TTT_PIECE_UNUSED && !tokenizer->bpe.unused) {
            tokenizer->bpe.unused = ttt_alloc(ttt_bpe_id_count(&tokenizer->bpe), 1);
            if (!tokenizer->bpe.unused) return TTT_ERR_MEMORY;
        }
        if (type == TTT_PIECE_UNUSED) tokenizer->bpe.unused[id] = 1;
    }
    return TTT_OK;
}

/* Pieces that occur in text, with their scores; user-defined ones are worth next to nothing less than the text they
 * take, so that they are taken. */
static ttt_status make_unigram(struct reader *reader)
{
    ttt_tokenizer *tokenizer = reader->tokenizer;
    ttt_unigram *unigram = &tokenizer->unigram;
    float lowest = FLT_MAX, highest = FLT_MIN;
    for (uint32_t id = 0; id < reader->count; id++) {
        if (tokenizer->sentencepiece.types[id] != TTT_PIECE_NORMAL) continue;
        lowest = fminf(lowest, reader->scores[id]);
        highest = fmaxf(highest, reader->scores[id]);
    }
    tokenizer->is_unigram = true;
    unigram->byte_fallback = reader->byte_fallback;
    unigram->unknown = tokenizer->bpe.unknown;
    unigram->unknown_score = (double)(lowest - 10.0f);
    memcpy(unigram->byte_ids, tokenizer->bpe.byte_ids, sizeof unigram->byte_ids);
    unigram->scores = ttt_alloc(reader->count, sizeof *unigram->scores);
    if (!unigram->scores) return TTT_ERR_MEMORY;
    for (uint32_t id = 0; id < reader->count; id++) {
        size_t size;
        const unsigned char type = tokenizer->sentencepiece.types[id];
        const char *text = ttt_strings_get(&tokenizer->tokens, id, &size);
        if (type != TTT_PIECE_NORMAL && type != TTT_PIECE_USER_DEFINED) continue;
        unigram->scores[id] = type == TTT_PIECE_NORMAL ? (double)reader->scores[id]
                                                       : (double)((float)size * highest) - 0.1;
        TTT_TRY(ttt_unigram_add(unigram, text, size, (int32_t)id));
    }
    return TTT_OK;
}

static ttt_status read_all(struct reader *reader, struct wire wire)
{
    ttt_tokenizer *tokenizer = reader->tokenizer;
    size_t merges;
    TTT_TRY(read_model(reader, wire));
    TTT_TRY(check_model(reader));
    TTT_TRY(make_words(reader, &merges));
    TTT_TRY(set_byte_ids(reader));
    TTT_TRY(set_types(reader));
    tokenizer->bpe.fuse_unknown = true;
    tokenizer->bos = reader->bos >= 0 && reader->bos < reader->count ? reader->bos : -1;
    tokenizer->eos = reader->eos >= 0 && reader->eos < reader->count ? reader->eos : -1;
    if (reader->model_type == UNIGRAM) return make_unigram(reader);
    TTT_TRY(ttt_bpe_init(&tokenizer->bpe, merges));
    TTT_TRY(add_merges(reader));
    return ttt_bpe_finish(&tokenizer->bpe);
}

ttt_status ttt_tokenizer_read_model(ttt_tokenizer *tokenizer, const char *bytes, size_t size)
{
    struct reader reader = {.tokenizer = tokenizer, .model_type = 1, .bos = 1, .eos = 2};
    tokenizer->kind = TTT_TEXT_SENTENCEPIECE;
    ttt_sentencepiece *settings = &tokenizer->sentencepiece;
    settings->dummy_prefix = settings->remove_extra = settings->escape = true;
    const unsigned char *start = (const unsigned char *)bytes;
    static const char surface[] = " \u2047 ";
    ttt_status status = ttt_buffer_append(&settings->unknown_surface, surface, strlen(surface));
    if (status == TTT_OK) status = read_all(&reader, (struct wire){.data = start, .end = start + size, .start = start});
    ttt_free(reader.scores);
    return status;
}
