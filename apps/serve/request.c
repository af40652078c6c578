/* SPDX-License-Identifier: MIT
 *
 * Requests and their answers. An answer is made by any thread and queued by the network thread, which is woken for it;
 * a stream is asked for more by the network thread, and suspended by it when there is none.
 */
#include "request.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"
#include "work.h"

enum {
    BLOCK = 16 << 10, /* bytes of a stream that are sent at a time */
    LARGE = 1 << 20   /* bytes of a body that takes long to read; of small numbers it takes 20 times its size then */
};

ttt_server *ttt_request_server(const ttt_request *r) { return r->http->server; }
const char *ttt_request_owner(const ttt_request *r) { return r->owner; }
const char *ttt_request_method(const ttt_request *r) { return r->method; }
const char *ttt_request_name(const ttt_request *r) { return r->name; }

const char *ttt_request_body(const ttt_request *r, size_t *size)
{
    *size = r->body.size;
    return r->body.data ? r->body.data : "";
}

const char *ttt_request_header(const ttt_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *ttt_request_argument(const ttt_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* Those who look at works of requests that are not theirs (http.c: clients that leave) do so under the daemon's lock.
 */
void ttt_request_set_work(ttt_request *r, struct ttt_work *work)
{
    pthread_mutex_lock(&r->http->lock);
    struct ttt_work *before = r->work;
    r->work = work;
    pthread_mutex_unlock(&r->http->lock);
    ttt_work_free(before);
}

struct ttt_work *ttt_request_work(const ttt_request *r) { return r->work; }

void ttt_request_hold(ttt_request *r) { atomic_fetch_add(&r->holds, 1); }

void ttt_request_release(ttt_request *r)
{
    if (atomic_fetch_sub(&r->holds, 1) > 1) return;
    ttt_work_free(r->work);
    if (r->response) MHD_destroy_response(r->response);
    atomic_fetch_sub(&r->http->body_bytes, r->body.size);
    ttt_bytes_free(&r->body);
    ttt_bytes_free(&r->out);
    pthread_mutex_destroy(&r->lock);
    free(r->method);
    free(r->path);
    free(r->name);
    free(r);
}

bool ttt_request_left(ttt_request *r)
{
    pthread_mutex_lock(&r->lock);
    struct pollfd client = {.fd = r->fd, .events = POLLRDHUP};
    const bool left = !r->connection || poll(&client, 1, 0) > 0;
    pthread_mutex_unlock(&r->lock);
    return left;
}

void ttt_request_later(ttt_request *r, void (*run)(ttt_request *request), bool soon)
{
    ttt_request_hold(r);
    r->run = run;
    const bool large = r->body.size > LARGE && run == r->route->handle;
    ttt_workers_add(large ? r->http->large : r->http->workers, r, soon);
}

void ttt_request_again(ttt_request *r) { ttt_request_later(r, r->route->handle, true); }

void ttt_request_note(ttt_request *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&r->lock);
    vsnprintf(r->note, sizeof r->note, format, arguments);
    pthread_mutex_unlock(&r->lock);
    va_end(arguments);
}

/* ---- refusals ---- */

void ttt_refuse(ttt_refusal *refusal, int status, const char *param, const char *format, ...)
{
    if (refusal->status) return;
    va_list arguments;
    va_start(arguments, format);
    refusal->status = status;
    snprintf(refusal->param, sizeof refusal->param, "%s", param ? param : "");
    vsnprintf(refusal->message, sizeof refusal->message, format, arguments);
    va_end(arguments);
}

json_t *ttt_refusal_json(const ttt_refusal *refusal)
{
    static const struct {
        int status;
        const char *type, *code;
    } kinds[] = {{400, "invalid_request_error", "invalid_value"},
                 {401, "authentication_error", "invalid_api_key"},
                 {403, "permission_error", "origin_not_allowed"},
                 {404, "not_found_error", "not_found"},
                 {405, "invalid_request_error", "method_not_allowed"},
                 {409, "conflict_error", "conflict"},
                 {412, "conflict_error", "precondition_failed"},
                 {413, "invalid_request_error", "too_large"},
                 {422, "invalid_request_error", "unusable_state"},
                 {429, "rate_limit_error", "queue_full"},
                 {503, "unavailable_error", "unavailable"},
                 {507, "insufficient_storage_error", "disk_full"}};
    const char *type = "server_error", *code = "internal_error";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].status == refusal->status) {
            type = kinds[i].type;
            code = kinds[i].code;
        }
    return json_pack("{s:{s:o,s:s,s:o,s:s}}", "error", "message",
                     ttt_json_text(refusal->message, strlen(refusal->message)), "type", type, "param",
                     *refusal->param ? ttt_json_text(refusal->param, strlen(refusal->param)) : json_null(), "code",
                     code);
}

/* ---- answers ---- */

/* Resumes the connection if it waits. Under the lock. */
static void resume(ttt_request *r)
{
    if (!r->suspended || !r->connection) return;
    r->suspended = false;
    MHD_resume_connection(r->connection);
}

static void add_headers(ttt_request *r, struct MHD_Response *response, const char *type)
{
    const ttt_serve_options *o = r->http->server->options;
    MHD_add_response_header(response, "Content-Type", type);
    if (o->cors) {
        MHD_add_response_header(response, "Access-Control-Allow-Origin", o->cors);
        MHD_add_response_header(response, "Access-Control-Expose-Headers", "ETag, Retry-After");
        if (strcmp(o->cors, "*") != 0) MHD_add_response_header(response, "Vary", "Origin");
    }
    for (int i = 0; i < r->header_count; i++)
        MHD_add_response_header(response, r->headers[i].name, r->headers[i].value);
}

