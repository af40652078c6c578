/* SPDX-License-Identifier: MIT
 * Typed reading of a study's file: every member once, in the order of definition.h. */
#include "definition.h"

#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double MOST = 9e15; /* tokens, FLOPs and seeds that a double still counts */
static const double ALL_FLOPS = 1e30;

void *study_keep(study *s, void *memory)
{
    void **kept = memory ? realloc(s->kept, (s->kept_count + 1) * sizeof *kept) : NULL;
    if (!kept) {
        free(memory);
        study_fail(&s->error, "out of memory");
        return NULL;
    }
    s->kept = kept;
    return kept[s->kept_count++] = memory;
}

char *study_print(study *s, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) text = NULL;
    va_end(arguments);
    return study_keep(s, text);
}

/* ---- names of other things ---- */

/* `at` points to the name of the first of `count` things, each `size` bytes long. */
static int find(const void *at, size_t count, size_t size, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const char *const *own = (const void *)((const char *)at + i * size);
        if (strcmp(*own, name) == 0) return (int)i;
    }
    return -1;
}

#define FIND(list, count, name) find((list), (count), sizeof *(list), (name))

static int named(study_fields *f, const char *key, const char *name, int found, const char *what)
{
    if (found < 0) study_fail(f->error, "%s.%s names \"%.64s\", but there is no such %s", f->place, key, name, what);
    return found;
}

/* One name; -1 where it is absent. */
static int read_name(study_fields *f, const char *key, const void *at, size_t count, size_t size, const char *what)
{
    const char *name = study_field_string(f, key, "");
    return *name ? named(f, key, name, find(at, count, size, name), what) : -1;
}

#define READ_NAME(f, key, list, count, what) read_name((f), (key), (list), (count), sizeof *(list), (what))

/* A list of names; all there are where it is absent. */
static study_list read_names(study *s, study_fields *f, const char *key, const void *at, size_t count, size_t size,
                             const char *what)
{
    study_list list = {0};
    size_t given;
    const char **names = study_field_strings(f, key, &given);
    list.items = study_keep(s, calloc((names ? given : count) + 1, sizeof *list.items));
    list.count = list.items ? names ? given : count : 0;
    for (size_t i = 0; i < list.count; i++)
        list.items[i] = names ? named(f, key, names[i], find(at, count, size, names[i]), what) : (int)i;
    free(names);
    return list;
}

#define READ_NAMES(s, f, key, list, count, what) read_names((s), (f), (key), (list), (count), sizeof *(list), (what))

/* ---- parts of the file ---- */

/* "set": {KEY: VALUE, ...} as KEY=VALUE. */
static void read_settings(study *s, study_fields *f, const char ***settings, size_t *count)
{
    json_t *object = study_field(f, "set"), *value;
    const char *key;
    *count = 0;
    if (object && !json_is_object(object)) study_fail(f->error, "%s.set must be an object", f->place);
    *settings = study_keep(s, calloc(json_object_size(object) + 1, sizeof **settings));
    json_object_foreach(object, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        const bool plain = json_is_string(value) || json_is_number(value) || json_is_boolean(value) ||
                           json_is_null(value);
        if (!plain) study_fail(f->error, "%s.set.%.64s must be a number, a string, true or false", f->place, key);
        const char *setting = study_print(s, "%s=%s", key, json_is_string(value) ? json_string_value(value) : text);
        if (*settings && setting) (*settings)[(*count)++] = setting;
        free(text);
    }
}

static void read_model(void *context, const char *name, json_t *value)
{
    study *s = context;
    study_model *m = &s->models[s->model_count++];
    study_fields f;
    study_fields_open(&f, &s->error, value, "models", name);
    *m = (study_model){.name = name, .about = study_field_string(&f, "about", "")};
    const char **names[] = {&m->config, &m->layer, &m->layers, &m->backbone};
    static const char *const keys[] = {"config", "layer", "layers", "backbone"};
    for (int i = 0; i < 4; i++) {
        const char *text = study_field_string(&f, keys[i], "");
        *names[i] = *text ? text : NULL;
    }
    read_settings(s, &f, &m->settings, &m->setting_count);
    m->without = study_field_strings(&f, "without", &m->without_count);
    if (m->without) m->without = study_keep(s, m->without);
    if (!m->without) m->without_count = 0;
    m->paper = study_field_number(&f, "paper", (double)NAN, 0, MOST);
    study_fields_close(&f);
}

