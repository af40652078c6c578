/* SPDX-License-Identifier: MIT
 *
 * ttt state: what a model knows of what it read, as a file. One action a command, each with some of the options.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/data.h>
#include <ttt/state.h>

#include "common.h"
#include "progress.h"
#include "usage.h"

enum {
    KEY_NAME = 0x100,
    KEY_POSITION,
    KEY_STATE,
    KEY_NO_TOKENS,
    KEY_NO_BOS,
    KEY_PARSE_SPECIAL,
    KEY_BINARY,
    KEY_JSON,
    KEYS = KEY_JSON + 1 - KEY_NAME,
    PIECE = 4096 /* tokens between two looks at signals */
};

typedef struct options {
    const struct action *action;
    const char *model, *output, *name, *state;
    const char **inputs;
    int input_count;
    int64_t position; /* -1: not given */
    bool no_tokens, no_bos, parse_special, binary, json;
    bool given[KEYS + 2]; /* by key, then -m and -o */
    ttt_model_options compute;
    ttt_progress progress;
} options;

/* ---- info ---- */

static int print_info_json(const ttt_state_info *info)
{
    char hash[33];
    snprintf(hash, sizeof hash, "%016" PRIx64 "%016" PRIx64, info->token_hash.high, info->token_hash.low);
    json_t *object = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:b, s:b, s:I, s:s}", "version", info->version, "name",
        info->name, "parent", info->parent, "note", info->note, "fingerprint", info->fingerprint, "precision",
        info->precision, "type", info->type, "position", (json_int_t)info->position, "mini_batch_position",
        (json_int_t)info->mini_batch_position, "token_hash", hash, "tokens", info->tokens != NULL, "frozen",
        info->frozen, "bytes", (json_int_t)info->bytes, "checksum", info->checksum);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    if (!text) return ttt_app_fail("out of memory");
    puts(text);
    free(text);
    return 0;
}

static int print_info(const ttt_state_info *info)
{
    if (*info->name) printf("name          %s\n", info->name);
    if (*info->parent) printf("parent        %s\n", info->parent);
    printf("read          %" PRId64 " tokens, %" PRId64 " of them in the mini-batch that is open%s\n", info->position,
           info->mini_batch_position, info->frozen ? "; the learner is frozen" : "");
    printf("tokens        %s\n", info->tokens ? "kept: it can be rolled back" : "not kept");
    printf("model         %s\n", info->fingerprint);
    printf("precision     %s, numbers in %s\n", info->precision, info->type);
    printf("checksum      %s\n", info->checksum);
    printf("size          %.2f MB\n", (double)info->bytes / 1e6);
    if (*info->note) printf("note          %zu bytes of text: --json shows it\n", strlen(info->note));
    return 0;
}

static int show_info(options *o)
{
    ttt_state_file *file;
    const ttt_status status = ttt_state_file_open(&file, o->inputs[0]);
    if (status != TTT_OK) return ttt_app_failed(status);
    const int code = (o->json ? print_info_json : print_info)(ttt_state_file_info(file));
    ttt_state_file_close(file);
    return code;
}

/* ---- read ---- */

static int save(const options *o, const ttt_state *state, const ttt_state_about *about)
{
    const ttt_status status = ttt_state_save(state, o->output, about);
    if (status != TTT_OK) return ttt_app_failed(status);
    fprintf(stderr, "%s: a state that has read %" PRId64 " tokens\n", o->output, ttt_state_position(state));
    return 0;
}

static ttt_status read_ids(options *o, ttt_context *context, ttt_state *state, const ttt_ids *ids)
{
    const int64_t count = (int64_t)ids->count;
    ttt_status status = TTT_OK;
    ttt_state_expect(state, ttt_state_position(state) + count);
    for (int64_t done = 0; done < count && status == TTT_OK;) {
        const int64_t n = count - done < PIECE ? count - done : PIECE;
        const ttt_feed feed = {.state = state, .tokens = ids->data + done, .count = n};
        status = ttt_context_advance(context, &feed, 1);
        done += n;
        if (status == TTT_OK) status = ttt_progress_note(&o->progress, (double)done / (double)count, "reading");
    }
    ttt_progress_end(&o->progress, true);
    return status;
}

/* The ids of all texts; of what begins a text with what the tokenizer says. */
static ttt_status tokenize(options *o, const ttt_tokenizer *tokenizer, bool begins, ttt_ids *ids)
{
    const ttt_data_options texts = {.texts = o->inputs,
                                    .text_count = (size_t)o->input_count,
                                    .parse_special = o->parse_special,
                                    .binary = o->binary,
                                    .warn = ttt_progress_warn,
                                    .progress = ttt_progress_note,
                                    .warn_context = &o->progress};
    ttt_status status = TTT_OK;
    if (begins && ttt_tokenizer_adds_bos(tokenizer) && !o->no_bos)
        status = ttt_ids_append(ids, (int32_t)ttt_tokenizer_bos(tokenizer));
    if (status == TTT_OK) status = ttt_texts_tokenize(&texts, tokenizer, ids, NULL);
    ttt_progress_end(&o->progress, true);
    return status;
}

