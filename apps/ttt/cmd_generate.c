/* SPDX-License-Identifier: MIT
 *
 * ttt generate: writes on behind a prompt. The text streams to stdout and nothing else goes there; figures go to
 * stderr.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/generate.h>
#include <ttt/state.h>
#include <unistd.h>

#include "common.h"
#include "progress.h"
#include "usage.h"

enum {
    KEY_TEMPERATURE = 0x100,
    KEY_TOP_K,
    KEY_TOP_P,
    KEY_MIN_P,
    KEY_REPETITION,
    KEY_FREQUENCY,
    KEY_PRESENCE,
    KEY_STOP,
    KEY_IGNORE_EOS,
    KEY_NO_BOS,
    KEY_PARSE_SPECIAL,
    KEY_STATE,
    KEY_SAVE_STATE,
    KEY_VERBOSE
};

typedef struct options {
    const char *model, *prompt, *file; /* file "-" is stdin */
    const char *state, *save_state;
    bool interactive, ignore_eos, no_bos, parse_special, verbose;
    int64_t max_new_tokens, top_k;                /* -2, -1: not given */
    double temperature, top_p, min_p, repetition; /* NaN: not given */
    double frequency, presence;
    uint64_t seed;
    const char **stops;
    size_t stop_count;
    ttt_logit_bias *biases;
    int64_t bias_count;
    ttt_model_options compute;
} options;

static const struct argp_option option_list[] = {
    {"model", 'm', "MODEL", 0, "model folder", 0},
    {"prompt", 'p', "TEXT", 0, "the text to write on behind", 0},
    {"file", 'f', "FILE", 0,
     "the text of a file instead, or of standard input for -, without the newline at its end if it has one", 0},
    {"max-new-tokens", 'n', "N", 0, "at most N new tokens; -1: until end-of-text. Default 256", 0},
    {"interactive", 'i', NULL, 0,
     "read one prompt after another, a line each; the state goes on. A line that ends in \\ is read without its "
     "newline. Ctrl-C ends the answer, and at the prompt the program",
     0},
    {"state", KEY_STATE, "FILE", 0, "go on from this state, behind what it has read", 0},
    {"save-state", KEY_SAVE_STATE, "FILE", 0,
     "at the end keep what the model then knows, also after Ctrl-C; it may be the file of --state", 0},
    {"no-bos", KEY_NO_BOS, NULL, 0, "no beginning-of-text even if the tokenizer adds one", 1},
    {"parse-special", KEY_PARSE_SPECIAL, NULL, 0, "special tokens written in the prompt become these tokens", 1},
    {"stop", KEY_STOP, "TEXT", 0, "ends before this text; may be given several times", 2},
    {"ignore-eos", KEY_IGNORE_EOS, NULL, 0, "goes on behind end-of-text, which is then shown", 2},
    {NULL, 0, NULL, 0,
     "Sampling: bias, penalties, temperature, top-k, top-p, min-p, in this order (generation_config.json, then "
     "these, replace the defaults):",
     3},
    {"logit-bias", 'l', "ID+X|ID-X", 0, "adds X to the logit of a token, or subtracts it; may be given several times",
     3},
    {"repetition-penalty", KEY_REPETITION, "X", 0, "divides positive logits of tokens seen; default 1: off", 3},
    {"frequency-penalty", KEY_FREQUENCY, "X", 0, "subtracts X for each time a token was written; default 0: off", 3},
    {"presence-penalty", KEY_PRESENCE, "X", 0, "subtracts X if a token was written; default 0: off", 3},
    {"temperature", KEY_TEMPERATURE, "X", 0, "default 0.8; 0: always the most likely token", 3},
    {"temp", 0, NULL, OPTION_ALIAS, NULL, 3},
    {"top-k", KEY_TOP_K, "N", 0, "only the N most likely tokens; default 0: off", 3},
    {"top-p", KEY_TOP_P, "X", 0, "only the most likely that reach this probability; default 0.95", 3},
    {"min-p", KEY_MIN_P, "X", 0, "only those at least X times as likely as the most likely; default 0: off", 3},
    {"seed", 's', "N", 0, "of the random numbers; default 0. The same seed, prompt and model give the same text", 3},
    {"verbose", KEY_VERBOSE, NULL, 0, "all figures at the end, not one line", 4},
    {0}};

