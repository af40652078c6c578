/* SPDX-License-Identifier: MIT
 * A run is defined by what ttt train is told and by what the data is, not by names: runs that several studies, or
 * several groups of one, have in common are done once. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 256, MOST_RUNS = 100000, MOST_UNITS = 1000000 };

/* ---- a run ---- */

/* Whether a setting of a size is for this model. */
static bool is_for(const study_model *m, const char *setting)
{
    const size_t length = strcspn(setting, "=");
    for (size_t i = 0; i < m->without_count; i++)
        if (strlen(m->without[i]) == length && strncmp(m->without[i], setting, length) == 0) return false;
    return true;
}

/* The settings of a run: the model's, then its size's. Returns how many; `settings` has room for all, and one more. */
static size_t settings_of(const study *s, const study_run *r, const char **settings)
{
    const study_model *m = &s->models[r->model];
    const study_size *z = r->size >= 0 ? &s->sizes[r->size] : NULL;
    size_t count = 0;
    for (size_t i = 0; i < m->setting_count; i++) settings[count++] = m->settings[i];
    for (size_t i = 0; z && i < z->setting_count; i++)
        if (is_for(m, z->settings[i])) settings[count++] = z->settings[i];
    return count;
}

bool study_run_options(const study_plan *plan, int run, ttt_train_run_options *o)
{
    study *s = plan->study;
    const study_run *r = &plan->runs[run];
    const study_group *g = &s->groups[r->group];
    const study_model *m = &s->models[r->model];
    const study_size *z = r->size >= 0 ? &s->sizes[r->size] : NULL;
    const size_t more = z ? z->setting_count : 0;
    const char **settings = study_keep(s, calloc(m->setting_count + more + 1, sizeof *settings));
    if (!settings) return false;
    ttt_train_run_options_init(o);
    o->settings = settings;
    o->setting_count = settings_of(s, r, settings);
    o->config = m->config;
    o->layer = m->layer;
    o->layers = m->layers;
    o->backbone = m->backbone;
    o->context = r->context;
    o->batch = g->batch;
    o->segment = g->segment;
    o->steps = r->steps;
    o->rate = isnan(r->rate) ? -1 : r->rate;
    o->schedule = g->schedule;
    o->seed = r->seed;
    o->precision = s->precision;
    o->threads = 1;
    return true;
}

/* What the run's model is, and so what a token costs; its rate, if the study leaves it to the configuration. */
static bool measure_run(const study_plan *plan, int run)
{
    study *s = plan->study;
    study_run *r = &plan->runs[run];
    ttt_train_run_options o;
    ttt_config *config;
    ttt_train_options train;
    ttt_flops flops = {0};
    int64_t vocabulary = json_integer_value(json_object_get(plan->data, "vocabulary")), width = 0;
    if (!study_run_options(plan, run, &o)) return false;
    if (ttt_config_new(&config) != TTT_OK) return study_fail(&s->error, "out of memory");
    char size[32];
    snprintf(size, sizeof size, "vocab_size=%" PRId64, vocabulary);
    ((const char **)(uintptr_t)o.settings)[o.setting_count++] = size;
    o.tokenizer = "byte"; /* not looked at but for its size */
    o.steps = 1;
    ttt_status status = ttt_train_run_plan(&o, config, &train);
    if (status == TTT_OK) status = ttt_config_flops(config, r->context, &flops);
    if (status == TTT_OK) status = ttt_config_get_integer(config, "hidden_size", &width);
    r->flops = flops.training;
    r->parameters = status == TTT_OK ? ttt_config_parameters(config) : 0;
    r->head = vocabulary * width;
    const study_group *g = &s->groups[r->group];
    if (status == TTT_OK && isnan(r->rate) && g->best_of < 0)
        r->rate = g->init_from >= 0 ? train.rate / 10 : train.rate; /* as ttt train */
    ttt_config_free(config);
    char name[NAME];
    study_run_name(plan, run, name, sizeof name);
    return status == TTT_OK || study_fail(&s->error, "%s cannot be: %s", name, ttt_error_detail());
}