/* A fresh state, or that of --state with what its file says of it. */
static ttt_status begin(const options *o, const ttt_model *model, ttt_state **state, ttt_state_file **from)
{
    if (!o->state) {
        const ttt_status status = ttt_state_new(state, model);
        return status == TTT_OK && !o->no_tokens ? ttt_state_remember(*state) : status;
    }
    const ttt_status status = ttt_state_file_open(from, o->state);
    return status == TTT_OK ? ttt_state_file_load(*from, model, state) : status;
}

static int read_texts(options *o)
{
    ttt_model *model = NULL;
    ttt_tokenizer *tokenizer = NULL;
    ttt_context *context = NULL;
    ttt_state *state = NULL;
    ttt_state_file *from = NULL;
    ttt_ids ids = {0};
    ttt_status status = ttt_app_open(&model, &tokenizer, o->model, &o->compute);
    if (status == TTT_OK) status = ttt_context_new(&context, model, o->compute.threads);
    if (status == TTT_OK) status = begin(o, model, &state, &from);
    if (status == TTT_OK) status = tokenize(o, tokenizer, !o->state, &ids);
    if (status == TTT_OK) status = read_ids(o, context, state, &ids);
    int code = status == TTT_OK ? 0 : ttt_app_failed(status);
    if (code == 0) {
        const ttt_state_info *info = from ? ttt_state_file_info(from) : NULL;
        int64_t count;
        const ttt_state_about about = {.name = o->name ? o->name
                                               : info  ? info->name
                                                       : NULL,
                                       .parent = info ? info->checksum : NULL,
                                       .tokens = !o->no_tokens && ttt_state_tokens(state, &count)};
        code = save(o, state, &about);
    }
    ttt_ids_deinit(&ids);
    ttt_state_file_close(from);
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_tokenizer_free(tokenizer);
    ttt_model_free(model);
    return code;
}

/* ---- fork and rollback ---- */

static ttt_state_about child_of(const options *o, const ttt_state_info *info)
{
    return (ttt_state_about){
        .name = o->name ? o->name : info->name, .parent = info->checksum, .tokens = info->tokens && !o->no_tokens};
}

static int fork_state(options *o)
{
    ttt_state_file *file;
    ttt_status status = ttt_state_file_open(&file, o->inputs[0]);
    if (status != TTT_OK) return ttt_app_failed(status);
    ttt_state_about about = child_of(o, ttt_state_file_info(file));
    about.note = ttt_state_file_info(file)->note;
    status = ttt_state_file_save(file, o->output, &about);
    ttt_state_file_close(file);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}

/* A file has no snapshots, so all is read again from the beginning. */
static int roll_back(options *o)
{
    ttt_model *model = NULL;
    ttt_context *context = NULL;
    ttt_state *state = NULL;
    ttt_state_file *file;
    const int32_t *again;
    int64_t count;
    ttt_status status = ttt_state_file_open(&file, o->inputs[0]);
    if (status != TTT_OK) return ttt_app_failed(status);
    status = ttt_model_open(&model, o->model, &o->compute);
    if (status == TTT_OK) status = ttt_context_new(&context, model, o->compute.threads);
    if (status == TTT_OK) status = ttt_state_file_load(file, model, &state);
    if (status == TTT_OK) status = ttt_state_rewind(state, o->position, &again, &count);
    if (status == TTT_OK)
        status = read_ids(o, context, state, &(ttt_ids){.data = (int32_t *)(uintptr_t)again, .count = (size_t)count});
    int code = status == TTT_OK ? 0 : ttt_app_failed(status);
    if (code == 0) {
        const ttt_state_about about = child_of(o, ttt_state_file_info(file));
        fprintf(stderr, "%" PRId64 " tokens were read again\n", count);
        code = save(o, state, &about);
    }
    ttt_state_free(state);
    ttt_context_free(context);
    ttt_model_free(model);
    ttt_state_file_close(file);
    return code;
}

/* ---- diff ---- */

static int by_name(const void *left, const void *right)
{
    const ttt_state_difference *a = left, *b = right;
    return strverscmp(a->piece, b->piece);
}

static double relative(const ttt_state_difference *d)
{
    const double size = d->size > d->size_second ? d->size : d->size_second;
    return size > 0 ? d->distance / size : 0;
}

