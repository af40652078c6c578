/* SPDX-License-Identifier: MIT
 * Evaluations: every document by itself, so that standard errors are over documents; and what a token takes at a
 * position. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/eval.h>

#include "data.h"
#include "work.h"

enum { SPEED_TOKENS = 128 }; /* that are timed one by one at each context */

typedef struct opened {
    ttt_model *model;
    ttt_context *context;
} opened;

static void close_model(opened *o)
{
    ttt_context_free(o->context);
    ttt_model_free(o->model);
}

/* The model of a unit's run; one whose results are there but whose folder is gone is trained again. */
static study_outcome open_model(study_worker *worker, const study_unit *unit, opened *o, json_t **result)
{
    study *s = worker->plan->study;
    const study_run *r = &worker->plan->runs[unit->run];
    const char *folder = study_run_path(s, r->id);
    const study_outcome outcome = folder ? study_train_again(worker, unit->run, result) : STUDY_BROKEN;
    if (outcome != STUDY_DONE || *result) return outcome;
    const study_evaluation *e = &s->evaluations[unit->evaluation];
    const ttt_model_options options = {
        .precision = s->precision, .threads = 1, .settings = e->settings, .setting_count = e->setting_count};
    ttt_status status = ttt_model_open(&o->model, folder, &options);
    if (status == TTT_OK) status = ttt_context_new(&o->context, o->model, 1);
    return status == TTT_OK ? STUDY_DONE : study_failed(worker, status, result);
}

/* ---- losses ---- */

typedef struct evaluating {
    study_worker *worker;
    double done, count; /* documents */
} evaluating;

static ttt_status progress(void *context, int64_t done, int64_t total)
{
    const evaluating *e = context;
    *e->worker->part = (e->done + (double)done / (double)total) / e->count;
    return e->worker->signal && e->worker->signal() ? TTT_ERR_INTERRUPTED : TTT_OK;
}

/* The means of a curve's bins as a list; what is no number is null. */
static json_t *curve_of(const ttt_eval_result *r, const ttt_eval_curve *curve)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->bin_count; i++)
        json_array_append_new(list, isfinite(curve->bins[i].mean) ? json_real(curve->bins[i].mean) : json_null());
    return list;
}

static json_t *bins_of(const ttt_eval_result *r, int what)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < r->bin_count; i++) {
        const ttt_eval_bin *bin = &r->bins[i];
        json_array_append_new(list, json_integer(what == 0 ? bin->first : what == 1 ? bin->last : bin->tokens));
    }
    return list;
}

static json_t *number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

/* For each layer in which something learns, [W_0, W_t-K, W_t] by bin. */
static json_t *inner_of(const ttt_eval_result *r)
{
    json_t *layers = json_array();
    for (int64_t layer = 0; layer < r->layers; layer++) {
        json_t *rows = json_array();
        for (int64_t i = 0; i < r->bin_count; i++) {
            const ttt_eval_inner *inner = &r->inner[layer * r->bin_count + i];
            json_array_append_new(
                rows, json_pack("[o, o, o]", number(inner->first), number(inner->before), number(inner->after)));
        }
        json_array_append_new(layers, rows);
    }
    return layers;
}

static json_t *document_json(const json_t *about, const ttt_eval_result *r, bool frozen)
{
    json_t *object = json_pack("{s:O, s:I, s:f, s:o, s:o}", "name", json_object_get(about, "name"), "tokens",
                               (json_int_t)r->tokens, "loss", r->adapting.all.mean, "counts", bins_of(r, 2), "losses",
                               curve_of(r, &r->adapting));
    if (frozen) json_object_set_new(object, "frozen", json_real(r->frozen.all.mean));
    if (frozen) json_object_set_new(object, "frozen_losses", curve_of(r, &r->frozen));
    if (r->inner) json_object_set_new(object, "inner", inner_of(r));
    return object;
}

/* One document; one that is shorter than the context is passed over. */
static study_outcome evaluate_one(evaluating *e, const study_unit *unit, const opened *o, size_t index, json_t *into,
                                  json_t **result)
{
    const study_plan *plan = e->worker->plan;
    study *s = plan->study;
    const study_evaluation *ev = &s->evaluations[unit->evaluation];
    const json_t *about = json_array_get(json_object_get(json_object_get(plan->data, "documents"), ev->documents),
                                         index);
    int32_t *ids;
    int64_t count;
    if (!study_data_read(s, plan->data, ev->documents, index, ev->tokens ? ev->tokens + 1 : 0, &ids, &count))
        return STUDY_BROKEN;
    if (unit->context > 0 && unit->context < count - 1) /* whole windows alone */
        count = (count - 1) / unit->context * unit->context + 1;
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    options.mode = ev->frozen ? TTT_EVAL_BOTH : TTT_EVAL_ADAPTING;
    options.context = unit->context;
    options.inner = ev->inner;
    options.progress = progress;
    options.progress_context = e;
    ttt_eval_result r;
    study_outcome outcome = STUDY_DONE;
    if (count > 1 && count > unit->context) {
        const ttt_status status = ttt_eval(o->context, ids, count, &options, &r);
        if (status == TTT_OK) {
            json_array_append_new(json_object_get(into, "documents"), document_json(about, &r, ev->frozen));
            json_object_set_new(into, "first", bins_of(&r, 0)); /* the longest document's, if they differ */
            json_object_set_new(into, "last", bins_of(&r, 1));
        } else {
            outcome = study_failed(e->worker, status, result);
        }
        if (status == TTT_OK || status == TTT_ERR_INTERRUPTED) ttt_eval_result_deinit(&r);
    }
    free(ids);
    return outcome;
}

