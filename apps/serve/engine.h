/* SPDX-License-Identifier: MIT
 *
 * The engine: one thread that turns all jobs through the model together. A step is one ttt_context_advance: one token
 * of every text that is being written, then at most `slice` tokens of prompts, dealt out evenly among those that read,
 * the first place going round. So the time between two tokens of a text is at most that of one such step, whatever
 * others ask for; and since no row's result depends on its company, neither does any text.
 *
 * `parallel` jobs run at a time, each in a slot; further works wait in a queue of bounded length and take turns, a job
 * each. A job whose client does not take what was written leaves its slot until it has.
 */
#ifndef TTT_SERVE_ENGINE_H
#define TTT_SERVE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "work.h"

typedef struct ttt_engine ttt_engine;

/* Counts since the start. */
typedef struct ttt_engine_counts {
    int64_t steps, decode_steps, decode_rows; /* passes; those with texts being written, and how many of these */
    int64_t prompt_tokens, cached_tokens, new_tokens; /* of jobs that have ended: read, not read again, written */
    double prompt_seconds, new_seconds;               /* of the engine's steps, by what took them */
    int64_t running, waiting;                         /* jobs in slots; works in the queue: now */
    int64_t works, refused, cancelled;
} ttt_engine_counts;

/* What a slot does. */
typedef struct ttt_slot {
    int64_t work; /* its number; -1: none yet */
    bool busy;
    int64_t prompt, read, written; /* tokens: of the prompt, read of it, written */
} ttt_slot;

/* Starts the thread. The engine has the only context of the server's model. NULL: *refusal says why. */
ttt_engine *ttt_engine_new(ttt_server *server, ttt_refusal *refusal);
void ttt_engine_stop(ttt_engine *engine); /* cancels all works, and ends the thread once they have ended */
void ttt_engine_free(ttt_engine *engine); /* of a stopped one, which no request refers to any more. NULL is allowed */

/* Takes over the work of the request, which is held until the work has ended. If the queue is full the request is
 * refused, 429. */
void ttt_engine_submit(ttt_engine *engine, ttt_work *work);

/* A client has taken what a paused job has written. */
void ttt_engine_nudge(ttt_engine *engine);

/* Cancels all works, also those to come. */
void ttt_engine_cancel(ttt_engine *engine);

void ttt_engine_count(ttt_engine *engine, ttt_engine_counts *counts);
void ttt_engine_slots(ttt_engine *engine, ttt_slot *slots); /* [parallel] */

/* What the last text of a slot has read, or was said to have, in `ids`; nothing if it was another owner's. False:
 * memory was short. */
bool ttt_engine_slot_ids(ttt_engine *engine, int64_t slot, const char *owner, ttt_ids *ids);
/* Says so. */
bool ttt_engine_set_slot_ids(ttt_engine *engine, int64_t slot, const char *owner, const int32_t *ids, int64_t count);

#endif
