/* SPDX-License-Identifier: MIT
 *
 * The daemon: listening, the heads and bodies of requests, and who is told what about them.
 */
#include "http.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "request.h"
#include "server.h"
#include "work.h"

enum {
    NETWORK_THREADS = 4, /* they only copy bytes */
    WORKERS = 4,
    BACKLOG = 1024,
    IDLE = 60,          /* seconds without a byte after which a connection is closed */
    SILENCE = 15,       /* seconds after which a stream is sent a comment */
    BODIES = 4,         /* times --max-body: of all bodies together */
    THROWN = 16 << 20,  /* bytes of a refused body that are read for the sake of the answer */
    UNSENT = 128 << 10, /* bytes that the system holds for a client that is slow */
    PATH_LIMIT = 4096
};

/* ---- a request from its head to its handler ---- */

/* Nobody waits for its answer any more. */
static void unlink_request(ttt_request *r)
{
    ttt_http *http = r->http;
    pthread_mutex_lock(&http->lock);
    if (r->work) ttt_work_cancel(r->work);
    if (r->previous)
        r->previous->next = r->next;
    else
        http->first = r->next;
    if (r->next) r->next->previous = r->previous;
    http->count--;
    pthread_mutex_unlock(&http->lock);
}

static void link_request(ttt_request *r)
{
    ttt_http *http = r->http;
    pthread_mutex_lock(&http->lock);
    r->next = http->first;
    if (r->next) r->next->previous = r;
    http->first = r;
    http->count++;
    pthread_mutex_unlock(&http->lock);
}

