/* SPDX-License-Identifier: MIT
 *
 * What a request that writes a text takes from the store, and gives back: the session that it writes on, or a state
 * that has read how its prompt begins.
 */
#ifndef TTT_SERVE_KEEP_H
#define TTT_SERVE_KEEP_H

#include "fields.h"
#include "store.h"
#include "work.h"

typedef struct ttt_keep {
    ttt_claim *claim; /* NULL: no session */
    ttt_state *state; /* what the text goes on behind: the session's, or that of a response; NULL: nothing */
    bool cache;       /* what was read before is used, and what is read is kept for others */
} ttt_keep;

/* Reads `session`, `position` and `cache_prompt` and takes the session. False: the request waits for it, and its
 * handler is run anew; then there is nothing to answer. The first thing that a handler reads: a waiting one has done
 * nothing in vain. */
bool ttt_keep_open(ttt_keep *keep, ttt_request *request, ttt_fields *fields);
void ttt_keep_free(ttt_keep *keep); /* the session is as it was */

/* Tokens that the session has read; 0 without one. */
int64_t ttt_keep_position(const ttt_keep *keep);

/* Gives a job whose prompt is in place the state to begin with, and what that has read as the beginning of its prompt.
 */
void ttt_keep_begin(ttt_keep *keep, ttt_job *job, ttt_refusal *refusal);

/* Takes the state of a job that has ended: the session's new one, or one for the cache. */
void ttt_keep_end(ttt_keep *keep, ttt_job *job, ttt_refusal *refusal);

/* The claim of a session for a request, which is held while it waits. NULL: refused, or with refusal->status 0 the
 * handler is run anew when another request has given it up. */
ttt_claim *ttt_request_claim(ttt_request *request, const char *name, const ttt_store_condition *condition,
                             ttt_refusal *refusal);

#endif
