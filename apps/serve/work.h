/* SPDX-License-Identifier: MIT
 *
 * What a request wants of the engine: a work, made of jobs. A job is one text: what is read first, how it is written
 * on, and what has been written. The handler fills in the jobs and submits the work (engine.h); the engine writes; when
 * all jobs have ended, a worker runs `end`, which keeps states and answers.
 *
 *     handler (worker)                    engine                                    network thread
 *     ttt_work_new, jobs                  reads and writes; what is new in a job
 *     [ttt_answer_stream]                 under work->lock, then
 *     ttt_engine_submit      ------->     ttt_request_wake             ------->     the stream's `events`: ttt_job_take
 *                                         all jobs ended: kind->end on a worker:
 *                                         keeps states, answers; `over`             the last events
 */
#ifndef TTT_SERVE_WORK_H
#define TTT_SERVE_WORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <ttt/session.h>

#include "http.h"

enum { TTT_JOB_PENDING = 4 << 10 }; /* bytes of a stream that wait for the client before its job does too */

typedef struct ttt_work ttt_work;
typedef struct ttt_job ttt_job;

typedef struct ttt_work_kind {
    /* On a worker, once all jobs have ended and nothing else touches them: keeps their states, and answers, but for a
     * stream, whose `over` is set and which is woken afterwards. Not called when the client has gone; the jobs' states
     * are freed with the work, unless they are taken out here. */
    void (*end)(ttt_work *work);
    /* The same when the client has gone; NULL: nothing is kept then. */
    void (*left)(ttt_work *work);
    void (*free)(ttt_work *work); /* of `more`; NULL: nothing to do */
} ttt_work_kind;

struct ttt_job {
    ttt_work *work;
    int64_t index; /* in its work */

    /* Set before the work is submitted. */
    ttt_ids prompt;               /* all that is known to stand before the text */
    int64_t cached;               /* how many of these the state has read; less than all */
    ttt_state *state;             /* which has; NULL: a new one. The job's */
    ttt_generate_options options; /* `stops` belong to the work */
    ttt_job *leader; /* NULL, or the one before this with the same prompt, which reads it for this one too: all but the
                        last token, behind which their states part; such a job has no `cached` and no state */

    /* Under work->lock, until the job has ended. */
    ttt_bytes text, logprobs; /* what has not been taken; log-probabilities as logprobs.h has them */
    ttt_ids ids;              /* all that were chosen */
    ttt_generate_stats stats;
    bool ended;

    /* The engine's. */
    ttt_session *session;
    bool done;         /* its text has ended */
    ttt_state *stem;   /* of a leader: what its followers begin with */
    int64_t followers; /* of a leader: those that have not begun */
    ttt_job *next;     /* among those whose clients are slow */
};

struct ttt_work {
    ttt_server *server;
    ttt_request *request;
    const ttt_work_kind *kind;
    int64_t number; /* counts the works of this server */
    ttt_job *jobs;  /* [count] */
    int64_t count;
    bool stream;
    void *more; /* the kind's */

    atomic_bool cancelled; /* nobody wants it any more */

    pthread_mutex_t lock;
    ttt_refusal refusal; /* what the engine could not do; under the lock */
    bool over;           /* `end` has run; under the lock */
    int64_t begun, left; /* jobs that have begun; those that have not ended; the engine's */
    ttt_work *next;      /* in the engine's queue */
};

/* A work of `count` jobs, each with its index, defaults and nothing to read; the request's, which frees it. NULL:
 * memory was short, and the request was answered so. */
ttt_work *ttt_work_new(ttt_request *request, const ttt_work_kind *kind, int64_t count);
void ttt_work_free(ttt_work *work); /* NULL is allowed */

/* Bytes of a job that have not been taken. Under work->lock. */
size_t ttt_job_pending(const ttt_job *job);

/* From any thread: it ends within one step of the engine. */
void ttt_work_cancel(ttt_work *work);

/* Moves what a job has written since the last call to `text` and `logprobs`; says whether the job has ended. Any
 * thread.
 */
bool ttt_job_take(ttt_job *job, ttt_bytes *text, ttt_bytes *logprobs);

#endif
