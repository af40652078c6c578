/* SPDX-License-Identifier: MIT
 *
 * The note of a run: made, read, and asked for what the data were made with.
 */
#include "train/run_note.h"

#include "base/error.h"
#include "base/number.h"
#include "train/run_data.h"

static json_t *text_or_null(const char *text)
{
    if (!text) return json_null();
    json_t *string = json_string(text);
    return string ? string : json_string("(a name that is not UTF-8)");
}

static json_t *number_or_null(double number) { return number > 0 ? json_real(number) : json_null(); }

json_t *ttt_run_note_new(const ttt_train_run_options *options)
{
    ttt_data_options data;
    char fraction[32];
    ttt_data_options_init(&data);
    ttt_print(fraction, sizeof fraction, "%g", data.valid_fraction);
    data.texts = options->texts;
    data.text_count = options->text_count;
    const bool given = ttt_run_data_is_given(&data),
               counted = options->steps > 0 || options->minutes > 0 || options->match_flops;
    const char *tokenizer = options->tokenizer   ? options->tokenizer
                            : options->init_from ? options->init_from
                                                 : data.tokenizer;
    const char *valid = options->valid ? options->valid : fraction;
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

const char *ttt_run_note_text(const json_t *note, const char *key)
{
    return json_string_value(json_object_get(note, key));
}

void ttt_run_note_data(const json_t *note, const ttt_train_run_options *options, ttt_data_options *data)
{
    ttt_data_options_init(data);
    const char *tokenizer = options->tokenizer ? options->tokenizer : ttt_run_note_text(note, "tokenizer");
    const char *valid = options->valid ? options->valid : ttt_run_note_text(note, "valid");
    data->texts = options->texts;
    data->text_count = options->text_count;
    if (tokenizer) data->tokenizer = tokenizer;
    data->parse_special = options->parse_special || json_is_true(json_object_get(note, "parse_special"));
    data->binary = options->binary;
    data->warn = options->warn;
    data->progress = options->progress;
    data->warn_context = options->context_of_hooks;
    if (!valid) return;
    if (ttt_number_parse(valid, &data->valid_fraction)) return;
    data->valid_fraction = 0;
    data->valid_text = valid;
}
