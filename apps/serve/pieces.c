/* SPDX-License-Identifier: MIT */
#include "pieces.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct piece {
    size_t at, size; /* in the text of all */
    bool named;      /* the text is its name */
} piece;

struct ttt_pieces {
    int64_t count;
    ttt_text text; /* of all, a NUL behind each */
    piece list[];
};

/* An id behind which others show how they stand within a text: a letter. -1: there is none. */
static int32_t find_letter(const ttt_tokenizer *t, ttt_text *text)
{
    const int64_t count = ttt_tokenizer_vocabulary(t);
    for (int32_t id = 0; id < count; id++) {
        text->size = 0;
        if (ttt_tokenizer_decode(t, &id, 1, false, text) == TTT_OK && text->size == 1 && *text->data >= 'a' &&
            *text->data <= 'z')
            return id;
    }
    return -1;
}

static bool add_piece(ttt_pieces *p, const ttt_tokenizer *t, int32_t letter, int32_t id)
{
    const int32_t both[] = {letter, id};
    const bool alone = letter < 0;
    piece *new = &p->list[id];
    new->at = p->text.size;
    if (ttt_tokenizer_decode(t, alone ? both + 1 : both, alone ? 1 : 2, false, &p->text) != TTT_OK) return false;
    if (!alone && p->text.size > new->at) new->at++; /* the letter */
    new->size = p->text.size - new->at;
    p->text.size++; /* the NUL that is there already */
    return true;
}

/* Which texts are names. */
static bool name_pieces(ttt_pieces *p)
{
    json_t *names = json_object();
    bool fits = names != NULL;
    for (int64_t id = 0; fits && id < p->count; id++) {
        piece *one = &p->list[id];
        const char *text = p->text.data + one->at;
        one->named = one->size > 0 && strlen(text) == one->size && !strstr(text, "\xef\xbf\xbd") &&
                     strncmp(text, "token_id:", 9) != 0 && !json_object_get(names, text);
        if (one->named) fits = json_object_set_new(names, text, json_true()) == 0;
    }
    json_decref(names);
    return fits;
}

ttt_pieces *ttt_pieces_new(const ttt_tokenizer *t)
{
    const int64_t count = ttt_tokenizer_vocabulary(t);
    ttt_pieces *p = calloc(1, sizeof *p + (size_t)count * sizeof *p->list);
    if (!p) return NULL;
    p->count = count;
    const int32_t letter = find_letter(t, &p->text);
    p->text.size = 0;
    for (int64_t id = 0; id < count; id++)
        if (!add_piece(p, t, letter, (int32_t)id)) {
            ttt_pieces_free(p);
            return NULL;
        }
    if (name_pieces(p)) return p;
    ttt_pieces_free(p);
    return NULL;
}

void ttt_pieces_free(ttt_pieces *p)
{
    if (!p) return;
    ttt_text_deinit(&p->text);
    free(p);
}

const char *ttt_pieces_text(const ttt_pieces *p, int64_t id, size_t *size)
{
    const bool known = id >= 0 && id < p->count;
    *size = known ? p->list[id].size : 0;
    return known ? p->text.data + p->list[id].at : "";
}

const char *ttt_pieces_key(const ttt_pieces *p, int64_t id, char buffer[TTT_PIECE_KEY])
{
    if (id >= 0 && id < p->count && p->list[id].named) return p->text.data + p->list[id].at;
    snprintf(buffer, TTT_PIECE_KEY, "token_id:%" PRId64, id);
    return buffer;
}
