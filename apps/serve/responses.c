/* SPDX-License-Identifier: MIT
 *
 * /v1/responses: answers that are kept under an id, each a state that has read all of the talk and never changes. To go
 * on from one is to copy its state; what it has read is not read again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "keep.h"
#include "params.h"
#include "prompt.h"
#include "reply.h"
#include "server.h"

enum { LENGTH = 1024 /* tokens of an answer, if the client says nothing */, ITEM = TTT_ID + 8 };

typedef struct response {
    ttt_params params;
    ttt_keep keep;
    char id[TTT_ID], item[TTT_ID];
    char previous[TTT_STORE_NAME];   /* "": none */
    json_t *instructions, *metadata; /* as they were given; NULL: they were not */
    time_t created;
    bool store;

    pthread_mutex_t lock; /* of all below */
    ttt_bytes text;       /* all that was written so far */
    size_t told;          /* bytes of it that a stream has told */
    int64_t events;       /* of a stream so far */
    json_t *done;         /* the response at its end */
} response;

static void free_response(response *r)
{
    if (!r) return;
    ttt_params_free(&r->params);
    ttt_keep_free(&r->keep);
    json_decref(r->instructions);
    json_decref(r->metadata);
    json_decref(r->done);
    ttt_bytes_free(&r->text);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static void free_work(ttt_work *work) { free_response(work->more); }

/* ---- what is answered ---- */

static json_t *content_json(const ttt_bytes *text)
{
    return json_pack("{s:s,s:o,s:[],s:[]}", "type", "output_text", "text",
                     ttt_json_text(text->data ? text->data : "", text->size), "annotations", "logprobs");
}

static json_t *item_json(const response *r, const char *status, json_t *content)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", r->item, "type", "message", "status", status, "role", "assistant",
                     "content", content);
}

static json_t *usage_json(const ttt_work *work)
{
    json_t *u = ttt_reply_usage(work), *input = json_object_get(u, "prompt_tokens");
    json_t *output = json_object_get(u, "completion_tokens"), *total = json_object_get(u, "total_tokens");
    json_t *cached = json_object_get(json_object_get(u, "prompt_tokens_details"), "cached_tokens");
    json_t *usage = json_pack("{s:O,s:{s:O},s:O,s:{s:i},s:O}", "input_tokens", input, "input_tokens_details",
                              "cached_tokens", cached, "output_tokens", output, "output_tokens_details",
                              "reasoning_tokens", 0, "total_tokens", total);
    json_decref(u);
    return usage;
}

/* The whole object. `output` and `usage` are released; usage NULL: not known yet. Under the response's lock: what the
 * client gave is in it, and the counts of who holds that are not to be changed by two threads at once. */
static json_t *response_json(const ttt_work *work, const char *status, json_t *output, json_t *usage)
{
    const response *r = work->more;
    const ttt_generate_options *o = &r->params.options;
    const bool cut = strcmp(status, "incomplete") == 0;
    json_t *value = json_pack(
        "{s:s,s:s,s:I,s:s,s:n,s:o,s:O?,s:I,s:s,s:o,s:b,s:s?,s:{s:n,s:n},s:b,s:f,s:{s:{s:s}},s:s,s:[],s:f,s:s,s:o?,s:n}",
        "id", r->id, "object", "response", "created_at", (json_int_t)r->created, "status", status, "error",
        "incomplete_details", cut ? json_pack("{s:s}", "reason", "max_output_tokens") : json_null(), "instructions",
        r->instructions, "max_output_tokens", (json_int_t)o->max_new_tokens, "model", work->server->alias, "output",
        output, "parallel_tool_calls", 0, "previous_response_id", *r->previous ? r->previous : NULL, "reasoning",
        "effort", "summary", "store", (int)r->store, "temperature", o->sampling.temperature, "text", "format", "type",
        "text", "tool_choice", "none", "tools", "top_p", o->sampling.top_p, "truncation", "disabled", "usage", usage,
        "user");
    json_object_set(value, "metadata", r->metadata);
    return value;
}

/* ---- the end ---- */

/* Takes what the job has written. Under the response's lock. */
static bool gather(ttt_work *work)
{
    response *r = work->more;
    ttt_bytes none = {0};
    const bool ended = ttt_job_take(&work->jobs[0], &r->text, &none);
    ttt_bytes_free(&none);
    return ended;
}

