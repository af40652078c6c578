/* SPDX-License-Identifier: MIT
 *
 * POST /v1/completions: texts written on behind prompts. Each prompt has `n` choices, of which the first reads it for
 * all.
 */
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "params.h"
#include "prompt.h"
#include "reply.h"
#include "server.h"

enum { CHOICES = 128 };

typedef struct completion {
    ttt_params params;
    char id[TTT_ID];
    time_t created;
    int64_t n; /* choices of each prompt */
    bool echo;
    ttt_bytes *echoes; /* [prompts] the prompts' texts, if they are to be repeated */
    int64_t prompts;
    bool *echoed, *told; /* [jobs] of a stream: its prompt; that it has ended */
} completion;

static void free_completion(ttt_work *work)
{
    completion *c = work->more;
    if (!c) return;
    for (int64_t i = 0; c->echoes && i < c->prompts; i++) ttt_bytes_free(&c->echoes[i]);
    ttt_params_free(&c->params);
    free(c->echoes);
    free(c->echoed);
    free(c->told);
    free(c);
}

/* ---- answers ---- */

static json_t *choice(int64_t index, const ttt_bytes *before, const ttt_bytes *text, const char *finish)
{
    ttt_bytes all = {0};
    if (before) ttt_bytes_add(&all, before->data, before->size);
    ttt_bytes_add(&all, text->data, text->size);
    json_t *value = all.failed ? NULL
                               : json_pack("{s:I,s:o,s:n,s:s?}", "index", (json_int_t)index, "text",
                                           ttt_json_text(all.data ? all.data : "", all.size), "logprobs",
                                           "finish_reason", finish);
    ttt_bytes_free(&all);
    return value;
}

static json_t *object(const ttt_work *work, json_t *choices)
{
    const completion *c = work->more;
    return json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", c->id, "object", "text_completion", "created",
                     (json_int_t)c->created, "model", work->server->alias, "choices", choices);
}

static void end(ttt_work *work)
{
    const completion *c = work->more;
    ttt_reply_note(work);
    if (work->stream) return;
    json_t *choices = json_array();
    for (int64_t i = 0; i < work->count; i++) {
        const ttt_job *job = &work->jobs[i];
        json_array_append_new(choices,
                              choice(i, c->echo ? &c->echoes[i / c->n] : NULL, &job->text, ttt_reply_finish(job)));
    }
    json_t *body = json_array_size(choices) == (size_t)work->count ? object(work, choices) : NULL;
    if (!body) json_decref(choices);
    json_object_set_new(body, "usage", ttt_reply_usage(work));
    json_object_set_new(body, "timings", ttt_reply_timings(work));
    ttt_answer_json(work->request, 200, body);
}

static void add_chunk(ttt_work *work, ttt_bytes *out, const ttt_job *job, const ttt_bytes *before,
                      const ttt_bytes *text, const char *finish)
{
    ttt_sse_data(out, object(work, json_pack("[o]", choice(job->index, before, text, finish))));
}

static bool events(ttt_request *request, ttt_bytes *out)
{
    ttt_work *work = ttt_request_work(request);
    completion *c = work->more;
    const ttt_stand stand = ttt_sse_stand(work, out);
    if (stand == TTT_FAILED) return true;
    for (int64_t i = 0; i < work->count; i++) {
        ttt_job *job = &work->jobs[i];
        ttt_bytes text = {0}, *before = NULL;
        if (c->told[i]) continue;
        c->told[i] = ttt_job_take(job, &text);
        if (c->echo && !c->echoed[i]) before = &c->echoes[i / c->n];
        if (text.size > 0 || before) add_chunk(work, out, job, before, &text, NULL);
        if (before) c->echoed[i] = true;
        ttt_bytes_free(&text);
        if (c->told[i]) add_chunk(work, out, job, NULL, &text, ttt_reply_finish(job));
    }
    if (stand != TTT_OVER) return false;
    if (c->params.include_usage) {
        json_t *last = object(work, json_array());
        json_object_set_new(last, "usage", ttt_reply_usage(work));
        json_object_set_new(last, "timings", ttt_reply_timings(work));
        ttt_sse_data(out, last);
    }
    ttt_sse_done(out);
    return true;
}

/* ---- requests ---- */

static const ttt_work_kind kind = {.end = end, .free = free_completion};

