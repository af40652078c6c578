/* SPDX-License-Identifier: MIT
 *
 * A training run in a folder: what `ttt train` does, in a few lines of C. Texts become data, a trainer takes updates,
 * and at every moment the folder holds what is needed to go on, bit for bit, after the process was killed:
 *
 *   config.json, model.safetensors, tokenizer.json, generation_config.json   the model, as of the last checkpoint
 *   metrics.jsonl, loss.svg                                                  the course of the run
 *   checkpoint/data                                                          tokens, tokenizer, hashes of the inputs
 *   checkpoint/step-000000100.safetensors                                    the two newest checkpoints
 */
#ifndef TTT_RUN_H
#define TTT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/data.h>
#include <ttt/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Options of a run. Unset is NULL, 0, or -1 where 0 is a value. A new run then takes the default, a run that goes on
 * what it began with; what is set must agree with that. Strings need only live until
 * ttt_train_run_open returns. */
typedef struct ttt_train_run_options {
    const char *folder;
    const char *const *texts; /* as in ttt_data_options, or one data folder; a run that goes on needs none */
    size_t text_count;
    const char *config;          /* name of a standard configuration, or a config.json; default "tiny" */
    const char *const *settings; /* "KEY=VALUE" of config.json, applied last, in this order */
    size_t setting_count;
    const char *layer;     /* every block's: "ttt_linear" or "ttt_mlp" */
    const char *layers;    /* or one by one, "4*ttt_linear,ttt_mlp": what ttt_config_set takes for "layers" */
    const char *backbone;  /* "mamba", or "transformer": no gate, separate q and k, no pre_conv */
    const char *init_from; /* model folder whose configuration, weights and tokenizer the run begins with */

    const char *tokenizer;      /* as in ttt_data_options */
    const char *valid;          /* a number: the fraction held out; else an input; default "0.05" */
    bool parse_special, binary; /* as in ttt_data_options */

    int64_t context;    /* tokens of a sequence; default by configuration */
    int64_t batch;      /* tokens of an update, a multiple of context times accumulate; default by configuration where
                       steps are given, else ttt_train_run_fit's */
    int64_t accumulate; /* default: as few as keep a pass small */
    int64_t leaves;     /* as in ttt_train_options; default 1 */
    int64_t segment;    /* 0: whole sequences; -1: unset */
    int64_t steps;      /* at most one of steps, epochs and minutes; default: ttt_train_run_fit. A run that goes on
                           may be given more steps if its rate is constant */
    double epochs;
    double minutes; /* the first updates are measured (20, or more within a tenth of the time), then the number of
                       steps is fixed; it becomes less where time runs out before it, and is never less than 1 */
    const char
        *match_flops;     /* a model folder: as many updates as take the FLOPs that it was trained with; or with steps,
                             the width that does: heads of the same size, intermediate_size takes up the rest */
    double rate;          /* peak; -1: unset; default by configuration, a tenth of it with init_from */
    const char *schedule; /* "cosine", "constant" or "linear" */
    int64_t seed;         /* -1: unset; default 0 */

    int64_t save_every; /* updates between checkpoints; default: those of ten minutes, the first after one. May change
                           on the way */
    int64_t eval_every; /* default: a tenth of the run. May change on the way */

    const char *backend, *precision; /* as in ttt_train_options; may change, with a warning. A run goes on in the
                                        precision it has, if none is set */
    int threads;
    bool recompute, profile; /* as in ttt_train_options */
    bool force;              /* begins anew whatever the folder holds; files that are not a run's stay */

    ttt_comm *comm; /* as in ttt_train_options: every rank opens the run and takes its steps with the same options. Only
                       rank 0 needs the folder to be its own and writes; the others read checkpoint/data in it or, where
                       they do not see it, the data folder that `texts` names */

    /* Asked between updates: true ends the run's present part with a checkpoint and TTT_ERR_INTERRUPTED. */
    bool (*stopped)(void *context);
    void (*warn)(void *context, const char *sentence); /* what the user should know but is no failure */
    ttt_status (*progress)(void *context, double part, const char *doing);    /* of preparing: as in ttt_data_options */
    void (*passed)(void *context, int64_t step, int64_t done, int64_t total); /* passes of update `step` (from 1) */
    void *context_of_hooks;
} ttt_train_run_options;

/* All unset. Call it first: the structure may grow with the library's version. */
TTT_API void ttt_train_run_options_init(ttt_train_run_options *options);

/* What a new run with these options would be, as far as it can be said without its texts: vocab_size is that of
 * "byte", "bpe:N" or a file, and the most that "bpe" may have; train->steps is 0 unless set. Touches no file. */
TTT_API TTT_NODISCARD ttt_status ttt_train_run_plan(const ttt_train_run_options *options, ttt_config *config,
                                                    ttt_train_options *train);

/* Fits a plan to its texts: `tokens` to train on and, where the options give minutes, the speed of ttt_train_speed. Of
 * `train` it sets the steps (for minutes, about as many as fit) and, where the options say neither batch nor steps nor
 * match_flops, batch, accumulate and the rate, unless that is said: the fewer tokens the run will read the smaller its
 * updates, at most the configuration's, for such runs come to the lowest loss. If nothing says how long, a run is an
 * epoch, or as many as are a million tokens, but not more than 5. */
TTT_API TTT_NODISCARD ttt_status ttt_train_run_fit(const ttt_train_run_options *options, const ttt_config *config,
                                                   int64_t tokens, double tokens_per_s, ttt_train_options *train);

typedef struct ttt_train_run ttt_train_run;

/* Begins a run, or goes on with the one in the folder from its newest sound checkpoint. TTT_ERR_ARGUMENT says which
 * option contradicts the run, which input changed, or that the folder holds something else. Close with
 * ttt_train_run_close. */
TTT_API TTT_NODISCARD ttt_status ttt_train_run_open(ttt_train_run **run, const ttt_train_run_options *options);
TTT_API void ttt_train_run_close(ttt_train_run *run); /* NULL is allowed; saves nothing */

/* All updates taken, the held-out part evaluated, everything written. */
TTT_API bool ttt_train_run_finished(const ttt_train_run *run);
TTT_API const ttt_trainer *ttt_train_run_trainer(const ttt_train_run *run);
TTT_API const ttt_data *ttt_train_run_data(const ttt_train_run *run);
/* Of a run shared by ranks: who they are, with their hosts, threads and processors, as one line; else NULL. */
TTT_API const char *ttt_train_run_ranks(const ttt_train_run *run);
TTT_API const char *ttt_train_run_choice(const ttt_train_run *run); /* by ttt_train_run_fit, as a sentence, or "" */
TTT_API int64_t ttt_train_run_checkpoint(const ttt_train_run *run); /* the step last saved; -1: none yet */

/* What one call of ttt_train_run_step did. */
typedef struct ttt_train_report {
    int64_t step, steps; /* updates taken, of the whole run */
    bool updated;        /* an update was taken, and these are its figures: */
    ttt_train_result result;
    double tokens_per_s;
    bool evaluated; /* the held-out part was evaluated: */
    double valid_loss, valid_bits_per_byte;
    int64_t valid_tokens; /* scored; all of the part at the end of the run, evenly spread windows of it before */
} ttt_train_report;

/* One update, with the evaluation and the checkpoint that are due after it; after the last update, the evaluation of
 * the whole held-out part. After a failure the checkpoint of ttt_train_run_checkpoint is what there is to go on from.
 */
TTT_API TTT_NODISCARD ttt_status ttt_train_run_step(ttt_train_run *run, ttt_train_report *report);

#ifdef __cplusplus
}
#endif
#endif