static ttt_request *new_request(ttt_http *http, struct MHD_Connection *connection, const char *method, const char *path)
{
    ttt_request *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    *r = (ttt_request){.http = http, .connection = connection, .started = ttt_now()};
    r->spoke = r->started;
    atomic_init(&r->holds, 1);
    pthread_mutex_init(&r->lock, NULL);
    const union MHD_ConnectionInfo *socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    r->fd = socket ? socket->connect_fd : -1;
    r->method = strdup(method);
    r->path = strdup(path);
    if (r->method && r->path) return r;
    ttt_request_release(r);
    return NULL;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* What stands for {} in the path, with %XX decoded; %00 and what is no such escape refuse it. */
static void find_name(ttt_request *r)
{
    const char *pattern = r->route->path, *path = r->path;
    while (*pattern && *pattern == *path) pattern++, path++;
    if (*pattern != '{') return;
    const size_t size = strcspn(path, "/");
    r->name = calloc(size + 1, 1);
    if (!r->name) {
        ttt_refuse(&r->refusal, 503, NULL, "the server is out of memory");
        return;
    }
    char *to = r->name;
    for (const char *from = path; from < path + size; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        const int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
        if (low < 0 || high + low == 0) {
            ttt_refuse(&r->refusal, 400, NULL, "the name in the path has a %% that stands for no character of a name");
            return;
        }
        *to++ = (char)(16 * high + low);
        from += 2;
    }
}

static void find_route(ttt_request *r)
{
    const char *methods;
    if (strlen(r->path) > PATH_LIMIT) {
        ttt_refuse(&r->refusal, 404, NULL, "the path is longer than any that there is");
        return;
    }
    r->route = ttt_route_find(r->method, r->path, &methods);
    if (r->route) {
        find_name(r);
    } else if (methods) {
        ttt_answer_header(r, "Allow", methods);
        ttt_refuse(&r->refusal, 405, NULL, "%s takes %s, not %s", r->path, methods, r->method);
    } else {
        ttt_refuse(&r->refusal, 404, NULL, "there is nothing at %.200s", r->path);
    }
}

/* A browser asks before it lets a page of another origin send what is not a plain form. */
static void answer_preflight(ttt_request *r)
{
    ttt_answer_header(r, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, HEAD, OPTIONS");
    ttt_answer_header(r, "Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match");
    ttt_answer_header(r, "Access-Control-Max-Age", "600");
    ttt_answer_bytes(r, 204, "text/plain", NULL, 0);
}

static void look_at_head(ttt_request *r)
{
    const ttt_server *server = r->http->server;
    const int phase = atomic_load(&server->phase);
    r->limit = server->options->max_body;
    if (!ttt_auth_origin(server, ttt_request_header(r, "Origin"), ttt_request_header(r, "Host"))) {
        ttt_refuse(&r->refusal, 403, NULL,
                   "pages of this origin may not call this server: start it with --cors ORIGIN");
        return;
    }
    if (strcmp(r->method, "OPTIONS") == 0) {
        answer_preflight(r);
        return;
    }
    find_route(r);
    if (r->route && r->route->flags & TTT_ROUTE_STATE && r->limit < server->options->state_memory)
        r->limit = server->options->state_memory;
    const bool open = r->route && r->route->flags & TTT_ROUTE_OPEN;
    if (!open && !ttt_auth_check(server, ttt_request_header(r, "Authorization"), r->owner)) {
        r->refusal = (ttt_refusal){0};
        ttt_answer_header(r, "WWW-Authenticate", "Basic realm=\"ttt\", charset=\"UTF-8\""); /* so that browsers ask */
        ttt_refuse(&r->refusal, 401, NULL, "the API key is missing or wrong: send it as \"Authorization: Bearer KEY\"");
    } else if (!open && phase == TTT_SERVER_LOADING) {
        ttt_answer_loading(r);
    } else if (!open && phase == TTT_SERVER_STOPPING) {
        ttt_refuse(&r->refusal, 503, NULL, "the server is stopping");
    }
}

/* The first thing that is known of a request is its head. A body that is too large is refused before it comes. */
static enum MHD_Result begin(ttt_request *r)
{
    look_at_head(r);
    const char *length = ttt_request_header(r, "Content-Length");
    if (!length || strtoull(length, NULL, 10) <= r->limit) return MHD_YES;
    if (!r->answered && !r->refusal.status)
        ttt_answer_error(r, 413, NULL, "the body has %.20s bytes; at most %zu are taken", length, r->limit);
    else if (!r->answered)
        ttt_answer_refusal(r, &r->refusal);
    return ttt_request_queue_answer(r);
}

static enum MHD_Result collect(ttt_request *r, const char *data, size_t size)
{
    ttt_http *http = r->http;
    const size_t several = BODIES * http->server->options->max_body, room = several > r->limit ? several : r->limit;
    if (!r->refusal.status && size > r->limit - r->body.size)
        ttt_refuse(&r->refusal, 413, NULL, "the body has more than the %zu bytes that are taken", r->limit);
    if (!r->refusal.status && atomic_load(&http->body_bytes) + size > room)
        ttt_refuse(&r->refusal, 503, NULL, "the server holds too many large requests at this time");
    if (r->refusal.status || r->answered) {
        r->thrown += size;
        return r->thrown <= THROWN + r->limit ? MHD_YES : MHD_NO;
    }
    const size_t before = r->body.size;
    ttt_bytes_add(&r->body, data, size);
    atomic_fetch_add(&http->body_bytes, r->body.size - before);
    if (r->body.failed) ttt_refuse(&r->refusal, 503, NULL, "the server is out of memory");
    return MHD_YES;
}

/* The body is there. */
static enum MHD_Result dispatch(ttt_request *r)
{
    r->dispatched = true;
    if (r->refusal.status && !r->answered) ttt_answer_refusal(r, &r->refusal);
    if (!r->answered && r->route->flags & TTT_ROUTE_DIRECT) r->route->handle(r);
    if (r->answered) return ttt_request_queue_answer(r);
    const enum MHD_Result waits = ttt_request_queue_answer(r);
    ttt_request_later(r, r->route->handle, false);
    return waits;
}

static enum MHD_Result on_access(void *argument, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version, const char *data, size_t *size, void **own)
{
    (void)version;
    ttt_request *r = *own;
    if (!r) {
        *own = r = new_request(argument, connection, method, path);
        if (!r) return MHD_NO;
        link_request(r);
        return begin(r);
    }
    if (*size > 0) {
        const enum MHD_Result taken = collect(r, data, *size);
        *size = 0;
        return taken;
    }
    return r->dispatched ? ttt_request_queue_answer(r) : dispatch(r);
}

static void log_request(ttt_request *r, enum MHD_RequestTerminationCode code)
{
    char path[120];
    snprintf(path, sizeof path, "%s", r->path);
    for (char *c = path; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
    if (!r->answered)
        ttt_log("%s %s: %s after %.0f ms", r->method, path,
                code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED ? "closed, as nothing came of it," : "the client left",
                1e3 * (ttt_now() - r->started));
    else
        ttt_log("%s %s %d %.0f ms%s%s", r->method, path, r->status, 1e3 * (ttt_now() - r->started),
                *r->note ? "; " : "", r->note);
}

static void on_completed(void *argument, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode code)
{
    (void)argument, (void)connection;
    ttt_request *r = *own;
    if (!r) return;
    *own = NULL;
    pthread_mutex_lock(&r->lock);
    r->connection = NULL;
    r->suspended = false;
    log_request(r, code);
    pthread_mutex_unlock(&r->lock);
    unlink_request(r);
    ttt_request_release(r);
}

/* Paths stay as they were sent: only the name in one is decoded, by find_name. */
static size_t leave_escaped(void *argument, struct MHD_Connection *connection, char *text)
{
    (void)argument, (void)connection;
    return strlen(text);
}

/* ---- now and then ---- */

static void tick_request(ttt_request *r, double now)
{
    pthread_mutex_lock(&r->lock);
    const bool silent = r->events && r->connection && now - r->spoke > SILENCE && (!r->answered || r->suspended);
    if (silent && r->given == r->out.size) {
        ttt_bytes_add_text(&r->out, ":\n\n");
        r->spoke = now;
    }
    pthread_mutex_unlock(&r->lock);
    if (silent) ttt_request_wake(r);
    if (r->work && ttt_request_left(r)) ttt_work_cancel(r->work);
}

void ttt_http_tick(ttt_http *http)
{
    const double now = ttt_now();
    pthread_mutex_lock(&http->lock);
    for (ttt_request *r = http->first; r; r = r->next) tick_request(r, now);
    pthread_mutex_unlock(&http->lock);
}

size_t ttt_http_requests(ttt_http *http)
{
    pthread_mutex_lock(&http->lock);
    const size_t count = http->count;
    pthread_mutex_unlock(&http->lock);
    return count;
}

/* ---- listening ---- */

static int listen_at(const struct addrinfo *address)
{
    const int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                          address->ai_protocol);
    const int on = 1, unsent = UNSENT; /* connections have it from here */
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &unsent, sizeof unsent);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char port[NI_MAXSERV];
    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0)
        return 0;
    return atoi(port);
}

