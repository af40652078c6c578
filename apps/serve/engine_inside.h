/* SPDX-License-Identifier: MIT
 *
 * What the engine is made of, for its two files: engine.c, and engine_slots.c, where others look at its slots.
 */
#ifndef TTT_SERVE_ENGINE_INSIDE_H
#define TTT_SERVE_ENGINE_INSIDE_H

#include "engine.h"

/* What the last text of a slot has read. */
typedef struct ttt_last_text {
    char owner[TTT_OWNER];
    ttt_ids ids;
} ttt_last_text;

struct ttt_engine {
    ttt_server *server;
    ttt_context *context;
    int64_t parallel, slice;
    pthread_t thread;

    /* The thread's own. */
    ttt_job **jobs;  /* [parallel] by slot; NULL: the slot is free */
    ttt_feed *feeds; /* [parallel] of a step, and whose they are */
    ttt_job **fed;
    ttt_job *paused; /* by job->next */
    int64_t turn;    /* counts steps: whose turn it is to read first */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    ttt_work *first, *last; /* the queue: works of which some job has not begun */
    int64_t waiting, limit; /* works in it, at most */
    int64_t number;
    bool nudged, stop, cancel;
    ttt_engine_counts counts;
    ttt_slot *slots;      /* [parallel]: what others may see */
    ttt_last_text *texts; /* [parallel] */
};

/* The text of a job has ended: the slot's last one. Where memory is short the slot knows nothing. */
void ttt_engine_remember(ttt_engine *engine, int64_t slot, const ttt_job *job);

#endif
