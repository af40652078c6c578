/* SPDX-License-Identifier: MIT
 *
 * Asks a server for many texts at once and says when they came: load [OPTION...] PORT BODIES. BODIES holds bodies of
 * POST /v1/completions, one a line, that ask for streams; every request takes the next one. One thread waits for all
 * connections, so that what is measured is the server.
 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "reply.h"

typedef struct options {
    const char *bodies, *key;
    int port, sequences, idle;
    int64_t requests;
    double seconds;
} options;

typedef struct series { /* seconds */
    double *values;
    size_t count, capacity;
} series;

typedef struct client {
    int fd; /* -1: none */
    char *request;
    size_t size, sent;
    double begun, last; /* when it was sent, and when its last event came; 0: none yet */
    reply reply;
} client;

typedef struct load {
    options o;
    char **bodies;
    size_t body_count;
    client *clients;
    int epoll, active;
    int64_t started, failed, idle_closed;
    long events;
    double begun, ended;
    series first, between;
} load;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grow(void *block, size_t bytes)
{
    void *larger = realloc(block, bytes);
    if (!larger) die("memory");
    return larger;
}

static void note(series *s, double value)
{
    if (s->count == s->capacity) {
        s->capacity = 2 * s->capacity + 1024;
        s->values = grow(s->values, s->capacity * sizeof *s->values);
    }
    s->values[s->count++] = value;
}

/* ---- connections ---- */

static int open_connection(const load *l, uint32_t events, uint64_t number)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)l->o.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = events, .data.u64 = number};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) die("connect");
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll");
    return fd;
}

static void begin(load *l, client *c)
{
    const char *body = l->bodies[(size_t)l->started++ % l->body_count];
    free(c->request);
    *c = (client){.begun = now()};
    const int size = asprintf(&c->request,
                              "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                              "Authorization: Bearer %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                              l->o.key, strlen(body), body);
    if (size < 0) die("memory");
    c->size = (size_t)size;
    c->fd = open_connection(l, EPOLLIN | EPOLLOUT, (uint64_t)(c - l->clients));
    l->active++;
}

static void end(load *l, client *c)
{
    const reply *r = &c->reply;
    close(c->fd);
    c->fd = -1;
    l->active--;
    l->ended = now();
    if (r->status != 200 || !r->finished || !r->done) {
        if (l->failed++ == 0)
            fprintf(stderr, "load: status %d, %ld events, then the end: %.200s\n", r->status, r->events, r->line);
    }
    if (l->o.seconds > 0 ? l->ended - l->begun < l->o.seconds : l->started < l->o.requests) begin(l, c);
}

static void send_more(load *l, client *c)
{
    while (c->sent < c->size) {
        const ssize_t sent = send(c->fd, c->request + c->sent, c->size - c->sent, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) end(l, c);
            return;
        }
        c->sent += (size_t)sent;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)(c - l->clients)};
    if (epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &event) != 0) die("epoll");
}

static void receive(load *l, client *c)
{
    char bytes[16384];
    ssize_t size;
    while ((size = recv(c->fd, bytes, sizeof bytes, 0)) > 0) {
        const long events = reply_take(&c->reply, bytes, (size_t)size);
        const double time = now();
        l->events += events;
        for (long i = 0; i < events; i++) {
            note(c->last > 0 ? &l->between : &l->first, time - (c->last > 0 ? c->last : c->begun));
            c->last = time;
        }
    }
    if (size == 0 || errno != EAGAIN) end(l, c);
}

/* Connections that say nothing. */
static void open_idle(load *l)
{
    for (int i = 0; i < l->o.idle; i++) (void)open_connection(l, EPOLLRDHUP, UINT64_MAX);
}

