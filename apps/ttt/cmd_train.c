/* SPDX-License-Identifier: MIT
 *
 * ttt train [TEXT...] -o MODEL: a training run in a folder. The run is the library's (ttt/run.h); here are the options,
 * the progress on stderr, and signals.
 */
#include "cmd_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "progress.h"
#include "ranks.h"
#include "usage.h"

enum {
    KEY_CONFIG = 256,
    KEY_SET,
    KEY_LAYER,
    KEY_LAYERS,
    KEY_BACKBONE,
    KEY_CONTEXT,
    KEY_BATCH,
    KEY_ACCUMULATE,
    KEY_LEAVES,
    KEY_SEGMENT,
    KEY_STEPS,
    KEY_EPOCHS,
    KEY_MINUTES,
    KEY_RATE,
    KEY_SCHEDULE,
    KEY_VALID,
    KEY_SEED,
    KEY_INIT,
    KEY_SAVE,
    KEY_EVAL,
    KEY_FORCE,
    KEY_DRY,
    KEY_PROFILE,
    KEY_RECOMPUTE,
    KEY_SPECIAL,
    KEY_BINARY,
    KEY_MATCH
};

enum { GROUP_MODEL = 1, GROUP_TEXT, GROUP_LENGTH, GROUP_RUN };

static const struct argp_option list[] = {
    {"output", 'o', "MODEL", 0, "the model folder to make, or to go on with", 0},
    {"config", KEY_CONFIG, "NAME|FILE", 0, "CONFIGS, or a config.json (default tiny)", 0},
    {"tokenizer", 't', "byte|bpe[:N]|FILE", 0,
     "bytes, a BPE of N ids trained on the text, or a file (default bpe: 512 to 4096 by the length of the text)", 0},
    {"minutes", KEY_MINUTES, "M", 0, "as many updates as fit, at least one", 0},
    {"steps", KEY_STEPS, "N", 0, "updates", 0},
    {NULL, 0, NULL, 0, "Model:", GROUP_MODEL},
    {"set", KEY_SET, "KEY=VALUE", 0, "set a key of config.json; may be repeated", GROUP_MODEL},
    {"layer", KEY_LAYER, "NAME", 0,
     "every block's: ttt_linear (default), ttt_mlp, attention, mamba, linear_attention, delta_net or "
     "gated_deltanet",
     GROUP_MODEL},
    {"layers", KEY_LAYERS, "LIST", 0, "or block by block: N*LAYER,..., or N*PART+PART,... with the block's parts",
     GROUP_MODEL},
    {"backbone", KEY_BACKBONE, "NAME", 0, "mamba (default) or transformer", GROUP_MODEL},
    {"init-from", KEY_INIT, "MODEL", 0, "begin with this model's weights: fine-tuning", GROUP_MODEL},
    {NULL, 0, NULL, 0, "Text:", GROUP_TEXT},
    {"valid", KEY_VALID, "FRACTION|FILE", 0, "what is held out: the end of the text, or a text (default 0.05)",
     GROUP_TEXT},
    {"parse-special", KEY_SPECIAL, NULL, 0, "special tokens inside the texts become these tokens", GROUP_TEXT},
    {"binary", KEY_BINARY, NULL, 0, "take files that are no text too, byte for byte", GROUP_TEXT},
    {"context", KEY_CONTEXT, "T", 0, "tokens of a sequence (default by configuration)", GROUP_TEXT},
    {"batch", KEY_BATCH, "TOKENS", 0, "tokens of an update (default: the longer the run, the more)", GROUP_TEXT},
    {"accumulate", KEY_ACCUMULATE, "N", 0, "passes an update is made of", GROUP_TEXT},
    {"leaves", KEY_LEAVES, "N", 0, "parts of an update whose gradients are added pairwise, a power of two (default 1)",
     GROUP_TEXT},
    {"segment", KEY_SEGMENT, "N", 0, "go through sequences in segments of N tokens: less memory", GROUP_TEXT},
    {"recompute", KEY_RECOMPUTE, NULL, 0, "compute layers again in the backward pass: less memory, same bits",
     GROUP_TEXT},
    {NULL, 0, NULL, 0, "Length (default: one epoch, or up to 5 of a short text) and rate:", GROUP_LENGTH},
    {"epochs", KEY_EPOCHS, "X", 0, "times that the text is gone through", GROUP_LENGTH},
    {"match-flops", KEY_MATCH, "MODEL", 0,
     "as many updates as take the FLOPs that MODEL was trained with; with --steps, the width that does", GROUP_LENGTH},
    {"lr", KEY_RATE, "RATE", 0, "peak learning rate (default by configuration and batch)", GROUP_LENGTH},
    {"schedule", KEY_SCHEDULE, "NAME", 0, "cosine (default), constant or linear", GROUP_LENGTH},
    {"seed", KEY_SEED, "N", 0, "of the first weights and the order of the text (default 0)", GROUP_LENGTH},
    {NULL, 0, NULL, 0, "Run:", GROUP_RUN},
    {"save-every", KEY_SAVE, "N", 0, "updates between checkpoints (default: after one minute, then every ten)",
     GROUP_RUN},
    {"eval-every", KEY_EVAL, "N", 0, "updates between evaluations (default: a tenth of the run)", GROUP_RUN},
    {"force", KEY_FORCE, NULL, 0, "begin anew, whatever the folder holds", GROUP_RUN},
    {"profile", KEY_PROFILE, NULL, 0, "at the end, say what each operation took", GROUP_RUN},
    {"dry-run", KEY_DRY, NULL, 0, "say parameters, memory, FLOPs and estimated time, and do nothing", GROUP_RUN},
    {0}};