/* The updates that the group's budget is, and the parts in which they are taken. */
static void set_length(const study_plan *plan, study_run *r, double like)
{
    const study_group *g = &plan->study->groups[r->group];
    const double total = g->flops > 0 ? g->flops : g->tokens * (g->like >= 0 ? like : r->flops);
    const double update = (double)g->batch * r->flops;
    r->steps = (int64_t)fmax(1, round(fmin(total / update, 1e9)));
    r->parts = (int)fmin(ceil((double)r->steps * update / plan->study->unit_flops), (double)r->steps);
    if (r->parts < 1) r->parts = 1;
}

/* FLOPs of a token of the group's `like`, at the size and context of run `r`. */
static bool measure_like(study_plan *plan, const study_run *r, double *flops)
{
    const study_group *g = &plan->study->groups[r->group];
    study_run *other = &plan->runs[plan->run_count]; /* there is room for one more */
    *other = *r;
    other->model = g->like;
    const bool ok = measure_run(plan, (int)plan->run_count);
    *flops = other->flops;
    return ok;
}

static json_t *define_run(const study_plan *plan, int run)
{
    study *s = plan->study;
    const study_run *r = &plan->runs[run];
    const study_group *g = &s->groups[r->group];
    const study_model *m = &s->models[r->model];
    ttt_train_run_options o;
    if (!study_run_options(plan, run, &o)) return NULL;
    json_t *settings = json_array();
    for (size_t i = 0; i < o.setting_count; i++) json_array_append_new(settings, json_string(o.settings[i]));
    return json_pack("{s:s, s:s*, s:s*, s:s*, s:s*, s:o, s:I, s:I, s:I, s:I, s:f, s:s, s:I, s:s*, s:s, s:s}", "data",
                     plan->content, "config", m->config, "layer", m->layer, "layers", m->layers, "backbone",
                     m->backbone, "set", settings, "context", (json_int_t)r->context, "batch", (json_int_t)g->batch,
                     "segment", (json_int_t)g->segment, "steps", (json_int_t)r->steps, "rate", r->rate, "schedule",
                     g->schedule, "seed", (json_int_t)r->seed, "init_from",
                     r->init >= 0 ? plan->runs[r->init].id : NULL, "precision", s->precision, "products",
                     "own"); /* nothing else multiplies now, but results were kept under this */
}

/* What an evaluation sets, as a list; NULL: nothing. */
static json_t *set_by(const study_evaluation *e)
{
    json_t *list = e->setting_count ? json_array() : NULL;
    for (size_t i = 0; i < e->setting_count; i++) json_array_append_new(list, json_string(e->settings[i]));
    return list;
}

json_t *study_unit_definition(const study_plan *plan, const study_unit *unit)
{
    const study_run *r = &plan->runs[unit->run];
    if (unit->kind == STUDY_TRAIN) {
        json_t *object = json_deep_copy(r->definition);
        json_object_set_new(object, "kind", json_string("train"));
        json_object_set_new(object, "first", json_integer(unit->first));
        json_object_set_new(object, "last", json_integer(unit->last));
        return object;
    }
    const study_evaluation *e = &plan->study->evaluations[unit->evaluation];
    if (unit->kind == STUDY_SPEED) {
        json_t *contexts = json_array();
        for (size_t i = 0; i < e->context_count; i++)
            json_array_append_new(contexts, json_integer((json_int_t)e->contexts[i]));
        return json_pack("{s:s, s:O, s:s, s:o, s:o*}", "kind", "speed", "run", r->definition, "documents", e->documents,
                         "contexts", contexts, "set", set_by(e));
    }
    return json_pack("{s:s, s:O, s:s, s:I, s:I, s:b, s:b, s:o*}", "kind", "evaluate", "run", r->definition, "documents",
                     e->documents, "tokens", (json_int_t)e->tokens, "context", (json_int_t)unit->context, "frozen",
                     e->frozen, "inner", e->inner, "set", set_by(e));
}

/* ---- names ---- */

void study_run_name(const study_plan *plan, int run, char *text, size_t size)
{
    const study *s = plan->study;
    const study_run *r = &plan->runs[run];
    char rate[48] = "";
    if (!isnan(r->rate)) snprintf(rate, sizeof rate, ", rate %g", r->rate);
    snprintf(text, size, "%.80s%s%.60s, context %" PRId64 "%s, seed %" PRId64, s->models[r->model].name,
             r->size >= 0 ? " " : "", r->size >= 0 ? s->sizes[r->size].name : "", r->context, rate, r->seed);
}

