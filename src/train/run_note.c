/* SPDX-License-Identifier: MIT
 *
 * What a run remembers of how it was begun, and the comparison with the options when it goes on.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/number.h"
#include "config/keys.h"
#include "train/run_folder.h"
#include "train/run_plan.h"
#include "train/trainer.h"

static json_t *text_or_null(const char *text)
{
    if (!text) return json_null();
    json_t *string = json_string(text);
    return string ? string : json_string("(a name that is not UTF-8)");
}

static json_t *number_or_null(double number) { return number > 0 ? json_real(number) : json_null(); }

json_t *ttt_run_note_new(const ttt_train_run_options *options)
{
    const ttt_data_options data = {.texts = options->texts, .text_count = options->text_count};
    const bool given = ttt_run_data_is_given(&data), counted = options->steps > 0 || options->minutes > 0;
    const char *tokenizer = options->tokenizer   ? options->tokenizer
                            : options->init_from ? options->init_from
                                                 : "bpe:4096";
    const char *valid = options->valid ? options->valid : "0.05";
    json_t *note = json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:I, s:I, s:i, s:b}", "tokenizer",
                             text_or_null(given ? NULL : tokenizer), "valid", text_or_null(given ? NULL : valid),
                             "parse_special", (int)options->parse_special, "init_from",
                             text_or_null(options->init_from), "epochs",
                             number_or_null(counted               ? 0
                                            : options->epochs > 0 ? options->epochs
                                                                  : 1),
                             "minutes", number_or_null(options->minutes), "save_every", (json_int_t)options->save_every,
                             "eval_every", (json_int_t)options->eval_every, "lines", 0, "finished", 0);
    if (!note) (void)ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot begin a run");
    return note;
}

ttt_status ttt_run_note_parse(json_t **note, const char *text, const char *where)
{
    static const char *const keys[] = {"save_every", "eval_every", "lines"};
    *note = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bool sound = json_is_boolean(json_object_get(*note, "finished")) &&
                 (json_is_string(json_object_get(*note, "tokenizer")) ||
                  json_is_null(json_object_get(*note, "tokenizer")));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(*note, keys[i]);
        sound = sound && json_is_integer(value) && json_integer_value(value) >= 0;
    }
    if (sound) return TTT_OK;
    json_decref(*note);
    *note = NULL;
    return ttt_fail(TTT_ERR_FORMAT, "%s: a checkpoint of the library, but not one of a run in a folder", where);
}

static const char *note_text(const json_t *note, const char *key)
{
    return json_string_value(json_object_get(note, key));
}

void ttt_run_note_data(const json_t *note, const ttt_train_run_options *options, ttt_data_options *data)
{
    ttt_data_options_init(data);
    const char *tokenizer = options->tokenizer ? options->tokenizer : note_text(note, "tokenizer");
    const char *valid = options->valid ? options->valid : note_text(note, "valid");
    data->texts = options->texts;
    data->text_count = options->text_count;
    if (tokenizer) data->tokenizer = tokenizer;
    data->parse_special = options->parse_special || json_is_true(json_object_get(note, "parse_special"));
    data->binary = options->binary;
    data->warn = options->warn;
    data->warn_context = options->context_of_hooks;
    if (!valid) return;
    if (ttt_number_parse(valid, &data->valid_fraction)) return;
    data->valid_fraction = 0;
    data->valid_text = valid;
}

/* ---- agreement ---- */

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
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_keys[i].offset != offsetof(ttt_config, model_type)) /* a name for the same */
            TTT_TRY(agree_key(&ttt_keys[i], run, &config));
    return TTT_OK;
}

static ttt_status agree_options(const ttt_train_run_options *options, const ttt_train_options *run)
{
    if (options->context) TTT_TRY(agree_integer("context", run->context, options->context));
    if (options->batch) TTT_TRY(agree_integer("batch", run->batch * run->context, options->batch));
    if (options->accumulate) TTT_TRY(agree_integer("accumulate", run->accumulate, options->accumulate));
    if (options->segment >= 0) TTT_TRY(agree_integer("segment", run->segment, options->segment));
    if (options->steps) TTT_TRY(agree_integer("steps", run->steps, options->steps));
    if (options->rate >= 0) TTT_TRY(agree_real("lr", run->rate, options->rate));
    if (options->seed >= 0) TTT_TRY(agree_integer("seed", (int64_t)run->seed, options->seed));
    if (options->schedule) TTT_TRY(agree_text("schedule", ttt_schedule_names[run->schedule], options->schedule));
    return TTT_OK;
}

ttt_status ttt_run_plan_agree(const ttt_train_run_options *options, const ttt_config *config,
                              const ttt_train_options *train, const json_t *note)
{
    TTT_TRY(ttt_run_plan_check(options));
    if (options->init_from) TTT_TRY(agree_text("init-from", note_text(note, "init_from"), options->init_from));
    TTT_TRY(agree_config(options, config));
    TTT_TRY(agree_options(options, train));
    if (options->epochs > 0)
        TTT_TRY(agree_real("epochs", json_real_value(json_object_get(note, "epochs")), options->epochs));
    if (options->minutes > 0)
        TTT_TRY(agree_real("minutes", json_real_value(json_object_get(note, "minutes")), options->minutes));
    if (options->text_count) return TTT_OK; /* the texts are compared together with their options */
    if (options->tokenizer) TTT_TRY(agree_text("tokenizer", note_text(note, "tokenizer"), options->tokenizer));
    if (options->valid) TTT_TRY(agree_text("valid", note_text(note, "valid"), options->valid));
    if (options->parse_special && !json_is_true(json_object_get(note, "parse_special")))
        return contradict("parse-special", "false", "true");
    return TTT_OK;
}
