/* SPDX-License-Identifier: MIT */
#include "text_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *input_name(const text_io *io) { return strcmp(io->input, "-") == 0 ? "standard input" : io->input; }

int ttt_text_io_fail(const text_io *io, const char *message)
{
    if (io->line > 0) return ttt_app_fail("%s, line %ld: %s", input_name(io), io->line, message);
    return ttt_app_fail("%s: %s", input_name(io), message);
}

int ttt_text_io_failed(const text_io *io) { return ttt_text_io_fail(io, ttt_error_detail()); }

/* Takes a byte-order mark away from the start of a text; returns its size. */
static size_t skip_mark(char *text, size_t size)
{
    if (size < 3 || memcmp(text, "\xef\xbb\xbf", 3) != 0) return 0;
    memmove(text, text + 3, size - 3);
    return 3;
}

int ttt_text_io_read(const text_io *io, FILE *input, char **text, size_t *size)
{
    size_t capacity = 1 << 16, count;
    *size = 0;
    *text = malloc(capacity);
    while (*text && (count = fread(*text + *size, 1, capacity - *size, input)) > 0) {
        *size += count;
        if (*size < capacity) continue;
        char *grown = realloc(*text, capacity *= 2);
        if (!grown) free(*text);
        *text = grown;
    }
    if (!*text) return ttt_text_io_fail(io, "out of memory");
    if (!ferror(input)) {
        *size -= skip_mark(*text, *size);
        return 0;
    }
    const int error = errno;
    free(*text);
    return ttt_text_io_fail(io, strerror(error));
}

int ttt_text_io_lines(text_io *io, FILE *input, text_io_change change)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    int code = 0;
    for (io->line = 1; code == 0 && (length = getline(&line, &capacity, input)) >= 0; io->line++) {
        if (io->line == 1) length -= (ssize_t)skip_mark(line, (size_t)length);
        if (strspn(line, " \t\r\n") >= (size_t)length) continue;
        json_error_t error;
        json_t *object = json_loadb(line, (size_t)length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
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

int ttt_text_io_run(text_io *io, text_io_each each)
{
    const ttt_status status = ttt_tokenizer_open(&io->tokenizer, io->path);
    if (status != TTT_OK) return ttt_app_failed(status);
    int code = 0;
    for (int i = 0; i < io->input_count && code == 0; i++) {
        io->input = io->inputs[i];
        code = run_input(io, each);
    }
    ttt_tokenizer_free(io->tokenizer);
    return code;
}
