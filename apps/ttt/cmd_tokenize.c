/* SPDX-License-Identifier: MIT
 *
 * ttt tokenize: text to token ids.
 */
#include <stdlib.h>
#include <string.h>

#include "text_io.h"

enum { KEY_PARSE = 0x2000, KEY_NO_PARSE, KEY_NO_TRUNCATION };

static error_t parse(int key, char *argument, struct argp_state *state)
{
    text_io *io = state->input;
    switch (key) {
    case KEY_PARSE: io->parse_special = 1; return 0;
    case KEY_NO_PARSE: io->parse_special = 0; return 0;
    case KEY_NO_TRUNCATION: io->truncate = false; return 0;
    default: return ttt_text_io_parse(key, argument, state);
    }
}

static ttt_status encode(const text_io *io, const char *text, size_t size, ttt_ids *ids)
{
    const bool special = io->parse_special < 0 ? ttt_tokenizer_is_json(io->tokenizer) : io->parse_special;
    return ttt_tokenizer_encode(io->tokenizer, text, size, special, ids);
}

static int tokenize_object(text_io *io, json_t *object)
{
    const json_t *text = json_object_get(object, "text");
    if (!json_is_string(text)) return ttt_text_io_fail(io, "the object has no string \"text\"");
    ttt_ids ids = {0};
    if (encode(io, json_string_value(text), json_string_length(text), &ids) != TTT_OK) return ttt_text_io_failed(io);
    if (io->truncate && ttt_tokenizer_truncate(io->tokenizer, &ids) && !io->truncated) {
        fprintf(stderr, "ttt: note: the tokenizer's file cuts texts to %zu tokens; --no-truncation keeps them whole\n",
                ids.count);
        io->truncated = true;
    }
    json_t *list = json_array();
    int failed = !list;
    for (size_t i = 0; i < ids.count && !failed; i++) failed = json_array_append_new(list, json_integer(ids.data[i]));
    ttt_ids_deinit(&ids);
    if (json_object_set_new(object, "ids", list) != 0 || failed) return ttt_text_io_fail(io, "out of memory");
    return 0;
}

static int tokenize_lines(text_io *io, FILE *input) { return ttt_text_io_lines(io, input, tokenize_object); }

/* Ids with a space between, one line an input. */
static int tokenize_text(text_io *io, FILE *input)
{
    char *text;
    size_t size;
    const int code = ttt_text_io_read(io, input, &text, &size);
    if (code != 0) return code;
    ttt_ids ids = {0};
    const ttt_status status = encode(io, text, size, &ids);
    free(text);
    if (status != TTT_OK) return ttt_text_io_failed(io);
    for (size_t i = 0; i < ids.count; i++) printf(i ? " %d" : "%d", (int)ids.data[i]);
    printf("\n");
    fflush(stdout);
    ttt_ids_deinit(&ids);
    return 0;
}

int ttt_cmd_tokenize(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {"tokenizer", 't', "FILE", 0, "tokenizer.json, tokenizer.model, or a folder with one of them", 0},
        {"model", 'm', NULL, OPTION_ALIAS, NULL, 0},
        {"jsonl", 'j', NULL, 0, "read objects with \"text\", one a line, and write them with \"ids\"", 0},
        {"parse-special", KEY_PARSE, NULL, 0,
         "special tokens written in the text become tokens (default for tokenizer.json)", 1},
        {"no-parse-special", KEY_NO_PARSE, NULL, 0, "they are text like any other (default for tokenizer.model)", 1},
        {"no-truncation", KEY_NO_TRUNCATION, NULL, 0,
         "with --jsonl, keep texts whole although tokenizer.json says at how many tokens to cut them", 1},
        {0}};
    static const struct argp argp = {.options = list,
                                     .parser = parse,
                                     .args_doc = "[FILE...]",
                                     .doc = "Writes the token ids of each FILE, of standard input by default, on a "
                                            "line. No beginning or end of text is added."
                                            "\vExamples:\n"
                                            "  ttt tokenize -t model book.txt\n"
                                            "  echo \"one line\" | ttt tokenize -t tokenizer.json\n"
                                            "  ttt tokenize -t model --jsonl documents.jsonl"};
    text_io io = {.parse_special = -1, .truncate = true};
    return ttt_text_io_command(&io, &argp, argc, argv, tokenize_text, tokenize_lines);
}
