/* SPDX-License-Identifier: MIT
 *
 * ttt prepare TEXT... -o DATA: texts to a folder of tokens, once, for many runs of `ttt train DATA`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <ttt/data.h>

#include "common.h"
#include "progress.h"
#include "usage.h"

typedef struct arguments {
    ttt_data_options data;
    const char *out;
} arguments;

enum { OPTION_PARSE_SPECIAL = 256, OPTION_BINARY };

static const double LARGEST_FRACTION = 0.99;

static const struct argp_option options[] = {
    {"output", 'o', "DATA", 0, "The folder to write; it must not exist", 0},
    {"tokenizer", 't', "byte|bpe[:N]|FILE", 0,
     "Bytes, a BPE of N ids trained on the text, or a file (default bpe: 512 to 4096 by the length of the text)", 0},
    {"valid", 'v', "FRACTION|FILE", 0, "What is held out: the end of the text, or a text of its own (default 0.05)", 0},
    {"parse-special", OPTION_PARSE_SPECIAL, NULL, 0, "Special tokens inside the texts become these tokens", 1},
    {"binary", OPTION_BINARY, NULL, 0, "Take files that are no text too, byte for byte", 1},
    {0},
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    arguments *a = state->input;
    char *end;
    switch (key) {
    case 'o': a->out = value; return 0;
    case 't': a->data.tokenizer = value; return 0;
    case 'v':
        (void)strtod(value, &end);
        a->data.valid_text = end == value || *end ? value : NULL; /* not a number: a file */
        if (!a->data.valid_text) a->data.valid_fraction = ttt_app_number(state, "--valid", value, 0, LARGEST_FRACTION);
        return 0;
    case OPTION_PARSE_SPECIAL: a->data.parse_special = true; return 0;
    case OPTION_BINARY: a->data.binary = true; return 0;
    case ARGP_KEY_ARGS:
        a->data.texts = (const char *const *)(state->argv + state->next);
        a->data.text_count = (size_t)(state->argc - state->next);
        return 0;
    case ARGP_KEY_END:
        if (a->data.text_count == 0) ttt_app_usage(state, "give a text: a file, a folder, or - for standard input");
        if (!a->out) ttt_app_usage(state, "give the folder to write: -o DATA");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp parser = {
    .options = options,
    .parser = parse,
    .args_doc = "TEXT...",
    .doc = "Turns texts into a folder of tokens for ttt train: text files, folders, .jsonl (key \"text\"), .zst "
           "and .gz of these, - for standard input."
           "\vExamples:\n"
           "  ttt prepare book.txt notes/ -o data\n"
           "  ttt prepare documents.jsonl.zst -o data -t bpe:8192\n"
           "  zcat book.gz | ttt prepare - -o data -t byte --valid held-out.txt",
};

static ttt_status report(const char *folder)
{
    ttt_data *data;
    const ttt_status status = ttt_data_open(&data, folder);
    if (status != TTT_OK) return status;
    static const char *const names[2] = {"training", "held out"};
    printf("%s: vocabulary %lld\n", folder, (long long)ttt_tokenizer_vocabulary(ttt_data_tokenizer(data)));
    for (int split = 0; split < 2; split++)
        printf("  %-8s %12lld bytes %12lld tokens\n", names[split], (long long)ttt_data_bytes(data, (ttt_split)split),
               (long long)ttt_data_tokens(data, (ttt_split)split));
    ttt_data_close(data);
    return TTT_OK;
}

int ttt_cmd_prepare(int argc, char **argv)
{
    arguments a = {0};
    ttt_data_options_init(&a.data);
    ttt_app_parse(&parser, argc, argv, &a);
    ttt_progress progress;
    ttt_progress_init(&progress, stderr, 0);
    a.data.warn = ttt_progress_warn;
    a.data.progress = ttt_progress_note;
    a.data.warn_context = &progress;
    ttt_app_catch_signals(ttt_app_stopping, false);
    ttt_status status = ttt_data_prepare(a.out, &a.data);
    ttt_progress_end(&progress, true);
    if (status == TTT_OK) status = report(a.out);
    return status == TTT_OK ? 0 : ttt_app_failed(status);
}