static uint64_t parse_seed(const struct argp_state *state, const char *text)
{
    char *end;
    errno = 0;
    const uintmax_t seed = strtoumax(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || seed > UINT64_MAX)
        ttt_app_usage(state, "--seed is \"%s\": give a whole number from 0 to %" PRIu64, text, UINT64_MAX);
    return seed;
}

/* "15043-1.5", as llama.cpp has it. */
static ttt_logit_bias parse_bias(const struct argp_state *state, char *text)
{
    const size_t digits = strspn(text, "0123456789");
    const char sign = text[digits];
    if (digits == 0 || (sign != '+' && sign != '-'))
        ttt_app_usage(state, "--logit-bias is \"%s\": give an id and what is added, such as 17+2.5 or 17-100", text);
    text[digits] = '\0';
    const int64_t id = ttt_app_integer(state, "the id of --logit-bias", text, 0, INT32_MAX);
    const double bias = ttt_app_number(state, "the number of --logit-bias", text + digits + 1, 0, 100);
    return (ttt_logit_bias){(int32_t)id, (float)(sign == '-' ? -bias : bias)};
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->compute; return 0;
    case 'm': o->model = argument; return 0;
    case 'p': o->prompt = argument; return 0;
    case 'f': o->file = argument; return 0;
    case 'i': o->interactive = true; return 0;
    case 'n': o->max_new_tokens = ttt_app_tokens(state, "--max-new-tokens", argument, -1, INT64_MAX); return 0;
    case 's': o->seed = parse_seed(state, argument); return 0;
    case KEY_TEMPERATURE: o->temperature = ttt_app_number(state, "--temperature", argument, 0, INFINITY); return 0;
    case KEY_TOP_K: o->top_k = ttt_app_integer(state, "--top-k", argument, 0, INT64_MAX); return 0;
    case KEY_TOP_P: o->top_p = ttt_app_number(state, "--top-p", argument, 1e-9, 1); return 0;
    case KEY_MIN_P: o->min_p = ttt_app_number(state, "--min-p", argument, 0, 1); return 0;
    case KEY_REPETITION:
        o->repetition = ttt_app_number(state, "--repetition-penalty", argument, 1e-9, INFINITY);
        return 0;
    case KEY_FREQUENCY: o->frequency = ttt_app_number(state, "--frequency-penalty", argument, -2, 2); return 0;
    case KEY_PRESENCE: o->presence = ttt_app_number(state, "--presence-penalty", argument, -2, 2); return 0;
    case 'l': o->biases[o->bias_count++] = parse_bias(state, argument); return 0;
    case KEY_STOP:
        if (!*argument) ttt_app_usage(state, "--stop is empty: give the text to stop at");
        o->stops[o->stop_count++] = argument;
        return 0;
    case KEY_IGNORE_EOS: o->ignore_eos = true; return 0;
    case KEY_NO_BOS: o->no_bos = true; return 0;
    case KEY_PARSE_SPECIAL: o->parse_special = true; return 0;
    case KEY_STATE: o->state = argument; return 0;
    case KEY_SAVE_STATE: o->save_state = argument; return 0;
    case KEY_VERBOSE: o->verbose = true; return 0;
    case ARGP_KEY_ARG:
        if (strcmp(argument, "-") == 0)
            o->file = argument;
        else if (o->model)
            ttt_app_usage(state, "\"%s\" is too much: a prompt is -p TEXT, -f FILE or -", argument);
        else
            o->model = argument;
        return 0;
    case ARGP_KEY_END:
        if (!o->model) ttt_app_usage(state, "give -m MODEL");
        if (o->prompt && o->file) ttt_app_usage(state, "give one prompt: -p TEXT, -f FILE or -");
        if (o->interactive && o->file && strcmp(o->file, "-") == 0)
            ttt_app_usage(state, "-i reads prompts from standard input: it cannot hold the first prompt too");
        if (o->state && !o->interactive && !o->file && (!o->prompt || !*o->prompt))
            ttt_app_usage(state, "--state needs something to read behind it: give -p TEXT, -f FILE, - or -i");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* What one run of the command works with. */
typedef struct session {
    const options *o;
    ttt_model *model;
    ttt_context *context;
    ttt_tokenizer *tokenizer;
    ttt_state *state;
    char name[TTT_STATE_NAME_MAX + 1], parent[TTT_STATE_NAME_MAX + 1]; /* of the state to be saved */
    ttt_generate_options generate;
    ttt_generate_stats total;
    ttt_progress progress;       /* of reading a long prompt */
    double started, loaded;      /* seconds */
    int write_error, read_error; /* errno */
    bool line_open;              /* the last character shown was no newline */
} session;

static ttt_status show(session *s, const char *text, size_t size)
{
    if (size == 0) return TTT_OK;
    if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0) {
        if (errno == EINTR && ttt_app_signal()) { /* a slow reader, who is waited for no longer */
            clearerr(stdout);
            return TTT_ERR_INTERRUPTED;
        }
        s->write_error = errno;
        return TTT_ERR_IO;
    }
    s->line_open = text[size - 1] != '\n';
    return TTT_OK;
}