/* `response` NULL: memory was short; the connection is closed without an answer. */
static void answer(ttt_request *r, int status, const char *type, struct MHD_Response *response)
{
    pthread_mutex_lock(&r->lock);
    if (r->answered) {
        if (response) MHD_destroy_response(response);
    } else {
        if (response) add_headers(r, response, type);
        r->answered = true;
        r->status = status;
        r->response = response;
        resume(r);
    }
    pthread_mutex_unlock(&r->lock);
}

void ttt_answer_bytes(ttt_request *r, int status, const char *type, void *bytes, size_t size)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
    if (!response) free(bytes);
    answer(r, status, type, response);
}

void ttt_answer_static(ttt_request *r, const char *type, const char *bytes, size_t size)
{
    answer(r, 200, type, MHD_create_response_from_buffer(size, (void *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT));
}

void ttt_answer_json(ttt_request *r, int status, json_t *body)
{
    static const char type[] = "application/json";
    static const char short_of_memory[] = "{\"error\":{\"message\":\"the server is out of memory\",\"type\":"
                                          "\"unavailable_error\",\"param\":null,\"code\":\"unavailable\"}}";
    ttt_bytes bytes = {0};
    ttt_bytes_add_json(&bytes, body);
    if (!bytes.failed) {
        ttt_answer_bytes(r, status, type, bytes.data, bytes.size);
        return;
    }
    ttt_bytes_free(&bytes);
    answer(r, 503, type,
           MHD_create_response_from_buffer(sizeof short_of_memory - 1, (void *)(uintptr_t)short_of_memory,
                                           MHD_RESPMEM_PERSISTENT));
}

void ttt_answer_loading(ttt_request *r)
{
    ttt_answer_json(
        r, 503,
        json_pack("{s:{s:i,s:s,s:s}}", "error", "code", 503, "message", "Loading model", "type", "unavailable_error"));
}

void ttt_answer_refusal(ttt_request *r, const ttt_refusal *refusal)
{
    if (refusal->status == 429 || refusal->status == 503) ttt_answer_header(r, "Retry-After", "1");
    if (refusal->status == 401) ttt_answer_header(r, "WWW-Authenticate", "Bearer");
    ttt_request_note(r, "%.200s", refusal->message);
    ttt_answer_json(r, refusal->status, ttt_refusal_json(refusal));
}

void ttt_answer_error(ttt_request *r, int status, const char *param, const char *format, ...)
{
    ttt_refusal refusal = {0};
    char message[sizeof refusal.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    ttt_refuse(&refusal, status, param, "%s", message);
    ttt_answer_refusal(r, &refusal);
}

void ttt_answer_header(ttt_request *r, const char *name, const char *value)
{
    pthread_mutex_lock(&r->lock);
    if (r->header_count < HEADERS && strlen(name) < NAME && strlen(value) < VALUE) {
        ttt_header *header = &r->headers[r->header_count++];
        snprintf(header->name, NAME, "%s", name);
        snprintf(header->value, VALUE, "%s", value);
    }
    pthread_mutex_unlock(&r->lock);
}

/* ---- streams ---- */

/* Gives libmicrohttpd what there is of a stream. Nothing: the connection waits until it is woken; the lock is held from
 * looking to waiting, so that whoever has something meanwhile wakes it afterwards. */
static ssize_t read_stream(void *argument, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    ttt_request *r = argument;
    pthread_mutex_lock(&r->lock);
    if (r->given == r->out.size) {
        r->given = r->out.size = 0;
        if (!r->last) r->last = r->events(r, &r->out);
    }
    const size_t left = r->out.size - r->given, count = left < size ? left : size;
    ssize_t result = (ssize_t)count;
    if (r->out.failed || atomic_load(&r->http->closing)) {
        result = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (count > 0) {
        memcpy(buffer, r->out.data + r->given, count);
        r->given += count;
        r->spoke = ttt_now();
    } else if (r->last) {
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}

static void release_stream(void *argument) { ttt_request_release(argument); }

void ttt_answer_stream(ttt_request *r, ttt_stream events)
{
    pthread_mutex_lock(&r->lock);
    r->events = events;
    pthread_mutex_unlock(&r->lock);
}

static void begin_stream(ttt_request *r)
{
    ttt_request_hold(r);
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_stream, r,
                                                                      release_stream);
    if (response) {
        MHD_add_response_header(response, "Cache-Control", "no-cache");
        MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx passes events on as they come */
    }
    answer(r, 200, "text/event-stream", response);
    if (!response) ttt_request_release(r);
}

void ttt_request_wake(ttt_request *r)
{
    pthread_mutex_lock(&r->lock);
    const bool begins = !r->answered && r->events;
    if (!begins) resume(r);
    pthread_mutex_unlock(&r->lock);
    if (begins) begin_stream(r);
}

enum MHD_Result ttt_request_queue_answer(ttt_request *r)
{
    pthread_mutex_lock(&r->lock);
    const bool answered = r->answered;
    struct MHD_Response *response = r->response;
    r->response = NULL;
    if (!answered) {
        r->suspended = true;
        MHD_suspend_connection(r->connection);
    }
    pthread_mutex_unlock(&r->lock);
    if (!answered) return MHD_YES;
    if (!response) return MHD_NO;
    const enum MHD_Result queued = MHD_queue_response(r->connection, (unsigned)r->status, response);
    MHD_destroy_response(response);
    return queued;
}