void study_unit_name(const study_plan *plan, const study_unit *unit, char *text, size_t size)
{
    char name[NAME];
    study_run_name(plan, unit->run, name, sizeof name);
    if (unit->kind == STUDY_TRAIN)
        snprintf(text, size, "training %s, part %d of %d", name, unit->part + 1, plan->runs[unit->run].parts);
    else
        snprintf(text, size, "%.40s of %s", plan->study->evaluations[unit->evaluation].name, name);
}

/* ---- all of them ---- */

static size_t or_one(size_t count) { return count ? count : 1; }

static size_t count_runs(const study *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->group_count; i++) {
        const study_group *g = &s->groups[i];
        count += g->models.count * or_one(g->sizes.count) * g->context_count * or_one(g->rate_count) * g->seed_count;
    }
    return count;
}

/* The run of group `group` with the model, size and seed of `r`, and the first that there is of its contexts and
 * rates; -1: there is none. */
static int find_init(const study_plan *plan, const study_run *r, int group)
{
    for (size_t i = 0; i < plan->run_count && group >= 0; i++) {
        const study_run *other = &plan->runs[i];
        if (other->group == group && other->model == r->model && other->size == r->size && other->seed == r->seed)
            return (int)i;
    }
    return -1;
}

static bool add_run(study_plan *plan, study_run run)
{
    study *s = plan->study;
    const study_group *g = &s->groups[run.group];
    double like = 0;
    run.init = find_init(plan, &run, g->init_from);
    plan->runs[plan->run_count] = run;
    if (g->init_from >= 0 && run.init < 0)
        return study_fail(&s->error, "runs.%s.init_from: %s has no run of %s with seed %" PRId64, g->name,
                          s->groups[g->init_from].name, s->models[run.model].name, run.seed);
    if (!measure_run(plan, (int)plan->run_count)) return false;
    const size_t at = plan->run_count++;
    if (g->like >= 0 && !measure_like(plan, &plan->runs[at], &like)) return false;
    set_length(plan, &plan->runs[at], like);
    return true;
}

static bool add_group(study_plan *plan, int group)
{
    const study_group *g = &plan->study->groups[group];
    for (size_t m = 0; m < g->models.count; m++)
        for (size_t z = 0; z < or_one(g->sizes.count); z++)
            for (size_t c = 0; c < g->context_count; c++)
                for (size_t r = 0; r < or_one(g->rate_count); r++)
                    for (size_t n = 0; n < g->seed_count; n++)
                        if (!add_run(plan, (study_run){.group = group,
                                                       .model = g->models.items[m],
                                                       .size = g->sizes.count ? g->sizes.items[z] : -1,
                                                       .context = (int64_t)g->contexts[c],
                                                       .rate = g->rate_count ? g->rates[r] : (double)NAN,
                                                       .seed = (int64_t)g->seeds[n]}))
                            return false;
    return true;
}

static int64_t tokens_of(const study_plan *plan, const study_evaluation *e)
{
    const json_t *list = json_object_get(json_object_get(plan->data, "documents"), e->documents);
    int64_t total = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const int64_t count = json_integer_value(json_object_get(json_array_get(list, i), "tokens"));
        total += e->tokens && e->tokens < count ? e->tokens : count;
    }
    return total;
}

static void add_evaluation(study_plan *plan, int run, int evaluation)
{
    const study_run *r = &plan->runs[run];
    const study_evaluation *e = &plan->study->evaluations[evaluation];
    double cost = (double)tokens_of(plan, e) * r->flops / 3 * (e->frozen ? 2 : 1);
    if (e->speed) cost = r->flops / 3 * (e->context_count ? e->contexts[e->context_count - 1] : 0);
    for (size_t i = 0; i < (e->speed ? 1 : or_one(e->context_count)); i++)
        plan->units[plan->unit_count++] = (study_unit){
            .kind = e->speed ? STUDY_SPEED : STUDY_EVALUATE,
            .run = run,
            .evaluation = evaluation,
            .context = e->context_count && !e->speed ? (int64_t)e->contexts[i] : r->context,
            .cost = cost};
}