static int print_differences_json(const ttt_state_difference *list, int64_t count)
{
    json_t *array = json_array();
    for (int64_t i = 0; i < count && array; i++) {
        const ttt_state_difference *d = &list[i];
        json_t *object = d->comparable ? json_pack("{s:s, s:f, s:f, s:f}", "piece", d->piece, "largest", d->largest,
                                                   "distance", d->distance, "relative", relative(d))
                                       : json_pack("{s:s, s:n}", "piece", d->piece, "distance");
        json_array_append_new(array, object);
    }
    char *text = array ? json_dumps(array, JSON_COMPACT) : NULL;
    json_decref(array);
    if (!text) return ttt_app_fail("out of memory");
    puts(text);
    free(text);
    return 0;
}

static int print_differences(const ttt_state_difference *list, int64_t count)
{
    printf("%-24s %12s %12s %12s\n", "piece", "largest", "distance", "relative");
    for (int64_t i = 0; i < count; i++) {
        if (list[i].comparable)
            printf("%-24s %12.4e %12.4e %12.4e\n", list[i].piece, list[i].largest, list[i].distance,
                   relative(&list[i]));
        else
            printf("%-24s %12s\n", list[i].piece, "other shape");
    }
    return 0;
}

static int compare(options *o, const ttt_state_file *first, const ttt_state_file *second)
{
    const int64_t count = ttt_state_file_pieces(first);
    ttt_state_difference *list = calloc((size_t)count + 1, sizeof *list);
    if (!list) return ttt_app_fail("out of memory");
    for (int64_t i = 0; i < count; i++) list[i] = ttt_state_file_difference(first, second, i);
    qsort(list, (size_t)count, sizeof *list, by_name);
    if (strcmp(ttt_state_file_info(first)->fingerprint, ttt_state_file_info(second)->fingerprint) != 0)
        fputs("the states are of two models, or of one in two precisions\n", stderr);
    const int code = (o->json ? print_differences_json : print_differences)(list, count);
    free(list);
    return code;
}

static int show_difference(options *o)
{
    ttt_state_file *files[2] = {NULL, NULL};
    ttt_status status = TTT_OK;
    for (int i = 0; i < 2 && status == TTT_OK; i++) status = ttt_state_file_open(&files[i], o->inputs[i]);
    const int code = status == TTT_OK ? compare(o, files[0], files[1]) : ttt_app_failed(status);
    for (int i = 0; i < 2; i++) ttt_state_file_close(files[i]);
    return code;
}

/* ---- the command line ---- */

enum { MODEL = KEYS, OUTPUT };
#define BIT(key)   (1u << (unsigned)((key)-KEY_NAME))
#define MODEL_BIT  (1u << (unsigned)MODEL)
#define OUTPUT_BIT (1u << (unsigned)OUTPUT)

static const struct action {
    const char *name;
    int (*run)(options *o);
    int least, most; /* files or texts; most -1: any number */
    const char *what;
    unsigned needs, takes; /* options */
} actions[] = {
    {"info", show_info, 1, 1, "FILE", 0, BIT(KEY_JSON)},
    {"read", read_texts, 1, -1, "TEXT...", MODEL_BIT | OUTPUT_BIT,
     BIT(KEY_NAME) | BIT(KEY_STATE) | BIT(KEY_NO_TOKENS) | BIT(KEY_NO_BOS) | BIT(KEY_PARSE_SPECIAL) | BIT(KEY_BINARY)},
    {"fork", fork_state, 1, 1, "FILE", OUTPUT_BIT, BIT(KEY_NAME) | BIT(KEY_NO_TOKENS)},
    {"rollback", roll_back, 1, 1, "FILE", MODEL_BIT | OUTPUT_BIT | BIT(KEY_POSITION),
     BIT(KEY_NAME) | BIT(KEY_NO_TOKENS)},
    {"diff", show_difference, 2, 2, "FILE FILE", 0, BIT(KEY_JSON)},
};
enum { ACTIONS = sizeof actions / sizeof *actions };

static const struct argp_option option_list[] = {
    {"model", 'm', "MODEL", 0, "model folder: read, rollback", 0},
    {"output", 'o', "FILE", 0, "the state file to write: read, fork, rollback", 0},
    {"position", KEY_POSITION, "N", 0, "rollback: as it was after N tokens", 0},
    {"state", KEY_STATE, "FILE", 0, "read: go on from this state, not from a fresh one", 0},
    {"name", KEY_NAME, "NAME", 0, "a name that the file keeps, of A-Z a-z 0-9 . _ -; default: that of the file before",
     0},
    {"no-tokens", KEY_NO_TOKENS, NULL, 0,
     "without the tokens that were read: the file is smaller and does not hold the text, and cannot be rolled back", 0},
    {"json", KEY_JSON, NULL, 0, "info, diff: as JSON", 0},
    {"no-bos", KEY_NO_BOS, NULL, 0, "read: no beginning-of-text even if the tokenizer adds one", 1},
    {"parse-special", KEY_PARSE_SPECIAL, NULL, 0, "read: special tokens written in the texts become these tokens", 1},
    {"binary", KEY_BINARY, NULL, 0, "read: take files that are no text too, byte for byte", 1},
    {0}};