typedef struct arguments {
    ttt_train_run_options run;
    ttt_model_options compute;
    const char **settings;
    bool dry;
} arguments;

static const double NO_LIMIT = INFINITY, LIMIT = 1e9;

static error_t parse_numbers(int key, const char *text, struct argp_state *state, ttt_train_run_options *run)
{
    switch (key) {
    case KEY_CONTEXT: run->context = ttt_app_tokens(state, "--context", text, 1, INT32_MAX); return 0;
    case KEY_BATCH: run->batch = ttt_app_tokens(state, "--batch", text, 1, INT64_MAX); return 0;
    case KEY_ACCUMULATE: run->accumulate = ttt_app_integer(state, "--accumulate", text, 1, INT32_MAX); return 0;
    case KEY_LEAVES: run->leaves = ttt_app_integer(state, "--leaves", text, 1, INT32_MAX); return 0;
    case KEY_SEGMENT: run->segment = ttt_app_tokens(state, "--segment", text, 0, INT32_MAX); return 0;
    case KEY_STEPS: run->steps = ttt_app_integer(state, "--steps", text, 1, INT32_MAX); return 0;
    case KEY_EPOCHS: run->epochs = ttt_app_number(state, "--epochs", text, 1e-9, LIMIT); return 0;
    case KEY_MINUTES: run->minutes = ttt_app_number(state, "--minutes", text, 1e-9, LIMIT); return 0;
    case KEY_RATE: run->rate = ttt_app_number(state, "--lr", text, 0, NO_LIMIT); return 0;
    case KEY_SEED: run->seed = ttt_app_integer(state, "--seed", text, 0, INT64_MAX); return 0;
    case KEY_SAVE: run->save_every = ttt_app_integer(state, "--save-every", text, 1, INT64_MAX); return 0;
    case KEY_EVAL: run->eval_every = ttt_app_integer(state, "--eval-every", text, 1, INT64_MAX); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static void check(const struct argp_state *state, const arguments *a)
{
    if ((a->run.steps != 0) + (a->run.epochs > 0) + (a->run.minutes > 0) > 1)
        ttt_app_usage(state, "--steps, --epochs and --minutes each say how long to train: give one of them");
    if (!a->run.folder && !a->dry) ttt_app_usage(state, "give the folder for the model: -o MODEL");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    arguments *a = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->compute; return 0;
    case 'o': a->run.folder = text; return 0;
    case 't': a->run.tokenizer = text; return 0;
    case KEY_CONFIG: a->run.config = text; return 0;
    case KEY_SET:
        if (!strchr(text, '=') || *text == '=') ttt_app_usage(state, "--set is \"%s\": give KEY=VALUE", text);
        a->settings[a->run.setting_count++] = text;
        return 0;
    case KEY_LAYER: a->run.layer = text; return 0;
    case KEY_LAYERS: a->run.layers = text; return 0;
    case KEY_BACKBONE: a->run.backbone = text; return 0;
    case KEY_INIT: a->run.init_from = text; return 0;
    case KEY_VALID: a->run.valid = text; return 0;
    case KEY_MATCH: a->run.match_flops = text; return 0;
    case KEY_SPECIAL: a->run.parse_special = true; return 0;
    case KEY_BINARY: a->run.binary = true; return 0;
    case KEY_SCHEDULE: a->run.schedule = text; return 0;
    case KEY_FORCE: a->run.force = true; return 0;
    case KEY_RECOMPUTE: a->run.recompute = true; return 0;
    case KEY_PROFILE: a->run.profile = true; return 0;
    case KEY_DRY: a->dry = true; return 0;
    case ARGP_KEY_ARGS:
        a->run.texts = (const char *const *)(state->argv + state->next);
        a->run.text_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END: check(state, a); return 0;
    default: return parse_numbers(key, text, state, &a->run);
    }
}

/* ---- the run ---- */

static bool stopped(void *context)
{
    (void)context;
    return ttt_app_signal() != 0;
}

static void tell_finished(const ttt_train_run *run, const char *folder)
{
    const ttt_train_options *options = ttt_trainer_options(ttt_train_run_trainer(run));
    fprintf(stderr, "%s: this run is finished, all %lld steps are taken; to train the model further: ", folder,
            (long long)options->steps);
    if (options->schedule == TTT_SCHEDULE_CONSTANT)
        fprintf(stderr, "ttt train -o %s --steps %lld\n", folder, 2 * (long long)options->steps);
    else
        fprintf(stderr, "ttt train TEXT -o NEW --init-from %s\n", folder);
}

static void introduce(const ttt_train_run *run, const arguments *a)
{
    const char *folder = a->run.folder;
    const ttt_trainer *trainer = ttt_train_run_trainer(run);
    const ttt_train_options *options = ttt_trainer_options(trainer);
    const ttt_data *data = ttt_train_run_data(run);
    const int64_t step = ttt_trainer_step_count(trainer), update = options->batch * options->context;
    fprintf(stderr, "%s: %.1f million parameters, vocabulary %lld, %s (%s)\n", folder,
            (double)ttt_config_parameters(ttt_trainer_config(trainer)) / 1e6,
            (long long)ttt_app_integer_of(ttt_trainer_config(trainer), "vocab_size"), ttt_trainer_backend(trainer),
            ttt_trainer_isa(trainer));
    fprintf(stderr, "%lld tokens to train on, %lld held out; updates of %lld tokens in sequences of %lld\n",
            (long long)ttt_data_tokens(data, TTT_SPLIT_TRAIN), (long long)ttt_data_tokens(data, TTT_SPLIT_VALID),
            (long long)update, (long long)options->context);
    if (ttt_train_run_ranks(run)) fprintf(stderr, "%s\n", ttt_train_run_ranks(run));
    if (step == 0) ttt_app_tell_precision(a->run.precision, options->precision);
    if (*ttt_train_run_choice(run)) fprintf(stderr, "%s\n", ttt_train_run_choice(run));
    if (step > 0) fprintf(stderr, "goes on from step %lld\n", (long long)step);
}

/* A mean over about the last fiftieth of the run, free of the first steps' bias. */
typedef struct smoothing {
    double sum, weight;
} smoothing;

static double smooth(smoothing *s, double loss, int64_t steps)
{
    const double keep = 1 - 1 / fmax(10, (double)steps / 50);
    s->sum = keep * s->sum + (1 - keep) * loss;
    s->weight = keep * s->weight + (1 - keep);
    return s->sum / s->weight;
}

/* `speaks`: this is the rank that tells of the run. */
static ttt_status train(ttt_train_run *run, ttt_progress *progress, bool speaks)
{
    smoothing smoothed = {0};
    ttt_status status = TTT_OK;
    ttt_progress_init(progress, stderr, ttt_trainer_step_count(ttt_train_run_trainer(run)));
    while (status == TTT_OK && !ttt_train_run_finished(run)) {
        ttt_train_report report;
        status = ttt_train_run_step(run, &report);
        if (report.updated && speaks)
            ttt_progress_show(progress,
                              (ttt_progress_figures){.step = report.step,
                                                     .steps = report.steps,
                                                     .loss = report.result.loss,
                                                     .smoothed = smooth(&smoothed, report.result.loss, report.steps),
                                                     .tokens_per_s = report.tokens_per_s});
        if (report.evaluated && speaks)
            ttt_progress_say(progress, "step %lld: held-out loss %.4f, %.4f bits per byte, over %lld tokens",
                             (long long)report.step, report.valid_loss, report.valid_bits_per_byte,
                             (long long)report.valid_tokens);
    }
    ttt_progress_end(progress, false);
    return status;
}

/* What ranks gave each other, and how much of it took no time since they computed meanwhile. */
static void tell_exchange(const arguments *a)
{
    const ttt_comm_use use = ttt_comm_used(a->run.comm);
    if (!a->run.comm || !a->run.profile || use.seconds <= 0) return;
    fprintf(stderr, "exchange: rank 0 sent %.3g MB in %.3g s, %.0f %% of them while it computed\n", use.bytes / 1e6,
            use.seconds, 100 * fmax(0, 1 - use.waited / use.seconds));
}

static void tell_end(const ttt_train_run *run, const char *folder, ttt_status status)
{
    if (status == TTT_ERR_INTERRUPTED)
        fprintf(stderr, "stopped and saved after step %lld; to go on: ttt train -o %s\n",
                (long long)ttt_train_run_checkpoint(run), folder);
    else if (status == TTT_OK)
        fprintf(stderr, "%s is trained; try: ttt generate -m %s\n", folder, folder);
    const ttt_profile profile = ttt_trainer_profile(ttt_train_run_trainer(run));
    ttt_train_print_profile(&profile);
}

static ttt_status run_and_tell(arguments *a, ttt_progress *progress)
{
    const char *folder = a->run.folder;
    const bool speaks = ttt_comm_rank(a->run.comm) == 0;
    ttt_train_run *run;
    ttt_status status = ttt_train_run_open(&run, &a->run);
    ttt_progress_end(progress, true);
    if (status != TTT_OK) return status;
    if (ttt_train_run_finished(run)) {
        if (speaks) tell_finished(run, folder);
        ttt_train_run_close(run);
        return TTT_OK;
    }
    ttt_app_catch_signals(a->run.comm ? NULL : "\nstopping after this update; again: at once\n", true);
    if (speaks) introduce(run, a);
    status = train(run, progress, speaks);
    if (speaks) tell_end(run, folder, status);
    if (speaks) tell_exchange(a);
    ttt_train_run_close(run);
    return status;
}

/* Under a launcher one of the ranks speaks. */
static int train_together(arguments *a)
{
    ttt_progress progress;
    ttt_status status = ttt_app_join(&a->run.comm);
    const bool speaks = ttt_comm_rank(a->run.comm) == 0;
    ttt_progress_init(&progress, stderr, 0);
    a->run.context_of_hooks = &progress;
    a->run.stopped = stopped;
    if (speaks) {
        a->run.warn = ttt_progress_warn;
        a->run.progress = ttt_progress_note;
        a->run.passed = ttt_progress_pass;
    }
    /* A launcher sends signals of its own, to each rank. */
    ttt_app_catch_signals(a->run.comm ? NULL : ttt_app_stopping, false);
    if (status == TTT_OK) status = run_and_tell(a, &progress);
    a->run.context_of_hooks = NULL; /* no longer than progress */
    return ttt_app_leave(a->run.comm, status);
}

static int train_dry(arguments *a)
{
    int rank, ranks;
    ttt_comm_place(&rank, &ranks);
    a->run.warn = ttt_progress_warn;
    if (rank != 0) return 0;
    if (ranks > 1) printf("ranks             %d were started; the rest is what one process would take alone\n", ranks);
    return ttt_train_dry(&a->run);
}

int ttt_cmd_train(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ttt_app_compute_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = list,
        .parser = parse,
        .args_doc = "[TEXT...]",
        .help_filter = ttt_app_help,
        .doc = "Trains a language model on texts: files, folders, .jsonl (key \"text\"), .zst and .gz of these, - for "
               "standard "
               "input, or a folder made by ttt prepare. Run again with the same -o, it goes on where it was."
               "\vExamples:\n"
               "  ttt train book.txt -o model --minutes 30\n"
               "  ttt train notes/ more.jsonl.gz -o model --config small --epochs 2\n"
               "  ttt train book.txt -o tuned --init-from model --dry-run",
        .children = children,
    };
    arguments a = {.settings = calloc((size_t)argc, sizeof *a.settings)};
    if (!a.settings) return ttt_app_fail("out of memory");
    ttt_train_run_options_init(&a.run);
    ttt_app_parse(&argp, argc, argv, &a);
    a.run.settings = a.settings;
    a.run.backend = a.compute.backend;
    a.run.precision = a.compute.precision;
    a.run.threads = a.compute.threads;
    const int code = a.dry ? train_dry(&a) : train_together(&a);
    free(a.settings);
    return code;
}
