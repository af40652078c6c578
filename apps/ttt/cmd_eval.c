/* SPDX-License-Identifier: MIT
 *
 * ttt eval: how well a model predicts a text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/data.h>
#include <ttt/eval.h>
#include <ttt/state.h>

#include "common.h"
#include "eval_choices.h"
#include "eval_report.h"
#include "progress.h"
#include "ranks.h"
#include "usage.h"

enum {
    KEY_STRIDE = 0x100,
    KEY_FROZEN,
    KEY_COMPARE,
    KEY_INNER,
    KEY_JSON,
    KEY_CSV,
    KEY_PLOT,
    KEY_NO_BOS,
    KEY_PARSE_SPECIAL,
    KEY_BINARY,
    KEY_POSITIONS,
    KEY_CHOICES,
    KEY_STATE,
    CONTEXTS = 32
};

typedef struct options {
    const char *model, *csv, *plot, *choices, *state;
    const char **texts;
    size_t text_count;
    int64_t contexts[CONTEXTS], context_count;
    ttt_eval_options eval;
    bool json, positions, no_bos, parse_special, binary;
    ttt_model_options compute;
    ttt_progress progress;
    bool speaks; /* this process is alone, or the rank that says what there is to say */
} options;

static const struct argp_option option_list[] = {
    {"model", 'm', "MODEL", 0, "model folder", 0},
    {"context", 'c', "N[,N...]", 0,
     "windows of N tokens, each from a fresh state; several are evaluated in turn; all: the whole text as one. "
     "Default: "
     "what the model was trained with",
     0},
    {"compare", KEY_COMPARE, NULL, 0, "adapting, frozen, and the difference token by token", 0},
    {"positions", KEY_POSITIONS, NULL, 0, "the loss by position as a table", 0},
    {"choices", KEY_CHOICES, "FILE.jsonl", 0,
     "instead of a text, questions with several answers: how many the model answers right. A line is {\"question\": "
     "TEXT, \"choices\": [TEXT, ...], \"answer\": number of the right one, from 0, or its text}",
     0},
    {"state", KEY_STATE, "FILE", 0, "each window, or question, goes on from this state; without beginning-of-text", 0},
    {"plot", KEY_PLOT, "FILE.svg", 0, "the loss by position; with --inner also FILE-inner.svg", 0},
    {"stride", KEY_STRIDE, "S", 0, "windows advance by S and only the last S tokens of each are scored; default N", 1},
    {"frozen", KEY_FROZEN, NULL, 0, "the learner never updates", 1},
    {"inner", KEY_INNER, NULL, 0, "per layer, the learner's own loss with its first, last and next weights", 1},
    {"no-bos", KEY_NO_BOS, NULL, 0, "no beginning-of-text even if the tokenizer adds one", 1},
    {"parse-special", KEY_PARSE_SPECIAL, NULL, 0, "special tokens written in the texts become these tokens", 1},
    {"binary", KEY_BINARY, NULL, 0, "take files that are no text too, byte for byte", 1},
    {"json", KEY_JSON, NULL, 0, "one object a context on stdout, each on a line", 2},
    {"csv", KEY_CSV, "FILE", 0, "all curves as rows: context, curve, layer, first and last position, ...", 2},
    {0}};