static void summarize(json_t *object)
{
    const json_t *documents = json_object_get(object, "documents");
    double sum = 0;
    for (size_t i = 0; i < json_array_size(documents); i++)
        sum += json_number_value(json_object_get(json_array_get(documents, i), "loss"));
    const size_t count = json_array_size(documents);
    json_object_set_new(object, "status", json_string(count ? "done" : "failed"));
    if (count)
        json_object_set_new(object, "loss", json_real(sum / (double)count));
    else
        json_object_set_new(object, "sentence", json_string("every document is shorter than the context"));
}

study_outcome study_evaluate(study_worker *worker, const study_unit *unit, json_t **result)
{
    const study_plan *plan = worker->plan;
    const study_evaluation *ev = &plan->study->evaluations[unit->evaluation];
    const json_t *list = json_object_get(json_object_get(plan->data, "documents"), ev->documents);
    const size_t count = json_array_size(list);
    evaluating e = {.worker = worker, .count = (double)count};
    opened o = {0};
    json_t *into = json_pack("{s:[]}", "documents");
    study_outcome outcome = open_model(worker, unit, &o, result);
    for (size_t i = 0; i < count && outcome == STUDY_DONE && !*result; i++) {
        outcome = evaluate_one(&e, unit, &o, i, into, result);
        e.done++;
    }
    close_model(&o);
    if (outcome == STUDY_DONE && !*result) {
        summarize(into);
        *result = json_incref(into);
    }
    json_decref(into);
    return outcome;
}

/* ---- speed ---- */

/* Reads on to `position`, and then SPEED_TOKENS one by one: seconds of a token of each kind. */
static ttt_status measure(const opened *o, ttt_state *state, const int32_t *ids, int64_t count, int64_t position,
                          double *reading, double *writing)
{
    const int64_t at = ttt_state_position(state);
    ttt_status status = TTT_OK;
    double start = study_seconds();
    for (int64_t i = at; i < position && status == TTT_OK;) {
        const int64_t from = i % count, n = position - i < count - from ? position - i : count - from;
        const ttt_feed feed = {.state = state, .tokens = ids + from, .count = n < 256 ? n : 256};
        status = ttt_context_advance(o->context, &feed, 1);
        i += feed.count;
    }
    *reading = position > at ? (study_seconds() - start) / (double)(position - at) : (double)NAN;
    float *logits = malloc((size_t)ttt_model_vocabulary(o->model) * sizeof *logits);
    if (!logits) return TTT_ERR_MEMORY;
    start = study_seconds();
    for (int64_t i = 0; i < SPEED_TOKENS && status == TTT_OK; i++) {
        const ttt_feed feed = {.state = state,
                               .tokens = ids + (position + i) % count,
                               .count = 1,
                               .which = TTT_LOGITS_LAST,
                               .logits = logits};
        status = ttt_context_advance(o->context, &feed, 1);
    }
    *writing = (study_seconds() - start) / SPEED_TOKENS;
    free(logits);
    return status;
}

static study_outcome measure_all(study_worker *worker, const study_unit *unit, const opened *o, const int32_t *ids,
                                 int64_t count, json_t *timing, json_t **result)
{
    const study_evaluation *ev = &worker->plan->study->evaluations[unit->evaluation];
    json_t *bytes = json_array(), *flops = json_array(), *reading = json_array(), *writing = json_array();
    ttt_state *state = NULL;
    ttt_status status = ttt_state_new(&state, o->model);
    for (size_t i = 0; i < ev->context_count && status == TTT_OK; i++) {
        double read, written;
        ttt_flops work;
        const int64_t position = (int64_t)ev->contexts[i];
        status = measure(o, state, ids, count, position, &read, &written);
        if (status == TTT_OK) status = ttt_config_flops(ttt_model_config(o->model), position, &work);
        if (status != TTT_OK) break;
        json_array_append_new(bytes, json_integer((json_int_t)ttt_state_bytes(state)));
        json_array_append_new(flops, json_real(work.decode));
        json_array_append_new(reading, number(read));
        json_array_append_new(writing, json_real(written));
        *worker->part = (double)(i + 1) / (double)ev->context_count;
        if (worker->signal && worker->signal()) status = TTT_ERR_INTERRUPTED;
    }
    ttt_state_free(state);
    json_object_set_new(timing, "seconds_reading", reading);
    json_object_set_new(timing, "seconds_writing", writing);
    if (status == TTT_OK) *result = json_pack("{s:s, s:O, s:O}", "status", "done", "bytes", bytes, "flops", flops);
    json_decref(bytes);
    json_decref(flops);
    return status == TTT_OK ? STUDY_DONE : study_failed(worker, status, result);
}

study_outcome study_speed(study_worker *worker, const study_unit *unit, json_t **result, json_t *timing)
{
    const study_plan *plan = worker->plan;
    int32_t *ids = NULL;
    int64_t count;
    opened o = {0};
    if (!study_data_read(plan->study, plan->data, plan->study->evaluations[unit->evaluation].documents, 0, 0, &ids,
                         &count))
        return STUDY_BROKEN;
    study_outcome outcome = open_model(worker, unit, &o, result);
    if (outcome == STUDY_DONE && !*result) outcome = measure_all(worker, unit, &o, ids, count, timing, result);
    close_model(&o);
    free(ids);
    return outcome;
}