static bool add_units(study_plan *plan)
{
    study *s = plan->study;
    size_t most = 0, contexts = 1;
    for (size_t i = 0; i < s->evaluation_count; i++) contexts += or_one(s->evaluations[i].context_count);
    for (size_t i = 0; i < plan->run_count; i++) most += (size_t)plan->runs[i].parts + contexts;
    if (most > MOST_UNITS)
        return study_fail(&s->error, "the study has some %zu units: at most %d are supported; raise unit_flops", most,
                          MOST_UNITS);
    plan->units = study_keep(s, calloc(most + 1, sizeof *plan->units));
    if (!plan->units) return false;
    for (size_t i = 0; i < plan->run_count; i++) {
        const study_run *r = &plan->runs[i];
        for (int k = 0; k < r->parts; k++) {
            const int64_t first = r->steps * k / r->parts, last = r->steps * (k + 1) / r->parts;
            plan->units[plan->unit_count++] = (study_unit){
                .kind = STUDY_TRAIN,
                .run = (int)i,
                .part = k,
                .first = first,
                .last = last,
                .cost = (double)((last - first) * s->groups[r->group].batch) * r->flops};
        }
        const study_list *list = &s->groups[r->group].evaluations;
        for (size_t k = 0; k < list->count; k++) add_evaluation(plan, (int)i, list->items[k]);
    }
    return true;
}

bool study_plan_open(study_plan *plan, study *s, const json_t *data)
{
    *plan = (study_plan){.study = s, .data = data};
    if (!study_identify(s, data, plan->content)) return false;
    const size_t most = count_runs(s);
    if (most > MOST_RUNS)
        return study_fail(&s->error, "the study has %zu runs: at most %d are supported", most, MOST_RUNS);
    plan->runs = study_keep(s, calloc(most + 1, sizeof *plan->runs));
    if (!plan->runs) return false;
    for (size_t i = 0; i < s->group_count; i++)
        if (!add_group(plan, (int)i)) return false;
    return add_units(plan) && study_plan_refresh(plan);
}

void study_plan_close(study_plan *plan)
{
    for (size_t i = 0; i < plan->run_count; i++) json_decref(plan->runs[i].definition);
    *plan = (study_plan){0};
}

/* ---- what results tell ---- */

bool study_is_good(const json_t *result)
{
    const char *status = json_string_value(json_object_get(result, "status"));
    return status && strcmp(status, "done") == 0;
}

static const study_unit *last_part(const study_plan *plan, int run)
{
    for (size_t i = 0; i < plan->unit_count; i++)
        if (plan->units[i].run == run && plan->units[i].part == plan->runs[run].parts - 1) return &plan->units[i];
    return NULL;
}

json_t *study_run_result(const study_plan *plan, int run)
{
    const study_unit *unit = last_part(plan, run);
    return unit && *unit->id ? study_load(plan->study, STUDY_RESULTS, unit->id) : NULL;
}

/* The mean loss of a run by an evaluation (over its contexts); NaN: not there yet, infinite: the run failed. */
static double loss_of(const study_plan *plan, int run, int evaluation)
{
    double sum = 0;
    int count = 0;
    for (size_t i = 0; i < plan->unit_count; i++) {
        const study_unit *u = &plan->units[i];
        if (u->run != run || (u->kind == STUDY_EVALUATE && u->evaluation != evaluation) || u->kind == STUDY_SPEED)
            continue;
        json_t *result = study_load(plan->study, STUDY_RESULTS, u->id);
        const bool bad = result && !study_is_good(result);
        const double loss = result ? json_number_value(json_object_get(result, "loss")) : (double)NAN;
        json_decref(result);
        if (bad) return INFINITY;
        if (isnan(loss)) return loss;
        if (u->kind == STUDY_EVALUATE) sum += loss;
        if (u->kind == STUDY_EVALUATE) count++;
    }
    return count ? sum / count : (double)NAN;
}

/* The rate of the group's sweep with the least loss of this model, mean over all else; its first size and all its
 * seeds count. False: not decided yet. Infinite losses everywhere leave the rate NaN. */
