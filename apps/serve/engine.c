/* SPDX-License-Identifier: MIT */
#include "engine_inside.h"

#include <stdlib.h>
#include <string.h>

#include "logprobs.h"
#include "server.h"

/* ---- the ends of jobs and works ---- */

/* The client has gone, or has closed its own side at least; then it hears so. */
static void leave_work(ttt_work *work)
{
    if (work->kind->left) work->kind->left(work);
    if (!work->stream) ttt_answer_error(work->request, 499, NULL, "the client left before the answer was done");
}

/* On a worker: all jobs of the request's work have ended. */
static void end_work(ttt_request *request)
{
    ttt_work *work = ttt_request_work(request);
    if (work->refusal.status)
        ttt_answer_refusal(request, &work->refusal);
    else if (!atomic_load(&work->cancelled))
        work->kind->end(work);
    else
        leave_work(work);
    pthread_mutex_lock(&work->lock);
    work->over = true;
    pthread_mutex_unlock(&work->lock);
    ttt_request_wake(request);
}

static void count_job(ttt_engine *e, const ttt_job *job)
{
    pthread_mutex_lock(&e->lock);
    e->counts.prompt_tokens += job->stats.prompt_tokens;
    e->counts.cached_tokens += job->cached;
    e->counts.new_tokens += job->stats.new_tokens;
    pthread_mutex_unlock(&e->lock);
}

/* The job is out of its slot. The last one of a work hands that over. */
static void end_job(ttt_engine *e, ttt_job *job)
{
    ttt_work *work = job->work;
    ttt_request *request = work->request;
    ttt_session_free(job->session);
    job->session = NULL;
    pthread_mutex_lock(&work->lock);
    job->ended = true;
    pthread_mutex_unlock(&work->lock);
    count_job(e, job);
    if (--work->left > 0) {
        ttt_request_wake(request);
        return;
    }
    if (atomic_load(&work->cancelled)) {
        pthread_mutex_lock(&e->lock);
        e->counts.cancelled++;
        pthread_mutex_unlock(&e->lock);
    }
    ttt_request_later(request, end_work, true);
    ttt_request_release(request);
}

/* What a status of the library means to a client. The work is given up. */
static void fail_work(ttt_work *work, ttt_status status)
{
    const char *detail = ttt_error_detail();
    pthread_mutex_lock(&work->lock);
    ttt_refuse(&work->refusal,
               status == TTT_ERR_MEMORY     ? 503
               : status == TTT_ERR_ARGUMENT ? 400
                                            : 500,
               NULL, "%s", *detail ? detail : ttt_status_text(status));
    pthread_mutex_unlock(&work->lock);
    atomic_store(&work->cancelled, true);
}

/* The server does not wait for it any longer. */
static void stop_work(ttt_work *work)
{
    pthread_mutex_lock(&work->lock);
    ttt_refuse(&work->refusal, 503, NULL, "the server stopped before the answer was done");
    pthread_mutex_unlock(&work->lock);
    atomic_store(&work->cancelled, true);
}

/* ---- the beginnings ---- */

static ttt_status begin_session(ttt_job *job)
{
    const ttt_server *server = job->work->server;
    ttt_status status = TTT_OK;
    ttt_job *leader = job->leader;
    if (!job->state) status = ttt_state_new(&job->state, server->model);
    if (status == TTT_OK && leader) {
        job->cached = (int64_t)job->prompt.count - 1;
        status = ttt_state_copy(job->state, leader->stem);
        if (--leader->followers == 0) {
            ttt_state_free(leader->stem);
            leader->stem = NULL;
        }
    }
    if (status == TTT_OK)
        status = ttt_session_new(&job->session, server->model, server->tokenizer, job->state, &job->options);
    if (status == TTT_OK && job->cached > 0) status = ttt_session_recall(job->session, job->prompt.data, job->cached);
    if (status == TTT_OK)
        status = ttt_session_push(job->session, job->prompt.data + job->cached,
                                  (int64_t)job->prompt.count - job->cached);
    if (leader) job->cached = leader->cached; /* of what was read for this request nothing came from elsewhere */
    return status;
}

/* Whether a job can begin: its leader has read the prompt. */
static bool can_begin(const ttt_job *job) { return !job->leader || job->leader->stem || job->leader->ended; }

/* The next job of the queue, or NULL: each work gives one and goes to the end if it has more. Under the lock. */
static ttt_job *next_job(ttt_engine *e)
{
    for (int64_t tried = e->waiting; tried > 0; tried--) {
        ttt_work *work = e->first;
        e->first = work->next;
        if (!e->first) e->last = NULL;
        work->next = NULL;
        ttt_job *job = &work->jobs[work->begun];
        const bool begins = can_begin(job);
        if (begins) work->begun++;
        if (work->begun < work->count) {
            if (e->last)
                e->last->next = work;
            else
                e->first = work;
            e->last = work;
        } else {
            e->waiting--;
        }
        if (begins) return job;
    }
    return NULL;
}

