/* SPDX-License-Identifier: MIT */
#include "text_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "usage.h"

static const char *input_name(const text_io *io) { return strcmp(io->input, "-") == 0 ? "standard input" : io->input; }

int ttt_text_io_fail(const text_io *io, const char *message)
{
    if (io->line > 0) return ttt_app_fail("%s, line %ld: %s", input_name(io), io->line, message);
    return ttt_app_fail("%s: %s", input_name(io), message);
}

int ttt_text_io_failed(const text_io *io) { return ttt_text_io_fail(io, ttt_error_detail()); }

int ttt_text_io_read(const text_io *io, FILE *input, char **text, size_t *size)
{
    const int error = ttt_app_read_stream(input, text, size);
    return error ? ttt_text_io_fail(io, strerror(error)) : 0;
}

int ttt_text_io_lines(text_io *io, FILE *input, text_io_change change)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int code = 0;
    for (io->line = 1; code == 0 && (length = getline(&line, &capacity, input)) >= 0; io->line++) {
        if (io->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0) memset(line, ' ', 3); /* a byte-order mark */
        if (strspn(line, " \t\r\n") >= (size_t)length) continue;
        json_error_t error;
        const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
        json_t *object = json_loadb(line, (size_t)length, flags, &error);
        if (!object && json_error_code(&error) == json_error_numeric_overflow)
            object = json_loadb(line, (size_t)length, flags | JSON_DECODE_INT_AS_REAL, &error);
        if (!object)
            code = ttt_text_io_fail(io, error.text);
        else if (!json_is_object(object))
            code = ttt_text_io_fail(io, "a JSON object is expected");
        else
            code = change(io, object);
        if (code == 0 && (json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) != 0 || puts("") < 0))
            code = ttt_app_fail("cannot write to standard output: %s", strerror(errno));
        json_decref(object);
        if (code == 0) fflush(stdout);
    }
    if (code == 0 && ferror(input)) code = ttt_text_io_fail(io, strerror(errno));
    free(line);
    io->line = 0;
    return code;
}

static int run_input(text_io *io, text_io_each each)
{
    const bool standard = strcmp(io->input, "-") == 0;
    FILE *input = standard ? stdin : fopen(io->input, "rb");
    if (!input) return ttt_text_io_fail(io, strerror(errno));
    const int code = each(io, input);
    if (!standard) fclose(input);
    return code;
}

error_t ttt_text_io_parse(int key, char *argument, struct argp_state *state)
{
    text_io *io = state->input;
    switch (key) {
    case 't':
    case 'm': io->path = argument; return 0;
    case 'j': io->jsonl = true; return 0;
    case ARGP_KEY_ARG: io->inputs[io->input_count++] = argument; return 0;
    case ARGP_KEY_END:
        if (!io->path) ttt_app_usage(state, "give --tokenizer FILE");
        if (io->input_count == 0) io->inputs[io->input_count++] = "-";
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int ttt_text_io_command(text_io *io, const struct argp *argp, int argc, char **argv, text_io_each text,
                        text_io_each lines)
{
    io->inputs = calloc((size_t)argc + 1, sizeof *io->inputs);
    if (!io->inputs) return ttt_app_fail("out of memory");
    ttt_app_parse(argp, argc, argv, io);
    int code = 0;
    if (ttt_tokenizer_open(&io->tokenizer, io->path) != TTT_OK) code = ttt_app_failed(TTT_ERR_FORMAT);
    for (int i = 0; i < io->input_count && code == 0; i++) {
        io->input = io->inputs[i];
        code = run_input(io, io->jsonl ? lines : text);
    }
    ttt_tokenizer_free(io->tokenizer);
    free(io->inputs);
    return code;
}
