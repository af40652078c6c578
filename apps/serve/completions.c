/* SPDX-License-Identifier: MIT
 *
 * POST /v1/completions.
 */
#include <stdlib.h>

#include "choices.h"
#include "handlers.h"
#include "prompt.h"
#include "server.h"

static json_t *choice(const ttt_part *part)
{
    return json_pack("{s:I,s:o,s:o,s:s?}", "index", (json_int_t)part->index, "text",
                     ttt_json_text(part->text, part->size), "logprobs", part->logprobs ? part->logprobs : json_null(),
                     "finish_reason", part->finish);
}

static const ttt_shape shape = {.id = "cmpl",
                                .object = "text_completion",
                                .chunk = "text_completion",
                                .choice = choice,
                                .logprobs = ttt_logprobs_completion};

static void read_request(ttt_choices *c, ttt_prompts *prompts, ttt_fields *f, const ttt_server *server)
{
    if (ttt_field(f, "suffix"))
        ttt_refuse(&f->refusal, 400, "suffix",
                   "suffix is not possible: the model writes on behind a text, not into one");
    ttt_params_read(&c->params, f, server, "max_tokens", 16);
    c->params.options.logprobs = (int)ttt_field_integer(f, "logprobs", -1, 0, TTT_TOP_LOGPROBS);
    c->params.logprobs = c->params.options.logprobs >= 0;
    c->n = ttt_field_integer(f, "n", 1, 1, TTT_CHOICES);
    c->best_of = ttt_field_integer(f, "best_of", c->n, 1, TTT_CHOICES);
    if (c->best_of < c->n)
        ttt_refuse(&f->refusal, 400, "best_of", "best_of is less than n: no such choice is the best");
    if (c->best_of > c->n && c->params.stream)
        ttt_refuse(&f->refusal, 400, "best_of", "best_of cannot be streamed: which is best is known at the end");
    c->echo = ttt_field_bool(f, "echo", false);
    if (c->echo && c->keep.claim)
        ttt_refuse(&f->refusal, 400, "echo", "echo is not possible: a session goes on behind more than its prompt");
    ttt_prompts_read(prompts, server, f, c->echo, ttt_keep_position(&c->keep) == 0);
}

void ttt_handle_completions(ttt_request *request)
{
    ttt_fields fields;
    ttt_prompts prompts = {0};
    ttt_fields_open(&fields, request);
    ttt_choices *c = ttt_choices_new(&shape, request, &fields);
    if (c && !fields.refusal.status) read_request(c, &prompts, &fields, ttt_request_server(request));
    ttt_choices_begin(c, request, &fields, prompts.list, prompts.count);
    ttt_prompts_free(&prompts);
    ttt_fields_close(&fields);
}
