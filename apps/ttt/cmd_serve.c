/* SPDX-License-Identifier: MIT
 *
 * ttt serve: the options of the server (apps/serve).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "serve/serve.h"
#include "usage.h"

enum {
    KEY_HOST = 0x100,
    KEY_PORT,
    KEY_API_KEY,
    KEY_API_KEY_FILE,
    KEY_PARALLEL,
    KEY_QUEUE,
    KEY_SLICE,
    KEY_MAX_TOKENS,
    KEY_MAX_BODY,
    KEY_CONNECTIONS,
    KEY_GRACE,
    KEY_STATES,
    KEY_STATE_MEMORY,
    KEY_STATE_DISK,
    KEY_ALIAS,
    KEY_CORS,
    KEY_CHAT_TEMPLATE
};

typedef struct options {
    ttt_serve_options serve;
    const char *key_file;
    const char **keys; /* those of the command line, then those of the file */
    char *file;        /* what the keys of the file point into */
} options;

static const struct argp_option option_list[] = {
    {"model", 'm', "MODEL", 0, "model folder", 0},
    {"host", KEY_HOST, "ADDRESS", 0, "listens at this address; default 127.0.0.1: this machine alone", 0},
    {"port", KEY_PORT, "N", 0, "listens at this port; default 8080; 0: any that is free", 0},
    {"alias", KEY_ALIAS, "NAME", 0, "what clients call the model; default: the folder's name", 0},
    {"api-key", KEY_API_KEY, "KEY", 0, "asks every client for this key; may be given several times", 1},
    {"api-key-file", KEY_API_KEY_FILE, "FILE", 0, "the same, a key in each line", 1},
    {"chat-template", KEY_CHAT_TEMPLATE, "NAME", 0,
     "how messages become a text: plain, chatml, llama2 or a file of patterns; default: what tokenizer_config.json "
     "names, "
     "else plain",
     0},
    {"cors", KEY_CORS, "ORIGIN", 0, "pages of this origin may call the server, of any for *", 1},
    {"states", KEY_STATES, "FOLDER", 0,
     "keeps sessions and responses in this folder, which outlive the server; default: in memory alone", 2},
    {"state-memory", KEY_STATE_MEMORY, "N", 0,
     "bytes of memory for states that nobody reads or writes just now; what was used least recently leaves. Default 1G",
     2},
    {"state-disk", KEY_STATE_DISK, "N", 0, "bytes of the folder that states may take; default 16G", 2},
    {"parallel", KEY_PARALLEL, "N", 0, "texts that are written at a time; default 64", 2},
    {"queue", KEY_QUEUE, "N", 0, "requests that wait for that; further ones are refused. Default 256", 2},
    {"slice", KEY_SLICE, "N", 0,
     "tokens of prompts that are read between two tokens of those who write; default 64. More reads prompts faster, "
     "and "
     "makes others wait for longer",
     2},
    {"max-tokens", KEY_MAX_TOKENS, "N", 0, "tokens that a text may ask for; default 128k", 2},
    {"max-body", KEY_MAX_BODY, "N", 0, "bytes that a request may have; default 64M", 2},
    {"connections", KEY_CONNECTIONS, "N", 0, "connections that are open at a time; default 2000", 2},
    {"grace", KEY_GRACE, "SECONDS", 0, "what runs has so long to end when the server stops; default 30", 2},
    {0}};

static void add_key(const struct argp_state *state, options *o, const char *name, const char *key)
{
    if (!*key || strlen(key) >= TTT_KEY_LIMIT)
        ttt_app_usage(state, "%s has a key of %zu characters: give 1 to %d", name, strlen(key), TTT_KEY_LIMIT - 1);
    o->keys[o->serve.key_count++] = key;
}

