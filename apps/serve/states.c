/* SPDX-License-Identifier: MIT
 *
 * /v1/states: the sessions of a key as files that are fetched, sent, deleted, forked and rolled back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "handlers.h"
#include "keep.h"
#include "prompt.h"
#include "server.h"

enum { LISTED = 100, MOST_LISTED = 10000 };

static ttt_store *store_of(const ttt_request *request) { return ttt_request_server(request)->store; }

static void refuse(ttt_request *request, const ttt_refusal *refusal)
{
    ttt_store_refused(store_of(request), refusal->status);
    ttt_answer_refusal(request, refusal);
}

/* ---- what is said of a session ---- */

static json_t *about_json(const ttt_store_about *about)
{
    return json_pack("{s:s, s:s, s:s?, s:I, s:I, s:s, s:b, s:b, s:I}", "object", "state", "name", about->name, "parent",
                     *about->parent ? about->parent : NULL, "position", (json_int_t)about->position, "bytes",
                     (json_int_t)about->bytes, "etag", about->etag, "in_memory", (int)about->in_memory, "busy",
                     (int)about->busy, "changed", (json_int_t)about->changed);
}

/* The checksum as HTTP has it. */
static void set_etag(ttt_request *request, const ttt_store_about *about)
{
    char etag[TTT_STORE_ETAG + 2];
    snprintf(etag, sizeof etag, "\"%s\"", about->etag);
    ttt_answer_header(request, "ETag", etag);
}

static void answer_about(ttt_request *request, int status, const ttt_store_about *about)
{
    set_etag(request, about);
    ttt_answer_json(request, status, about_json(about));
}

/* The one checksum of If-Match or If-None-Match in `etag`, or "*"; NULL: there is no such header. */
static const char *read_match(const ttt_request *request, const char *header, char etag[TTT_STORE_ETAG],
                              ttt_refusal *refusal)
{
    const char *value = ttt_request_header(request, header);
    if (!value) return NULL;
    const size_t length = strlen(value), digits = TTT_STORE_ETAG - 1;
    if (strcmp(value, "*") == 0) return "*";
    const bool quoted = length == digits + 2 && value[0] == '"' && value[length - 1] == '"';
    if (!quoted && length != digits) {
        ttt_refuse(refusal, 400, header, "%s is the checksum of one state, as ETag gives it, or *", header);
        return NULL;
    }
    snprintf(etag, TTT_STORE_ETAG, "%.*s", (int)digits, value + quoted);
    return etag;
}

/* ---- claims of requests ---- */

/* The claim of a request by the name in its path and its headers. NULL: it is answered, or waits. */
static ttt_claim *claim_by_head(ttt_request *request, bool must_exist)
{
    ttt_refusal refusal = {0};
    char match[TTT_STORE_ETAG], none_match[TTT_STORE_ETAG];
    const ttt_store_condition condition = {.must_exist = must_exist,
                                           .match = read_match(request, "If-Match", match, &refusal),
                                           .none_match = read_match(request, "If-None-Match", none_match, &refusal),
                                           .position = -1};
    ttt_claim *claim = refusal.status ? NULL
                                      : ttt_request_claim(request, ttt_request_name(request), &condition, &refusal);
    if (refusal.status) ttt_answer_refusal(request, &refusal);
    return claim;
}

/* ---- GET ---- */

static int64_t argument(const ttt_request *request, const char *name, int64_t otherwise, ttt_refusal *refusal)
{
    const char *text = ttt_request_argument(request, name);
    if (!text) return otherwise;
    const size_t length = strlen(text);
    if (length > 0 && length <= 15 && strspn(text, "0123456789") == length) return strtoll(text, NULL, 10);
    ttt_refuse(refusal, 400, name, "%s is a number of tokens or sessions", name);
    return otherwise;
}

void ttt_handle_states(ttt_request *request)
{
    ttt_refusal refusal = {0};
    const int64_t limit = argument(request, "limit", LISTED, &refusal);
    if (limit < 1 || limit > MOST_LISTED) ttt_refuse(&refusal, 400, "limit", "limit is 1 to %d", MOST_LISTED);
    if (refusal.status) {
        refuse(request, &refusal);
        return;
    }
    ttt_store_about *list;
    bool more;
    const size_t count = ttt_store_list(store_of(request), ttt_request_owner(request),
                                        ttt_request_argument(request, "after"), (size_t)limit, &list, &more);
    json_t *data = list ? json_array() : NULL;
    for (size_t i = 0; i < count; i++) json_array_append_new(data, about_json(&list[i]));
    free(list);
    if (data && json_array_size(data) < count) {
        json_decref(data);
        data = NULL;
    }
    ttt_answer_json(request, 200, json_pack("{s:s, s:o, s:b}", "object", "list", "data", data, "has_more", (int)more));
}

