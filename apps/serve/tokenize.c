/* SPDX-License-Identifier: MIT
 *
 * POST /tokenize and /detokenize, GET /tokenizer_info: in the words of llama-server (content, add_special, tokens) and
 * of vLLM (prompt, add_special_tokens, count) at once.
 */
#include <string.h>

#include "handlers.h"
#include "prompt.h"
#include "server.h"

/* The text of one id as it stands within a text: a string. */
static json_t *piece(const ttt_server *server, int64_t id)
{
    size_t size;
    const char *text = ttt_pieces_text(server->pieces, id, &size);
    return ttt_json_text(text, size);
}

static json_t *tokens_json(const ttt_server *server, const ttt_ids *ids, bool pieces)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ids->count; i++) {
        const json_int_t id = ids->data[i];
        json_array_append_new(list, pieces ? json_pack("{s:I,s:o}", "id", id, "piece", piece(server, ids->data[i]))
                                           : json_integer(id));
    }
    if (json_array_size(list) == ids->count) return list;
    json_decref(list);
    return NULL;
}

/* The text is in `content` or in `prompt`, and whether the beginning of a text is added, in that dialect's member too.
 */
static void read_text(ttt_fields *f, const char **text, bool *special)
{
    const char *content = ttt_field_string(f, "content"), *prompt = ttt_field_string(f, "prompt");
    *special = ttt_field_bool(f, "add_special", false);
    *special = ttt_field_bool(f, "add_special_tokens", content ? *special : true);
    *text = content ? content : prompt;
    if (!*text) ttt_refuse(&f->refusal, 400, "content", "content is missing: give a text");
}

void ttt_handle_tokenize(ttt_request *request)
{
    const ttt_server *server = ttt_request_server(request);
    const ttt_tokenizer *t = server->tokenizer;
    ttt_fields f;
    ttt_ids ids = {0};
    const char *text = NULL;
    bool special = false;
    ttt_fields_open(&f, request);
    if (!f.refusal.status) read_text(&f, &text, &special);
    const bool parse = ttt_field_bool(&f, "parse_special", true), pieces = ttt_field_bool(&f, "with_pieces", false);
    if (!f.refusal.status) {
        ttt_status status = TTT_OK;
        if (special && ttt_tokenizer_adds_bos(t)) status = ttt_ids_append(&ids, (int32_t)ttt_tokenizer_bos(t));
        if (status == TTT_OK) status = ttt_tokenizer_encode(t, text, strlen(text), parse, &ids);
        if (status != TTT_OK)
            ttt_refuse(&f.refusal, status == TTT_ERR_MEMORY ? 503 : 400, "content", "%s", ttt_error_detail());
    }
    if (!ttt_fields_failed(&f, request)) {
        int64_t context = 0;
        if (ttt_config_get_integer(ttt_model_config(server->model), "max_position_embeddings", &context) != TTT_OK)
            context = 0;
        ttt_answer_json(request, 200,
                        json_pack("{s:o,s:I,s:I}", "tokens", tokens_json(server, &ids, pieces), "count",
                                  (json_int_t)ids.count, "max_model_len", (json_int_t)context));
    }
    ttt_ids_deinit(&ids);
    ttt_fields_close(&f);
}

void ttt_handle_detokenize(ttt_request *request)
{
    const ttt_server *server = ttt_request_server(request);
    ttt_fields f;
    ttt_ids ids = {0};
    ttt_text text = {0};
    ttt_fields_open(&f, request);
    const json_t *tokens = ttt_field(&f, "tokens");
    if (!f.refusal.status && !json_is_array(tokens))
        ttt_refuse(&f.refusal, 400, "tokens", "tokens is %s; an array of token ids is expected",
                   tokens ? ttt_json_kind(tokens) : "missing");
    if (!f.refusal.status && json_array_size(tokens) > 0) ttt_ids_read(server, tokens, &ids, "tokens", &f.refusal);
    if (!f.refusal.status && ids.count > 0 &&
        ttt_tokenizer_decode(server->tokenizer, ids.data, ids.count, false, &text) != TTT_OK)
        ttt_refuse(&f.refusal, 400, "tokens", "%s", ttt_error_detail());
    if (!ttt_fields_failed(&f, request)) {
        const char *data = text.data ? text.data : "";
        ttt_answer_json(request, 200,
                        json_pack("{s:o,s:o}", "content", ttt_json_text(data, text.size), "prompt",
                                  ttt_json_text(data, text.size)));
    }
    ttt_text_deinit(&text);
    ttt_ids_deinit(&ids);
    ttt_fields_close(&f);
}

static json_t *special_token(const ttt_server *server, int64_t id) { return id < 0 ? json_null() : piece(server, id); }

void ttt_handle_tokenizer_info(ttt_request *request)
{
    const ttt_server *server = ttt_request_server(request);
    const ttt_tokenizer *t = server->tokenizer;
    const int64_t eos = ttt_tokenizer_eos(t);
    ttt_answer_json(request, 200,
                    json_pack("{s:o,s:o,s:o,s:s?}", "eos_token", special_token(server, eos), "bos_token",
                              special_token(server, ttt_tokenizer_bos(t)), "pad_token", special_token(server, eos),
                              "chat_template", server->chat.given));
}
