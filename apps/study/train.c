/* SPDX-License-Identifier: MIT
 * A part of a training run: the run of ttt train in WORK/runs/ID, stopped at the part's end, where it has a
 * checkpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "data.h"
#include "work.h"

typedef struct training {
    study_worker *worker;
    ttt_train_run *run; /* NULL: not open yet */
    int64_t first, last;
    bool whole; /* to the end of the run, which is more than its last update */
} training;

static bool stopped(void *context)
{
    const training *t = context;
    if (t->worker->signal && t->worker->signal()) return true;
    return t->run && !t->whole && ttt_trainer_step_count(ttt_train_run_trainer(t->run)) >= t->last;
}

static ttt_status step(training *t)
{
    ttt_train_report report;
    const ttt_status status = ttt_train_run_step(t->run, &report);
    if (report.updated && report.step > t->first)
        *t->worker->part = (double)(report.step - t->first) / (double)(t->last - t->first);
    return status;
}

static json_t *diverged(int64_t after)
{
    char text[96];
    snprintf(text, sizeof text, "diverged: update %" PRId64 " has a loss or gradient that is not finite", after + 1);
    return json_pack("{s:s, s:s, s:I}", "status", "diverged", "sentence", text, "step", (json_int_t)after);
}

/* Stopped where it should be is success. */
static study_outcome end(training *t, ttt_status status, json_t **result)
{
    const int64_t at = ttt_trainer_step_count(ttt_train_run_trainer(t->run));
    if (status == TTT_ERR_INTERRUPTED && at >= t->last && !t->whole) return STUDY_DONE;
    if (status == TTT_ERR_NUMERIC) {
        *result = diverged(at);
        return STUDY_DONE;
    }
    return status == TTT_OK ? STUDY_DONE : study_failed(t->worker, status, result);
}

study_outcome study_train_to(study_worker *worker, int index, int64_t first, int64_t last, json_t **result)
{
    const study_plan *plan = worker->plan;
    study *s = plan->study;
    const study_run *r = &plan->runs[index];
    training t = {.worker = worker, .first = first, .last = last, .whole = last == r->steps};
    ttt_train_run_options o;
    const char *data = study_data_folder(s);
    if (!study_run_options(plan, index, &o)) return STUDY_BROKEN;
    o.folder = study_run_path(s, r->id);
    o.texts = &data;
    o.text_count = 1;
    o.eval_every = r->steps;
    o.init_from = r->init >= 0 ? study_run_path(s, plan->runs[r->init].id) : NULL;
    if (o.init_from) {
        o.config = o.layer = o.layers = o.backbone = NULL; /* all that is the other's */
        o.setting_count = 0;
    }
    o.stopped = stopped;
    o.context_of_hooks = &t;
    const char *mark = o.folder ? study_print(s, "%s/" STUDY_TRAINED, o.folder) : NULL;
    if (*s->error.text) return STUDY_BROKEN;
    if (access(mark, F_OK) == 0) return STUDY_DONE;
    const study_outcome begun = r->init >= 0 ? study_train_again(worker, r->init, result) : STUDY_DONE;
    if (begun != STUDY_DONE || *result) return begun;
    ttt_train_run *run;
    ttt_status status = ttt_train_run_open(&run, &o);
    if (status != TTT_OK) return study_failed(worker, status, result);
    t.run = run;
    while (status == TTT_OK && !ttt_train_run_finished(run) &&
           (t.whole || ttt_trainer_step_count(ttt_train_run_trainer(run)) < last))
        status = step(&t);
    study_outcome outcome = end(&t, status, result);
    const bool trained = outcome == STUDY_DONE && !*result && ttt_train_run_finished(run);
    ttt_train_run_close(run);
    if (trained && !study_write(s, mark, "\n", 1)) outcome = STUDY_BROKEN;
    return outcome;
}

study_outcome study_train_again(study_worker *worker, int run, json_t **result)
{
    const struct timespec pause = {.tv_nsec = 100000000};
    study *s = worker->plan->study;
    const study_run *r = &worker->plan->runs[run];
    const char *folder = study_run_path(s, r->id), *mark = folder ? study_print(s, "%s/" STUDY_TRAINED, folder) : NULL;
    bool taken = true;
    if (!mark) return STUDY_BROKEN;
    while (access(mark, F_OK) != 0) {
        if (worker->signal && worker->signal()) return STUDY_STOPPED;
        if (!study_lock(s, worker->locks, r->id, false, &taken)) return STUDY_BROKEN;
        if (!taken) break;
        nanosleep(&pause, NULL);
    }
    if (taken) return STUDY_DONE;
    const study_outcome outcome = study_train_to(worker, run, 0, r->steps, result);
    study_unlock(worker->locks, r->id);
    return outcome;
}

/* ---- what it came to ---- */

typedef struct course {
    double sum;
    int64_t count;
    double seconds; /* that updates took */
    double valid;   /* the last loss on what was held out; NaN: none */
} course;

/* The updates after `first` up to `last`, by metrics.jsonl. */
static void read_line(const char *line, const study_unit *unit, double tokens, course *c)
{
    json_t *object = json_loads(line, 0, NULL);
    const json_t *loss = json_object_get(object, "loss"), *valid = json_object_get(object, "valid_loss");
    const int64_t step = json_integer_value(json_object_get(object, "step"));
    const double speed = json_number_value(json_object_get(object, "tokens_per_s"));
    if (json_is_number(loss) && step > unit->first && step <= unit->last) {
        c->sum += json_number_value(loss);
        c->count++;
        if (speed > 0) c->seconds += tokens / speed;
    }
    if (json_is_number(valid)) c->valid = json_number_value(valid);
    json_decref(object);
}

static bool read_course(study *s, const char *folder, const study_unit *unit, double tokens, course *c)
{
    const char *path = study_print(s, "%s/metrics.jsonl", folder);
    FILE *file = path ? fopen(path, "r") : NULL;
    char *line = NULL;
    size_t size = 0;
    if (!file) return study_fail(&s->error, "cannot read %s", path ? path : folder);
    while (getline(&line, &size, file) > 0) read_line(line, unit, tokens, c);
    free(line);
    fclose(file);
    return true;
}

study_outcome study_train(study_worker *worker, const study_unit *unit, json_t **result, json_t *timing)
{
    const study_plan *plan = worker->plan;
    study *s = plan->study;
    const study_run *r = &plan->runs[unit->run];
    const study_outcome outcome = study_train_to(worker, unit->run, unit->first, unit->last, result);
    if (outcome != STUDY_DONE || *result) return outcome;
    const int64_t batch = s->groups[r->group].batch;
    course c = {.valid = (double)NAN};
    const char *folder = study_run_path(s, r->id);
    if (!folder || !read_course(s, folder, unit, (double)batch, &c)) return STUDY_BROKEN;
    *result = json_pack("{s:s, s:f, s:I, s:I, s:I, s:f}", "status", "done", "loss", c.sum / (double)c.count, "step",
                        (json_int_t)unit->last, "tokens", (json_int_t)(unit->last * batch), "parameters",
                        (json_int_t)r->parameters, "flops", r->flops * (double)(unit->last * batch));
    if (!isnan(c.valid) && unit->last == r->steps) json_object_set_new(*result, "held_out", json_real(c.valid));
    json_object_set_new(timing, "seconds_of_updates", json_real(c.seconds));
    json_object_set_new(timing, "tokens", json_integer((json_int_t)((unit->last - unit->first) * batch)));
    return STUDY_DONE;
}