void ttt_handle_state_get(ttt_request *request)
{
    ttt_refusal refusal = {0};
    ttt_store_about about;
    void *bytes;
    size_t size;
    char file[TTT_STORE_NAME + 40];
    if (!ttt_store_name(ttt_request_name(request), &refusal) ||
        !ttt_store_read(store_of(request), ttt_request_owner(request), ttt_request_name(request), &bytes, &size, &about,
                        &refusal)) {
        refuse(request, &refusal);
        return;
    }
    set_etag(request, &about);
    snprintf(file, sizeof file, "attachment; filename=\"%s.ttt\"", about.name);
    ttt_answer_header(request, "Content-Disposition", file);
    ttt_answer_bytes(request, 200, "application/octet-stream", bytes, size);
}

/* The texts of ids [from, count), each what becomes certain with it. NULL: memory was short. */
static json_t *pieces_of(const ttt_tokenizer *tokenizer, const int32_t *ids, int64_t from, int64_t count)
{
    ttt_text text = {0};
    size_t *ends = calloc((size_t)(count - from) + 1, sizeof *ends), begin = 0;
    json_t *pieces = ends && ttt_text_of(tokenizer, ids, from, count, &text, ends) ? json_array() : NULL;
    for (int64_t i = 0; pieces && i < count - from; begin = ends[i++])
        json_array_append_new(pieces, ttt_json_text(text.data ? text.data + begin : "", ends[i] - begin));
    ttt_text_deinit(&text);
    free(ends);
    return pieces;
}

void ttt_handle_state_tokens(ttt_request *request)
{
    ttt_refusal refusal = {0};
    ttt_store_about about;
    int32_t *ids = NULL;
    const char *name = ttt_request_name(request), *owner = ttt_request_owner(request);
    const int64_t last = argument(request, "last", -1, &refusal), first = argument(request, "from", 0, &refusal);
    int64_t count = argument(request, "count", INT64_MAX, &refusal);
    if (refusal.status || !ttt_store_name(name, &refusal) ||
        !(ids = ttt_store_tokens(store_of(request), owner, name, &about, &refusal))) {
        refuse(request, &refusal);
        return;
    }
    const int64_t position = about.position,
                  from = last >= 0 ? (last < position ? position - last : 0) : (first < position ? first : position);
    if (count > position - from) count = position - from;
    json_t *tokens = json_array();
    for (int64_t i = from; i < from + count; i++) json_array_append_new(tokens, json_integer(ids[i]));
    json_t *body = about_json(&about);
    json_object_set_new(body, "from", json_integer(from));
    json_object_set_new(body, "tokens", tokens);
    json_object_set_new(body, "pieces", pieces_of(ttt_request_server(request)->tokenizer, ids, from, from + count));
    free(ids);
    set_etag(request, &about);
    ttt_answer_json(request, 200, body);
}

/* ---- PUT, DELETE, fork ---- */

/* The state in a body: 422 where it is another model's, 400 where it is none. */
static ttt_state *read_body(ttt_request *request, char parent[TTT_STORE_NAME], ttt_refusal *refusal)
{
    static const char *const fields[] = {"fingerprint", "precision", "type", "version", "checksum"};
    const ttt_server *server = ttt_request_server(request);
    ttt_state_file *file = NULL;
    ttt_state *state = NULL;
    size_t size;
    const char *body = ttt_request_body(request, &size), *field = NULL;
    ttt_status status = ttt_state_file_parse(&file, body, size, "the body");
    if (status == TTT_OK) status = ttt_state_file_load(file, server->model, &state);
    if (status == TTT_OK) {
        snprintf(parent, TTT_STORE_NAME, "%s", ttt_state_file_info(file)->parent);
    } else {
        char start[40];
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
            snprintf(start, sizeof start, "the body: %s", fields[i]);
            if (strncmp(ttt_error_detail(), start, strlen(start)) == 0) field = fields[i];
        }
        ttt_refuse(refusal,
                   status == TTT_ERR_MEMORY   ? 503
                   : status == TTT_ERR_FORMAT ? 400
                                              : 422,
                   field, "%s", ttt_error_detail());
    }
    ttt_state_file_close(file);
    return state;
}

void ttt_handle_state_put(ttt_request *request)
{
    ttt_refusal refusal = {0};
    ttt_store_about about;
    char parent[TTT_STORE_NAME];
    ttt_state *state = ttt_store_name(ttt_request_name(request), &refusal) ? read_body(request, parent, &refusal)
                                                                           : NULL;
    if (!state) {
        refuse(request, &refusal);
        return;
    }
    ttt_claim *claim = claim_by_head(request, false);
    if (!claim) {
        ttt_state_free(state);
        return;
    }
    const bool is_new = !ttt_claim_exists(claim);
    if (ttt_claim_put(claim, state, parent, &about, &refusal))
        answer_about(request, is_new ? 201 : 200, &about);
    else
        refuse(request, &refusal);
}

void ttt_handle_state_delete(ttt_request *request)
{
    ttt_refusal refusal = {0};
    ttt_claim *claim = claim_by_head(request, true);
    if (!claim) return;
    if (ttt_claim_remove(claim, &refusal))
        ttt_answer_json(
            request, 200,
            json_pack("{s:s, s:s, s:b}", "object", "state.deleted", "name", ttt_request_name(request), "deleted", 1));
    else
        refuse(request, &refusal);
}

