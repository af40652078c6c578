/* SPDX-License-Identifier: MIT */
#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double study_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* What another run of the same unit would say as well: without what a checkpoint or a path has to do with it. */
static json_t *failure(void)
{
    char sentence[STUDY_SENTENCE];
    snprintf(sentence, sizeof sentence, "%s", ttt_error_detail());
    sentence[strcspn(sentence, ";")] = '\0';
    return json_pack("{s:s, s:s}", "status", "failed", "sentence", sentence);
}

study_outcome study_failed(study_worker *worker, ttt_status status, json_t **result)
{
    study *s = worker->plan->study;
    switch (status) {
    case TTT_ERR_INTERRUPTED: return STUDY_STOPPED;
    case TTT_ERR_UNSUPPORTED:
    case TTT_ERR_NUMERIC: *result = failure(); return STUDY_DONE;
    case TTT_OK:
    case TTT_ERR_MEMORY:
    case TTT_ERR_IO:
    case TTT_ERR_FORMAT:
    case TTT_ERR_ARGUMENT:
    default:
        study_fail(&s->error, "%s", *ttt_error_detail() ? ttt_error_detail() : ttt_status_text(status));
        return STUDY_BROKEN;
    }
}

/* A finished run needs no checkpoints; its model stays for evaluations. */
static void tidy(const study_plan *plan, const study_unit *unit)
{
    study *s = plan->study;
    if (unit->kind != STUDY_TRAIN || unit->last < plan->runs[unit->run].steps) return;
    const char *folder = study_run_path(s, plan->runs[unit->run].id);
    const char *checkpoints = folder ? study_print(s, "%s/checkpoint", folder) : NULL;
    if (checkpoints) study_remove(checkpoints);
}

static bool save(const study_plan *plan, const study_unit *unit, json_t *result, json_t *timing)
{
    study *s = plan->study;
    json_t *definition = study_unit_definition(plan, unit);
    if (!result || !definition || json_object_set_new(result, "unit", definition) != 0) {
        if (!result || !definition) json_decref(definition);
        json_decref(result);
        json_decref(timing);
        return study_fail(&s->error, "out of memory");
    }
    if (study_save(s, STUDY_TIMINGS, unit->id, timing)) return study_save(s, STUDY_RESULTS, unit->id, result);
    json_decref(result);
    return false;
}

study_outcome study_work(study_worker *worker, const study_unit *unit)
{
    json_t *result = NULL, *timing = json_object();
    const double start = study_seconds();
    study_outcome outcome = STUDY_BROKEN;
    switch (unit->kind) {
    case STUDY_TRAIN: outcome = study_train(worker, unit, &result, timing); break;
    case STUDY_EVALUATE: outcome = study_evaluate(worker, unit, &result); break;
    case STUDY_SPEED: outcome = study_speed(worker, unit, &result, timing); break;
    }
    if (outcome != STUDY_DONE) {
        json_decref(result);
        json_decref(timing);
        return outcome;
    }
    json_object_set_new(timing, "seconds", json_real(study_seconds() - start));
    if (!save(worker->plan, unit, result, timing)) return STUDY_BROKEN;
    tidy(worker->plan, unit);
    return *worker->plan->study->error.text ? STUDY_BROKEN : STUDY_DONE;
}
