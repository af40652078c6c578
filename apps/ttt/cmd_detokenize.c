/* SPDX-License-Identifier: MIT
 *
 * ttt detokenize: token ids to text. Special tokens are part of it unless --skip-special says otherwise.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text_io.h"

enum { KEY_SKIP = 0x2000 };

static error_t parse(int key, char *argument, struct argp_state *state)
{
    text_io *io = state->input;
    switch (key) {
    case KEY_SKIP: io->skip_special = true; return 0;
    default: return ttt_text_io_parse(key, argument, state);
    }
}

static int detokenize_object(text_io *io, json_t *object)
{
    const json_t *list = json_object_get(object, "ids");
    const size_t count = json_array_size(list);
    if (!json_is_array(list)) return ttt_text_io_fail(io, "the object has no list \"ids\"");
    int32_t *ids = calloc(count + 1, sizeof *ids);
    int code = ids ? 0 : ttt_text_io_fail(io, "out of memory");
    for (size_t i = 0; ids && i < count && code == 0; i++) {
        const json_t *id = json_array_get(list, i);
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id) || value < INT32_MIN || value > INT32_MAX)
            code = ttt_text_io_fail(io, "\"ids\" holds something that is no token id");
        else
            ids[i] = (int32_t)value;
    }
    ttt_text text = {0};
    if (code == 0 && ttt_tokenizer_decode(io->tokenizer, ids, count, io->skip_special, &text) != TTT_OK)
        code = ttt_text_io_failed(io);
    if (code == 0 && json_object_set_new(object, "text", json_stringn(text.data, text.size)) != 0)
        code = ttt_text_io_fail(io, "the text cannot be written as JSON");
    free(ids);
    ttt_text_deinit(&text);
    return code;
}

static int detokenize_lines(text_io *io, FILE *input) { return ttt_text_io_lines(io, input, detokenize_object); }

static int write_text(text_io *io, ttt_status status, ttt_text *text)
{
    if (status != TTT_OK) return ttt_text_io_failed(io);
    if (text->size > 0) {
        fwrite(text->data, 1, text->size, stdout);
        fflush(stdout);
    }
    text->size = 0;
    return ferror(stdout) ? ttt_app_fail("cannot write to standard output: %s", strerror(errno)) : 0;
}

/* Ids with white space between them; text comes out as soon as it is complete. */
static int detokenize_text(text_io *io, FILE *input)
{
    ttt_detokenizer *detokenizer;
    ttt_text text = {0};
    ttt_status status = ttt_detokenizer_new(&detokenizer, io->tokenizer, io->skip_special);
    if (status != TTT_OK) return ttt_app_failed(status);
    char word[24];
    int code = 0;
    while (code == 0 && fscanf(input, "%23s", word) == 1) {
        char *end;
        const intmax_t id = strtoimax(word, &end, 10);
        if (end == word || *end != '\0' || id < INT32_MIN || id > INT32_MAX)
            code = ttt_text_io_fail(io, "there is something that is no token id");
        else
            code = write_text(io, ttt_detokenizer_push(detokenizer, (int32_t)id, &text), &text);
    }
    if (code == 0 && ferror(input)) code = ttt_text_io_fail(io, strerror(errno));
    if (code == 0) code = write_text(io, ttt_detokenizer_finish(detokenizer, &text), &text);
    ttt_detokenizer_free(detokenizer);
    ttt_text_deinit(&text);
    return code;
}

int ttt_cmd_detokenize(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {"tokenizer", 't', "FILE", 0, "tokenizer.json, tokenizer.model, or a folder with one of them", 0},
        {"model", 'm', NULL, OPTION_ALIAS, NULL, 0},
        {"jsonl", 'j', NULL, 0, "read objects with \"ids\", one a line, and write them with \"text\"", 0},
        {"skip-special", KEY_SKIP, NULL, 0, "leave special tokens out", 0},
        {0}};
    static const struct argp argp = {.options = list,
                                     .parser = parse,
                                     .args_doc = "[FILE...]",
                                     .doc = "Writes the text of the token ids in each FILE, in standard input by "
                                            "default."
                                            "\vExamples:\n"
                                            "  ttt detokenize -t model ids.txt\n"
                                            "  ttt tokenize -t model book.txt | ttt detokenize -t model\n"
                                            "  ttt detokenize -t model --jsonl ids.jsonl"};
    text_io io = {0};
    return ttt_text_io_command(&io, &argp, argc, argv, detokenize_text, detokenize_lines);
}
