/* SPDX-License-Identifier: MIT
 *
 * How a run begins, and how it goes on from its newest sound checkpoint.
 */
#include "train/run.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/system.h"
#include "config/config.h"
#include "train/run_agree.h"
#include "train/run_data.h"
#include "train/run_folder.h"
#include "train/run_note.h"
#include "train/run_plan.h"
#include "train/run_ranks.h"
#include "train/trainer.h"

enum { SENTENCE = 1024 };

/* ---- beginning ---- */

static ttt_status open_data(ttt_train_run *run, bool made)
{
    char *path = ttt_run_data_path(run->folder, made);
    const ttt_status status = path ? ttt_data_open(&run->data, path) : TTT_ERR_MEMORY;
    ttt_free(path);
    return status;
}

static ttt_status open_metrics(ttt_train_run *run, int64_t lines)
{
    char *path = ttt_path_join(run->folder, "metrics.jsonl");
    const ttt_status status = path ? ttt_metrics_open(&run->metrics, path, lines) : TTT_ERR_MEMORY;
    ttt_free(path);
    return status;
}

/* How long the run is; for `minutes` the first update finds a better number, as its rate is 0 whatever that is. */
static ttt_status fit(ttt_train_run *run, const ttt_config *config, ttt_train_options *train)
{
    int64_t sequences;
    double speed = 0;
    const int64_t usual = train->batch;
    TTT_TRY(ttt_data_sequences(run->data, TTT_SPLIT_TRAIN, train->context, &sequences));
    run->measuring = run->options.minutes > 0;
    if (run->measuring) TTT_TRY(ttt_train_speed(config, train, &speed));
    TTT_TRY(ttt_train_run_fit(&run->options, config, sequences * train->context, speed, train));
    ttt_run_choice_tell(run->choice, &run->options, train, train->batch < usual, sequences * train->context, speed);
    return TTT_OK;
}

static ttt_status make_trainer(ttt_train_run *run, ttt_buffer *text)
{
    const ttt_train_run_options *options = &run->options;
    ttt_config config;
    ttt_train_options train;
    char *base;
    TTT_TRY(ttt_run_plan_make(options, ttt_data_tokenizer(run->data), &config, &train, &base));
    const ttt_status status = base ? ttt_config_print(&config, base, "float32", text) : TTT_OK;
    ttt_free(base);
    TTT_TRY(status);
    TTT_TRY(fit(run, &config, &train));
    TTT_TRY(ttt_trainer_new(&run->trainer, &config, &train));
    return options->init_from ? ttt_trainer_load_model(run->trainer, options->init_from) : TTT_OK;
}

/* Whatever can be wrong is found before anything that the folder holds is removed. */
static ttt_status begin(ttt_train_run *run)
{
    ttt_config config;
    ttt_train_options train;
    ttt_data_options data;
    if (run->options.text_count == 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s holds no run to go on with, and no text is given to begin one with",
                        run->folder);
    TTT_TRY(ttt_train_run_plan(&run->options, &config, &train));
    run->note = ttt_run_note_new(&run->options);
    if (!run->note) return TTT_ERR_MEMORY;
    ttt_run_note_data(run->note, &run->options, &data);
    TTT_TRY(ttt_run_data_make(run->folder, &data));
    TTT_TRY(open_data(run, true));
    ttt_buffer text = {0};
    ttt_status status = make_trainer(run, &text);
    if (status == TTT_OK) status = ttt_run_folder_begin(run->folder);
    /* From a file: it is there at once, so that the keys it has beyond ours are kept. */
    if (status == TTT_OK && text.size) status = ttt_file_write_in(run->folder, "config.json", text.data, text.size);
    ttt_buffer_deinit(&text);
    TTT_TRY(status);
    return open_metrics(run, 0);
}

/* ---- going on ---- */

static ttt_status load(ttt_train_run *run, int64_t step)
{
    char *path = ttt_run_checkpoint_path(run->folder, step), *text = NULL;
    ttt_status status = path ? TTT_OK : TTT_ERR_MEMORY;
    const ttt_train_options how = {.backend = run->options.backend,
                                   .precision = run->options.precision,
                                   .threads = run->options.threads,
                                   .recompute = run->options.recompute,
                                   .profile = run->options.profile,
                                   .comm = run->options.comm};
    if (status == TTT_OK) status = ttt_trainer_load(&run->trainer, path, &how, &text);
    if (status == TTT_OK) status = ttt_run_note_parse(&run->note, text, path);
    ttt_string_free(text);
    ttt_free(path);
    if (status == TTT_OK) return TTT_OK;
    ttt_trainer_free(run->trainer);
    run->trainer = NULL;
    return status;
}

