/* SPDX-License-Identifier: MIT
 *
 * A run: one step of it on one screen, and what it writes.
 */
#include "train/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/plot.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"
#include "train/run_folder.h"
#include "train/run_ranks.h"
#include "train/trainer.h"

enum {
    EVALUATIONS = 10,    /* of a run, unless eval_every says otherwise */
    EVALUATION_SIZE = 8, /* updates' worth of windows of an evaluation before the last, or */
    WINDOWS = 64,        /* so many if that is more */
    SAVE_SECONDS = 600,  /* between checkpoints, unless save_every says otherwise */
    FIRST_SECONDS = 60,  /* before the first one, if the number of steps is fixed by then */
    LEAST_MEASURED = 20, /* updates, for `minutes` */
    SENTENCE = 1024
};
static const double EVALUATION_SHARE = 0.1; /* of the time of training that evaluations on the way may take */
static const double MEASURED_SHARE = 0.1;   /* of `minutes` in which updates are measured, LEAST_MEASURED at least */

void ttt_run_warn(const ttt_train_run *run, const char *sentence)
{
    if (run->options.warn) run->options.warn(run->options.context_of_hooks, sentence);
}

static bool stopped(const ttt_train_run *run)
{
    return run->options.stopped && run->options.stopped(run->options.context_of_hooks);
}

bool ttt_train_run_finished(const ttt_train_run *run) { return json_is_true(json_object_get(run->note, "finished")); }
const ttt_trainer *ttt_train_run_trainer(const ttt_train_run *run) { return run->trainer; }
const ttt_data *ttt_train_run_data(const ttt_train_run *run) { return run->data; }
const char *ttt_train_run_choice(const ttt_train_run *run) { return run->choice; }
int64_t ttt_train_run_checkpoint(const ttt_train_run *run) { return run->saved; }

/* ---- writing ---- */

static ttt_status save_checkpoint(ttt_train_run *run)
{
    const int64_t step = ttt_trainer_step_count(run->trainer);
    if (json_object_set_new(run->note, "lines", json_integer(ttt_metrics_lines(run->metrics))) != 0)
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot save step %lld", (long long)step);
    char *path = ttt_run_checkpoint_path(run->folder, step);
    char *note = json_dumps(run->note, JSON_COMPACT | JSON_REAL_PRECISION(17));
    ttt_status status = path ? TTT_OK : TTT_ERR_MEMORY;
    if (!note) status = ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot write %s", run->folder);
    if (status == TTT_OK) status = ttt_metrics_sync(run->metrics);
    if (status == TTT_OK) status = ttt_trainer_write(run->trainer, path, note);
    ttt_free(path);
    free(note);
    return status;
}

