/* SPDX-License-Identifier: MIT
 *
 * HTTP: the daemon, requests, and how they are answered. libmicrohttpd does the protocol on a few network threads, of
 * which none ever waits: a connection that has nothing to send is suspended, and resumed by whoever has something for
 * it.
 *
 * A request goes like this. The network threads look at its head (key, origin, route, size) and collect its body; a
 * worker thread runs the route's handler, which may take its time. The handler answers, or gives the request a work
 * for the engine (work.h); then the request is answered when the work has ended, or while it goes on, as a stream.
 *
 * Threads: a request belongs to the thread that runs its handler, then to the engine, then to the worker that ends its
 * work; it is freed once it was answered (or its client has gone) and nobody holds it any more.
 */
#ifndef TTT_SERVE_HTTP_H
#define TTT_SERVE_HTTP_H

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "bytes.h"

typedef struct ttt_server ttt_server;
typedef struct ttt_request ttt_request;
typedef struct ttt_http ttt_http;
struct ttt_work;

/* ---- routes: routes.c has the table ---- */

enum {
    TTT_ROUTE_OPEN = 1,   /* asks for no key, and answers while the model is loaded too */
    TTT_ROUTE_DIRECT = 2, /* its handler neither computes nor waits: it runs on the network thread */
    TTT_ROUTE_STATE = 4   /* its body is a state, which may be larger than --max-body */
};

typedef struct ttt_route {
    const char *method; /* GET stands for HEAD too */
    const char *path;   /* {} stands for any one segment, which ttt_request_name gives */
    unsigned flags;
    void (*handle)(ttt_request *request); /* answers, once, now or later */
} ttt_route;

/* The route of a path and method. NULL: there is none; then *methods is what the path allows, such as "GET, PUT", or
 * NULL if there is no such path. */
const ttt_route *ttt_route_find(const char *method, const char *path, const char **methods);

/* ---- a request, for handlers ---- */

enum { TTT_OWNER = 33 }; /* 32 hexadecimal digits of a key's hash and the end; empty where no keys are asked for */

ttt_server *ttt_request_server(const ttt_request *request);
const char *ttt_request_owner(const ttt_request *request);  /* whose states it may see */
const char *ttt_request_method(const ttt_request *request); /* "HEAD" is "HEAD" here */
const char *ttt_request_name(const ttt_request *request);   /* what stands for {} in the path, decoded */
const char *ttt_request_body(const ttt_request *request, size_t *size);
/* A header, or an argument of the query (?name=value): NULL if it is not there. Only in the handler. */
const char *ttt_request_header(const ttt_request *request, const char *name);
const char *ttt_request_argument(const ttt_request *request, const char *name);

/* Runs a function of the request on a worker, `soon` before what waits there: what may take its time and is not for the
 * thread that knows of it. One at a time; the request is held until then. */
void ttt_request_later(ttt_request *request, void (*run)(ttt_request *request), bool soon);
/* Runs the handler anew, as though the request had just come: for one that had to wait for another. */
void ttt_request_again(ttt_request *request);

/* What the log is to say of the request, behind status and time. */
void ttt_request_note(ttt_request *request, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The work of this request, which is freed with it (work.h). */
void ttt_request_set_work(ttt_request *request, struct ttt_work *work);
struct ttt_work *ttt_request_work(const ttt_request *request);

/* Every request is held by its connection until that is done with it; who keeps one beyond its handler holds it. */
void ttt_request_hold(ttt_request *request);
void ttt_request_release(ttt_request *request);

/* Whether the client has gone, or has said that it sends nothing more. */
bool ttt_request_left(ttt_request *request);

/* ---- answers: the first counts, any further one is dropped; any thread ---- */

/* Why a request is refused: its answer's status, what is wrong in a sentence, and with which field (empty: none). */
typedef struct ttt_refusal {
    int status; /* 0: it is not */
    char param[64];
    char message[512];
} ttt_refusal;

void ttt_refuse(ttt_refusal *refusal, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));            /* the first one stays */
json_t *ttt_refusal_json(const ttt_refusal *refusal); /* {"error": ...} */

void ttt_answer_json(ttt_request *request, int status, json_t *body); /* which is released; NULL: memory was short */
void ttt_answer_loading(ttt_request *request);                        /* in the words of llama-server */
void ttt_answer_refusal(ttt_request *request, const ttt_refusal *refusal);
void ttt_answer_error(ttt_request *request, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Bytes from malloc, which are taken over, also when nothing can be sent. */
void ttt_answer_bytes(ttt_request *request, int status, const char *type, void *bytes, size_t size);
/* Bytes that live as long as the program. */
void ttt_answer_static(ttt_request *request, const char *type, const char *bytes, size_t size);
/* A header of the answer to come; at most 4. Strings are copied; too long ones are dropped. */
void ttt_answer_header(ttt_request *request, const char *name, const char *value);

/* Server-sent events. The answer begins with the first ttt_request_wake, or when the client has waited long for it;
 * until then an error may still be the answer. `events` is called on a network thread when the client can take more: it
 * appends what is new, perhaps nothing, and says whether that was the last. After nothing it is called again when
 * ttt_request_wake says that there may be something. It must not call what is declared here. */
typedef bool (*ttt_stream)(ttt_request *request, ttt_bytes *out);
void ttt_answer_stream(ttt_request *request, ttt_stream events);
void ttt_request_wake(ttt_request *request); /* not while holding a lock that `events` takes */

/* ---- the daemon, for serve.c ---- */

/* Listens; prints nothing. NULL: *refusal says why not. `port` is set to the one that it got. */
ttt_http *ttt_http_new(ttt_server *server, int *port, ttt_refusal *refusal);
/* What is to be done now and then: comments to streams that have been silent, and whoever has left is noticed. */
void ttt_http_tick(ttt_http *http);
void ttt_http_stop_accepting(ttt_http *http);
size_t ttt_http_requests(ttt_http *http); /* that are not answered to the end */
void ttt_http_free(ttt_http *http);       /* ends the threads; NULL is allowed */

#endif
