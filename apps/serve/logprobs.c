/* SPDX-License-Identifier: MIT */
#include "logprobs.h"

#include <math.h>
#include <string.h>

#include "server.h"

enum { CONTEXT = 16 }; /* ids before a text on which its first characters can depend */

/* A packed one; `count` ttt_logprob follow. */
typedef struct entry {
    double logprob;
    int32_t id, count;
} entry;

void ttt_logprobs_pack(ttt_bytes *packed, const ttt_token_logprob *list, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const entry e = {.logprob = list[i].logprob, .id = list[i].id, .count = list[i].top_count};
        ttt_bytes_add(packed, &e, sizeof e);
        ttt_bytes_add(packed, list[i].top, (size_t)e.count * sizeof *list[i].top);
    }
}

/* The entry at *at, which moves on to the next one; NULL: there is none. */
static const entry *next_entry(const ttt_bytes *packed, size_t *at, const ttt_logprob **top)
{
    if (*at >= packed->size) return NULL;
    const entry *e = (const void *)(packed->data + *at);
    *top = (const void *)(e + 1);
    *at += sizeof *e + (size_t)e->count * sizeof **top;
    return e;
}

double ttt_logprobs_mean(const ttt_bytes *packed)
{
    double sum = 0;
    int64_t count = 0;
    const ttt_logprob *top;
    size_t at = 0;
    for (const entry *e; (e = next_entry(packed, &at, &top)); count++) sum += e->logprob;
    return count > 0 ? sum / (double)count : -HUGE_VAL;
}

/* ---- offsets ---- */

bool ttt_offsets_init(ttt_offsets *o, const ttt_job *job, bool echo)
{
    const int64_t before = echo ? job->cached : (int64_t)job->prompt.count;
    const int64_t vocabulary = ttt_tokenizer_vocabulary(job->work->server->tokenizer);
    if (ttt_detokenizer_new(&o->detokenizer, job->work->server->tokenizer, !echo) != TTT_OK) return false;
    for (int64_t i = before < CONTEXT ? 0 : before - CONTEXT; i < before; i++)
        if (job->prompt.data[i] < vocabulary &&
            ttt_detokenizer_push(o->detokenizer, job->prompt.data[i], &o->text) != TTT_OK)
            return false;
    return true;
}

void ttt_offsets_free(ttt_offsets *o)
{
    ttt_detokenizer_free(o->detokenizer);
    ttt_text_deinit(&o->text);
    *o = (ttt_offsets){0};
}

/* The offset of an id, behind which the next one stands. */
static int64_t offset_of(ttt_offsets *o, const ttt_server *server, int32_t id)
{
    const int64_t offset = o->offset;
    o->text.size = 0;
    if (id >= ttt_tokenizer_vocabulary(server->tokenizer) ||
        ttt_detokenizer_push(o->detokenizer, id, &o->text) != TTT_OK)
        return offset;
    for (size_t i = 0; i < o->text.size; i++) o->offset += ((unsigned char)o->text.data[i] & 0xc0) != 0x80;
    return offset;
}

/* ---- JSON ---- */

/* One of an impossible id is a number all the same, as JSON has no infinity. */
static json_t *number(double logprob)
{
    if (isnan(logprob)) return json_null();
    return json_real(isinf(logprob) ? -9999.0 : logprob);
}

/* Of the first id of a text nothing was said. The chosen one is there, also where others were more likely. */
static json_t *top_object(const ttt_server *server, const entry *e, const ttt_logprob *top)
{
    char key[TTT_PIECE_KEY];
    if (isnan(e->logprob)) return json_null();
    json_t *object = json_object();
    for (int32_t i = 0; i < e->count; i++)
        json_object_set_new(object, ttt_pieces_key(server->pieces, top[i].id, key), number(top[i].logprob));
    json_object_set_new(object, ttt_pieces_key(server->pieces, e->id, key), number(e->logprob));
    return object;
}

json_t *ttt_logprobs_completion(const ttt_server *server, const ttt_bytes *packed, ttt_offsets *offsets)
{
    json_t *tokens = json_array(), *logprobs = json_array(), *tops = json_array(), *places = json_array();
    const ttt_logprob *top;
    size_t at = 0, count = 0;
    char key[TTT_PIECE_KEY];
    for (const entry *e; (e = next_entry(packed, &at, &top)); count++) {
        json_array_append_new(tokens, json_string(ttt_pieces_key(server->pieces, e->id, key)));
        json_array_append_new(logprobs, number(e->logprob));
        json_array_append_new(tops, top_object(server, e, top));
        json_array_append_new(places, json_integer(offset_of(offsets, server, e->id)));
    }
    json_t *all = json_pack("{s:o,s:o,s:o,s:o}", "tokens", tokens, "token_logprobs", logprobs, "top_logprobs", tops,
                            "text_offset", places);
    const bool whole = all && json_array_size(tokens) == count && json_array_size(logprobs) == count &&
                       json_array_size(tops) == count && json_array_size(places) == count;
    if (whole) return all;
    json_decref(all);
    return NULL;
}

static json_t *chat_token(const ttt_server *server, int32_t id, double logprob)
{
    char key[TTT_PIECE_KEY];
    size_t size;
    const char *text = ttt_pieces_text(server->pieces, id, &size);
    json_t *bytes = json_array();
    for (size_t i = 0; i < size; i++) json_array_append_new(bytes, json_integer((unsigned char)text[i]));
    return json_pack("{s:s,s:o,s:o}", "token", ttt_pieces_key(server->pieces, id, key), "logprob", number(logprob),
                     "bytes", bytes);
}

json_t *ttt_logprobs_chat(const ttt_server *server, const ttt_bytes *packed)
{
    json_t *content = json_array();
    const ttt_logprob *top;
    size_t at = 0, count = 0;
    for (const entry *e; (e = next_entry(packed, &at, &top)); count++) {
        json_t *token = chat_token(server, e->id, e->logprob), *tops = json_array();
        for (int32_t i = 0; i < e->count; i++)
            json_array_append_new(tops, chat_token(server, top[i].id, top[i].logprob));
        if (json_object_set_new(token, "top_logprobs", tops) == 0) json_array_append(content, token);
        json_decref(token);
    }
    if (json_array_size(content) == count) return json_pack("{s:o}", "content", content);
    json_decref(content);
    return NULL;
}