static void read_size(void *context, const char *name, json_t *value)
{
    study *s = context;
    study_size *z = &s->sizes[s->size_count++];
    study_fields f;
    study_fields_open(&f, &s->error, value, "sizes", name);
    *z = (study_size){.name = name};
    read_settings(s, &f, &z->settings, &z->setting_count);
    study_fields_close(&f);
}

/* The numbers of a key, as many as *count. NULL: none. */
static double *read_numbers(study *s, study_fields *f, const char *key, double least, double most, bool whole,
                            size_t *count)
{
    double *numbers = study_field_numbers(f, key, least, most, whole, count);
    if (numbers) numbers = study_keep(s, numbers);
    if (!numbers) *count = 0;
    return numbers;
}

static void read_evaluation(void *context, const char *name, json_t *value)
{
    study *s = context;
    study_evaluation *e = &s->evaluations[s->evaluation_count++];
    study_fields f;
    study_fields_open(&f, &s->error, value, "evaluations", name);
    *e = (study_evaluation){.name = name, .about = study_field_string(&f, "about", "")};
    e->documents = study_field_string(&f, "documents", NULL);
    if (e->documents && FIND(s->documents, s->document_count, e->documents) < 0)
        study_fail(&s->error, "%s.documents is \"%.64s\", which is not in data.documents", f.place, e->documents);
    e->contexts = read_numbers(s, &f, "contexts", 0, INT32_MAX, true, &e->context_count);
    e->tokens = study_field_integer(&f, "tokens", 0, 0, INT32_MAX);
    e->frozen = study_field_bool(&f, "frozen", false);
    e->inner = study_field_bool(&f, "inner", false);
    e->speed = study_field_bool(&f, "speed", false);
    read_settings(s, &f, &e->settings, &e->setting_count);
    for (size_t i = 0; i < e->context_count && e->speed; i++)
        if (e->contexts[i] < 1) study_fail(&s->error, "%s: speed is measured at contexts of 1 or more", f.place);
    if (e->speed && (e->frozen || e->inner || e->tokens))
        study_fail(&s->error, "%s measures speed: it goes without frozen, inner and tokens", f.place);
    study_fields_close(&f);
}

static void read_documents(void *context, const char *name, json_t *value)
{
    study *s = context;
    study_documents *d = &s->documents[s->document_count++];
    study_fields f = {.error = &s->error, .object = json_object()};
    snprintf(f.place, sizeof f.place, "data.documents");
    *d = (study_documents){.name = name};
    if (json_object_set(f.object, name, value) != 0) study_fail(&s->error, "out of memory");
    const char **paths = study_field_strings(&f, name, &d->count);
    if (!paths) study_fail(&s->error, "data.documents.%.64s has no paths", name);
    d->paths = paths ? study_keep(s, paths) : NULL;
    json_decref(f.object);
}

static void read_data(study *s, study_fields *root)
{
    study_fields f;
    json_t *value = study_field(root, "data");
    if (!value) study_fail(&s->error, "%s has no \"data\": the texts to train on", root->place);
    study_fields_open(&f, &s->error, value, "", "data");
    const char **train = study_field_strings(&f, "train", &s->train_count);
    if (!train) study_fail(&s->error, "data has no \"train\": the texts to train on");
    s->train = train ? study_keep(s, train) : NULL;
    s->tokenizer = study_field_string(&f, "tokenizer", "bpe:4096");
    s->held_out = study_field_number(&f, "held_out", 0.01, 0, 0.9);
    study_field_members(&f, "documents", read_documents, s);
    study_fields_close(&f);
}

/* "rates": numbers, or {"best_of": GROUP, "by": EVALUATION}. */
static void read_rates(study *s, study_fields *f, study_group *g)
{
    json_t *value = json_object_get(f->object, "rates");
    g->best_of = g->by = -1;
    if (!json_is_object(value)) {
        g->rates = read_numbers(s, f, "rates", 0, 1e3, false, &g->rate_count);
        return;
    }
    study_fields rates;
    study_fields_open(&rates, f->error, study_field(f, "rates"), f->place, "rates");
    g->best_of = READ_NAME(&rates, "best_of", s->groups, s->group_count - 1, "group of runs before it");
    g->by = READ_NAME(&rates, "by", s->evaluations, s->evaluation_count, "evaluation");
    if (g->best_of < 0 || g->by < 0)
        study_fail(f->error, "%s needs best_of, a group of runs before it, and by, an evaluation", rates.place);
    study_fields_close(&rates);
}