/* Fields that other servers know and that mean nothing here, or nothing yet, are refused rather than passed over. */
static void refuse_unknown(ttt_fields *f)
{
    static const struct {
        const char *name, *why;
    } unknown[] = {{"suffix", "the model writes on behind a text, not into one"},
                   {"logprobs", "this server does not give log-probabilities"},
                   {"logit_bias", "this server does not change logits"},
                   {"session", "this server does not keep sessions"},
                   {"position", "this server does not keep sessions"}};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (ttt_field(f, unknown[i].name))
            ttt_refuse(&f->refusal, 400, unknown[i].name, "%s is not possible: %s", unknown[i].name, unknown[i].why);
    ttt_field_number(f, "presence_penalty", 0, 0, 0);
    ttt_field_number(f, "frequency_penalty", 0, 0, 0);
}

static void read_request(completion *c, ttt_prompts *prompts, ttt_fields *f, const ttt_server *server)
{
    ttt_field_string(f, "model");
    refuse_unknown(f);
    ttt_params_read(&c->params, f, server, "max_tokens", 16);
    c->n = ttt_field_integer(f, "n", 1, 1, CHOICES);
    ttt_field_integer(f, "best_of", c->n, c->n, c->n);
    c->echo = ttt_field_bool(f, "echo", false);
    ttt_prompts_read(prompts, server, f);
}

/* The text that a prompt is, as it was given; of ids, their text. */
static void repeat(ttt_bytes *echo, const ttt_prompt *prompt, const ttt_server *server, ttt_refusal *refusal)
{
    ttt_text text = {0};
    if (json_is_string(prompt->given))
        ttt_bytes_add(echo, json_string_value(prompt->given), json_string_length(prompt->given));
    else if (ttt_tokenizer_decode(server->tokenizer, prompt->ids.data, prompt->ids.count, false, &text) == TTT_OK)
        ttt_bytes_add(echo, text.data, text.size);
    else
        ttt_refuse(refusal, 400, "prompt", "%s", ttt_error_detail());
    ttt_text_deinit(&text);
    if (echo->failed) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
}

/* The jobs of a work that has been made, in order of prompt and choice. */
static void fill_jobs(ttt_work *work, completion *c, ttt_prompts *prompts, ttt_refusal *refusal)
{
    c->prompts = prompts->count;
    c->echoes = calloc((size_t)prompts->count, sizeof *c->echoes);
    c->told = calloc((size_t)work->count, sizeof *c->told);
    c->echoed = calloc((size_t)work->count, sizeof *c->echoed);
    if (!c->echoes || !c->told || !c->echoed) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    for (int64_t p = 0; p < prompts->count && !refusal->status; p++) {
        ttt_job *first = &work->jobs[p * c->n];
        if (c->echo) repeat(&c->echoes[p], &prompts->list[p], work->server, refusal);
        for (int64_t i = 0; i < c->n && !refusal->status; i++) {
            ttt_job *job = first + i;
            job->options = c->params.options;
            job->options.sampling.request = (uint64_t)i;
            if (i > 0) job->leader = first;
            if (i > 0 && !ttt_ids_copy(&job->prompt, &prompts->list[p].ids))
                ttt_refuse(refusal, 503, NULL, "the server is out of memory");
        }
        first->prompt = prompts->list[p].ids;
        prompts->list[p].ids = (ttt_ids){0};
    }
}

void ttt_handle_completions(ttt_request *request)
{
    ttt_server *server = ttt_request_server(request);
    ttt_fields fields;
    ttt_prompts prompts = {0};
    completion *c = calloc(1, sizeof *c);
    ttt_fields_open(&fields, request);
    if (!c) ttt_refuse(&fields.refusal, 503, NULL, "the server is out of memory");
    if (!fields.refusal.status) read_request(c, &prompts, &fields, server);
    ttt_work *work = fields.refusal.status ? NULL : ttt_work_new(request, &kind, prompts.count * c->n);
    if (work) {
        work->more = c;
        work->stream = c->params.stream;
        c->created = time(NULL);
        ttt_new_id(c->id, "cmpl");
        fill_jobs(work, c, &prompts, &fields.refusal);
    } else if (c) {
        ttt_params_free(&c->params);
        free(c);
    }
    if (!ttt_fields_failed(&fields, request) && work) {
        if (work->stream) ttt_answer_stream(request, events);
        ttt_engine_submit(server->engine, work);
    }
    ttt_prompts_free(&prompts);
    ttt_fields_close(&fields);
}