/* FOLDER/generation_config.json. Tokens of -1 are left out. */
static ttt_status save_generation(const char *folder, int64_t bos, int64_t eos)
{
    json_t *object = json_pack("{s:b, s:f, s:f, s:i}", "do_sample", 1, "temperature", 0.8, "top_p", 0.95,
                               "max_new_tokens", 256);
    bool ok = object != NULL;
    if (bos >= 0) ok = ok && json_object_set_new(object, "bos_token_id", json_integer(bos)) == 0;
    if (eos >= 0) ok = ok && json_object_set_new(object, "eos_token_id", json_integer(eos)) == 0;
    if (!ok) json_decref(object);
    return ttt_json_write(folder, "generation_config.json", ok ? object : NULL,
                          JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
}

ttt_status ttt_run_save_model(ttt_train_run *run)
{
    TTT_TRY(ttt_trainer_save_model(run->trainer, run->folder));
    if (run->complete) return TTT_OK;
    const ttt_config *config = ttt_trainer_config(run->trainer);
    TTT_TRY(ttt_tokenizer_save(ttt_data_tokenizer(run->data), run->folder));
    TTT_TRY(save_generation(run->folder, config->bos_token_id, config->eos_token_id));
    run->complete = true;
    return TTT_OK;
}

/* All ranks bring what rank 0 writes; that a checkpoint is there is true on all or on none. */
static ttt_status save(ttt_train_run *run)
{
    ttt_comm *comm = run->options.comm;
    const bool leads = ttt_run_leads(run);
    run->measuring = false; /* the number of steps that a checkpoint holds is fixed */
    TTT_TRY(ttt_shares_collect(&run->trainer->shares));
    TTT_TRY(ttt_comm_agree(comm, leads ? save_checkpoint(run) : TTT_OK));
    run->saved = ttt_trainer_step_count(run->trainer);
    TTT_TRY(ttt_comm_agree(comm, leads ? ttt_run_save_model(run) : TTT_OK));
    if (leads) ttt_run_folder_prune(run->folder);
    run->saved_at = ttt_clock();
    return TTT_OK;
}

ttt_status ttt_run_plot(const ttt_train_run *run)
{
    char *metrics = ttt_path_join(run->folder, "metrics.jsonl"), *chart = ttt_path_join(run->folder, "loss.svg");
    const ttt_status status = metrics && chart ? ttt_plot_training(metrics, chart) : TTT_ERR_MEMORY;
    ttt_free(metrics);
    ttt_free(chart);
    return status;
}

/* A failure while training tells what there is to go on from. */
static ttt_status fail_safe(const ttt_train_run *run, ttt_status status)
{
    if (status == TTT_OK || status == TTT_ERR_INTERRUPTED) return status;
    char sentence[SENTENCE];
    snprintf(sentence, sizeof sentence, "%s", ttt_error_detail());
    if (run->saved < 0) return ttt_fail(status, "%s; there is no checkpoint yet", sentence);
    return ttt_fail(status, "%s; the checkpoint of step %lld is untouched%s", sentence, (long long)run->saved,
                    status == TTT_ERR_NUMERIC ? "" : ": the same command goes on from there");
}

/* ---- evaluation ---- */

static int64_t eval_every(const ttt_train_run *run)
{
    const int64_t asked = json_integer_value(json_object_get(run->note, "eval_every"));
    const int64_t steps = ttt_trainer_options(run->trainer)->steps;
    return asked > 0 ? asked : (steps + EVALUATIONS - 1) / EVALUATIONS;
}

/* What an evaluation before the last may take, in updates' worth of windows. */
static double evaluation_size(const ttt_train_run *run)
{
    return fmax(EVALUATION_SIZE, (double)WINDOWS / (double)ttt_trainer_options(run->trainer)->batch);
}

/* Windows of an evaluation before the last: a tenth of the time of the updates since the one before, or less. Going
 * forward over a window takes a third of the time of training on it. */
static int64_t windows_on_the_way(const ttt_train_run *run)
{
    const double batch = (double)ttt_trainer_options(run->trainer)->batch;
    const double affordable = EVALUATION_SHARE * 3 * batch * (double)eval_every(run);
    const double windows = fmin(fmax(affordable, batch), evaluation_size(run) * batch);
    return windows < (double)run->windows ? (int64_t)windows : run->windows;
}

/* The mean loss of the windows of one pass, number `pass` of those of an evaluation, times their share of it. Window i
 * is tokens iT to iT + T, so that every token but the first is predicted once. */
static ttt_status evaluate_pass(ttt_train_run *run, int64_t windows, int64_t pass, double *loss)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const int64_t T = train->context, each = train->batch / train->accumulate, first = pass * each;
    const int64_t count = windows - first < each ? windows - first : each;
    for (int64_t n = 0; n < count; n++) {
        const int64_t window = (first + n) * run->windows / windows;
        TTT_TRY(ttt_data_read(run->data, TTT_SPLIT_VALID, window * T, T + 1, run->tokens + n * (T + 1)));
    }
    double mean;
    TTT_TRY(ttt_trainer_evaluate(run->trainer, run->tokens, count, &mean, NULL));
    *loss = mean * (double)count / (double)windows;
    return TTT_OK;
}

/* Each rank takes the next pass, until there are no more; losses [passes] are everybody's in the end. */
static ttt_status evaluate_passes(ttt_train_run *run, int64_t windows, bool may_stop, int64_t passes, double *losses)
{
    const int rank = ttt_comm_rank(run->options.comm), ranks = ttt_comm_size(run->options.comm);
    for (int64_t first = 0; first < passes; first += ranks) {
        ttt_run_vote vote = {.stop = may_stop && stopped(run)};
        if (may_stop) TTT_TRY(ttt_run_decide(run, TTT_OK, &vote));
        if (vote.stop)
            return ttt_comm_agreed_failure(run->options.comm,
                                           ttt_fail(TTT_ERR_INTERRUPTED, "stopped while evaluating"));
        if (first + rank < passes) TTT_TRY(evaluate_pass(run, windows, first + rank, &losses[first + rank]));
    }
    return ttt_comm_sum(run->options.comm, losses, (size_t)passes);
}