/* A slow client's job that can go on, or NULL. */
static ttt_job *resumed_job(ttt_engine *e)
{
    for (ttt_job **at = &e->paused; *at; at = &(*at)->next) {
        ttt_job *job = *at;
        pthread_mutex_lock(&job->work->lock);
        const bool goes_on = ttt_job_pending(job) == 0 || atomic_load(&job->work->cancelled);
        pthread_mutex_unlock(&job->work->lock);
        if (!goes_on) continue;
        *at = job->next;
        job->next = NULL;
        return job;
    }
    return NULL;
}

/* What others may see of a job in a slot. */
static ttt_slot see(const ttt_job *job)
{
    return (ttt_slot){.work = job->work->number,
                      .busy = true,
                      .prompt = (int64_t)job->prompt.count,
                      .read = job->cached + job->stats.prompt_tokens,
                      .written = job->stats.new_tokens};
}

static void enter_slot(ttt_engine *e, int64_t slot, ttt_job *job)
{
    e->jobs[slot] = job;
    pthread_mutex_lock(&e->lock);
    e->slots[slot] = see(job);
    e->counts.running++;
    pthread_mutex_unlock(&e->lock);
}

/* Before the job ends: whose answer has come finds the slot free. */
static void leave_slot(ttt_engine *e, int64_t slot)
{
    e->jobs[slot] = NULL;
    pthread_mutex_lock(&e->lock);
    e->slots[slot].busy = false;
    e->counts.running--;
    pthread_mutex_unlock(&e->lock);
}

static void fill_slots(ttt_engine *e)
{
    for (int64_t slot = 0; slot < e->parallel; slot++) {
        while (!e->jobs[slot]) {
            ttt_job *job = resumed_job(e);
            if (!job) {
                pthread_mutex_lock(&e->lock);
                job = next_job(e);
                pthread_mutex_unlock(&e->lock);
            }
            if (!job) return;
            ttt_work *work = job->work;
            if (!job->session && !atomic_load(&work->cancelled)) {
                const ttt_status status = begin_session(job);
                if (status != TTT_OK) fail_work(work, status);
            }
            if (atomic_load(&work->cancelled))
                end_job(e, job);
            else
                enter_slot(e, slot, job);
        }
    }
}

/* ---- a step ---- */

static bool is_writing(const ttt_job *job) { return ttt_session_stats(job->session)->new_tokens > 0; }

/* Tokens of its prompt that a job has not read. */
static int64_t to_read(const ttt_job *job)
{
    return (int64_t)job->prompt.count - job->cached - ttt_session_stats(job->session)->prompt_tokens;
}

static void feed(ttt_engine *e, int64_t *count, ttt_job *job, int64_t limit)
{
    ttt_session_want(job->session, limit, &e->feeds[*count]);
    if (e->feeds[*count].count == 0) return;
    e->fed[(*count)++] = job;
}

/* A leader before the last token of the prompt: its followers go on from here. */
static void part(ttt_job *job)
{
    ttt_status status = ttt_state_new(&job->stem, job->work->server->model);
    if (status == TTT_OK) status = ttt_state_copy(job->stem, job->state);
    if (status != TTT_OK) fail_work(job->work, status);
}

/* Prompts of all who read: equal shares, and what one does not need is the next one's. */
static int64_t feed_prompts(ttt_engine *e, int64_t *count)
{
    int64_t readers = 0, room = e->slice, rows = 0;
    for (int64_t slot = 0; slot < e->parallel; slot++) readers += e->jobs[slot] && !is_writing(e->jobs[slot]);
    for (int64_t n = 0; n < e->parallel && room > 0; n++) {
        ttt_job *job = e->jobs[(e->turn + n) % e->parallel];
        if (!job || is_writing(job)) continue;
        int64_t limit = (room + readers - 1) / readers;
        readers--;
        if (job->followers > 0 && !job->stem) {
            const int64_t before = to_read(job) - 1;
            if (before == 0) part(job);
            if (before > 0 && before < limit) limit = before;
        }
        const int64_t first = *count;
        feed(e, count, job, limit);
        const int64_t read = *count > first ? e->feeds[first].count : 0;
        room -= read;
        rows += read;
    }
    return rows;
}

/* Where all together cannot be advanced, each is by itself, and those that cannot are given up. */
static void advance(ttt_engine *e, int64_t count)
{
    if (count == 0 || ttt_context_advance(e->context, e->feeds, count) == TTT_OK) return;
    for (int64_t n = 0; n < count; n++) {
        const ttt_status status = ttt_context_advance(e->context, &e->feeds[n], 1);
        if (status != TTT_OK) fail_work(e->fed[n]->work, status);
    }
}

