/* SPDX-License-Identifier: MIT
 *
 * POST /v1/chat/completions: a completion behind messages, which the server's template makes a text of.
 */
#include <string.h>

#include "choices.h"
#include "handlers.h"
#include "prompt.h"
#include "server.h"

enum { LENGTH = 1024 }; /* of an answer, if the client says nothing: what is not trained to end goes on for ever */

static json_t *choice(const ttt_part *part)
{
    json_t *message = json_object();
    if (!part->stream || part->first) json_object_set_new(message, "role", json_string("assistant"));
    if (!part->stream || part->first || part->size > 0)
        json_object_set_new(message, "content", ttt_json_text(part->text, part->size));
    return json_pack("{s:I,s:o,s:o,s:s?}", "index", (json_int_t)part->index, part->stream ? "delta" : "message",
                     message, "logprobs", part->logprobs ? part->logprobs : json_null(), "finish_reason", part->finish);
}

static json_t *logprobs(const ttt_server *server, const ttt_bytes *packed, ttt_offsets *offsets)
{
    (void)offsets;
    return ttt_logprobs_chat(server, packed);
}

static const ttt_shape shape = {.id = "chatcmpl",
                                .object = "chat.completion",
                                .chunk = "chat.completion.chunk",
                                .opens = true,
                                .choice = choice,
                                .logprobs = logprobs};

/* What a client relies on and would not get is refused. */
static void refuse_impossible(ttt_fields *f)
{
    const json_t *tools = ttt_field(f, "tools"), *format = ttt_field(f, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    if (json_array_size(tools) > 0)
        ttt_refuse(&f->refusal, 400, "tools", "tools are not possible: there is no form for them");
    if (format && (!type || strcmp(type, "text") != 0))
        ttt_refuse(&f->refusal, 400, "response_format", "response_format can only be {\"type\": \"text\"}");
}

static void read_request(ttt_choices *c, ttt_prompt *prompt, ttt_fields *f, const ttt_server *server)
{
    ttt_params *p = &c->params;
    const bool newer = ttt_field(f, "max_completion_tokens") != NULL;
    refuse_impossible(f);
    ttt_params_read(p, f, server, newer ? "max_completion_tokens" : "max_tokens", LENGTH);
    p->logprobs = ttt_field_bool(f, "logprobs", false);
    const int64_t top = ttt_field_integer(f, "top_logprobs", 0, 0, TTT_TOP_LOGPROBS);
    if (top > 0 && !p->logprobs)
        ttt_refuse(&f->refusal, 400, "top_logprobs", "top_logprobs is given, but logprobs is not true");
    if (p->logprobs) p->options.logprobs = (int)top;
    c->n = c->best_of = ttt_field_integer(f, "n", 1, 1, TTT_CHOICES);
    if (f->refusal.status) return;
    ttt_template_stop(&server->chat, server, &p->options, p->stops, &f->refusal);
    ttt_template_apply(&server->chat, server, ttt_field(f, "messages"), ttt_keep_position(&c->keep) == 0, &prompt->ids,
                       &f->refusal);
}

void ttt_handle_chat(ttt_request *request)
{
    ttt_fields fields;
    ttt_prompt prompt = {0};
    ttt_fields_open(&fields, request);
    ttt_choices *c = ttt_choices_new(&shape, request, &fields);
    if (c && !fields.refusal.status) read_request(c, &prompt, &fields, ttt_request_server(request));
    ttt_choices_begin(c, request, &fields, &prompt, 1);
    ttt_ids_deinit(&prompt.ids);
    ttt_fields_close(&fields);
}