/* The newest checkpoint that is sound; of the others the user hears. */
static ttt_status load_newest(ttt_train_run *run, const ttt_checkpoints *checkpoints)
{
    ttt_status status = TTT_OK;
    for (int64_t i = 0; i < checkpoints->count; i++) {
        status = load(run, checkpoints->steps[i]);
        if (status == TTT_OK) run->saved = checkpoints->steps[i];
        if (status != TTT_ERR_FORMAT && status != TTT_ERR_NUMERIC) return status;
        if (i + 1 == checkpoints->count) break;
        char sentence[2 * SENTENCE];
        snprintf(sentence, sizeof sentence, "%s; going on from the checkpoint before it", ttt_error_detail());
        ttt_run_warn(run, sentence);
    }
    return status;
}

/* What a note says, or what runs that do not say it had. */
static const char *noted(const ttt_train_run *run, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(run->note, key));
    return text ? text : otherwise;
}

/* The bits of a run depend on what computes it, in which precision, and on the instruction set where that is AMX in
 * bf16. A checkpoint may say that a library multiplied: no version with oneDNN has these bits. */
static void compare_machine(ttt_train_run *run)
{
    const struct {
        const char *before, *now;
    } pairs[] = {{noted(run, "backend", "another backend"), ttt_trainer_backend(run->trainer)},
                 {noted(run, "isa", "unknown"), ttt_trainer_isa(run->trainer)},
                 {noted(run, "precision", "f32"), ttt_trainer_options(run->trainer)->precision},
                 {noted(run, "products", "own"), "own"}};
    bool same = strcmp(ttt_bits_of(pairs[1].before, pairs[2].now), ttt_bits_of(pairs[1].now, pairs[2].now)) == 0;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        same = same && (i == 1 || strcmp(pairs[i].before, pairs[i].now) == 0);
    if (same) return;
    char sentence[SENTENCE];
    snprintf(sentence, sizeof sentence,
             "the run was computed by %s (%s) in %s with %s products so far and goes on with %s (%s) in %s with %s "
             "products: the same bits as without an interruption are not promised",
             pairs[0].before, pairs[1].before, pairs[2].before, pairs[3].before, pairs[0].now, pairs[1].now,
             pairs[2].now, pairs[3].now);
    ttt_run_warn(run, sentence);
}

static ttt_status set_note(ttt_train_run *run, const char *key, json_t *value)
{
    if (json_object_set_new(run->note, key, value) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot describe the run");
}

/* More updates for a run whose rate is constant, be it finished or not; its warm-up stays as long as it was. */
static ttt_status lengthen(ttt_train_run *run)
{
    ttt_train_options *train = &run->trainer->options;
    if (run->options.steps <= train->steps) return TTT_OK;
    train->warmup = ttt_train_warmup_steps(train) / (double)run->options.steps;
    train->steps = run->options.steps;
    return set_note(run, "finished", json_false());
}

static ttt_status go_on(ttt_train_run *run, const ttt_checkpoints *checkpoints)
{
    const ttt_train_run_options *options = &run->options;
    TTT_TRY(load_newest(run, checkpoints));
    TTT_TRY(ttt_run_agree(options, ttt_trainer_config(run->trainer), ttt_trainer_options(run->trainer), run->note));
    TTT_TRY(lengthen(run));
    TTT_TRY(open_data(run, false));
    if (options->text_count > 0) {
        ttt_data_options data;
        ttt_run_note_data(run->note, options, &data);
        TTT_TRY(ttt_run_data_check(run->folder, run->data, &data));
    }
    compare_machine(run);
    TTT_TRY(open_metrics(run, json_integer_value(json_object_get(run->note, "lines"))));
    TTT_TRY(ttt_run_save_model(run));
    return ttt_run_plot(run);
}

/* ---- opening ---- */

/* Whether there is room for what will be written: while a checkpoint is, there are two before it, and the model beside
 * the one that it replaces; what is there already needs none. */
static ttt_status check_space(const ttt_train_run *run)
{
    if (ttt_train_run_finished(run)) return TTT_OK;
    const double elements = (double)run->trainer->lm.stack.params.elements;
    const double model = elements * sizeof(float), checkpoint = 3 * elements * (double)run->trainer->backend->real;
    const double needed = run->saved < 0 ? 3 * checkpoint + 2 * model : checkpoint + model;
    const double space = ttt_sys_space(run->folder);
    if (space >= needed) return TTT_OK;
    return ttt_fail(TTT_ERR_IO,
                    "%s: checkpoints and model need %.1f MB, but %.1f MB are free: make room, or give a "
                    "folder on another disk",
                    run->folder, needed / 1e6, space / 1e6);
}

/* What is as this process has it, whatever was before. */
static ttt_status update_note(ttt_train_run *run)
{
    if (run->options.save_every) TTT_TRY(set_note(run, "save_every", json_integer(run->options.save_every)));
    if (run->options.eval_every) TTT_TRY(set_note(run, "eval_every", json_integer(run->options.eval_every)));
    TTT_TRY(set_note(run, "backend", json_string(ttt_trainer_backend(run->trainer))));
    TTT_TRY(set_note(run, "products", json_string("own")));
    TTT_TRY(set_note(run, "precision", json_string(ttt_trainer_options(run->trainer)->precision)));
    return set_note(run, "isa", json_string(ttt_trainer_isa(run->trainer)));
}

/* For updates this rank's sequences, for evaluations those of a pass. */
static ttt_status alloc_tokens(ttt_train_run *run)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const int64_t update = train->batch / ttt_comm_size(train->comm), pass = train->batch / train->accumulate;
    run->tokens = ttt_alloc((size_t)(update > pass ? update : pass),
                            ((size_t)train->context + 1) * sizeof *run->tokens);
    return run->tokens ? TTT_OK : TTT_ERR_MEMORY;
}