/* What the state has read behind what is shown: what ended the text. Freed with free; NULL: memory was short. */
static char *tail_of(const ttt_work *work)
{
    const response *r = work->more;
    const ttt_job *job = &work->jobs[0];
    ttt_ids all = {0};
    ttt_text text = {0};
    char *tail = NULL;
    if (ttt_ids_copy(&all, &job->prompt) && ttt_ids_copy(&all, &job->ids) &&
        ttt_text_of(work->server->tokenizer, all.data, (int64_t)job->prompt.count, (int64_t)all.count, &text, NULL)) {
        const bool longer = text.size > r->text.size &&
                            memcmp(text.data, r->text.data ? r->text.data : "", r->text.size) == 0;
        tail = strndup(longer ? text.data + r->text.size : "", longer ? text.size - r->text.size : 0);
    }
    ttt_ids_deinit(&all);
    ttt_text_deinit(&text);
    return tail;
}

/* Keeps the state with the answer and, for who goes on from it, how it ended. */
static void store(ttt_work *work, json_t *done, ttt_refusal *refusal)
{
    const response *r = work->more;
    ttt_job *job = &work->jobs[0];
    ttt_store *kept = work->server->store;
    char *tail = tail_of(work);
    json_t *note = tail ? json_pack("{s:O,s:o}", "response", done, "tail", ttt_json_text(tail, strlen(tail))) : NULL;
    char *text = note ? json_dumps(note, JSON_COMPACT) : NULL;
    ttt_state *state = job->state;
    job->state = NULL;
    if (!text) {
        ttt_state_free(state);
        ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    } else if (!ttt_store_answer(kept, ttt_request_owner(work->request), r->id, state, r->previous, text, refusal)) {
        ttt_store_refused(kept, refusal->status);
    }
    json_decref(note);
    free(text);
    free(tail);
}

static void end(ttt_work *work)
{
    response *r = work->more;
    ttt_refusal refusal = {0};
    const bool whole = strcmp(ttt_reply_finish(&work->jobs[0]), "stop") == 0;
    const char *status = whole ? "completed" : "incomplete";
    ttt_reply_note(work);
    pthread_mutex_lock(&r->lock);
    gather(work); /* the last of it: from here on the text is constant */
    json_t *done = response_json(work, status,
                                 json_pack("[o]", item_json(r, status, json_pack("[o]", content_json(&r->text)))),
                                 usage_json(work));
    pthread_mutex_unlock(&r->lock);
    json_object_set_new(done, "timings", ttt_reply_timings(work));
    if (!done || r->text.failed) ttt_refuse(&refusal, 503, NULL, "the server is out of memory");
    if (r->store && !refusal.status) store(work, done, &refusal);
    if (!work->stream && refusal.status)
        ttt_answer_refusal(work->request, &refusal);
    else if (!work->stream)
        ttt_answer_json(work->request, 200, json_incref(done));
    pthread_mutex_lock(&r->lock);
    r->done = done;
    pthread_mutex_unlock(&r->lock);
    pthread_mutex_lock(&work->lock);
    work->refusal = refusal;
    pthread_mutex_unlock(&work->lock);
}

/* ---- streams ---- */

/* An event of this type; `value` is released. */
static void add_event(response *r, ttt_bytes *out, const char *type, json_t *value)
{
    json_object_set_new(value, "type", json_string(type));
    json_object_set_new(value, "sequence_number", json_integer(r->events++));
    ttt_bytes_print(out, "event: %s\n", type);
    ttt_sse_data(out, value);
}

/* Where in the answer an event is. */
static json_t *place(const response *r)
{
    return json_pack("{s:s,s:i,s:i}", "item_id", r->item, "output_index", 0, "content_index", 0);
}

static json_t *with(json_t *value, const char *name, json_t *member)
{
    json_object_set_new(value, name, member);
    return value;
}

static void add_opening(const ttt_work *work, response *r, ttt_bytes *out)
{
    static const ttt_bytes empty;
    for (int i = 0; i < 2; i++)
        add_event(r, out, i == 0 ? "response.created" : "response.in_progress",
                  json_pack("{s:o}", "response", response_json(work, "in_progress", json_array(), NULL)));
    add_event(r, out, "response.output_item.added",
              json_pack("{s:i,s:o}", "output_index", 0, "item", item_json(r, "in_progress", json_array())));
    add_event(r, out, "response.content_part.added", with(place(r), "part", content_json(&empty)));
}