static void read_contexts(options *o, const struct argp_state *state, char *argument)
{
    char *rest;
    for (const char *item = strtok_r(argument, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        if (o->context_count == CONTEXTS) ttt_app_usage(state, "--context lists more than %d lengths", CONTEXTS);
        const bool all = strcmp(item, "all") == 0;
        o->contexts[o->context_count++] = all ? 0 : ttt_app_tokens(state, "--context", item, 1, INT32_MAX);
    }
    if (o->context_count == 0) ttt_app_usage(state, "--context is empty: give one or more numbers of tokens");
}

static void check(const options *o, const struct argp_state *state)
{
    if (!o->model) ttt_app_usage(state, "give -m MODEL");
    if (o->choices) {
        if (o->text_count > 0 || o->context_count > 0 || o->eval.stride > 0 || o->eval.mode == TTT_EVAL_BOTH ||
            o->eval.inner || o->positions || o->binary || o->csv || o->plot)
            ttt_app_usage(state, "--choices goes without a text, and of the other options with --state, --frozen, "
                                 "--no-bos, --parse-special and --json alone");
        return;
    }
    if (o->text_count == 0)
        ttt_app_usage(state, "give a text: files, folders, - for standard input, or one data folder");
    if (o->eval.stride > 0 && o->context_count == 0) ttt_app_usage(state, "--stride needs --context");
    for (int64_t i = 0; i < o->context_count; i++)
        if (o->eval.stride > o->contexts[i])
            ttt_app_usage(state, "--stride %" PRId64 " is larger than --context %" PRId64, o->eval.stride,
                          o->contexts[i]);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->compute; return 0;
    case 'm': o->model = argument; return 0;
    case 'c': read_contexts(o, state, argument); return 0;
    case KEY_STRIDE: o->eval.stride = ttt_app_tokens(state, "--stride", argument, 1, INT32_MAX); return 0;
    case KEY_FROZEN:
        if (o->eval.mode == TTT_EVAL_ADAPTING) o->eval.mode = TTT_EVAL_FROZEN;
        return 0;
    case KEY_COMPARE: o->eval.mode = TTT_EVAL_BOTH; return 0;
    case KEY_INNER: o->eval.inner = true; return 0;
    case KEY_JSON: o->json = true; return 0;
    case KEY_CSV: o->csv = argument; return 0;
    case KEY_PLOT: o->plot = ttt_app_chart(state, argument); return 0;
    case KEY_CHOICES: o->choices = argument; return 0;
    case KEY_STATE: o->state = argument; return 0;
    case KEY_POSITIONS: o->positions = true; return 0;
    case KEY_NO_BOS: o->no_bos = true; return 0;
    case KEY_PARSE_SPECIAL: o->parse_special = true; return 0;
    case KEY_BINARY: o->binary = true; return 0;
    case ARGP_KEY_ARG:
        if (o->model || state->arg_num > 0)
            o->texts[o->text_count++] = argument;
        else
            o->model = argument;
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static ttt_status show_progress(void *context, int64_t done, int64_t total)
{
    return ttt_progress_note(context, (double)done / (double)total, "evaluating");
}

/* Whether the ids mean the same text to both tokenizers; the first thousand tell. */
static ttt_status check_same(const ttt_tokenizer *mine, const ttt_tokenizer *theirs, const ttt_ids *ids, bool *same)
{
    ttt_text a = {0}, b = {0};
    const size_t count = ids->count < 1000 ? ids->count : 1000;
    *same = ttt_tokenizer_vocabulary(mine) == ttt_tokenizer_vocabulary(theirs);
    ttt_status status = ttt_tokenizer_decode(theirs, ids->data, count, false, &b);
    if (status == TTT_OK && *same) {
        status = ttt_tokenizer_decode(mine, ids->data, count, false, &a);
        *same = a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
    }
    ttt_text_deinit(&a);
    ttt_text_deinit(&b);
    return status;
}

/* The held-out part of a data folder. */
static int read_data(const char *folder, const ttt_tokenizer *tokenizer, ttt_ids *ids, int64_t *bytes)
{
    ttt_data *data;
    ttt_status status = ttt_data_open(&data, folder);
    if (status != TTT_OK) return ttt_app_failed(status);
    bool same = true;
    const int64_t count = ttt_data_tokens(data, TTT_SPLIT_VALID);
    *bytes = ttt_data_bytes(data, TTT_SPLIT_VALID);
    for (int64_t first = 0; first < count && status == TTT_OK;) {
        int32_t block[4096];
        const int64_t left = count - first, n = left < 4096 ? left : 4096;
        status = ttt_data_read(data, TTT_SPLIT_VALID, first, n, block);
        for (int64_t i = 0; i < n && status == TTT_OK; i++) status = ttt_ids_append(ids, block[i]);
        first += n;
    }
    if (status == TTT_OK) status = check_same(tokenizer, ttt_data_tokenizer(data), ids, &same);
    ttt_data_close(data);
    if (status != TTT_OK) return ttt_app_failed(status);
    if (!same) return ttt_app_fail("%s was made with another tokenizer than the model's: give the text itself", folder);
    if (count == 0) return ttt_app_fail("%s holds no text back: give a text to evaluate", folder);
    return 0;
}

static int read_texts(options *o, const ttt_tokenizer *tokenizer, ttt_ids *ids, int64_t *bytes)
{
    if (o->text_count == 1 && ttt_data_is_folder(o->texts[0])) return read_data(o->texts[0], tokenizer, ids, bytes);
    const ttt_data_options texts = {.texts = o->texts,
                                    .text_count = o->text_count,
                                    .parse_special = o->parse_special,
                                    .binary = o->binary,
                                    .warn = o->speaks ? ttt_progress_warn : NULL,
                                    .progress = o->speaks ? ttt_progress_note : NULL,
                                    .warn_context = &o->progress};
    const ttt_status status = ttt_texts_tokenize(&texts, tokenizer, ids, bytes);
    ttt_progress_end(&o->progress, true);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}

/* Of what was cut short only what is for people. */
static int show(const options *o, const eval_report *report, bool whole)
{
    if (!o->json)
        eval_report_print(report);
    else if (!whole)
        return 0;
    else if (!eval_report_print_json(report))
        return ttt_app_fail("out of memory");
    if (!whole) return 0;
    const int code = o->csv ? eval_report_save_csv(report, o->csv) : 0;
    if (code != 0 || !o->plot) return code;
    const ttt_status status = eval_report_save_plot(report, o->plot);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}

/* Without --context: windows as in training, or all of a text that is shorter. */
static void choose_context(options *o, const ttt_model *model, int64_t predictions)
{
    if (o->context_count > 0) return;
    o->contexts[0] = ttt_app_integer_of(ttt_model_config(model), "max_position_embeddings");
    if (o->contexts[0] > predictions) o->contexts[0] = 0;
}

static int evaluate(options *o, ttt_context *context, const ttt_tokenizer *tokenizer, const ttt_ids *ids, int64_t bytes)
{
    ttt_eval_result results[CONTEXTS];
    double seconds[CONTEXTS];
    const bool bos = ttt_tokenizer_adds_bos(tokenizer) && !o->no_bos && !o->eval.state;
    o->eval.bos = bos ? ttt_tokenizer_bos(tokenizer) : -1;
    o->eval.bytes = bytes;
    o->eval.progress = o->speaks ? show_progress : NULL;
    o->eval.progress_context = &o->progress;
    choose_context(o, ttt_context_model(context), (int64_t)ids->count - !bos);
    int64_t done = 0;
    ttt_status status = TTT_OK;
    while (done < (o->context_count ? o->context_count : 1) && status == TTT_OK) {
        const double start = ttt_app_seconds();
        o->eval.context = o->contexts[done];
        status = ttt_eval(context, ids->data, (int64_t)ids->count, &o->eval, &results[done]);
        seconds[done] = ttt_app_seconds() - start;
        if (status == TTT_OK || (status == TTT_ERR_INTERRUPTED && results[done].tokens > 0)) done++;
        ttt_progress_end(&o->progress, true);
        *o->progress.doing = '\0'; /* the next one is timed anew */
    }
    const eval_report report = {.model = o->model,
                                .state = o->state,
                                .state_tokens = o->eval.state ? ttt_state_position(o->eval.state) : 0,
                                .mode = o->eval.mode,
                                .bos = bos,
                                .as_trained = o->context_count == 0 && o->contexts[0] > 0,
                                .positions = o->positions,
                                .interrupted = status == TTT_ERR_INTERRUPTED,
                                .bytes = bytes,
                                .count = done,
                                .results = results,
                                .seconds = seconds};
    int code = 0;
    if (o->speaks && (status == TTT_OK || (report.interrupted && done > 0))) code = show(o, &report, status == TTT_OK);
    const int end = ttt_app_leave(o->eval.comm, status);
    o->eval.comm = NULL;
    if (end != 0) code = end;
    while (done > 0) ttt_eval_result_deinit(&results[--done]);
    return code;
}

static int ask(options *o, ttt_context *context, const ttt_tokenizer *tokenizer)
{
    const eval_choices choices = {.model = o->model,
                                  .path = o->choices,
                                  .context = context,
                                  .tokenizer = tokenizer,
                                  .state = o->eval.state,
                                  .frozen = o->eval.mode == TTT_EVAL_FROZEN,
                                  .no_bos = o->no_bos,
                                  .parse_special = o->parse_special,
                                  .json = o->json,
                                  .progress = &o->progress};
    return eval_choices_run(&choices);
}

/* Under a launcher the ranks share a text; questions are rank 0's alone. Returns an exit code, or 0 to go on. */
static int join(options *o, bool *idle)
{
    int rank, ranks;
    ttt_comm_place(&rank, &ranks);
    o->speaks = rank == 0;
    *idle = o->choices && !o->speaks;
    if (ranks == 1 || o->choices) return 0;
    const ttt_status status = ttt_app_join(&o->eval.comm);
    if (status != TTT_OK) return ttt_app_failed(status);
    for (size_t i = 0; i < o->text_count; i++) {
        if (strcmp(o->texts[i], "-") != 0) continue;
        if (o->speaks) (void)ttt_app_fail("standard input is that of one rank: give the text as a file");
        ttt_comm_close(o->eval.comm); /* together: a launcher ends all as soon as one has failed */
        return TTT_APP_FAILED;
    }
    return 0;
}

int ttt_cmd_eval(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ttt_app_open_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_list,
        parse,
        "-m MODEL TEXT...\n-m MODEL --choices FILE.jsonl",
        "Evaluates how well a model predicts a text: loss, perplexity, bits per byte, loss by position. TEXT is a "
        "file, a folder, .jsonl, .zst and .gz of these, - for standard input, or one data folder, whose held-out part "
        "is taken.\vExamples:\n"
        "  ttt eval -m model other.txt\n"
        "  ttt eval -m model other.txt --compare --plot position.svg\n"
        "  ttt eval -m model other.txt --context 1k,4k,16k --json",
        children,
        NULL,
        NULL};
    options o = {.texts = calloc((size_t)argc, sizeof *o.texts)};
    if (!o.texts) return ttt_app_fail("out of memory");
    ttt_eval_options_init(&o.eval);
    ttt_app_parse(&argp, argc, argv, &o);
    if (ttt_app_check_output(o.csv) || ttt_app_check_output(o.plot)) {
        free(o.texts);
        return TTT_APP_FAILED;
    }
    ttt_progress_init(&o.progress, stderr, 0);
    bool idle;
    const int refused = join(&o, &idle);
    if (refused || idle) {
        free(o.texts);
        return refused;
    }

    ttt_model *model;
    ttt_tokenizer *tokenizer;
    ttt_ids ids = {0};
    int64_t bytes = 0;
    ttt_app_catch_signals(ttt_app_stopping, false);
    ttt_state *from = NULL;
    ttt_status status = ttt_app_open(&model, &tokenizer, o.model, &o.compute);
    if (status == TTT_OK && o.state) status = ttt_state_load(&from, model, o.state);
    o.eval.state = from;
    int code = status == TTT_OK ? 0 : ttt_app_failed(status);
    if (code == 0 && !o.choices) code = read_texts(&o, tokenizer, &ids, &bytes);
    ttt_context *context = NULL;
    if (code == 0 && ttt_context_new(&context, model, o.compute.threads) != TTT_OK)
        code = ttt_app_failed(TTT_ERR_MEMORY);
    if (code == 0) code = o.choices ? ask(&o, context, tokenizer) : evaluate(&o, context, tokenizer, &ids, bytes);
    ttt_context_free(context);
    ttt_state_free(from);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    ttt_model_free(model);
    free(o.texts);
    ttt_comm_abort(o.eval.comm); /* where this rank ended before it evaluated with the others */
    return code;
}