static ttt_status show_piece(void *context, int32_t id, const char *text, size_t size)
{
    (void)id;
    const ttt_status status = show(context, text, size);
    return status == TTT_OK && ttt_app_signal() ? TTT_ERR_INTERRUPTED : status;
}

static ttt_status show_progress(void *context, int64_t done, int64_t total)
{
    session *s = context;
    const ttt_status status = ttt_progress_note(&s->progress, (double)done / (double)total, "reading the prompt");
    if (done == total) ttt_progress_end(&s->progress, true);
    return status;
}

/* The ids of a prompt. At the beginning of a text something has to be read before anything can be said: without a
 * prompt that is what texts begin with. */
static ttt_status encode(const session *s, const char *text, size_t size, ttt_ids *ids)
{
    const ttt_tokenizer *t = s->tokenizer;
    const bool begins = ttt_state_position(s->state) == 0;
    const int64_t bos = ttt_tokenizer_bos(t), start = bos >= 0 ? bos : ttt_tokenizer_eos(t);
    ttt_status status = TTT_OK;
    if (begins && ttt_tokenizer_adds_bos(t) && !s->o->no_bos) status = ttt_ids_append(ids, (int32_t)bos);
    if (status == TTT_OK) status = ttt_tokenizer_encode(t, text, size, s->o->parse_special, ids);
    if (status == TTT_OK && begins && ids->count == 0 && start >= 0) status = ttt_ids_append(ids, (int32_t)start);
    return status;
}

/* Reads a prompt and writes on. */
static ttt_status turn(session *s, const char *text, size_t size)
{
    ttt_ids ids = {0};
    ttt_status status = encode(s, text, size, &ids);
    if (status == TTT_OK) {
        const ttt_generate_sink sink = {.piece = show_piece, .progress = show_progress, .context = s};
        ttt_generate_stats stats = {0};
        ttt_progress_init(&s->progress, stderr, 0);
        ttt_app_catch_signals(NULL,
                              false); /* until here nothing looks at one, and there was nothing to leave half done */
        status = ttt_generate(s->context, s->tokenizer, s->state, ids.data, (int64_t)ids.count, &s->generate, &sink,
                              &stats);
        s->total.prompt_tokens += stats.prompt_tokens;
        s->total.new_tokens += stats.new_tokens;
        s->total.prompt_seconds += stats.prompt_seconds;
        s->total.new_seconds += stats.new_seconds;
        s->total.sampling_seconds += stats.sampling_seconds;
        s->total.finish = stats.finish;
        if (s->line_open && isatty(STDOUT_FILENO)) putchar('\n');
        fflush(stdout);
        s->line_open = false;
    }
    ttt_ids_deinit(&ids);
    if (status == TTT_ERR_INTERRUPTED && s->o->interactive) {
        ttt_app_forget_interrupt();
        if (!ttt_app_signal()) return TTT_OK; /* it was the answer that was to end */
    }
    return status;
}

