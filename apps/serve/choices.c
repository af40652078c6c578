/* SPDX-License-Identifier: MIT */
#include "choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prompt.h"
#include "reply.h"
#include "server.h"

/* What the client of a stream has been told of a job. */
typedef struct view {
    bool begun, told; /* something; that it has ended */
    ttt_offsets offsets;
} view;

ttt_choices *ttt_choices_new(const ttt_shape *shape, ttt_request *request, ttt_fields *fields)
{
    ttt_choices *c = calloc(1, sizeof *c);
    if (!c) {
        ttt_refuse(&fields->refusal, 503, NULL, "the server is out of memory");
        return NULL;
    }
    c->shape = shape;
    if (fields->refusal.status || ttt_keep_open(&c->keep, request, fields)) return c;
    free(c);
    return NULL;
}

void ttt_choices_free(ttt_choices *c)
{
    if (!c) return;
    for (int64_t i = 0; c->echoes && i < c->prompts; i++) ttt_bytes_free(&c->echoes[i]);
    for (int64_t i = 0; c->views && i < c->prompts * c->best_of; i++) ttt_offsets_free(&c->views[i].offsets);
    ttt_params_free(&c->params);
    ttt_keep_free(&c->keep);
    free(c->echoes);
    free(c->views);
    free(c);
}

static void free_work(ttt_work *work) { ttt_choices_free(work->more); }

/* ---- answers ---- */

static json_t *object(const ttt_work *work, json_t *choices)
{
    const ttt_choices *c = work->more;
    return json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", c->id, "object", work->stream ? c->shape->chunk : c->shape->object,
                     "created", (json_int_t)c->created, "model", work->server->alias, "choices", choices);
}

static void add_figures(const ttt_work *work, json_t *body)
{
    json_object_set_new(body, "usage", ttt_reply_usage(work));
    json_object_set_new(body, "timings", ttt_reply_timings(work));
}

/* The shape of a part of a job's choice. `logprobs` are packed. NULL: memory was short. */
static json_t *choice(ttt_job *job, ttt_part part, const ttt_bytes *logprobs)
{
    const ttt_choices *c = job->work->more;
    view *v = &c->views[job->index];
    if (job->options.logprobs >= 0 && c->params.logprobs) {
        if (!v->offsets.detokenizer && !ttt_offsets_init(&v->offsets, job, c->echo)) return NULL;
        part.logprobs = c->shape->logprobs(job->work->server, logprobs, &v->offsets);
        if (!part.logprobs) return NULL;
    }
    return c->shape->choice(&part);
}

/* All that a job has written, as choice `index`. */
static json_t *whole_choice(ttt_job *job, int64_t index)
{
    const ttt_choices *c = job->work->more;
    const ttt_bytes *echo = &c->echoes[job->index / c->best_of];
    ttt_bytes text = {0};
    ttt_bytes_add(&text, echo->data, echo->size);
    ttt_bytes_add(&text, job->text.data, job->text.size);
    const ttt_part part = {
        .index = index, .text = text.data ? text.data : "", .size = text.size, .finish = ttt_reply_finish(job)};
    json_t *value = text.failed ? NULL : choice(job, part, &job->logprobs);
    ttt_bytes_free(&text);
    return value;
}

/* The best of a prompt's jobs that was not taken; of equals the first. */
static ttt_job *best_job(ttt_job *jobs, int64_t count, bool *taken)
{
    int64_t best = -1;
    double most = -HUGE_VAL;
    for (int64_t i = 0; i < count; i++) {
        const double mean = ttt_logprobs_mean(&jobs[i].logprobs);
        if (taken[i] || (best >= 0 && mean <= most)) continue;
        best = i;
        most = mean;
    }
    taken[best] = true;
    return &jobs[best];
}

static json_t *all_choices(ttt_work *work)
{
    const ttt_choices *c = work->more;
    json_t *list = json_array();
    for (int64_t p = 0; p < c->prompts; p++) {
        ttt_job *jobs = &work->jobs[p * c->best_of];
        bool taken[TTT_CHOICES] = {false};
        for (int64_t i = 0; i < c->n; i++) {
            ttt_job *job = c->n == c->best_of ? &jobs[i] : best_job(jobs, c->best_of, taken);
            json_array_append_new(list, whole_choice(job, p * c->n + i));
        }
    }
    if (json_array_size(list) == (size_t)(c->prompts * c->n)) return list;
    json_decref(list);
    return NULL;
}

/* What was read goes to the store; of the choices of a prompt, the first one's. */
static void keep(ttt_work *work)
{
    ttt_choices *c = work->more;
    ttt_refusal refusal = {0};
    for (int64_t i = 0; i < work->count; i += c->best_of) ttt_keep_end(&c->keep, &work->jobs[i], &refusal);
    pthread_mutex_lock(&work->lock);
    work->refusal = refusal;
    pthread_mutex_unlock(&work->lock);
}

static void end(ttt_work *work)
{
    ttt_reply_note(work);
    keep(work);
    if (work->stream) return;
    if (work->refusal.status) {
        ttt_answer_refusal(work->request, &work->refusal);
        return;
    }
    json_t *body = object(work, all_choices(work));
    add_figures(work, body);
    ttt_answer_json(work->request, 200, body);
}

/* ---- streams ---- */