static void add_closing(response *r, ttt_bytes *out)
{
    char type[40];
    const char *status = json_string_value(json_object_get(r->done, "status"));
    add_event(r, out, "response.output_text.done",
              with(with(place(r), "text", ttt_json_text(r->text.data ? r->text.data : "", r->text.size)), "logprobs",
                   json_array()));
    add_event(r, out, "response.content_part.done", with(place(r), "part", content_json(&r->text)));
    add_event(r, out, "response.output_item.done",
              json_pack("{s:i,s:O}", "output_index", 0, "item", json_array_get(json_object_get(r->done, "output"), 0)));
    snprintf(type, sizeof type, "response.%.20s", status);
    add_event(r, out, type, json_pack("{s:O}", "response", r->done));
}

/* A work that failed ends with what is wrong, in the words of the interface. */
static void add_failure(const ttt_work *work, response *r, ttt_bytes *out, const char *message)
{
    json_t *failed = response_json(work, "failed", json_array(), NULL);
    json_object_set_new(failed, "error", json_pack("{s:s,s:s}", "code", "server_error", "message", message));
    add_event(r, out, "response.failed", json_pack("{s:o}", "response", failed));
}

static bool events(ttt_request *request, ttt_bytes *out)
{
    ttt_work *work = ttt_request_work(request);
    response *r = work->more;
    pthread_mutex_lock(&work->lock);
    const ttt_refusal refusal = work->refusal;
    const bool over = work->over;
    pthread_mutex_unlock(&work->lock);
    pthread_mutex_lock(&r->lock);
    gather(work);
    if (r->events == 0) add_opening(work, r, out);
    if (r->text.size > r->told)
        add_event(r, out, "response.output_text.delta",
                  with(with(place(r), "delta", ttt_json_text(r->text.data + r->told, r->text.size - r->told)),
                       "logprobs", json_array()));
    r->told = r->text.size;
    if (refusal.status)
        add_failure(work, r, out, refusal.message);
    else if (over && r->done)
        add_closing(r, out);
    if (r->text.failed) out->failed = true;
    pthread_mutex_unlock(&r->lock);
    return over || refusal.status;
}

static const ttt_work_kind kind = {.end = end, .free = free_work};

/* ---- POST ---- */

static bool known_id(const char *id, ttt_refusal *refusal)
{
    ttt_refusal none = {0};
    if (ttt_store_name(id, &none)) return true;
    ttt_refuse(refusal, 404, NULL, "there is no response of this id");
    return false;
}

/* The messages of `instructions` and `input`. Released by the caller; NULL: refused. */
static json_t *read_input(response *r, ttt_fields *f)
{
    json_t *input = ttt_field(f, "input"), *messages = json_array();
    const char *instructions = ttt_field_string(f, "instructions");
    if (instructions) {
        r->instructions = json_string(instructions);
        json_array_append_new(messages, json_pack("{s:s,s:s}", "role", "system", "content", instructions));
    }
    if (json_is_string(input))
        json_array_append_new(messages, json_pack("{s:s,s:O}", "role", "user", "content", input));
    else if (json_is_array(input) && json_array_size(input) > 0)
        json_array_extend(messages, input);
    else
        ttt_refuse(&f->refusal, 400, "input", "input is %s; a text or messages are expected",
                   input && !json_is_array(input) ? ttt_json_kind(input) : "missing or empty");
    return messages;
}

/* The state of the response that this one goes on from, and how that ended. */
static char *read_previous(response *r, ttt_request *request, ttt_fields *f)
{
    const ttt_server *server = ttt_request_server(request);
    const char *id = ttt_field_string(f, "previous_response_id"), *owner = ttt_request_owner(request);
    if (f->refusal.status || !id || !known_id(id, &f->refusal)) return NULL;
    char *note = ttt_store_note(server->store, owner, id, &f->refusal);
    if (note) r->keep.state = ttt_store_copy(server->store, owner, TTT_KEPT_RESPONSE, id, &f->refusal);
    snprintf(r->previous, sizeof r->previous, "%s", id);
    json_t *value = note ? json_loads(note, JSON_ALLOW_NUL, NULL) : NULL;
    char *tail = strdup(
        json_string_value(json_object_get(value, "tail")) ? json_string_value(json_object_get(value, "tail")) : "");
    json_decref(value);
    free(note);
    if (f->refusal.status) {
        ttt_store_refused(server->store, f->refusal.status);
        if (f->refusal.status == 404) snprintf(f->refusal.param, sizeof f->refusal.param, "previous_response_id");
    }
    return tail;
}

