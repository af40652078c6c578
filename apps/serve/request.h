/* SPDX-License-Identifier: MIT
 *
 * What a request is made of, for the files that HTTP consists of: http.c (the daemon), request.c (answers), workers.c
 * (workers). Others see http.h.
 */
#ifndef TTT_SERVE_REQUEST_H
#define TTT_SERVE_REQUEST_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http.h"

enum { HEADERS = 4, NAME = 32, VALUE = 256 };

typedef struct ttt_header {
    char name[NAME], value[VALUE];
} ttt_header;

typedef struct ttt_workers ttt_workers;

struct ttt_http {
    ttt_server *server;
    struct MHD_Daemon *daemon;
    MHD_socket listening;         /* of a daemon that accepts nothing any more */
    ttt_workers *workers, *large; /* for all requests; for what is done with large bodies, one at a time */
    pthread_mutex_t lock;
    ttt_request *first; /* all requests whose connection is not done with them; under the lock */
    size_t count;
    atomic_bool closing;      /* whatever is not answered now will not be */
    atomic_size_t body_bytes; /* of all bodies that are held */
};

struct ttt_request {
    ttt_http *http;
    const ttt_route *route; /* NULL: there is none, and `refusal` says why */
    char owner[TTT_OWNER];
    char *method, *path, *name;
    double started; /* seconds */
    ttt_bytes body;
    size_t limit;        /* of the body */
    size_t thrown;       /* bytes of a body that nobody wants */
    ttt_refusal refusal; /* found before the handler: the answer once the body has come */
    bool dispatched;
    struct ttt_work *work;
    atomic_int holds;
    ttt_request *previous, *next; /* in http->first */

    ttt_request *queued; /* the next one that waits for a worker */
    void (*run)(ttt_request *request);

    pthread_mutex_t lock;              /* of all below */
    struct MHD_Connection *connection; /* NULL once it is done with the request */
    int fd;
    bool suspended, answered;
    int status;
    struct MHD_Response *response; /* until it is queued */
    ttt_header headers[HEADERS];
    int header_count;
    ttt_stream events;
    ttt_bytes out; /* of a stream: what the client has not taken but for the first `given` bytes */
    size_t given;
    bool last;    /* no more events will come */
    double spoke; /* when something was last sent, or the request began */
    char note[VALUE];
};

/* Looks whether the request can be answered now; else suspends its connection. On its network thread. */
enum MHD_Result ttt_request_queue_answer(ttt_request *request);

/* ---- workers.c ---- */

ttt_workers *ttt_workers_new(int threads); /* NULL: no memory, or no threads */
/* Takes over a hold of the request. */
void ttt_workers_add(ttt_workers *workers, ttt_request *request, bool front);
void ttt_workers_stop(ttt_workers *workers); /* once all that waits there was run; what is added later is not */
void ttt_workers_free(ttt_workers *workers); /* of stopped ones; NULL is allowed */

/* ---- auth.c ---- */

/* Whether a request with this Authorization header may pass; then whose it is. Takes the same time for any wrong key.
 */
bool ttt_auth_check(const ttt_server *server, const char *authorization, char owner[TTT_OWNER]);
/* Whether a page of `origin` (NULL: no page) may call a server that the client calls `host`. */
bool ttt_auth_origin(const ttt_server *server, const char *origin, const char *host);

#endif