static void check_group(study *s, const study_fields *f, const study_group *g)
{
    if ((g->tokens > 0) + (g->flops > 0) != 1)
        study_fail(&s->error, "%s: give tokens or flops, what a run is trained with", f->place);
    if (g->like >= 0 && !(g->tokens > 0))
        study_fail(&s->error, "%s: flops_of needs tokens, with which that model is trained", f->place);
    for (size_t i = 0; i < g->context_count; i++)
        if (g->batch % (int64_t)g->contexts[i] != 0)
            study_fail(&s->error, "%s: batch %lld is not a multiple of the context %lld", f->place, (long long)g->batch,
                       (long long)g->contexts[i]);
    if (g->best_of >= 0 && g->by >= 0) {
        bool measured = false;
        const study_list *list = &s->groups[g->best_of].evaluations;
        for (size_t i = 0; i < list->count; i++) measured = measured || list->items[i] == g->by;
        if (!measured || s->evaluations[g->by].speed)
            study_fail(&s->error, "%s.rates: the runs of %s are not evaluated by %s", f->place,
                       s->groups[g->best_of].name, s->evaluations[g->by].name);
    }
}

static void read_group(void *context, const char *name, json_t *value)
{
    study *s = context;
    study_group *g = &s->groups[s->group_count++];
    study_fields f;
    study_fields_open(&f, &s->error, value, "runs", name);
    *g = (study_group){.name = name, .about = study_field_string(&f, "about", "")};
    g->models = READ_NAMES(s, &f, "models", s->models, s->model_count, "model");
    g->sizes = READ_NAMES(s, &f, "sizes", s->sizes, s->size_count, "size");
    g->evaluations = READ_NAMES(s, &f, "evaluate", s->evaluations, s->evaluation_count, "evaluation");
    g->contexts = read_numbers(s, &f, "contexts", 1, INT32_MAX, true, &g->context_count);
    if (!g->contexts) study_fail(&s->error, "%s has no \"contexts\"", f.place);
    g->seeds = read_numbers(s, &f, "seeds", 0, MOST, true, &g->seed_count);
    if (!g->seeds) study_fail(&s->error, "%s has no \"seeds\"", f.place);
    g->tokens = study_field_number(&f, "tokens", 0, 1, MOST);
    g->flops = study_field_number(&f, "flops", 0, 1, ALL_FLOPS);
    g->like = READ_NAME(&f, "flops_of", s->models, s->model_count, "model");
    g->init_from = READ_NAME(&f, "init_from", s->groups, s->group_count - 1, "group of runs before it");
    g->batch = study_field_integer(&f, "batch", 0, 1, INT32_MAX);
    if (g->batch == 0) study_fail(&s->error, "%s has no \"batch\": tokens of an update", f.place);
    g->segment = study_field_integer(&f, "segment", 0, 0, INT32_MAX);
    g->schedule = study_field_string(&f, "schedule", "cosine");
    read_rates(s, &f, g);
    check_group(s, &f, g);
    study_fields_close(&f);
}

/* "than": {"evaluation", "context", "frozen"}: where the worse loss is taken, if elsewhere than the better one. */
static void read_than(study *s, study_fields *f, study_claim *c)
{
    study_fields than;
    json_t *value = study_field(f, "than");
    c->worse_evaluation = c->evaluation;
    c->worse_context = c->context;
    if (!value) return;
    study_fields_open(&than, &s->error, value, f->place, "than");
    const int evaluation = READ_NAME(&than, "evaluation", s->evaluations, s->evaluation_count, "evaluation");
    if (evaluation >= 0) c->worse_evaluation = evaluation;
    c->worse_context = study_field_integer(&than, "context", evaluation < 0 ? c->context : -1, -1, INT32_MAX);
    c->worse_frozen = study_field_bool(&than, "frozen", false);
    if (c->worse < 0) c->worse = c->better;
    study_fields_close(&than);
}

