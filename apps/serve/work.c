/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <stdlib.h>

#include "server.h"

ttt_work *ttt_work_new(ttt_request *request, const ttt_work_kind *kind, int64_t count)
{
    ttt_server *server = ttt_request_server(request);
    ttt_work *work = calloc(1, sizeof *work);
    ttt_job *jobs = work ? calloc((size_t)count, sizeof *jobs) : NULL;
    if (!jobs) {
        free(work);
        ttt_answer_error(request, 503, NULL, "the server is out of memory");
        return NULL;
    }
    *work = (ttt_work){.server = server, .request = request, .kind = kind, .jobs = jobs, .count = count, .left = count};
    pthread_mutex_init(&work->lock, NULL);
    for (int64_t i = 0; i < count; i++) jobs[i] = (ttt_job){.work = work, .index = i, .options = server->defaults};
    ttt_request_set_work(request, work);
    return work;
}

void ttt_work_free(ttt_work *work)
{
    if (!work) return;
    for (int64_t i = 0; i < work->count; i++) {
        ttt_job *job = &work->jobs[i];
        ttt_session_free(job->session);
        ttt_state_free(job->state);
        ttt_state_free(job->stem);
        ttt_ids_deinit(&job->prompt);
        ttt_ids_deinit(&job->ids);
        ttt_bytes_free(&job->text);
        ttt_bytes_free(&job->logprobs);
    }
    if (work->kind->free) work->kind->free(work);
    pthread_mutex_destroy(&work->lock);
    free(work->jobs);
    free(work);
}

void ttt_work_cancel(ttt_work *work)
{
    if (!atomic_exchange(&work->cancelled, true)) ttt_engine_nudge(work->server->engine);
}

size_t ttt_job_pending(const ttt_job *job) { return job->text.size + job->logprobs.size; }

bool ttt_job_take(ttt_job *job, ttt_bytes *text, ttt_bytes *logprobs)
{
    ttt_work *work = job->work;
    pthread_mutex_lock(&work->lock);
    const bool much = ttt_job_pending(job) >= TTT_JOB_PENDING, ended = job->ended;
    ttt_bytes_add(text, job->text.data, job->text.size);
    ttt_bytes_add(logprobs, job->logprobs.data, job->logprobs.size);
    job->text.size = job->logprobs.size = 0;
    pthread_mutex_unlock(&work->lock);
    if (much) ttt_engine_nudge(work->server->engine);
    return ended;
}
