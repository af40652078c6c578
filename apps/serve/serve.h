/* SPDX-License-Identifier: MIT
 *
 * ttt serve: a model over HTTP. This is all that the command needs of the server; server.h is what its parts share.
 */
#ifndef TTT_SERVE_SERVE_H
#define TTT_SERVE_SERVE_H

#include <stddef.h>
#include <stdint.h>
#include <ttt/model.h>

enum { TTT_KEY_LIMIT = 256 }; /* bytes of an API key, with its end */

typedef struct ttt_serve_options {
    const char *model, *host; /* folder; address to listen at */
    int port;                 /* 0: one that is free, which is printed */
    const char *alias;        /* NULL: the folder's name */
    const char *cors;         /* the origin whose pages may call, "*": all; NULL: none but the server's own */
    const char *chat_template;
    const char *const *keys; /* [key_count], each shorter than TTT_KEY_LIMIT; none: no key is asked for */
    size_t key_count;
    int64_t parallel;   /* texts that are read and written at a time */
    int64_t queue;      /* requests that wait for that */
    int64_t slice;      /* tokens of prompts in one step */
    int64_t max_tokens; /* that one text may ask for */
    int64_t connections;
    int64_t grace;                   /* seconds that what runs has to end when the server stops */
    size_t max_body;                 /* bytes */
    const char *states;              /* the folder of the states; NULL: they are in memory alone */
    size_t state_memory, state_disk; /* bytes that states may take */
    ttt_model_options compute;
    int (*signal)(void); /* that asks the server to stop; 0: none yet */
} ttt_serve_options;

/* Serves until a signal comes. Returns the exit code: 0, or 1 after a sentence on stderr. */
int ttt_serve(const ttt_serve_options *options);

#endif