static const char *option_name(int index)
{
    static const char *const names[] = {"--name",          "--position", "--state", "--no-tokens", "--no-bos",
                                        "--parse-special", "--binary",   "--json",  "-m MODEL",    "-o FILE"};
    return names[index];
}

static void choose_action(options *o, const struct argp_state *state, const char *name)
{
    const char *names[ACTIONS];
    for (int i = 0; i < ACTIONS; i++) {
        names[i] = actions[i].name;
        if (strcmp(name, names[i]) == 0) o->action = &actions[i];
    }
    if (o->action) return;
    const char *nearest = ttt_app_nearest(name, names, ACTIONS);
    ttt_app_usage(state, "there is no action \"%s\"%s%s%s: info, read, fork, rollback or diff", name,
                  nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "? They are" : "");
}

/* What the action needs is there, and what it does not take is not. */
static void check(const options *o, const struct argp_state *state)
{
    const struct action *a = o->action;
    if (!a) ttt_app_usage(state, "give an action: info, read, fork, rollback or diff; see ttt state --help");
    if (o->input_count < a->least || (a->most >= 0 && o->input_count > a->most))
        ttt_app_usage(state, "%s takes %s", a->name, a->what);
    for (int i = 0; i < KEYS + 2; i++) {
        if (!o->given[i] && (a->needs & 1u << (unsigned)i))
            ttt_app_usage(state, "%s needs %s%s", a->name, option_name(i), i + KEY_NAME == KEY_POSITION ? " N" : "");
        if (o->given[i] && !((a->needs | a->takes) & 1u << (unsigned)i))
            ttt_app_usage(state, "%s does not take %s", a->name, option_name(i));
    }
    if (!o->given[MODEL] && (o->compute.backend || o->compute.precision || o->compute.threads))
        ttt_app_usage(state, "%s computes nothing: it takes no --backend, --precision or --threads", a->name);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    if (key >= KEY_NAME && key < KEY_NAME + KEYS) o->given[key - KEY_NAME] = true;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->compute; return 0;
    case 'm':
        o->model = argument;
        o->given[MODEL] = true;
        return 0;
    case 'o':
        o->output = argument;
        o->given[OUTPUT] = true;
        return 0;
    case KEY_NAME: o->name = argument; return 0;
    case KEY_POSITION: o->position = ttt_app_tokens(state, "--position", argument, 0, INT64_MAX); return 0;
    case KEY_STATE: o->state = argument; return 0;
    case KEY_NO_TOKENS: o->no_tokens = true; return 0;
    case KEY_NO_BOS: o->no_bos = true; return 0;
    case KEY_PARSE_SPECIAL: o->parse_special = true; return 0;
    case KEY_BINARY: o->binary = true; return 0;
    case KEY_JSON: o->json = true; return 0;
    case ARGP_KEY_ARG:
        if (o->action)
            o->inputs[o->input_count++] = argument;
        else
            choose_action(o, state, argument);
        return 0;
    case ARGP_KEY_END: check(o, state); return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int ttt_cmd_state(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ttt_app_open_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_list,
        parse,
        "info FILE\nread -m MODEL TEXT... -o FILE\nfork FILE -o FILE\n"
        "rollback FILE -m MODEL --position N -o FILE\ndiff FILE FILE",
        "What a model knows of what it read, as a file: makes it from texts (read), says what it is (info), gives it "
        "another name (fork), goes back to what it was earlier (rollback), and says how far apart two are, piece by "
        "piece (diff). TEXT is a file, a folder, .jsonl, .zst and .gz of these, or - for standard input.\vExamples:\n"
        "  ttt state read -m model notes/ -o notes.ttt\n"
        "  ttt generate -m model --state notes.ttt -p \"In short:\"\n"
        "  ttt eval -m model --state notes.ttt other.txt\n"
        "  ttt state rollback notes.ttt -m model --position 1k -o earlier.ttt",
        children,
        NULL,
        NULL};
    options o = {.position = -1, .inputs = calloc((size_t)argc, sizeof *o.inputs)};
    if (!o.inputs) return ttt_app_fail("out of memory");
    ttt_app_parse(&argp, argc, argv, &o);
    int code = ttt_app_check_output(o.output);
    if (code == 0) {
        ttt_progress_init(&o.progress, stderr, 0);
        ttt_app_catch_signals(ttt_app_stopping, false);
        code = o.action->run(&o);
    }
    free(o.inputs);
    return code;
}
