/* SPDX-License-Identifier: MIT
 *
 * The file of a study: whatever the bytes, reading ends with a sentence or with a study whose numbers name what there
 * is, at each of its scales; and one of few runs is made a plan of, as for data of two documents.
 */
#include <stdlib.h>
#include <string.h>

#include "study/units.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void need(bool holds)
{
    if (!holds) abort();
}

static void check_list(const study_list *list, size_t count)
{
    for (size_t i = 0; i < list->count; i++) need(list->items[i] >= 0 && (size_t)list->items[i] < count);
}

static void check_numbers(const study *s)
{
    need(s->model_count > 0 && s->group_count > 0 && s->evaluation_count > 0);
    need((size_t)s->reference < s->model_count && (size_t)s->headline < s->group_count);
    need((size_t)s->headline_evaluation < s->evaluation_count);
    for (size_t i = 0; i < s->group_count; i++) {
        const study_group *g = &s->groups[i];
        check_list(&g->models, s->model_count);
        check_list(&g->sizes, s->size_count);
        check_list(&g->evaluations, s->evaluation_count);
        need(g->best_of < (int)i && g->init_from < (int)i && g->batch > 0);
    }
    for (size_t i = 0; i < s->claim_count; i++) {
        const study_claim *c = &s->claims[i];
        need((size_t)c->better < s->model_count && (size_t)c->worse < s->model_count &&
             (size_t)c->group < s->group_count);
        need((size_t)c->evaluation < s->evaluation_count && (size_t)c->worse_evaluation < s->evaluation_count);
    }
}

/* Whether a plan is soon made: few runs, of configurations that come with the program. */
static bool is_small(const study *s)
{
    size_t runs = 0;
    for (size_t i = 0; i < s->model_count; i++)
        if (s->models[i].config && strcmp(s->models[i].config, "tiny") != 0) return false;
    for (size_t i = 0; i < s->group_count; i++) {
        const study_group *g = &s->groups[i];
        runs += g->models.count * (g->sizes.count + 1) * g->context_count * (g->rate_count + 1) * g->seed_count;
    }
    return runs <= 64;
}

static void plan(study *s)
{
    study_plan made;
    json_t *data = json_pack("{s:i, s:{s:[{s:s, s:i, s:i}, {s:s, s:i, s:i}]}}", "vocabulary", 300, "documents", "test",
                             "name", "a", "tokens", 1000, "bytes", 3000, "name", "b", "tokens", 5, "bytes", 9);
    if (!data) abort();
    if (study_plan_open(&made, s, data)) {
        for (size_t i = 0; i < made.unit_count; i++) need((size_t)made.units[i].run < made.run_count);
        for (size_t i = 0; i < made.unit_count; i++) study_unit_is_ready(&made, &made.units[i]);
    } else {
        need(*s->error.text);
    }
    study_plan_close(&made);
    json_decref(data);
}

static void read_study(const unsigned char *data, size_t size, const char *scale)
{
    const ttt_study_options options = {.file = "nowhere/study.json", .scale = scale};
    study s;
    if (study_parse(&s, (const char *)data, size, &options)) {
        check_numbers(&s);
        if (is_small(&s)) plan(&s);
    } else {
        need(*s.error.text);
    }
    study_close(&s);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    read_study(data, size, NULL);
    json_t *root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL), *value;
    const char *name;
    json_object_foreach(json_object_get(root, "scales"), name, value) read_study(data, size, name);
    json_decref(root);
    return 0;
}