/* What has come of a feed. Under the lock of the work. */
static ttt_status note_news(ttt_job *job, int32_t id)
{
    const char *text;
    size_t size;
    int64_t count;
    const ttt_token_logprob *logprobs = ttt_session_logprobs(job->session, &count);
    ttt_logprobs_pack(&job->logprobs, logprobs, count);
    ttt_session_text(job->session, &text, &size);
    ttt_bytes_add(&job->text, text, size);
    job->stats = *ttt_session_stats(job->session);
    if (job->text.failed || job->logprobs.failed)
        ttt_refuse(&job->work->refusal, 503, NULL, "the server is out of memory");
    return id >= 0 ? ttt_ids_append(&job->ids, id) : TTT_OK;
}

static void take(ttt_job *job)
{
    ttt_work *work = job->work;
    int32_t id = -1;
    ttt_status status = ttt_session_took(job->session, &id);
    pthread_mutex_lock(&work->lock);
    if (status == TTT_OK) status = note_news(job, id);
    const bool news = ttt_job_pending(job) > 0, short_of_memory = work->refusal.status != 0;
    pthread_mutex_unlock(&work->lock);
    if (status != TTT_OK) fail_work(work, status);
    if (short_of_memory) atomic_store(&work->cancelled, true);
    job->done = id < 0 && job->stats.finish != TTT_FINISH_NONE;
    if (!job->done && work->stream && news) ttt_request_wake(work->request);
}

/* Whether the client has not taken so much that the text waits for it. */
static bool is_slow(ttt_job *job)
{
    pthread_mutex_lock(&job->work->lock);
    const bool slow = job->work->stream && ttt_job_pending(job) >= TTT_JOB_PENDING;
    pthread_mutex_unlock(&job->work->lock);
    return slow;
}

/* Jobs that have ended, are given up or wait for their client leave their slots. */
static void clear_slots(ttt_engine *e)
{
    for (int64_t slot = 0; slot < e->parallel; slot++) {
        ttt_job *job = e->jobs[slot];
        if (!job) continue;
        const bool ends = job->done || atomic_load(&job->work->cancelled);
        if (!ends && !is_slow(job)) continue;
        leave_slot(e, slot);
        if (job->done) ttt_engine_remember(e, slot, job);
        if (ends) {
            end_job(e, job);
        } else {
            job->next = e->paused;
            e->paused = job;
        }
    }
}

/* What others may see of the slots and of a step. Under the lock. */
static void note_step(ttt_engine *e, int64_t writing, int64_t reading, double seconds)
{
    ttt_engine_counts *c = &e->counts;
    const int64_t rows = writing + reading;
    for (int64_t slot = 0; slot < e->parallel; slot++)
        if (e->jobs[slot]) e->slots[slot] = see(e->jobs[slot]);
    if (rows == 0) return;
    c->steps++;
    c->decode_steps += writing > 0;
    c->decode_rows += writing;
    c->new_seconds += seconds * (double)writing / (double)rows;
    c->prompt_seconds += seconds * (double)reading / (double)rows;
}

static void step(ttt_engine *e)
{
    int64_t count = 0;
    e->turn++;
    for (int64_t slot = 0; slot < e->parallel; slot++)
        if (e->jobs[slot] && is_writing(e->jobs[slot])) feed(e, &count, e->jobs[slot], 1);
    const int64_t writing = count, reading = feed_prompts(e, &count);
    const double start = ttt_now();
    advance(e, count);
    const double seconds = ttt_now() - start;
    for (int64_t n = 0; n < count; n++)
        if (!atomic_load(&e->fed[n]->work->cancelled)) take(e->fed[n]);
    pthread_mutex_lock(&e->lock);
    note_step(e, writing, reading, seconds);
    pthread_mutex_unlock(&e->lock);
    clear_slots(e);
}

/* ---- the thread ---- */

/* Works of the queue that nobody wants any more leave it, and so do all when the server has waited long enough. */
static void sweep_queue(ttt_engine *e)
{
    ttt_work *swept = NULL;
    pthread_mutex_lock(&e->lock);
    ttt_work **at = &e->first, *last = NULL;
    while (*at) {
        ttt_work *work = *at;
        if (!atomic_load(&work->cancelled) && !e->cancel) {
            last = work;
            at = &work->next;
            continue;
        }
        *at = work->next;
        work->next = swept;
        swept = work;
        e->waiting--;
    }
    e->last = last;
    const bool all = e->cancel;
    pthread_mutex_unlock(&e->lock);
    for (int64_t slot = 0; all && slot < e->parallel; slot++)
        if (e->jobs[slot]) stop_work(e->jobs[slot]->work);
    for (ttt_job *job = all ? e->paused : NULL; job; job = job->next) stop_work(job->work);
    while (swept) {
        ttt_work *work = swept;
        swept = work->next;
        if (all) stop_work(work);
        for (int64_t begun = work->begun, count = work->count; begun < count; begun++) {
            ttt_job *job = &work->jobs[begun];
            const bool last_one = work->left == 1;
            end_job(e, job);
            if (last_one) break; /* the work may be freed */
        }
    }
}