static bool choose_rate(const study_plan *plan, const study_run *r, double *rate)
{
    const study_group *g = &plan->study->groups[r->group], *sweep = &plan->study->groups[g->best_of];
    double least = INFINITY;
    *rate = (double)NAN;
    for (size_t k = 0; k < or_one(sweep->rate_count); k++) {
        double sum = 0, own = (double)NAN;
        for (size_t i = 0; i < plan->run_count; i++) {
            const study_run *other = &plan->runs[i];
            if (other->group != g->best_of || other->model != r->model) continue;
            if (sweep->rate_count && !(other->rate == sweep->rates[k])) continue;
            const double loss = loss_of(plan, (int)i, g->by);
            if (isnan(loss)) return false;
            sum += loss;
            own = other->rate;
        }
        if (!isnan(own) && sum < least) {
            least = sum;
            *rate = own;
        }
    }
    return true;
}

/* Gives a run its rate and id, if what they depend on is known. */
static bool settle_run(study_plan *plan, int run)
{
    study_run *r = &plan->runs[run];
    if (*r->id || r->void_) return true;
    if (isnan(r->rate)) {
        double rate;
        if (!choose_rate(plan, r, &rate)) return true;
        r->rate = rate;
        r->void_ = isnan(rate);
    }
    if (r->init >= 0 && !*plan->runs[r->init].id) r->void_ = r->void_ || plan->runs[r->init].void_;
    if (r->void_ || (r->init >= 0 && !*plan->runs[r->init].id)) return true;
    r->definition = define_run(plan, run);
    if (!r->definition) return study_fail(&plan->study->error, "out of memory");
    return study_identify(plan->study, r->definition, r->id);
}

static bool settle_unit(study_plan *plan, study_unit *u)
{
    study *s = plan->study;
    const study_run *r = &plan->runs[u->run];
    if (!*u->id && *r->id) {
        json_t *definition = study_unit_definition(plan, u);
        const bool ok = definition ? study_identify(s, definition, u->id) : study_fail(&s->error, "out of memory");
        json_decref(definition);
        if (!ok) return false;
    }
    u->done = r->void_ || study_has(s, STUDY_RESULTS, u->id);
    return true;
}

/* A part that failed ends its run: what follows is not to be done. */
static bool end_failed(study_plan *plan, size_t unit)
{
    study_unit *u = &plan->units[unit];
    json_t *result = study_load(plan->study, STUDY_RESULTS, u->id);
    const bool failed = result && !study_is_good(result);
    json_decref(result);
    for (size_t i = 0; i < plan->unit_count && failed; i++)
        if (plan->units[i].run == u->run) plan->units[i].done = true;
    for (size_t i = 0; i < plan->run_count && failed; i++)
        if (plan->runs[i].init == u->run) plan->runs[i].void_ = true;
    return !*plan->study->error.text;
}

/* Once through all. *news: a run became known, whose units others may wait for. */
static bool refresh_once(study_plan *plan, bool *news)
{
    *news = false;
    for (size_t i = 0; i < plan->run_count; i++) {
        const study_run *r = &plan->runs[i];
        const bool known = *r->id || r->void_;
        if (!settle_run(plan, (int)i)) return false;
        *news = *news || (!known && (*r->id || r->void_));
    }
    for (size_t i = 0; i < plan->unit_count; i++) {
        study_unit *u = &plan->units[i];
        if (u->done) continue;
        if (!settle_unit(plan, u)) return false;
        if (u->done && u->kind == STUDY_TRAIN && *u->id && !end_failed(plan, i)) return false;
    }
    return !*plan->study->error.text;
}

bool study_plan_refresh(study_plan *plan)
{
    bool news = true;
    while (news)
        if (!refresh_once(plan, &news)) return false;
    return true;
}

bool study_unit_is_ready(const study_plan *plan, const study_unit *unit)
{
    const study_run *r = &plan->runs[unit->run];
    if (unit->done || !*unit->id) return false;
    for (size_t i = 0; i < plan->unit_count; i++) {
        const study_unit *other = &plan->units[i];
        if (other->kind != STUDY_TRAIN || other->done) continue;
        if (other->run == r->init) return false;
        if (other->run == unit->run && (unit->kind != STUDY_TRAIN || other->part < unit->part)) return false;
    }
    return true;
}