/* The prompt loop: a line of stdin each, until it ends. */
static ttt_status converse(session *s)
{
    ttt_app_catch_signals(NULL, false);
    if (isatty(STDIN_FILENO)) fputs("Ctrl-C ends an answer, Ctrl-D the program\n", stderr);
    char *line = NULL;
    size_t capacity = 0;
    ttt_status status = TTT_OK;
    while (status == TTT_OK) {
        if (isatty(STDIN_FILENO)) fputs("> ", stderr);
        ssize_t size = getline(&line, &capacity, stdin);
        if (size < 0) {
            if (ferror(stdin) && !ttt_app_signal()) s->read_error = errno;
            break;
        }
        if (size >= 2 && line[size - 1] == '\n' && line[size - 2] == '\\') size -= 2;
        if (size > 0) status = turn(s, line, (size_t)size);
    }
    free(line);
    return status == TTT_OK && ttt_app_signal() ? TTT_ERR_INTERRUPTED : status;
}

static double per_second(int64_t count, double time) { return time > 0 ? (double)count / time : 0; }

static void print_time(const char *name, double time, int64_t count, const char *what)
{
    fprintf(stderr, "%16s = %10.2f ms / %7" PRId64 " %s (%9.3f ms per token, %10.2f tokens per second)\n", name,
            1e3 * time, count, what, count ? 1e3 * time / (double)count : 0, per_second(count, time));
}

static const char *why_ended(const session *s)
{
    static const char *const reasons[] = {"a failure", "the number of tokens asked for", "end-of-text", "a stop string",
                                          "an interruption"};
    return reasons[s->total.finish];
}

static void print_line(const session *s)
{
    const ttt_generate_stats *t = &s->total;
    fprintf(stderr, "%" PRId64 " tokens read (%.4g a second), %" PRId64 " written (%.4g a second)", t->prompt_tokens,
            per_second(t->prompt_tokens, t->prompt_seconds), t->new_tokens,
            per_second(t->new_tokens, t->new_seconds + t->sampling_seconds));
    if (s->o->interactive)
        fputc('\n', stderr);
    else
        fprintf(stderr, ", ended by %s\n", why_ended(s));
}

static void print_figures(const session *s)
{
    const ttt_generate_stats *t = &s->total;
    fprintf(stderr, "\n%16s = %10.2f ms\n", "load time", 1e3 * (s->loaded - s->started));
    print_time("prompt eval time", t->prompt_seconds, t->prompt_tokens, "tokens");
    print_time("eval time", t->new_seconds, t->new_tokens, "runs  ");
    print_time("sampling time", t->sampling_seconds, t->new_tokens, "runs  ");
    fprintf(stderr, "%16s = %10.2f ms / %7" PRId64 " tokens\n", "total time", 1e3 * (ttt_app_seconds() - s->started),
            t->prompt_tokens + t->new_tokens);
    fprintf(stderr, "%16s = %zu bytes after %" PRId64 " tokens\n", "state", ttt_state_bytes(s->state),
            ttt_state_position(s->state));
    if (!s->o->interactive) fprintf(stderr, "%16s = %s\n", "ended by", why_ended(s));
}

static ttt_status choose_options(session *s)
{
    const options *o = s->o;
    ttt_generate_options *g = &s->generate;
    ttt_generate_options_init(g);
    const ttt_status status = ttt_generate_options_load(g, o->model, s->model, s->tokenizer);
    if (status != TTT_OK) return status;
    if (o->max_new_tokens >= -1) g->max_new_tokens = o->max_new_tokens;
    if (o->top_k >= 0) g->sampling.top_k = o->top_k;
    if (!isnan(o->temperature)) g->sampling.temperature = o->temperature;
    if (!isnan(o->top_p)) g->sampling.top_p = o->top_p;
    if (!isnan(o->min_p)) g->sampling.min_p = o->min_p;
    if (!isnan(o->repetition)) g->sampling.repetition_penalty = o->repetition;
    g->sampling.frequency_penalty = o->frequency;
    g->sampling.presence_penalty = o->presence;
    g->sampling.logit_bias = o->biases;
    g->sampling.logit_bias_count = o->bias_count;
    g->sampling.seed = o->seed;
    g->ignore_eos = o->ignore_eos;
    g->stops = o->stops;
    g->stop_count = o->stop_count;
    return ttt_sampler_new(&g->sampler, &g->sampling, ttt_model_vocabulary(s->model));
}