static void read_request(response *r, ttt_ids *ids, ttt_request *request, ttt_fields *f)
{
    const ttt_server *server = ttt_request_server(request);
    json_t *messages = read_input(r, f), *metadata = ttt_field(f, "metadata");
    ttt_params_read(&r->params, f, server, "max_output_tokens", LENGTH);
    r->store = ttt_field_bool(f, "store", true);
    r->keep.cache = ttt_field_bool(f, "cache_prompt", true);
    r->metadata = json_is_object(metadata) ? json_incref(metadata) : json_object();
    char *tail = read_previous(r, request, f);
    if (!f->refusal.status) ttt_template_stop(&server->chat, server, &r->params.options, r->params.stops, &f->refusal);
    if (!f->refusal.status && r->keep.state)
        ttt_template_go_on(&server->chat, server, tail ? tail : "", messages, ids, &f->refusal);
    else if (!f->refusal.status)
        ttt_template_apply(&server->chat, server, messages, true, ids, &f->refusal);
    if (strcmp(f->refusal.param, "messages") == 0) snprintf(f->refusal.param, sizeof f->refusal.param, "input");
    json_decref(messages);
    free(tail);
}

static void begin(response *r, ttt_request *request, ttt_ids *ids)
{
    ttt_refusal refusal = {0};
    ttt_work *work = ttt_work_new(request, &kind, 1);
    if (!work) {
        free_response(r);
        return;
    }
    work->more = r;
    work->stream = r->params.stream;
    r->created = time(NULL);
    ttt_new_id(r->id, "resp");
    ttt_new_id(r->item, "msg");
    work->jobs[0].options = r->params.options;
    work->jobs[0].prompt = *ids;
    *ids = (ttt_ids){0};
    ttt_keep_begin(&r->keep, &work->jobs[0], &refusal);
    if (refusal.status) {
        ttt_answer_refusal(request, &refusal);
        return;
    }
    if (work->stream) ttt_answer_stream(request, events);
    ttt_engine_submit(work->server->engine, work);
}

void ttt_handle_response(ttt_request *request)
{
    ttt_fields fields;
    ttt_ids ids = {0};
    response *r = calloc(1, sizeof *r);
    ttt_fields_open(&fields, request);
    if (!r) ttt_refuse(&fields.refusal, 503, NULL, "the server is out of memory");
    if (r) pthread_mutex_init(&r->lock, NULL);
    if (!fields.refusal.status) read_request(r, &ids, request, &fields);
    if (ttt_fields_failed(&fields, request))
        free_response(r);
    else
        begin(r, request, &ids);
    ttt_ids_deinit(&ids);
    ttt_fields_close(&fields);
}

/* ---- GET, DELETE ---- */

void ttt_handle_response_get(ttt_request *request)
{
    ttt_refusal refusal = {0};
    const char *id = ttt_request_name(request);
    char *note = known_id(id, &refusal)
                     ? ttt_store_note(ttt_request_server(request)->store, ttt_request_owner(request), id, &refusal)
                     : NULL;
    json_t *value = note ? json_loads(note, JSON_ALLOW_NUL, NULL) : NULL;
    free(note);
    if (refusal.status)
        ttt_answer_refusal(request, &refusal);
    else
        ttt_answer_json(request, 200, json_incref(json_object_get(value, "response")));
    json_decref(value);
}

void ttt_handle_response_delete(ttt_request *request)
{
    ttt_refusal refusal = {0};
    const char *id = ttt_request_name(request);
    if (known_id(id, &refusal) &&
        ttt_store_forget(ttt_request_server(request)->store, ttt_request_owner(request), id, &refusal))
        ttt_answer_json(request, 200, json_pack("{s:s,s:s,s:b}", "id", id, "object", "response", "deleted", 1));
    else
        ttt_answer_refusal(request, &refusal);
}