void ttt_handle_state_fork(ttt_request *request)
{
    ttt_fields fields;
    ttt_store_about about;
    ttt_fields_open(&fields, request);
    const char *to = ttt_field_string(&fields, "to");
    if (!to) ttt_refuse(&fields.refusal, 400, "to", "to is the name of the fork");
    if (!fields.refusal.status && ttt_store_name(ttt_request_name(request), &fields.refusal) &&
        ttt_store_fork(store_of(request), ttt_request_owner(request), ttt_request_name(request), to, &about,
                       &fields.refusal))
        answer_about(request, 201, &about);
    else
        refuse(request, &fields.refusal);
    ttt_fields_close(&fields);
}

/* ---- rollback: back to a snapshot, then the tokens between are read again, as a job of the engine ---- */

typedef struct rollback {
    ttt_claim *claim;
    int64_t snapshot;
} rollback;

static void finish_rollback(ttt_request *request, rollback *r, ttt_state *state)
{
    ttt_refusal refusal = {0};
    ttt_store_about about;
    ttt_claim *claim = r->claim;
    r->claim = NULL;
    if (!ttt_claim_put(claim, state, NULL, &about, &refusal)) {
        refuse(request, &refusal);
        return;
    }
    ttt_store_rolled_back(store_of(request));
    json_t *body = about_json(&about);
    json_object_set_new(body, "read_again", json_integer(about.position - r->snapshot));
    set_etag(request, &about);
    ttt_answer_json(request, 200, body);
}

static void end_rollback(ttt_work *work)
{
    ttt_state *state = work->jobs[0].state;
    work->jobs[0].state = NULL;
    finish_rollback(work->request, work->more, state);
}

static void free_rollback(ttt_work *work)
{
    rollback *r = work->more;
    ttt_claim_drop(r->claim);
    free(r);
}

static const ttt_work_kind rollback_kind = {.end = end_rollback, .free = free_rollback};

/* Has the engine read what lies between the snapshot and the position. Takes over claim and state. */
static void read_again(ttt_request *request, ttt_claim *claim, ttt_state *state, const int32_t *ids, int64_t count)
{
    rollback *r = malloc(sizeof *r);
    ttt_work *work = r ? ttt_work_new(request, &rollback_kind, 1) : NULL;
    ttt_status status = TTT_OK;
    if (!work) {
        free(r);
        ttt_claim_drop(claim);
        ttt_state_free(state);
        ttt_answer_error(request, 503, NULL, "the server is out of memory");
        return;
    }
    *r = (rollback){.claim = claim, .snapshot = ttt_state_position(state)};
    work->more = r;
    ttt_job *job = &work->jobs[0];
    job->state = state;
    job->options.max_new_tokens = 0;
    ttt_state_expect(state, r->snapshot + count);
    for (int64_t i = 0; status == TTT_OK && i < count; i++) status = ttt_ids_append(&job->prompt, ids[i]);
    if (status == TTT_OK)
        ttt_engine_submit(work->server->engine, work);
    else
        ttt_answer_error(request, 503, NULL, "%s", ttt_error_detail());
}

static void roll_back(ttt_request *request, ttt_claim *claim, int64_t position)
{
    ttt_refusal refusal = {0};
    const int32_t *again = NULL;
    int64_t count = 0;
    ttt_state *state = ttt_claim_state(claim, &refusal);
    if (state && !ttt_state_tokens(state, &count))
        ttt_refuse(&refusal, 409, NULL, "session %s was uploaded without its tokens, so it knows no other position",
                   ttt_request_name(request));
    else if (state && (position < 0 || position > ttt_state_position(state)))
        ttt_refuse(&refusal, 400, "position", "position is 0 to %lld: so many tokens were read",
                   (long long)ttt_state_position(state));
    if (!refusal.status) {
        const ttt_status status = ttt_state_rewind(state, position, &again, &count);
        if (status != TTT_OK)
            ttt_refuse(&refusal, status == TTT_ERR_MEMORY ? 503 : 500, NULL, "%s", ttt_error_detail());
    }
    if (refusal.status) {
        ttt_claim_drop(claim);
        ttt_state_free(state);
        refuse(request, &refusal);
    } else if (count > 0) {
        read_again(request, claim, state, again, count);
    } else {
        rollback r = {.claim = claim, .snapshot = position};
        finish_rollback(request, &r, state);
    }
}

void ttt_handle_state_rollback(ttt_request *request)
{
    ttt_fields fields;
    ttt_fields_open(&fields, request);
    const int64_t position = ttt_field_integer(&fields, "position", -1, 0, INT64_MAX);
    if (position < 0) ttt_refuse(&fields.refusal, 400, "position", "position is the number of tokens to go back to");
    const bool failed = fields.refusal.status != 0;
    if (failed) refuse(request, &fields.refusal);
    ttt_fields_close(&fields);
    ttt_claim *claim = failed ? NULL : claim_by_head(request, true);
    if (claim) roll_back(request, claim, position);
}