/* A number of bytes, which may end in k, M, G or T. */
static size_t bytes_of(const struct argp_state *state, const char *name, const char *text)
{
    static const char units[] = "kMGT";
    char number[32];
    const size_t length = strlen(text);
    const char *unit = length > 0 ? strchr(units, text[length - 1]) : NULL;
    const int shift = unit && *unit ? 10 * (int)(unit - units + 1) : 0;
    snprintf(number, sizeof number, "%.*s", (int)(shift && length < sizeof number ? length - 1 : length), text);
    return (size_t)ttt_app_integer(state, name, number, 0, (INT64_C(1) << 53) >> shift) << shift;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    ttt_serve_options *s = &o->serve;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &s->compute; return 0;
    case 'm': s->model = argument; return 0;
    case KEY_HOST: s->host = argument; return 0;
    case KEY_PORT: s->port = (int)ttt_app_integer(state, "--port", argument, 0, 65535); return 0;
    case KEY_ALIAS: s->alias = argument; return 0;
    case KEY_API_KEY: add_key(state, o, "--api-key", argument); return 0;
    case KEY_API_KEY_FILE: o->key_file = argument; return 0;
    case KEY_CORS: s->cors = argument; return 0;
    case KEY_CHAT_TEMPLATE: s->chat_template = argument; return 0;
    case KEY_PARALLEL: s->parallel = ttt_app_integer(state, "--parallel", argument, 1, 4096); return 0;
    case KEY_QUEUE: s->queue = ttt_app_integer(state, "--queue", argument, 1, 1 << 20); return 0;
    case KEY_SLICE: s->slice = ttt_app_tokens(state, "--slice", argument, 1, 1 << 20); return 0;
    case KEY_MAX_TOKENS: s->max_tokens = ttt_app_tokens(state, "--max-tokens", argument, 1, 1 << 30); return 0;
    case KEY_MAX_BODY:
        s->max_body = (size_t)ttt_app_tokens(state, "--max-body", argument, 1024, (int64_t)1 << 40);
        return 0;
    case KEY_STATES: s->states = argument; return 0;
    case KEY_STATE_MEMORY: s->state_memory = bytes_of(state, "--state-memory", argument); return 0;
    case KEY_STATE_DISK: s->state_disk = bytes_of(state, "--state-disk", argument); return 0;
    case KEY_CONNECTIONS: s->connections = ttt_app_integer(state, "--connections", argument, 8, 1 << 20); return 0;
    case KEY_GRACE: s->grace = ttt_app_integer(state, "--grace", argument, 0, 86400); return 0;
    case ARGP_KEY_ARG: ttt_app_model(state, &s->model, argument); return 0;
    case ARGP_KEY_END:
        if (!s->model) ttt_app_usage(state, "which model? Give a folder with -m");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* The keys of a file, a line each. Returns 0, or says what is wrong and returns the exit code. */
static int read_keys(options *o)
{
    size_t size, lines = 1;
    const int code = ttt_app_read(o->key_file, &o->file, &size);
    if (code) return code;
    for (size_t i = 0; i < size; i++) lines += o->file[i] == '\n';
    const char **keys = realloc(o->keys, (o->serve.key_count + lines) * sizeof *keys);
    char *text = realloc(o->file, size + 1);
    if (keys) o->keys = keys;
    if (text) o->file = text;
    if (!keys || !text) return ttt_app_fail("out of memory");
    text[size] = '\0';
    for (char *rest = text, *key; (key = strtok_r(rest, "\r\n", &rest));) {
        if (strlen(key) >= TTT_KEY_LIMIT)
            return ttt_app_fail("%s has a key of more than %d characters", o->key_file, TTT_KEY_LIMIT - 1);
        keys[o->serve.key_count++] = key;
    }
    return o->serve.key_count > 0 ? 0 : ttt_app_fail("%s has no key: give one in each line", o->key_file);
}

int ttt_cmd_serve(int argc, char **argv)
{
    static const struct argp_child children[] = {{&ttt_app_open_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_list,
        parse,
        "-m MODEL",
        "Serves a model over HTTP, in the ways of OpenAI's interface and of llama-server, "
        "until SIGINT or SIGTERM."
        "\vExamples:\n"
        "  ttt serve -m model\n"
        "  curl http://127.0.0.1:8080/v1/completions -d '{\"prompt\": \"In the beginning\"}'",
        children,
        NULL,
        NULL};
    options o = {.serve = {.host = "127.0.0.1",
                           .port = 8080,
                           .parallel = 64,
                           .queue = 256,
                           .slice = 64,
                           .max_tokens = 128 << 10,
                           .connections = 2000,
                           .grace = 30,
                           .state_memory = (size_t)1 << 30,
                           .state_disk = (size_t)16 << 30,
                           .max_body = 64 << 20,
                           .signal = ttt_app_signal}};
    o.keys = calloc((size_t)argc, sizeof *o.keys);
    if (!o.keys) return ttt_app_fail("out of memory");
    ttt_app_parse(&argp, argc, argv, &o);
    int code = o.key_file ? read_keys(&o) : 0;
    if (code == 0) {
        o.serve.keys = o.keys;
        ttt_app_catch_signals(NULL, false);
        code = ttt_serve(&o.serve);
    }
    free(o.keys);
    free(o.file);
    return code;
}