static bool has_jobs(const ttt_engine *e)
{
    for (int64_t slot = 0; slot < e->parallel; slot++)
        if (e->jobs[slot]) return true;
    return false;
}

/* False: the thread is to end. */
static bool wait_for_work(ttt_engine *e)
{
    pthread_mutex_lock(&e->lock);
    const bool busy = has_jobs(e);
    while (!busy && !e->first && !e->nudged && !e->stop) pthread_cond_wait(&e->changed, &e->lock);
    const bool goes_on = busy || e->first || e->paused || !e->stop;
    e->nudged = false;
    pthread_mutex_unlock(&e->lock);
    return goes_on;
}

static void *run(void *argument)
{
    ttt_engine *e = argument;
    while (wait_for_work(e)) {
        sweep_queue(e);
        fill_slots(e);
        step(e);
    }
    return NULL;
}

/* ---- from outside ---- */

ttt_engine *ttt_engine_new(ttt_server *server, ttt_refusal *refusal)
{
    const ttt_serve_options *o = server->options;
    ttt_engine *e = calloc(1, sizeof *e);
    if (!e) {
        ttt_refuse(refusal, 503, NULL, "out of memory");
        return NULL;
    }
    *e = (ttt_engine){.server = server, .parallel = o->parallel, .slice = o->slice, .limit = o->queue};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    const size_t count = (size_t)o->parallel;
    e->jobs = calloc(count, sizeof *e->jobs);
    e->feeds = calloc(count, sizeof *e->feeds);
    e->fed = calloc(count, sizeof *e->fed);
    e->slots = calloc(count, sizeof *e->slots);
    e->texts = calloc(count, sizeof *e->texts);
    const bool memory = e->jobs && e->feeds && e->fed && e->slots && e->texts;
    for (size_t slot = 0; memory && slot < count; slot++) e->slots[slot].work = -1;
    if (memory && ttt_context_new(&e->context, server->model, o->compute.threads) != TTT_OK)
        ttt_refuse(refusal, 503, NULL, "%s", ttt_error_detail());
    else if (memory && pthread_create(&e->thread, NULL, run, e) == 0)
        return e;
    ttt_refuse(refusal, 503, NULL, "out of memory");
    ttt_engine_free(e);
    return NULL;
}

void ttt_engine_stop(ttt_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->cancel = e->stop = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
}

void ttt_engine_free(ttt_engine *e)
{
    if (!e) return;
    ttt_context_free(e->context);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    for (int64_t slot = 0; e->texts && slot < e->parallel; slot++) ttt_ids_deinit(&e->texts[slot].ids);
    free(e->texts);
    free(e->jobs);
    free(e->feeds);
    free(e->fed);
    free(e->slots);
    free(e);
}

void ttt_engine_submit(ttt_engine *e, ttt_work *work)
{
    ttt_request *request = work->request;
    for (int64_t i = 0; i < work->count; i++)
        if (work->jobs[i].leader) work->jobs[i].leader->followers++;
    pthread_mutex_lock(&e->lock);
    const bool full = e->waiting >= e->limit + e->parallel - e->counts.running;
    if (full) {
        e->counts.refused++;
    } else {
        ttt_request_hold(request);
        work->number = e->number++;
        if (e->last)
            e->last->next = work;
        else
            e->first = work;
        e->last = work;
        e->waiting++;
        e->counts.works++;
        e->nudged = true;
        pthread_cond_signal(&e->changed);
    }
    pthread_mutex_unlock(&e->lock);
    if (full) ttt_answer_error(request, 429, NULL, "%lld requests wait already: try again later", (long long)e->limit);
}

void ttt_engine_nudge(ttt_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->nudged = true;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void ttt_engine_cancel(ttt_engine *e)
{
    pthread_mutex_lock(&e->lock);
    e->cancel = true;
    pthread_mutex_unlock(&e->lock);
    ttt_engine_nudge(e);
}

void ttt_engine_count(ttt_engine *e, ttt_engine_counts *counts)
{
    pthread_mutex_lock(&e->lock);
    *counts = e->counts;
    counts->waiting = e->waiting;
    pthread_mutex_unlock(&e->lock);
}
