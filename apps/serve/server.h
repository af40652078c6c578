/* SPDX-License-Identifier: MIT
 *
 * What the parts of a server share: one model, and what stands round it. Made by serve.c; everything here but `phase`
 * and what has locks of its own is constant once `phase` is TTT_SERVER_READY.
 */
#ifndef TTT_SERVE_SERVER_H
#define TTT_SERVE_SERVER_H

#include <stdatomic.h>
#include <time.h>
#include <ttt/generate.h>

#include "engine.h"
#include "http.h"
#include "pieces.h"
#include "serve.h"
#include "store.h"
#include "template.h"

typedef enum ttt_server_phase { TTT_SERVER_LOADING, TTT_SERVER_READY, TTT_SERVER_STOPPING } ttt_server_phase;

struct ttt_server {
    const ttt_serve_options *options;
    char alias[128];    /* the model's name for clients */
    time_t created;     /* when the server began */
    int64_t file_bytes; /* of the weights' files */
    atomic_int phase;

    ttt_model *model;
    ttt_tokenizer *tokenizer;
    ttt_generate_options defaults; /* what the model says of itself: the ids that end a text */
    ttt_pieces *pieces;            /* the text of each id */
    ttt_store *store;
    ttt_template chat;
    ttt_engine *engine;
    ttt_http *http;
};

double ttt_now(void); /* seconds of a clock that only goes forward */

/* A line on stderr. */
void ttt_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