/* The mean loss over `windows` windows spread evenly over the held-out part. */
static ttt_status evaluate(ttt_train_run *run, int64_t windows, bool may_stop, double *loss)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const int64_t each = train->batch / train->accumulate, passes = (windows + each - 1) / each;
    double *losses = ttt_alloc((size_t)passes, sizeof *losses);
    if (!losses) return TTT_ERR_MEMORY;
    const ttt_status status = evaluate_passes(run, windows, may_stop, passes, losses);
    *loss = 0;
    for (int64_t i = 0; i < passes; i++) *loss += losses[i];
    ttt_free(losses);
    return status;
}

static ttt_status write_evaluation(ttt_train_run *run, const ttt_train_report *report)
{
    const ttt_metric line[] = {{"step", (double)ttt_trainer_step_count(run->trainer)},
                               {"valid_loss", report->valid_loss},
                               {"valid_bits_per_byte", report->valid_bits_per_byte},
                               {"valid_tokens", (double)report->valid_tokens}};
    if (!ttt_run_leads(run)) return TTT_OK;
    if (report->evaluated) TTT_TRY(ttt_metrics_write(run->metrics, line, sizeof line / sizeof *line));
    return ttt_run_plot(run);
}

static ttt_status evaluate_windows(ttt_train_run *run, int64_t windows, bool may_stop, ttt_train_report *report)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const double tokens = (double)ttt_data_tokens(run->data, TTT_SPLIT_VALID);
    const double bytes = (double)ttt_data_bytes(run->data, TTT_SPLIT_VALID);
    if (windows == 0) return TTT_OK;
    TTT_TRY(evaluate(run, windows, may_stop, &report->valid_loss));
    report->evaluated = true;
    report->valid_bits_per_byte = report->valid_loss / 0.69314718055994530942 * tokens / bytes;
    report->valid_tokens = windows * train->context;
    return TTT_OK;
}

/* ---- one step ---- */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of `minutes` that are left for updates when one takes `seconds`: the last evaluation comes after them. */
static double seconds_left(const ttt_train_run *run, double seconds)
{
    const double last = (double)run->windows / (double)ttt_trainer_options(run->trainer)->batch / 3 * seconds;
    return run->options.minutes * 60 - (ttt_clock() - run->opened) - last;
}

/* For `minutes`: how many updates fit, beside the evaluations, given the seconds of the last one and those before it.
 * The median counts: the first update touches memory for the first time, and others share the machine. */
static void estimate_steps(ttt_train_run *run, double seconds)
{
    const int64_t step = ttt_trainer_step_count(run->trainer);
    run->measured[step - 1] = seconds;
    double sorted[TTT_RUN_MEASURED];
    memcpy(sorted, run->measured, (size_t)step * sizeof *sorted);
    qsort(sorted, (size_t)step, sizeof *sorted, by_value);
    const double median = sorted[step / 2], left = seconds_left(run, median) / median;
    const double more = fmax(left / (1 + EVALUATION_SHARE), left - EVALUATIONS * evaluation_size(run) / 3);
    const double steps = fmin((double)step + fmax(floor(more), 0), INT32_MAX);
    ttt_trainer_set_steps(run->trainer, (int64_t)steps);
    const double measured = (ttt_clock() - run->opened) / (run->options.minutes * 60);
    run->measuring = step < LEAST_MEASURED || (step < TTT_RUN_MEASURED && measured < MEASURED_SHARE);
}

/* The number of updates is that of `minutes` or, where the machine has become slower since it was measured, less. */
static void keep_minutes(ttt_train_run *run, double seconds)
{
    if (run->measuring)
        estimate_steps(run, seconds);
    else if (run->options.minutes > 0 && seconds_left(run, seconds) < 0)
        ttt_trainer_set_steps(run->trainer, ttt_trainer_step_count(run->trainer));
}

