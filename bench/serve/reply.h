/* SPDX-License-Identifier: MIT
 *
 * An answer of an HTTP server as it comes in: its status, and of a stream the events, one a token. Bytes may be cut
 * anywhere, and the body may be in chunks.
 */
#ifndef TTT_BENCH_REPLY_H
#define TTT_BENCH_REPLY_H

#include <stdbool.h>
#include <stddef.h>

enum { REPLY_LINE = 4096 }; /* bytes that are looked at of a line; more of it is passed over */

typedef enum reply_phase { REPLY_HEAD, REPLY_SIZE, REPLY_BODY, REPLY_CHUNK_END } reply_phase;

typedef struct reply { /* begins as all zero */
    reply_phase phase;
    int status;              /* 0: not known yet */
    bool chunked, extension; /* behind the digits of a chunk's size */
    long left;               /* bytes of the chunk that are still to come */
    char line[REPLY_LINE];
    size_t size;   /* of the line */
    long events;   /* with a text */
    bool finished; /* an event has told that the text has its length */
    bool done;     /* and the stream has ended */
} reply;

/* Takes the next bytes; the result is how many events they completed. */
long reply_take(reply *r, const char *bytes, size_t size);

#endif
