/* SPDX-License-Identifier: MIT */
#include "prompt.h"

#include <inttypes.h>
#include <stdlib.h>

#include "server.h"

void ttt_encode(const ttt_server *server, const char *text, size_t size, bool begins, ttt_ids *ids, const char *param,
                ttt_refusal *refusal)
{
    const ttt_tokenizer *t = server->tokenizer;
    const int64_t bos = ttt_tokenizer_bos(t), start = bos >= 0 ? bos : ttt_tokenizer_eos(t);
    const size_t before = ids->count;
    ttt_status status = TTT_OK;
    if (begins && ttt_tokenizer_adds_bos(t)) status = ttt_ids_append(ids, (int32_t)bos);
    if (status == TTT_OK) status = ttt_tokenizer_encode(t, text, size, false, ids);
    if (status == TTT_OK && begins && ids->count == before && start >= 0) status = ttt_ids_append(ids, (int32_t)start);
    if (status != TTT_OK)
        ttt_refuse(refusal, status == TTT_ERR_MEMORY ? 503 : 400, param, "%s", ttt_error_detail());
    else if (ids->count == before && begins)
        ttt_refuse(refusal, 400, param, "%s has no text, and nothing can be written behind nothing", param);
}

void ttt_ids_read(const ttt_server *server, const json_t *array, ttt_ids *ids, const char *param, ttt_refusal *refusal)
{
    const int64_t vocabulary = ttt_model_vocabulary(server->model);
    const json_t *value;
    size_t i;
    if (json_array_size(array) == 0) ttt_refuse(refusal, 400, param, "%s has no tokens: give at least one", param);
    json_array_foreach(array, i, value)
    {
        const int64_t id = json_integer_value(value);
        if (!json_is_integer(value))
            ttt_refuse(refusal, 400, param, "%s has %s among token ids", param, ttt_json_kind(value));
        else if (id < 0 || id >= vocabulary)
            ttt_refuse(refusal, 400, param, "%s has the id %" PRId64 ", and the model has ids from 0 to %" PRId64,
                       param, id, vocabulary - 1);
        else if (ttt_ids_append(ids, (int32_t)id) != TTT_OK)
            ttt_refuse(refusal, 503, NULL, "the server is out of memory");
        if (refusal->status) return;
    }
}

bool ttt_ids_copy(ttt_ids *to, const ttt_ids *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (ttt_ids_append(to, from->data[i]) != TTT_OK) return false;
    return true;
}

bool ttt_text_of(const ttt_tokenizer *tokenizer, const int32_t *ids, int64_t from, int64_t count, ttt_text *text,
                 size_t *ends)
{
    enum { BEFORE = 8 }; /* ids, in which a character begun before `from` begins */
    ttt_detokenizer *detokenizer;
    ttt_text before = {0};
    ttt_status status = ttt_detokenizer_new(&detokenizer, tokenizer, false);
    if (status != TTT_OK) return false;
    for (int64_t i = from > BEFORE ? from - BEFORE : 0; status == TTT_OK && i < count; i++) {
        status = ttt_detokenizer_push(detokenizer, ids[i], i < from ? &before : text);
        if (status == TTT_OK && i == count - 1 && i >= from) status = ttt_detokenizer_finish(detokenizer, text);
        if (ends && i >= from) ends[i - from] = text->size;
    }
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&before);
    return status == TTT_OK;
}

/* The text of a prompt for its answer. */
static void read_text(ttt_prompt *prompt, const ttt_server *server, const json_t *given, ttt_refusal *refusal)
{
    ttt_text text = {0};
    if (json_is_string(given))
        ttt_bytes_add(&prompt->text, json_string_value(given), json_string_length(given));
    else if (ttt_tokenizer_decode(server->tokenizer, prompt->ids.data, prompt->ids.count, false, &text) == TTT_OK)
        ttt_bytes_add(&prompt->text, text.data, text.size);
    else
        ttt_refuse(refusal, 400, "prompt", "%s", ttt_error_detail());
    ttt_text_deinit(&text);
}

static void read_one(ttt_prompt *prompt, const ttt_server *server, const json_t *given, bool echo, bool begins,
                     ttt_refusal *refusal)
{
    if (json_is_string(given))
        ttt_encode(server, json_string_value(given), json_string_length(given), begins, &prompt->ids, "prompt",
                   refusal);
    else if (json_is_array(given))
        ttt_ids_read(server, given, &prompt->ids, "prompt", refusal);
    else
        ttt_refuse(refusal, 400, "prompt", "prompt is %s; a text, token ids or an array of these is expected",
                   ttt_json_kind(given));
    if (echo && !refusal->status) read_text(prompt, server, given, refusal);
}

void ttt_prompts_read(ttt_prompts *prompts, const ttt_server *server, ttt_fields *f, bool echo, bool begins)
{
    *prompts = (ttt_prompts){0};
    const json_t *given = ttt_field(f, "prompt"), *first = json_array_get(given, 0);
    const bool several = json_is_string(first) || json_is_array(first);
    const size_t count = several ? json_array_size(given) : 1;
    if (!given)
        ttt_refuse(&f->refusal, 400, "prompt", "prompt is missing: give a text, token ids or an array of these");
    if (count > TTT_PROMPTS)
        ttt_refuse(&f->refusal, 400, "prompt", "prompt has %zu texts; at most %d are taken at a time", count,
                   TTT_PROMPTS);
    if (f->refusal.status) return;
    prompts->list = calloc(count, sizeof *prompts->list);
    if (!prompts->list) {
        ttt_refuse(&f->refusal, 503, NULL, "the server is out of memory");
        return;
    }
    prompts->count = (int64_t)count;
    for (size_t i = 0; i < count && !f->refusal.status; i++)
        read_one(&prompts->list[i], server, several ? json_array_get(given, i) : given, echo, begins, &f->refusal);
}

void ttt_prompts_free(ttt_prompts *prompts)
{
    for (int64_t i = 0; i < prompts->count; i++) {
        ttt_ids_deinit(&prompts->list[i].ids);
        ttt_bytes_free(&prompts->list[i].text);
    }
    free(prompts->list);
}
