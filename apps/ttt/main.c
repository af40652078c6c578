/* SPDX-License-Identifier: MIT
 *
 * ttt COMMAND ...: finds the command and hands over. One table, one line a command.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/version.h>
#include <unistd.h>

#include "common.h"
#include "usage.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"train", ttt_cmd_train, "a model from texts"},
    {"convert", ttt_cmd_convert, "a model folder from the files of other programs"},
    {"eval", ttt_cmd_eval, "how well a model predicts a text"},
    {"generate", ttt_cmd_generate, "write on behind a prompt"},
    {"serve", ttt_cmd_serve, "a model over HTTP, for many at a time"},
    {"state", ttt_cmd_state, "what a model knows of what it read, as a file: make, fork, roll back, compare"},
    {"study", ttt_cmd_study, "many runs and what they show: a comparison that goes on where it was"},
    {"info", ttt_cmd_info, "what a model is, and what this machine offers"},
    {"verify", ttt_cmd_verify, "whether a model computes what it should"},
    {"bench", ttt_cmd_bench, "how fast a model is on this machine, and how fast it could be"},
    {"tokenize", ttt_cmd_tokenize, "text to token ids"},
    {"detokenize", ttt_cmd_detokenize, "token ids to text"},
    {"prepare", ttt_cmd_prepare, "texts to a folder of tokens to train on"},
};

enum { COMMANDS = sizeof commands / sizeof *commands };

/* Visible, so that argp finds it. */
__attribute__((visibility("default"))) const char *argp_program_version = "ttt " TTT_VERSION;

/* argp asks for the text that stands before and after the options; what follows \v is after. */
static char *list_commands(int key, const char *text, void *input)
{
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) return (char *)(uintptr_t)text;
    char *list = NULL;
    size_t size;
    FILE *stream = open_memstream(&list, &size);
    if (!stream) return (char *)(uintptr_t)text;
    fputs("Commands:\n", stream);
    for (int i = 0; i < COMMANDS; i++) fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
    fputs("\n`ttt COMMAND --help' describes a command. Examples:\n"
          "  ttt train book.txt -o model --minutes 30\n"
          "  ttt eval -m model other.txt --compare\n"
          "  ttt generate -m model -p \"Once upon a time\"",
          stream);
    fclose(stream);
    return list;
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return &commands[i];
    return NULL;
}

static void fail_command(const struct argp_state *state, const char *name)
{
    const char *names[COMMANDS];
    for (int i = 0; i < COMMANDS; i++) names[i] = commands[i].name;
    const char *nearest = ttt_app_nearest(name, names, COMMANDS);
    if (nearest)
        ttt_app_usage(state, "there is no command \"%s\"; did you mean %s? Else see ttt --help", name, nearest);
    ttt_app_usage(state, "there is no command \"%s\": see ttt --help", name);
}

/* "help", "help COMMAND", "version" and -h as the options that they are elsewhere; `words` has room for three. */
static void translate(int *argc, char ***argv, char *words[3])
{
    static char help[] = "--help", version[] = "--version";
    char **given = *argv;
    if (*argc < 2) return;
    words[0] = given[0];
    if (strcmp(given[1], "help") == 0 && *argc > 2) {
        words[1] = given[2];
        words[2] = help;
    } else if (strcmp(given[1], "help") == 0 || strcmp(given[1], "-h") == 0) {
        words[1] = help;
    } else if (strcmp(given[1], "version") == 0) {
        words[1] = version;
    } else {
        return;
    }
    *argc = words[2] ? 3 : 2;
    *argv = words;
}

typedef struct choice {
    const struct command *command;
    int index; /* of its name in argv */
} choice;

static error_t parse(int key, char *argument, struct argp_state *state)
{
    choice *chosen = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        chosen->command = find_command(argument);
        if (!chosen->command) fail_command(state, argument);
        chosen->index = state->next - 1;
        state->next = state->argc; /* the rest is the command's */
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_state_help(state, stderr, ARGP_HELP_LONG | ARGP_HELP_DOC | ARGP_HELP_EXIT_ERR);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* A stream that was closed when we started would be the number of the next file we open, and what we say would land in
 * it. In its place stands something that fails when it is used. */
static void hold_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    char *words[3] = {NULL};
    hold_streams();
    translate(&argc, &argv, words);
    static const struct argp argp = {
        .parser = parse,
        .args_doc = "COMMAND [OPTION...]",
        .doc = "Trains, evaluates and runs language models that learn at test time.\v",
        .help_filter = list_commands,
    };
    choice chosen = {0};
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &chosen);

    char name[64];
    snprintf(name, sizeof name, "ttt %s", chosen.command->name);
    argv[chosen.index] = name;
    const int code = chosen.command->run(argc - chosen.index, argv + chosen.index);
    /* A result that did not arrive, on a full disk say, is a failure. */
    const int lost = ferror(stdout), unwritten = fflush(stdout);
    if ((lost || unwritten) && code == 0)
        return ttt_app_fail("cannot write to standard output%s%s", unwritten ? ": " : "",
                            unwritten ? strerror(errno) : "");
    return code;
}