static void check_claim(study *s, const study_fields *f, const study_claim *c)
{
    if (c->better < 0 || c->worse < 0) study_fail(&s->error, "%s needs better and worse, two models", f->place);
    const study_evaluation *a = &s->evaluations[c->evaluation], *b = &s->evaluations[c->worse_evaluation];
    if (a->speed || b->speed)
        study_fail(&s->error, "%s is about a loss, but %s measures speed", f->place, a->speed ? a->name : b->name);
    else if (a->documents && b->documents && (strcmp(a->documents, b->documents) != 0 || a->tokens != b->tokens))
        study_fail(&s->error, "%s: %s and %s are not of the same tokens, and cannot be paired", f->place, a->name,
                   b->name);
    if (c->worse_frozen && !b->frozen)
        study_fail(&s->error, "%s is about a frozen learner, but %s does not look at one", f->place, b->name);
}

static void read_claims(study *s, study_fields *root)
{
    json_t *list = study_field(root, "claims");
    if (list && !json_is_array(list)) study_fail(&s->error, "claims must be a list");
    s->claims = study_keep(s, calloc(json_array_size(list) + 1, sizeof *s->claims));
    for (size_t i = 0; i < json_array_size(list) && s->claims; i++) {
        study_claim *c = &s->claims[s->claim_count++];
        study_fields f;
        char name[32];
        snprintf(name, sizeof name, "%zu", i);
        study_fields_open(&f, &s->error, json_array_get(list, i), "claims", name);
        c->text = study_field_string(&f, "claim", NULL);
        c->better = READ_NAME(&f, "better", s->models, s->model_count, "model");
        c->worse = READ_NAME(&f, "worse", s->models, s->model_count, "model");
        c->group = READ_NAME(&f, "runs", s->groups, s->group_count, "group of runs");
        c->evaluation = READ_NAME(&f, "evaluation", s->evaluations, s->evaluation_count, "evaluation");
        c->context = study_field_integer(&f, "context", -1, 0, INT32_MAX);
        c->first = study_field_integer(&f, "first", 0, 1, INT32_MAX);
        c->last = study_field_integer(&f, "last", c->first ? INT32_MAX : 0, 1, INT32_MAX);
        c->or_equal = study_field_bool(&f, "or_equal", false);
        if (c->group < 0) c->group = s->headline;
        if (c->evaluation < 0) c->evaluation = s->headline_evaluation;
        read_than(s, &f, c);
        check_claim(s, &f, c);
        study_fields_close(&f);
    }
}

/* What tables show: by default the last group of runs, and its first evaluation of a loss. */
static void read_headline(study *s, study_fields *root)
{
    study_fields f;
    study_fields_open(&f, &s->error, study_field(root, "headline"), "", "headline");
    s->headline = READ_NAME(&f, "runs", s->groups, s->group_count, "group of runs");
    s->headline_evaluation = READ_NAME(&f, "evaluation", s->evaluations, s->evaluation_count, "evaluation");
    study_fields_close(&f);
    if (s->headline < 0) s->headline = (int)s->group_count - 1;
    const study_list *list = s->headline >= 0 ? &s->groups[s->headline].evaluations : NULL;
    for (size_t i = 0; list && i < list->count && s->headline_evaluation < 0; i++)
        if (list->items[i] >= 0 && !s->evaluations[list->items[i]].speed) s->headline_evaluation = list->items[i];
    if (s->headline_evaluation < 0 || s->evaluations[s->headline_evaluation].speed)
        study_fail(&s->error, "the runs of %s are not evaluated by a loss: headline needs one",
                   s->headline >= 0 ? s->groups[s->headline].name : "the study");
    s->reference = READ_NAME(root, "reference", s->models, s->model_count, "model");
    if (s->reference < 0) s->reference = 0;
}

static size_t members_of(const study *s, const char *name) { return json_object_size(json_object_get(s->root, name)); }