static int open_socket(const char *host, int *port, ttt_refusal *refusal)
{
    char service[16];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    snprintf(service, sizeof service, "%d", *port);
    const int failed = getaddrinfo(host, service, &hints, &found);
    if (failed) {
        ttt_refuse(refusal, 500, NULL, "--host %s is no address of this machine: %s", host, gai_strerror(failed));
        return -1;
    }
    const int fd = listen_at(found);
    if (fd < 0)
        ttt_refuse(refusal, 500, NULL, "cannot listen at %s, port %d: %s%s", host, *port, strerror(errno),
                   errno == EADDRINUSE ? "; give another --port, 0 for any" : "");
    else
        *port = port_of(fd);
    freeaddrinfo(found);
    return fd;
}

ttt_http *ttt_http_new(ttt_server *server, int *port, ttt_refusal *refusal)
{
    const ttt_serve_options *o = server->options;
    ttt_http *http = calloc(1, sizeof *http);
    if (http) {
        *http = (ttt_http){.server = server,
                           .workers = ttt_workers_new(WORKERS),
                           .large = ttt_workers_new(1),
                           .listening = MHD_INVALID_SOCKET};
        pthread_mutex_init(&http->lock, NULL);
    }
    const int fd = http && http->workers && http->large ? open_socket(o->host, port, refusal) : -1;
    /* Not epoll, with which the daemon's threads and MHD_quiesce_daemon race to take the socket out of the set, and the
     * library aborts the program when they meet (seen with 0.9.75). */
    if (fd >= 0)
        http->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                                        on_access, http, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE,
                                        (unsigned)NETWORK_THREADS, MHD_OPTION_CONNECTION_LIMIT,
                                        (unsigned)o->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE,
                                        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
                                        leave_escaped, NULL, MHD_OPTION_END);
    if (http && http->daemon) return http;
    ttt_refuse(refusal, 500, NULL, "cannot start the threads of the server: out of memory");
    if (fd >= 0) close(fd);
    ttt_http_free(http);
    return NULL;
}

/* The socket stays a file until the daemon's threads have ended: they take it out of what they wait for each in its own
 * time. */
void ttt_http_stop_accepting(ttt_http *http)
{
    http->listening = MHD_quiesce_daemon(http->daemon);
    if (http->listening != MHD_INVALID_SOCKET) shutdown(http->listening, SHUT_RDWR);
}

/* No connection may be suspended when the daemon stops. */
static void let_go(ttt_http *http)
{
    atomic_store(&http->closing, true);
    pthread_mutex_lock(&http->lock);
    for (ttt_request *r = http->first; r; r = r->next) {
        ttt_answer_error(r, 503, NULL, "the server stopped before the answer was done");
        ttt_request_wake(r);
    }
    pthread_mutex_unlock(&http->lock);
}

void ttt_http_free(ttt_http *http)
{
    if (!http) return;
    if (http->large) ttt_workers_stop(http->large);
    if (http->workers) ttt_workers_stop(http->workers);
    if (http->daemon) let_go(http);
    if (http->daemon) MHD_stop_daemon(http->daemon);
    if (http->listening != MHD_INVALID_SOCKET) close(http->listening);
    ttt_workers_free(http->large);
    ttt_workers_free(http->workers);
    pthread_mutex_destroy(&http->lock);
    free(http);
}
