/* SPDX-License-Identifier: MIT
 *
 * What a run remembers of how it was begun, and the comparison with what is said when it goes on.
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

json_t *ttt_run_note_new(const ttt_train_run_options *said)
{
    const ttt_data_options data = {.texts = said->texts, .text_count = said->text_count};
    const bool given = ttt_run_data_is_given(&data), counted = said->steps > 0 || said->minutes > 0;
    const char *tokenizer = said->tokenizer ? said->tokenizer : said->init_from ? said->init_from : "bpe:4096";
    const char *valid = said->valid ? said->valid : "0.05";
    json_t *note = json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:I, s:I, s:i, s:b}", "tokenizer",
                             text_or_null(given ? NULL : tokenizer), "valid", text_or_null(given ? NULL : valid),
                             "parse_special", (int)said->parse_special, "init_from", text_or_null(said->init_from),
                             "epochs",
                             number_or_null(counted            ? 0
                                            : said->epochs > 0 ? said->epochs
                                                               : 1),
                             "minutes", number_or_null(said->minutes), "save_every", (json_int_t)said->save_every,
                             "eval_every", (json_int_t)said->eval_every, "lines", 0, "finished", 0);
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

void ttt_run_note_data(const json_t *note, const ttt_train_run_options *said, ttt_data_options *data)
{
    ttt_data_options_init(data);
    const char *tokenizer = said->tokenizer ? said->tokenizer : note_text(note, "tokenizer");
    const char *valid = said->valid ? said->valid : note_text(note, "valid");
    data->texts = said->texts;
    data->text_count = said->text_count;
    if (tokenizer) data->tokenizer = tokenizer;
    data->parse_special = said->parse_special || json_is_true(json_object_get(note, "parse_special"));
    data->binary = said->binary;
    data->warn = said->warn;
    data->warn_context = said->context_of_hooks;
    if (!valid) return;
    if (ttt_number_parse(valid, &data->valid_fraction)) return;
    data->valid_fraction = 0;
    data->valid_text = valid;
}

/* ---- agreement ---- */

static ttt_status contradict(const char *what, const char *run, const char *said)
{
    return ttt_fail(
        TTT_ERR_ARGUMENT,
        "%s is %s, but the run in this folder was begun with %s: leave it out to go on, give another folder, "
        "or --force to begin anew",
        what, said, run);
}

static ttt_status agree_integer(const char *what, int64_t run, int64_t said)
{
    if (run == said) return TTT_OK;
    char a[32], b[32];
    snprintf(a, sizeof a, "%lld", (long long)run);
    snprintf(b, sizeof b, "%lld", (long long)said);
    return contradict(what, a, b);
}

static ttt_status agree_real(const char *what, double run, double said)
{
    if (run == said) return TTT_OK;
    char a[32] = "another measure", b[32];
    if (run > 0) ttt_print(a, sizeof a, "%.9g", run);
    ttt_print(b, sizeof b, "%.9g", said);
    return contradict(what, a, b);
}

static ttt_status agree_text(const char *what, const char *run, const char *said)
{
    if (run && strcmp(run, said) == 0) return TTT_OK;
    return contradict(what, run ? run : "none", said);
}

static ttt_status agree_key(const ttt_key *key, const ttt_config *run, const ttt_config *said)
{
    if (key->kind->equal(key, run, said)) return TTT_OK;
    ttt_buffer a = {0}, b = {0};
    ttt_status status = key->kind->print(key, run, &a);
    if (status == TTT_OK) status = key->kind->print(key, said, &b);
    if (status == TTT_OK) status = contradict(key->name, a.data, b.data);
    ttt_buffer_deinit(&a);
    ttt_buffer_deinit(&b);
    return status;
}

static ttt_status agree_config(const ttt_train_run_options *said, const ttt_config *run)
{
    ttt_config config = *run;
    TTT_TRY(ttt_run_plan_config(said, &config));
    for (int i = 0; i < TTT_KEY_COUNT; i++)
        if (ttt_keys[i].offset != offsetof(ttt_config, model_type)) /* a name for the same */
            TTT_TRY(agree_key(&ttt_keys[i], run, &config));
    return TTT_OK;
}

static ttt_status agree_options(const ttt_train_run_options *said, const ttt_train_options *run)
{
    if (said->context) TTT_TRY(agree_integer("context", run->context, said->context));
    if (said->batch) TTT_TRY(agree_integer("batch", run->batch * run->context, said->batch));
    if (said->accumulate) TTT_TRY(agree_integer("accumulate", run->accumulate, said->accumulate));
    if (said->segment >= 0) TTT_TRY(agree_integer("segment", run->segment, said->segment));
    if (said->steps) TTT_TRY(agree_integer("steps", run->steps, said->steps));
    if (said->rate >= 0) TTT_TRY(agree_real("lr", run->rate, said->rate));
    if (said->seed >= 0) TTT_TRY(agree_integer("seed", (int64_t)run->seed, said->seed));
    if (said->schedule) TTT_TRY(agree_text("schedule", ttt_schedule_names[run->schedule], said->schedule));
    return TTT_OK;
}

ttt_status ttt_run_plan_agree(const ttt_train_run_options *said, const ttt_config *config,
                              const ttt_train_options *train, const json_t *note)
{
    TTT_TRY(ttt_run_plan_check(said));
    if (said->init_from) TTT_TRY(agree_text("init-from", note_text(note, "init_from"), said->init_from));
    TTT_TRY(agree_config(said, config));
    TTT_TRY(agree_options(said, train));
    if (said->epochs > 0) TTT_TRY(agree_real("epochs", json_real_value(json_object_get(note, "epochs")), said->epochs));
    if (said->minutes > 0)
        TTT_TRY(agree_real("minutes", json_real_value(json_object_get(note, "minutes")), said->minutes));
    if (said->text_count) return TTT_OK; /* the texts are compared together with what is said of them */
    if (said->tokenizer) TTT_TRY(agree_text("tokenizer", note_text(note, "tokenizer"), said->tokenizer));
    if (said->valid) TTT_TRY(agree_text("valid", note_text(note, "valid"), said->valid));
    if (said->parse_special && !json_is_true(json_object_get(note, "parse_special")))
        return contradict("parse-special", "false", "true");
    return TTT_OK;
}