static void read_study(study *s)
{
    study_fields root;
    study_fields_open(&root, &s->error, s->root, "", "the study");
    if (study_field_integer(&root, "format", 1, 1, 1000000) != 1)
        study_fail(&s->error, "the study is of format %lld; this version knows 1",
                   (long long)json_integer_value(json_object_get(s->root, "format")));
    const size_t documents = json_object_size(json_object_get(json_object_get(s->root, "data"), "documents"));
    s->documents = study_keep(s, calloc(documents + 1, sizeof *s->documents));
    s->models = study_keep(s, calloc(members_of(s, "models") + 1, sizeof *s->models));
    s->sizes = study_keep(s, calloc(members_of(s, "sizes") + 1, sizeof *s->sizes));
    s->groups = study_keep(s, calloc(members_of(s, "runs") + 1, sizeof *s->groups));
    s->evaluations = study_keep(s, calloc(members_of(s, "evaluations") + 1, sizeof *s->evaluations));
    if (*s->error.text) return;
    s->title = study_field_string(&root, "title", "A study");
    s->about = study_field_string(&root, "about", "");
    s->precision = study_field_string(&root, "precision", "f32");
    s->unit_flops = study_field_number(&root, "unit_flops", 8e12, 1, ALL_FLOPS);
    study_field(&root, "scales"); /* looked at before */
    read_data(s, &root);
    study_field_members(&root, "models", read_model, s);
    study_field_members(&root, "sizes", read_size, s);
    study_field_members(&root, "evaluations", read_evaluation, s);
    study_field_members(&root, "runs", read_group, s);
    if (s->model_count == 0) study_fail(&s->error, "the study has no models");
    if (s->group_count == 0) study_fail(&s->error, "the study has no runs");
    if (s->evaluation_count == 0) study_fail(&s->error, "the study has no evaluations");
    if (*s->error.text) return;
    read_headline(s, &root);
    if (!*s->error.text) read_claims(s, &root);
    study_fields_close(&root);
}

/* ---- scales ---- */

/* As RFC 7396 says: members of the patch replace those of the target, objects are merged, null takes away. */
static void merge(json_t *target, json_t *patch)
{
    const char *key;
    json_t *value;
    json_object_foreach(patch, key, value)
    {
        json_t *own = json_object_get(target, key);
        if (json_is_null(value))
            json_object_del(target, key);
        else if (json_is_object(value) && json_is_object(own))
            merge(own, value);
        else
            json_object_set_new(target, key, json_deep_copy(value));
    }
}

static void apply_scale(study *s, const char *name)
{
    json_t *scales = json_object_get(s->root, "scales");
    json_t *scale = json_incref(json_object_get(scales, name));
    if (!json_is_object(scale)) {
        char list[256] = "";
        const char *key;
        json_t *value;
        json_object_foreach(scales, key, value)
        {
            const size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%.64s", used ? ", " : "", key);
        }
        study_fail(&s->error, "there is no scale \"%.64s\"; there %s%s", name, *list ? "are " : "is none", list);
    } else {
        merge(s->root, scale);
    }
    json_decref(scale);
}

static bool begin(study *s, const ttt_study_options *options)
{
    *s = (study){.file = options->file};
    char *copy = study_print(s, "%s", options->file);
    if (!copy) return false;
    s->folder = study_print(s, "%s", dirname(copy));
    s->work = study_print(s, "%s", options->folder ? options->folder : s->folder ? s->folder : ".");
    return s->work != NULL;
}

static bool read_root(study *s, const json_error_t *error, const char *scale)
{
    if (!s->root && error->line < 0) return study_fail(&s->error, "cannot read it: %s", error->text);
    if (!s->root)
        return study_fail(&s->error, "it is not JSON at line %d, column %d: %s", error->line, error->column,
                          error->text);
    if (scale) apply_scale(s, scale);
    if (!*s->error.text) read_study(s);
    return !*s->error.text;
}

bool study_open(study *s, const ttt_study_options *options)
{
    json_error_t error;
    if (!begin(s, options)) return false;
    s->root = json_load_file(options->file, JSON_REJECT_DUPLICATES, &error);
    return read_root(s, &error, options->scale);
}

bool study_parse(study *s, const char *text, size_t size, const ttt_study_options *options)
{
    json_error_t error;
    if (!begin(s, options)) return false;
    s->root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    return read_root(s, &error, options->scale);
}

void study_close(study *s)
{
    for (size_t i = 0; i < s->kept_count; i++) free(s->kept[i]);
    free(s->kept);
    json_decref(s->root);
    *s = (study){0};
}