static ttt_status update(ttt_train_run *run, ttt_train_report *report)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const int64_t of_rank = train->batch / ttt_comm_size(train->comm);
    const int64_t first = ttt_trainer_step_count(run->trainer) * train->batch + ttt_comm_rank(train->comm) * of_rank;
    TTT_TRY(ttt_data_batch(run->data, TTT_SPLIT_TRAIN, train->context, of_rank, first, train->seed, run->tokens));
    const double start = ttt_clock();
    TTT_TRY(ttt_trainer_step(run->trainer, run->tokens, &report->result));
    report->updated = true;
    report->tokens_per_s = (double)(train->batch * train->context) / fmax(ttt_clock() - start, 1e-9);
    return TTT_OK;
}

static ttt_status write_update(ttt_train_run *run, const ttt_train_report *report)
{
    const ttt_train_options *train = ttt_trainer_options(run->trainer);
    const double tokens = (double)(train->batch * train->context), step = (double)ttt_trainer_step_count(run->trainer);
    const ttt_metric line[] = {{"step", step},
                               {"tokens", step * tokens},
                               {"loss", report->result.loss},
                               {"lr", report->result.rate},
                               {"grad_norm", report->result.grad_norm},
                               {"tokens_per_s", report->tokens_per_s}};
    if (!ttt_run_leads(run)) return TTT_OK;
    keep_minutes(run, tokens / report->tokens_per_s);
    return ttt_metrics_write(run->metrics, line, sizeof line / sizeof *line);
}

static bool save_is_due(const ttt_train_run *run, int64_t step)
{
    const int64_t every = json_integer_value(json_object_get(run->note, "save_every"));
    const int pause = run->saved < 0 && !run->measuring ? FIRST_SECONDS : SAVE_SECONDS;
    return every > 0 ? step % every == 0 : ttt_clock() - run->saved_at >= pause;
}

static ttt_status go_on(ttt_train_run *run, ttt_train_report *report)
{
    ttt_run_vote vote = {0};
    TTT_TRY(update(run, report));
    TTT_TRY(ttt_run_decide(run, write_update(run, report), &vote));
    const int64_t step = ttt_trainer_step_count(run->trainer);
    const bool last = step >= ttt_trainer_options(run->trainer)->steps;
    ttt_status status = TTT_OK;
    if (!last && !run->measuring && step % eval_every(run) == 0) {
        TTT_TRY(evaluate_windows(run, windows_on_the_way(run), false, report));
        status = write_evaluation(run, report);
    }
    vote = (ttt_run_vote){.stop = stopped(run), .due = save_is_due(run, step)};
    TTT_TRY(ttt_run_decide(run, status, &vote));
    /* The last update is saved before a long evaluation may be cut short; without one, finish() saves at once. */
    if (vote.stop || (last ? run->windows > 0 : vote.due)) TTT_TRY(save(run));
    if (!vote.stop) return TTT_OK;
    return ttt_comm_agreed_failure(run->options.comm,
                                   ttt_fail(TTT_ERR_INTERRUPTED, "stopped after step %lld", (long long)step));
}

/* After the last update: the whole held-out part, and the checkpoint that says that
 * nothing is left to do. */
static ttt_status finish(ttt_train_run *run, ttt_train_report *report)
{
    TTT_TRY(evaluate_windows(run, run->windows, true, report));
    TTT_TRY(ttt_comm_agree(run->options.comm, write_evaluation(run, report)));
    if (json_object_set_new(run->note, "finished", json_true()) != 0)
        return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot finish the run");
    return save(run);
}

ttt_status ttt_train_run_step(ttt_train_run *run, ttt_train_report *report)
{
    *report = (ttt_train_report){0};
    ttt_status status = TTT_OK;
    if (ttt_trainer_step_count(run->trainer) < ttt_trainer_options(run->trainer)->steps)
        status = go_on(run, report);
    else if (!ttt_train_run_finished(run))
        status = finish(run, report);
    report->step = ttt_trainer_step_count(run->trainer);
    report->steps = ttt_trainer_options(run->trainer)->steps;
    return fail_safe(run, status);
}