static ttt_status prepare(ttt_train_run *run)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const int64_t held_out = ttt_data_tokens(run->data, TTT_SPLIT_VALID);
    run->windows = held_out > 0 ? (held_out - 1) / train->context : 0;
    if (run->windows == 0 && held_out > 0)
        ttt_run_warn(run, "the held-out part is shorter than one context: nothing will be evaluated");
    TTT_TRY(alloc_tokens(run));
    run->trainer->passed = run->options.passed;
    run->trainer->passed_context = run->options.context_of_hooks;
    run->saved_at = ttt_clock();
    if (!ttt_run_leads(run)) return TTT_OK;
    TTT_TRY(check_space(run));
    return update_note(run);
}

/* What rank 0, or a process that is alone, does with the folder. */
static ttt_status open_folder(ttt_train_run *run, bool *anew)
{
    ttt_checkpoints checkpoints;
    ttt_status status = ttt_run_folder_claim(run->folder, run->options.force, &run->lock, &checkpoints);
    *anew = status == TTT_OK && checkpoints.count == 0;
    if (status == TTT_OK) status = *anew ? begin(run) : go_on(run, &checkpoints);
    if (status == TTT_OK) status = prepare(run);
    ttt_free(checkpoints.steps);
    return status;
}

static ttt_status open_run(ttt_train_run *run)
{
    const bool leads = ttt_run_leads(run), created = leads && !ttt_file_exists(run->folder);
    bool anew = false;
    ttt_status status = ttt_run_join(run, leads ? open_folder(run, &anew) : TTT_OK);
    if (status == TTT_OK && run->options.comm)
        status = ttt_comm_agree(run->options.comm, leads ? TTT_OK : prepare(run));
    if (status != TTT_OK && anew) ttt_run_folder_abandon(run->folder, created);
    return status;
}

const char *ttt_train_run_ranks(const ttt_train_run *run) { return run->ranks; }

ttt_status ttt_train_run_open(ttt_train_run **out, const ttt_train_run_options *options)
{
    *out = NULL;
    if (!options->folder || !*options->folder) return ttt_fail(TTT_ERR_ARGUMENT, "no folder is given for the model");
    TTT_TRY(ttt_run_plan_check(options));
    ttt_train_run *run = ttt_alloc(1, sizeof *run);
    if (!run) return TTT_ERR_MEMORY;
    *run = (ttt_train_run){.options = *options, .lock = -1, .saved = -1, .opened = ttt_clock()};
    run->folder = ttt_strdup(options->folder);
    const ttt_status status = run->folder ? open_run(run) : TTT_ERR_MEMORY;
    if (status != TTT_OK) {
        ttt_train_run_close(run);
        return status;
    }
    *out = run;
    return TTT_OK;
}

void ttt_train_run_close(ttt_train_run *run)
{
    if (!run) return;
    ttt_metrics_close(run->metrics);
    ttt_trainer_free(run->trainer);
    ttt_data_close(run->data);
    json_decref(run->note);
    ttt_free(run->tokens);
    ttt_free(run->ranks);
    ttt_run_folder_release(run->folder, run->lock);
    ttt_free(run->folder);
    ttt_free(run);
}
