/* SPDX-License-Identifier: MIT
 * ttt study run: processes that each take what is ready, and one that watches them. The processes know of each other
 * by results and locks alone, so that more of them may work elsewhere. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data.h"
#include "work.h"

enum { LINE = 512, PAUSE_MS = 50, IDLE_MS = 200, LOOKS = 4, JOBS = 1024 };

/* What a working process tells the one that watches. */
typedef struct job {
    volatile int unit; /* -1: waits */
    volatile double part;
    char sentence[STUDY_SENTENCE]; /* why it ended without having to */
} job;

typedef struct running {
    const ttt_study_options *options;
    study *s;
    study_plan plan;
    json_t *data;
    int locks;
    job *jobs; /* [options->jobs], shared with the processes */
    pid_t pids[JOBS];
    double start, cost_before; /* what was done when this began */
} running;

static void pause_ms(int ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

/* ---- a process that works ---- */

/* All units of a run are of one shard, so that machines need not have the models of others. */
static bool is_mine(const running *r, const study_unit *unit)
{
    const ttt_study_options *o = r->options;
    const char *id = r->plan.runs[unit->run].id;
    return o->shards < 2 || strtoull(id, NULL, 16) % (uint64_t)o->shards == (uint64_t)(o->shard - 1);
}

/* Does a unit if nobody else does. */
static study_outcome take(running *r, study_worker *worker, job *own, size_t index)
{
    study_unit *unit = &r->plan.units[index];
    bool taken;
    if (!study_lock(r->s, r->locks, unit->id, false, &taken)) return STUDY_BROKEN;
    if (taken) return STUDY_STOPPED;
    study_outcome outcome = STUDY_DONE;
    if (!study_has(r->s, STUDY_RESULTS, unit->id)) {
        own->part = 0;
        own->unit = (int)index;
        outcome = study_work(worker, unit);
        own->unit = -1;
    }
    study_unlock(r->locks, unit->id);
    return outcome;
}

typedef enum finding { FOUND_WORK, FOUND_WAITS, FOUND_OVER, FOUND_FAILED } finding;

/* Looks once through all units for one to do. Over: nothing is left that this process could ever do. */
static finding look(running *r, study_worker *worker, job *own)
{
    bool waits = false;
    if (!study_plan_refresh(&r->plan)) return FOUND_FAILED;
    for (size_t i = 0; i < r->plan.unit_count; i++) {
        const study_unit *unit = &r->plan.units[i];
        if (unit->done || (*unit->id && !is_mine(r, unit))) continue;
        waits = true;
        if (!study_unit_is_ready(&r->plan, unit)) continue;
        switch (take(r, worker, own, i)) {
        case STUDY_DONE: return FOUND_WORK;
        case STUDY_BROKEN: return FOUND_FAILED;
        case STUDY_STOPPED: break;
        }
        if (worker->signal && worker->signal()) return FOUND_OVER;
    }
    return waits ? FOUND_WAITS : FOUND_OVER;
}

/* Whether somebody works at a unit, here or elsewhere, whose result this process may wait for. */
static bool may_come(running *r)
{
    for (size_t i = 0; i < r->plan.unit_count; i++) {
        const study_unit *unit = &r->plan.units[i];
        bool taken = false;
        if (!study_unit_is_ready(&r->plan, unit)) continue;
        if (!study_lock(r->s, r->locks, unit->id, false, &taken)) return false;
        if (taken) return true;
        study_unlock(r->locks, unit->id);
    }
    return false;
}

static volatile sig_atomic_t asked;

static void note(int signal) { asked = signal; }
static int asked_to_stop(void) { return asked; }

static int work(running *r, job *own)
{
    study_worker worker = {.plan = &r->plan, .locks = r->locks, .signal = asked_to_stop, .part = &own->part};
    finding found = FOUND_WORK;
    /* Who works has no lock between two units, so that nobody is there only when nobody is seen several times. */
    for (int alone = 0; (found == FOUND_WORK || found == FOUND_WAITS) && alone < LOOKS && !asked_to_stop();) {
        found = look(r, &worker, own);
        if (found == FOUND_WAITS) pause_ms(IDLE_MS);
        alone = found == FOUND_WORK || may_come(r) ? 0 : alone + 1;
    }
    snprintf(own->sentence, sizeof own->sentence, "%s", r->s->error.text);
    return found == FOUND_FAILED ? 1 : 0;
}

static bool start_job(running *r, int index)
{
    const pid_t parent = getpid(), child = fork();
    if (child < 0) return study_fail(&r->s->error, "cannot start a process: %s", strerror(errno));
    if (child > 0) {
        r->pids[index] = child;
        return true;
    }
    setpgid(0, 0); /* Ctrl-C is for the one that watches, which passes it on */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    const struct sigaction action = {.sa_handler = note};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    const int code = work(r, &r->jobs[index]);
    _exit(code);
}

/* ---- the one that watches ---- */

static void print_time(char *text, size_t size, double seconds)
{
    const long long s = llround(fmin(seconds, 1e9));
    if (!(seconds >= 0))
        snprintf(text, size, "-:--");
    else
        snprintf(text, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

/* FLOPs of the units that are done, those that run by their part. A unit that several runs have in common counts in
 * each. */
static double cost_done(const running *r, double *total, int *units)
{
    double done = 0;
    *total = 0;
    *units = 0;
    for (size_t i = 0; i < r->plan.unit_count; i++) {
        const study_unit *unit = &r->plan.units[i];
        *total += unit->cost;
        if (!unit->done) continue;
        done += unit->cost;
        ++*units;
    }
    for (int64_t k = 0; k < r->options->jobs; k++) {
        const int unit = r->jobs[k].unit;
        if (unit >= 0 && !r->plan.units[unit].done) done += r->plan.units[unit].cost * r->jobs[k].part;
    }
    return done;
}

static void show(const running *r)
{
    char line[LINE], left[32], doing[320] = "";
    double total;
    int units, running_now = 0;
    const double done = cost_done(r, &total, &units), passed = study_seconds() - r->start;
    const double rate = passed > 1 ? (done - r->cost_before) / passed : 0;
    print_time(left, sizeof left, rate > 0 ? (total - done) / rate : -1);
    for (int64_t k = 0; k < r->options->jobs; k++) {
        const int unit = r->jobs[k].unit;
        if (unit < 0) continue;
        char name[256];
        study_unit_name(&r->plan, &r->plan.units[unit], name, sizeof name);
        if (running_now++ == 0) snprintf(doing, sizeof doing, ": %s, %.0f %%", name, 100 * r->jobs[k].part);
    }
    snprintf(line, sizeof line, "units %d/%zu  running %d  %s left%s", units, r->plan.unit_count, running_now, left,
             doing);
    if (r->options->show) r->options->show(r->options->context, line);
}

static void stop_all(const running *r)
{
    for (int64_t k = 0; k < r->options->jobs; k++)
        if (r->pids[k] > 0) kill(r->pids[k], SIGTERM);
}

/* Notes who has ended. A process that ended badly ends the others too, after they have saved. */
static bool reap(running *r)
{
    int status;
    for (int64_t k = 0; k < r->options->jobs; k++) {
        if (r->pids[k] <= 0 || waitpid(r->pids[k], &status, WNOHANG) != r->pids[k]) continue;
        r->pids[k] = 0;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        char name[256] = "nothing yet";
        const int unit = r->jobs[k].unit;
        if (unit >= 0) study_unit_name(&r->plan, &r->plan.units[unit], name, sizeof name);
        if (WIFSIGNALED(status))
            study_fail(&r->s->error, "the process that did %s was ended by signal %d: run it again, and it goes on",
                       name, WTERMSIG(status));
        else
            study_fail(&r->s->error, "%s", *r->jobs[k].sentence ? r->jobs[k].sentence : "a process failed");
        stop_all(r);
        return false;
    }
    return true;
}

static bool anyone(const running *r)
{
    for (int64_t k = 0; k < r->options->jobs; k++)
        if (r->pids[k] > 0) return true;
    return false;
}

static bool watch(running *r)
{
    bool told = false, good = true;
    double looked = 0;
    while (anyone(r)) {
        good = reap(r) && good;
        if (!told && r->options->signal && r->options->signal()) {
            told = true;
            stop_all(r);
        }
        if (study_seconds() - looked > 1 && good) {
            good = study_plan_refresh(&r->plan);
            if (!good) stop_all(r);
            looked = study_seconds();
        }
        if (good) show(r);
        pause_ms(PAUSE_MS);
    }
    return good && study_plan_refresh(&r->plan);
}

/* ---- the command ---- */

static void say(const running *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(const running *r, const char *format, ...)
{
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (r->options->say) r->options->say(r->options->context, line);
}

/* What failed, each once, and what there is to do. */
static void conclude(const running *r)
{
    size_t done = 0, bad = 0;
    for (size_t i = 0; i < r->plan.unit_count; i++) {
        const study_unit *unit = &r->plan.units[i];
        done += unit->done;
        json_t *result = unit->done && *unit->id ? study_load(r->s, STUDY_RESULTS, unit->id) : NULL;
        char name[256];
        study_unit_name(&r->plan, unit, name, sizeof name);
        if (result && !study_is_good(result)) {
            bad++;
            say(r, "%s: %s", name, json_string_value(json_object_get(result, "sentence")));
        }
        json_decref(result);
    }
    const size_t all = r->plan.unit_count;
    if (done == all)
        say(r, "%s: all %zu units are done%s; to see them: ttt study report %s -o report.html", r->s->file, all,
            bad ? ", those named above failed" : "", r->s->file);
    else
        say(r, "%s: %zu of %zu units are done; the same command goes on", r->s->file, done, all);
}

/* What there is, as lines: for --dry-run. */
static void describe(const running *r)
{
    double total, seconds = 0, cost = 0;
    int units;
    const double done = cost_done(r, &total, &units);
    for (size_t g = 0; g < r->s->group_count; g++) {
        size_t runs = 0;
        double flops = 0;
        for (size_t i = 0; i < r->plan.run_count; i++) runs += r->plan.runs[i].group == (int)g;
        for (size_t i = 0; i < r->plan.unit_count; i++)
            if (r->plan.runs[r->plan.units[i].run].group == (int)g) flops += r->plan.units[i].cost;
        say(r, "%-16s %3zu runs, %.3g FLOP with their evaluations", r->s->groups[g].name, runs, flops);
    }
    for (size_t i = 0; i < r->plan.unit_count; i++) {
        json_t *timing = study_load(r->s, STUDY_TIMINGS, r->plan.units[i].id);
        if (timing && r->plan.units[i].done) {
            seconds += json_number_value(json_object_get(timing, "seconds"));
            cost += r->plan.units[i].cost;
        }
        json_decref(timing);
    }
    say(r, "%zu units, %d done; %.3g FLOP, %.3g left", r->plan.unit_count, units, total, total - done);
    if (cost > 0)
        say(r, "by what was done so far: %.2f hours of one core left", (total - done) / (cost / seconds) / 3600);
}

static ttt_status show_preparing(void *context, double part, const char *doing)
{
    const running *r = context;
    char line[LINE];
    if (part >= 0)
        snprintf(line, sizeof line, "data: %s, %.0f %%", doing, 100 * part);
    else
        snprintf(line, sizeof line, "data: %s", doing);
    if (r->options->show && study_seconds() - r->start > 2) r->options->show(r->options->context, line);
    return r->options->signal && r->options->signal() ? TTT_ERR_INTERRUPTED : TTT_OK;
}

static bool prepare(running *r)
{
    r->start = study_seconds();
    if (!study_open(r->s, r->options) || !study_locks_open(r->s, &r->locks)) return false;
    r->data = study_data_open(r->s, r->locks, true, show_preparing, r);
    return r->data && study_plan_open(&r->plan, r->s, r->data);
}

static bool run_jobs(running *r)
{
    const size_t size = (size_t)r->options->jobs * sizeof *r->jobs;
    double total;
    int units;
    r->jobs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->jobs == MAP_FAILED) return study_fail(&r->s->error, "out of memory");
    for (int64_t k = 0; k < r->options->jobs; k++) r->jobs[k].unit = -1;
    r->start = study_seconds();
    r->cost_before = cost_done(r, &total, &units);
    bool ok = true;
    if (r->options->dry)
        describe(r);
    else
        for (int64_t k = 0; k < r->options->jobs && ok; k++) ok = start_job(r, (int)k);
    if (!ok) stop_all(r);
    ok = watch(r) && ok;
    munmap(r->jobs, size);
    return ok;
}

int ttt_study_run(const ttt_study_options *options)
{
    study s;
    running r = {.options = options, .s = &s, .locks = -1};
    bool ok = prepare(&r) && run_jobs(&r);
    const int signal = options->signal ? options->signal() : 0;
    if (ok && !options->dry) conclude(&r);
    ok = ok && !*s.error.text;
    if (!ok && !signal) say(&r, "ttt: %s: %s", options->file, s.error.text);
    if (r.locks >= 0) close(r.locks);
    study_plan_close(&r.plan);
    json_decref(r.data);
    study_close(&s);
    return signal ? 128 + signal : !ok;
}
