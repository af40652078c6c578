/* SPDX-License-Identifier: MIT
 *
 * ttt convert IN OUT: a model folder from the files of other programs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <ttt/convert.h>
#include <unistd.h>

#include "common.h"
#include "progress.h"
#include "usage.h"

enum { KEY_CONFIG = 0x1000, KEY_PRECISION, KEY_WEIGHTS, KEY_FORCE };

typedef struct options {
    const char *in, *out;
    bool force;
    ttt_convert_options convert;
} options;

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case KEY_CONFIG: o->convert.config = argument; return 0;
    case KEY_PRECISION:
        if (strcmp(argument, "f32") != 0 && strcmp(argument, "bf16") != 0 && strcmp(argument, "f16") != 0)
            ttt_app_usage(state, "--precision is \"%s\": give f32, bf16 or f16", argument);
        o->convert.precision = argument;
        return 0;
    case KEY_WEIGHTS:
        if (strcmp(argument, "q8") != 0 && strcmp(argument, "q4") != 0 && strcmp(argument, "f32") != 0)
            ttt_app_usage(state, "--weights is \"%s\": give q8, q4 or f32", argument);
        o->convert.weights = argument;
        return 0;
    case KEY_FORCE: o->force = true; return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num == 0)
            o->in = argument;
        else if (state->arg_num == 1)
            o->out = argument;
        else
            ttt_app_usage(state, "\"%s\" is too much: convert takes IN and OUT", argument);
        return 0;
    case ARGP_KEY_END:
        if (!o->out) ttt_app_usage(state, "give IN, what is to be converted, and OUT, the folder to write");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool holds(const char *folder, const char *name)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

static ttt_status show_progress(void *progress, int64_t done, int64_t total)
{
    return ttt_progress_note(progress, (double)done / (double)total, "converting");
}

static ttt_status convert(options *o, ttt_config *config)
{
    ttt_progress progress;
    ttt_progress_init(&progress, stderr, 0);
    o->convert.progress = show_progress;
    o->convert.progress_context = &progress;
    ttt_app_catch_signals(ttt_app_stopping, false);
    const ttt_status status = ttt_convert(o->in, o->out, &o->convert, config);
    ttt_progress_end(&progress, true);
    return status;
}

int ttt_cmd_convert(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {"config", KEY_CONFIG, "NAME|FILE", 0,
         "where sizes and names do not tell: CONFIGS, or a config.json (default: that of IN, "
         "else "
         "the one that fits)",
         0},
        {"precision", KEY_PRECISION, "NAME", 0, "f32, bf16 or f16; default: the type of each tensor is kept", 0},
        {"weights", KEY_WEIGHTS, "NAME", 0,
         "q8 or q4: quantises the matrices (embedding and head too) in blocks of 32; f32: makes them floating again",
         0},
        {"force", KEY_FORCE, NULL, 0, "write over the model that OUT holds", 0},
        {0}};
    static const struct argp argp = {
        .options = list,
        .parser = parse,
        .help_filter = ttt_app_help,
        .args_doc = "IN OUT",
        .doc = "Writes the model folder OUT from IN, a Hugging Face model folder, a .safetensors file or a stream of "
               "ttt-lm-jax (streaming_params, streaming_train_state)."
               "\vExamples:\n"
               "  ttt convert ttt-linear-125m/ model\n"
               "  ttt convert streaming_params model --config 125m\n"
               "  ttt convert model small --weights q4",
    };
    options o = {0};
    ttt_config *config;
    char layer[TTT_APP_LAYER];
    ttt_app_parse(&argp, argc, argv, &o);
    if (!o.force && holds(o.out, "config.json") && !holds(o.out, "checkpoint"))
        return ttt_app_fail("%s holds a model: name another folder, or --force to write over it", o.out);
    ttt_status status = ttt_config_new(&config);
    if (status == TTT_OK) status = convert(&o, config);
    if (status != TTT_OK) {
        ttt_config_free(config);
        return ttt_app_failed(status);
    }
    printf("%s: %s, %" PRId64 " layers, hidden_size %" PRId64, o.out, ttt_app_title_of(config, layer),
           ttt_app_integer_of(config, "num_hidden_layers"), ttt_app_integer_of(config, "hidden_size"));
    if (ttt_app_has_part(config, "ttt_"))
        printf(", mini-batches of %" PRId64, ttt_app_integer_of(config, "mini_batch_size"));
    printf(", %" PRId64 " parameters\n", ttt_config_parameters(config));
    ttt_config_free(config);
    printf("is it right? ttt verify -m %s\n", o.out);
    return 0;
}