static void run(load *l)
{
    struct epoll_event events[64];
    l->begun = now();
    for (int i = 0; i < l->o.sequences && (l->o.seconds > 0 || l->started < l->o.requests); i++)
        begin(l, &l->clients[i]);
    while (l->active > 0) {
        const int count = epoll_wait(l->epoll, events, 64, -1);
        if (count < 0 && errno != EINTR) die("epoll");
        for (int i = 0; i < count; i++) {
            const struct epoll_event *event = &events[i];
            if (event->data.u64 == UINT64_MAX) {
                l->idle_closed++;
                continue;
            }
            client *c = &l->clients[event->data.u64];
            if (event->events & EPOLLOUT)
                send_more(l, c);
            else
                receive(l, c);
        }
    }
}

/* ---- the rest ---- */

static void read_bodies(load *l)
{
    FILE *file = fopen(l->o.bodies, "r");
    if (!file) die(l->o.bodies);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, file)) > 0) {
        if (line[size - 1] == '\n') line[size - 1] = '\0';
        l->bodies = grow(l->bodies, (l->body_count + 1) * sizeof *l->bodies);
        l->bodies[l->body_count] = strdup(line);
        if (!l->bodies[l->body_count++]) die("memory");
    }
    free(line);
    fclose(file);
    if (l->body_count == 0) {
        fprintf(stderr, "load: %s holds no bodies\n", l->o.bodies);
        exit(1);
    }
}

static void deinit(load *l)
{
    for (size_t i = 0; i < l->body_count; i++) free(l->bodies[i]);
    for (int i = 0; i < l->o.sequences; i++) free(l->clients[i].request);
    free(l->bodies);
    free(l->clients);
    free(l->first.values);
    free(l->between.values);
    close(l->epoll);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, series *s)
{
    static const double parts[] = {0.5, 0.99, 1};
    static const char *const names[] = {"median", "p99", "most"};
    if (s->count > 0) qsort(s->values, s->count, sizeof *s->values, compare);
    printf(", \"%s\": {", name);
    for (int i = 0; i < 3; i++) {
        const size_t at = s->count == 0 ? 0 : (size_t)(parts[i] * (double)(s->count - 1));
        printf("%s\"%s\": %.6f", i ? ", " : "", names[i], s->count ? s->values[at] : 0);
    }
    printf("}");
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case 's': o->sequences = atoi(argument); return 0;
    case 'r': o->requests = atoll(argument); return 0;
    case 't': o->seconds = atof(argument); return 0;
    case 'i': o->idle = atoi(argument); return 0;
    case 'k': o->key = argument; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 1) argp_usage(state);
        if (state->arg_num == 0)
            o->port = atoi(argument);
        else
            o->bodies = argument;
        return 0;
    case ARGP_KEY_END:
        if (!o->bodies || o->port < 1 || o->port > 65535 || o->sequences < 1) argp_usage(state);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {"sequences", 's', "N", 0, "texts at a time; default 1", 0},
        {"requests", 'r', "N", 0, "texts in all; default: as many as at a time", 0},
        {"seconds", 't', "S", 0, "instead, go on asking for this long", 0},
        {"idle", 'i', "N", 0, "connections beside them that say nothing", 0},
        {"key", 'k', "KEY", 0, "API key", 0},
        {0}};
    static const struct argp argp = {list, parse, "PORT BODIES", "Asks a server for texts and says when they came.",
                                     NULL, NULL,  NULL};
    load l = {.o = {.sequences = 1, .key = "none"}, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    argp_parse(&argp, argc, argv, 0, NULL, &l.o);
    if (l.epoll < 0) die("epoll");
    if (l.o.requests == 0) l.o.requests = l.o.sequences;
    read_bodies(&l);
    l.clients = calloc((size_t)l.o.sequences, sizeof *l.clients);
    if (!l.clients) die("memory");
    open_idle(&l);
    run(&l);
    printf("{\"sequences\": %d, \"requests\": %" PRId64 ", \"failed\": %" PRId64 ", \"events\": %ld, \"seconds\": %.6f",
           l.o.sequences, l.started, l.failed, l.events, l.ended - l.begun);
    if (l.o.idle > 0) printf(", \"idle_closed\": %" PRId64, l.idle_closed);
    print_series("first", &l.first);
    print_series("between", &l.between);
    puts("}");
    deinit(&l);
    return l.failed > 0;
}