static void add_part(ttt_job *job, ttt_bytes *out, ttt_part part, const ttt_bytes *logprobs)
{
    view *v = &((ttt_choices *)job->work->more)->views[job->index];
    part.index = job->index;
    part.stream = true;
    part.first = !v->begun;
    v->begun = true;
    ttt_sse_data(out, object(job->work, json_pack("[o]", choice(job, part, logprobs))));
}

static void add_news(ttt_job *job, ttt_bytes *out)
{
    const ttt_choices *c = job->work->more;
    view *v = &c->views[job->index];
    const ttt_bytes *echo = &c->echoes[job->index / c->best_of];
    ttt_bytes text = {0}, logprobs = {0};
    v->told = ttt_job_take(job, &text, &logprobs);
    if (!v->begun && (echo->size > 0 || c->shape->opens))
        add_part(job, out, (ttt_part){.text = echo->data ? echo->data : "", .size = echo->size}, &(ttt_bytes){0});
    if (text.size > 0 || logprobs.size > 0)
        add_part(job, out, (ttt_part){.text = text.data ? text.data : "", .size = text.size}, &logprobs);
    if (v->told) add_part(job, out, (ttt_part){.text = "", .finish = ttt_reply_finish(job)}, &(ttt_bytes){0});
    if (text.failed || logprobs.failed) out->failed = true;
    ttt_bytes_free(&text);
    ttt_bytes_free(&logprobs);
}

static bool events(ttt_request *request, ttt_bytes *out)
{
    ttt_work *work = ttt_request_work(request);
    const ttt_choices *c = work->more;
    const ttt_stand stand = ttt_sse_stand(work, out);
    if (stand == TTT_FAILED) return true;
    for (int64_t i = 0; i < work->count; i++)
        if (!c->views[i].told) add_news(&work->jobs[i], out);
    if (stand != TTT_OVER) return false;
    if (c->params.include_usage) {
        json_t *last = object(work, json_array());
        add_figures(work, last);
        ttt_sse_data(out, last);
    }
    ttt_sse_done(out);
    return true;
}

/* A session whose text was stopped by the client keeps what was written; one whose prompt was not read to the end is as
 * it was. */
static void leave(ttt_work *work)
{
    const ttt_choices *c = work->more;
    if (c->keep.claim && work->stream && work->jobs[0].stats.new_tokens > 0) keep(work);
}

/* ---- the work ---- */

static const ttt_work_kind kind = {.end = end, .left = leave, .free = free_work};

/* The jobs of one prompt. The first reads it for all; but log-probabilities of a prompt are had by reading it. */
static void fill_jobs(ttt_choices *c, ttt_job *jobs, ttt_prompt *prompt, ttt_refusal *refusal)
{
    const bool alone = c->echo && c->params.logprobs;
    for (int64_t i = 0; i < c->best_of; i++) {
        jobs[i].options = c->params.options;
        jobs[i].options.sampling.request = (uint64_t)i;
        jobs[i].options.prompt_logprobs = alone;
        if (c->n < c->best_of && jobs[i].options.logprobs < 0) jobs[i].options.logprobs = 0; /* to find the best */
        if (i > 0 && !alone) jobs[i].leader = jobs;
        if (i > 0 && !ttt_ids_copy(&jobs[i].prompt, &prompt->ids))
            ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    }
    jobs->prompt = prompt->ids;
    prompt->ids = (ttt_ids){0};
    if (alone) c->keep.cache = false;
    if (!refusal->status) ttt_keep_begin(&c->keep, jobs, refusal);
}

static void fill_work(ttt_choices *c, ttt_work *work, ttt_prompt *prompts, int64_t count, ttt_refusal *refusal)
{
    c->created = time(NULL);
    ttt_new_id(c->id, c->shape->id);
    c->prompts = count;
    c->echoes = calloc((size_t)count, sizeof *c->echoes);
    c->views = calloc((size_t)work->count, sizeof *c->views);
    if (!c->echoes || !c->views) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    for (int64_t p = 0; p < count && !refusal->status; p++) {
        c->echoes[p] = prompts[p].text;
        prompts[p].text = (ttt_bytes){0};
        if (c->echoes[p].failed) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
        fill_jobs(c, &work->jobs[p * c->best_of], &prompts[p], refusal);
    }
}

void ttt_choices_begin(ttt_choices *c, ttt_request *request, ttt_fields *fields, ttt_prompt *prompts, int64_t count)
{
    if (!c && !fields->refusal.status) return; /* it waits */
    if (c && c->keep.claim && count * c->best_of > 1)
        ttt_refuse(&fields->refusal, 400, count > 1 ? "prompt" : "n",
                   "a session goes on with one text: give one prompt, and n 1");
    ttt_work *work = ttt_fields_failed(fields, request) ? NULL : ttt_work_new(request, &kind, count * c->best_of);
    if (!work) {
        ttt_choices_free(c);
        return;
    }
    work->more = c;
    work->stream = c->params.stream;
    ttt_refusal refusal = {0};
    fill_work(c, work, prompts, count, &refusal);
    if (refusal.status) {
        ttt_answer_refusal(request, &refusal);
        return;
    }
    if (work->stream) ttt_answer_stream(request, events);
    ttt_engine_submit(work->server->engine, work);
}
