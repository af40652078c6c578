/* SPDX-License-Identifier: MIT
 *
 * Whether options agree with the run that is in a folder: each that is set is compared with what the run began with,
 * and the first that differs is named.
 */
#include "train/run_agree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "config/forms.h"
#include "train/match_flops.h"
#include "train/run_note.h"
#include "train/run_plan.h"
#include "train/trainer.h"

static ttt_status contradict(const char *what, const char *run, const char *given)
{
    return ttt_fail(
        TTT_ERR_ARGUMENT,
        "%s is %s, but the run in this folder was begun with %s: leave it out to go on, give another folder, "
        "or --force to begin anew",
        what, given, run);
}

static ttt_status agree_integer(const char *what, int64_t run, int64_t given)
{
    if (run == given) return TTT_OK;
    char a[32], b[32];
    snprintf(a, sizeof a, "%lld", (long long)run);
    snprintf(b, sizeof b, "%lld", (long long)given);
    return contradict(what, a, b);
}

static ttt_status agree_real(const char *what, double run, double given)
{
    if (run == given) return TTT_OK;
    char a[32] = "another measure", b[32];
    if (run > 0) ttt_print(a, sizeof a, "%.9g", run);
    ttt_print(b, sizeof b, "%.9g", given);
    return contradict(what, a, b);
}

static ttt_status agree_text(const char *what, const char *run, const char *given)
{
    if (run && strcmp(run, given) == 0) return TTT_OK;
    return contradict(what, run ? run : "none", given);
}

static ttt_status agree_key(const ttt_key *key, const ttt_config *run, const ttt_config *given)
{
    if (key->kind->equal(key, run, given)) return TTT_OK;
    ttt_buffer a = {0}, b = {0};
    ttt_status status = key->kind->print(key, run, &a);
    if (status == TTT_OK) status = key->kind->print(key, given, &b);
    if (status == TTT_OK) status = contradict(key->name, a.data, b.data);
    ttt_buffer_deinit(&a);
    ttt_buffer_deinit(&b);
    return status;
}

static ttt_status agree_config(const ttt_train_run_options *options, const ttt_config *run)
{
    ttt_config config = *run;
    TTT_TRY(ttt_run_plan_config(options, &config));
    if (options->layers) TTT_TRY(agree_key(ttt_key_find("layers"), run, &config)); /* before what follows from it */
    if (options->match_flops && options->steps) {                                  /* the width that the run found */
        config.hidden_size = run->hidden_size;
        config.num_attention_heads = run->num_attention_heads;
        config.intermediate_size = run->intermediate_size;
    }
    ttt_config explicit = *run;
    ttt_config_resolve(&explicit);
    ttt_config_resolve(&config);
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_keys[i].offset != offsetof(ttt_config, model_type) && /* a name for the same */
            ttt_form_key_name(ttt_form_of(run), &ttt_keys[i]))
            TTT_TRY(agree_key(&ttt_keys[i], &explicit, &config));
    return TTT_OK;
}

/* A length other than that of a run: more steps at a constant rate are no contradiction, and what is finished can only
 * be the beginning of another run. */
static ttt_status agree_length(const ttt_train_run_options *options, const ttt_train_options *run, const json_t *note)
{
    const char *name = options->steps ? "steps" : options->epochs > 0 ? "epochs" : "minutes";
    const double given = options->steps ? (double)options->steps : fmax(options->epochs, options->minutes);
    const double begun = options->steps ? (double)run->steps : json_real_value(json_object_get(note, name));
    if (given == 0 || given == begun || (options->steps > run->steps && run->schedule == TTT_SCHEDULE_CONSTANT))
        return TTT_OK;
    if (!json_is_true(json_object_get(note, "finished"))) return agree_real(name, begun, given);
    char text[32];
    ttt_print(text, sizeof text, "%.9g", given);
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "%s is %s, but this run is finished: it took %lld steps%s. To train its model further: ttt train "
                    "TEXT -o NEW --init-from %s --%s %s",
                    name, text, (long long)run->steps,
                    run->schedule == TTT_SCHEDULE_CONSTANT ? "" : ", and its rate has come down", options->folder, name,
                    text);
}

static ttt_status agree_options(const ttt_train_run_options *options, const ttt_train_options *run)
{
    if (options->context) TTT_TRY(agree_integer("context", run->context, options->context));
    if (options->batch) TTT_TRY(agree_integer("batch", run->batch * run->context, options->batch));
    if (options->accumulate) TTT_TRY(agree_integer("accumulate", run->accumulate, options->accumulate));
    if (options->leaves) TTT_TRY(agree_integer("leaves", run->leaves, options->leaves));
    if (options->segment >= 0) TTT_TRY(agree_integer("segment", run->segment, options->segment));
    if (options->rate >= 0) TTT_TRY(agree_real("lr", run->rate, options->rate));
    if (options->seed >= 0) TTT_TRY(agree_integer("seed", (int64_t)run->seed, options->seed));
    if (options->schedule) TTT_TRY(agree_text("schedule", ttt_schedule_names[run->schedule], options->schedule));
    return TTT_OK;
}

static ttt_status agree_match(const ttt_train_run_options *options, const ttt_config *config,
                              const ttt_train_options *run)
{
    double total;
    int64_t steps;
    TTT_TRY(ttt_match_total(options->match_flops, &total));
    TTT_TRY(ttt_match_steps(total, config, run, &steps));
    return agree_integer("the number of updates by match_flops", run->steps, steps);
}

ttt_status ttt_run_agree(const ttt_train_run_options *options, const ttt_config *config, const ttt_train_options *train,
                         const json_t *note)
{
    TTT_TRY(ttt_run_plan_check(options));
    if (options->init_from) TTT_TRY(agree_text("init-from", ttt_run_note_text(note, "init_from"), options->init_from));
    TTT_TRY(agree_config(options, config));
    TTT_TRY(agree_options(options, train));
    TTT_TRY(agree_length(options, train, note));
    if (options->match_flops && !options->steps) TTT_TRY(agree_match(options, config, train));
    if (options->text_count) return TTT_OK; /* the texts are compared together with their options */
    if (options->tokenizer) TTT_TRY(agree_text("tokenizer", ttt_run_note_text(note, "tokenizer"), options->tokenizer));
    if (options->valid) TTT_TRY(agree_text("valid", ttt_run_note_text(note, "valid"), options->valid));
    if (options->parse_special && !json_is_true(json_object_get(note, "parse_special")))
        return contradict("parse-special", "false", "true");
    return TTT_OK;
}