/* The state to go on from. Its tokens are as good as a prompt's: the penalties know them. */
static ttt_status load_state(session *s)
{
    ttt_state_file *file;
    ttt_status status = ttt_state_file_open(&file, s->o->state);
    if (status != TTT_OK) return status;
    const ttt_state_info *info = ttt_state_file_info(file);
    snprintf(s->name, sizeof s->name, "%s", info->name);
    snprintf(s->parent, sizeof s->parent, "%s", info->checksum);
    status = ttt_state_file_load(file, s->model, &s->state);
    if (status == TTT_OK && info->tokens) ttt_sampler_see(s->generate.sampler, info->tokens, info->position);
    ttt_state_file_close(file);
    return status;
}

static ttt_status begin_state(session *s)
{
    if (s->o->state) return load_state(s);
    const ttt_status status = ttt_state_new(&s->state, s->model);
    return status == TTT_OK && s->o->save_state ? ttt_state_remember(s->state) : status;
}

static ttt_status save_state(const session *s)
{
    int64_t count;
    const ttt_state_about about = {
        .name = s->name, .parent = s->parent, .tokens = ttt_state_tokens(s->state, &count) != NULL};
    return ttt_state_save(s->state, s->o->save_state, &about);
}

static ttt_status run(session *s, const char *prompt, size_t size)
{
    ttt_status status = ttt_app_open(&s->model, &s->tokenizer, s->o->model, &s->o->compute);
    if (status == TTT_OK) status = choose_options(s);
    if (status == TTT_OK) status = ttt_context_new(&s->context, s->model, s->o->compute.threads);
    if (status == TTT_OK) status = begin_state(s);
    if (status != TTT_OK) return status;
    s->loaded = ttt_app_seconds();
    if (prompt && isatty(STDOUT_FILENO)) status = show(s, prompt, size);
    if (status == TTT_OK && (prompt || !s->o->interactive)) status = turn(s, prompt ? prompt : "", size);
    if (status == TTT_OK && s->o->interactive) status = converse(s);
    if (status != TTT_OK && status != TTT_ERR_INTERRUPTED) return status;
    (s->o->verbose ? print_figures : print_line)(s);
    const ttt_status saved = s->o->save_state ? save_state(s) : TTT_OK;
    return saved == TTT_OK ? status : saved;
}

int ttt_cmd_generate(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ttt_app_open_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {option_list,
                                     parse,
                                     "-m MODEL [-p TEXT | -f FILE | -]",
                                     "Writes on behind a prompt, or from the beginning of a text if there is none."
                                     "\vExamples:\n"
                                     "  ttt generate -m model -p \"Once upon a time\"\n"
                                     "  ttt generate -m model -f prompt.txt -n 1k --temperature 0\n"
                                     "  ttt generate -m model -i --save-state talk.ttt\n"
                                     "  ttt generate -m model --state notes.ttt -p \"In short:\"",
                                     children,
                                     NULL,
                                     NULL};
    options o = {.max_new_tokens = -2, .top_k = -1, .temperature = NAN, .top_p = NAN, .min_p = NAN, .repetition = NAN};
    o.stops = calloc((size_t)argc, sizeof *o.stops);
    o.biases = calloc((size_t)argc, sizeof *o.biases);
    if (!o.stops || !o.biases) {
        free(o.stops);
        free(o.biases);
        return ttt_app_fail("out of memory");
    }
    ttt_app_parse(&argp, argc, argv, &o);

    session s = {.o = &o, .started = ttt_app_seconds()};
    char *file = NULL;
    size_t size = o.prompt ? strlen(o.prompt) : 0;
    int code = ttt_app_check_output(o.save_state);
    if (code == 0 && o.file) code = ttt_app_read(o.file, &file, &size);
    if (code == 0) {
        if (size > 0 && file && file[size - 1] == '\n') size--; /* what is typed as -p has none either */
        const ttt_status status = run(&s, o.file ? file : o.prompt, size);
        if (s.write_error)
            code = ttt_app_fail("cannot write to standard output: %s", strerror(s.write_error));
        else if (status == TTT_OK && s.read_error)
            code = ttt_app_fail("cannot read standard input: %s", strerror(s.read_error));
        else if (status != TTT_OK)
            code = ttt_app_failed(status);
    }
    ttt_sampler_free(s.generate.sampler);
    ttt_state_free(s.state);
    ttt_context_free(s.context);
    ttt_tokenizer_free(s.tokenizer);
    ttt_model_free(s.model);
    free(file);
    free(o.stops);
    free(o.biases);
    return code;
}
