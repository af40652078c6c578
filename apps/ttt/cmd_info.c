/* SPDX-License-Identifier: MIT
 *
 * ttt info: what a model folder holds, and what this machine offers.
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ttt/bench.h>
#include <ttt/generate.h>
#include <ttt/machine.h>
#include <ttt/version.h>

#include "common.h"
#include "usage.h"

typedef struct options {
    const char *model;
    bool machine;
    ttt_model_options compute;
} options;

static error_t parse(int key, char *argument, struct argp_state *state)
{
    options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &o->compute; return 0;
    case 'm': o->model = argument; return 0;
    case 'M': o->machine = true; return 0;
    case ARGP_KEY_ARG: ttt_app_model(state, &o->model, argument); return 0;
    case ARGP_KEY_END:
        if (!o->model && !o->machine) ttt_app_usage(state, "give -m MODEL, --machine or both");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static ttt_status print_machine(void)
{
    ttt_machine machine;
    const ttt_status status = ttt_machine_read(&machine);
    if (status != TTT_OK) return status;
    printf("version       %s\n", ttt_version());
    printf("processors    %d\n", machine.processors);
    if (machine.memory > 0) printf("memory        %.1f GB\n", (double)machine.memory / 1e9);
    printf("instructions  %s: %s (of", machine.isa,
           machine.isa_asked ? "TTT_ISA says so" : "the best this machine has");
    for (int i = 0; machine.isas[i]; i++) printf(" %s", machine.isas[i]);
    printf(")\n");
    for (int i = 0; machine.lacks[i].name; i++)
        printf("              not %s: %s\n", machine.lacks[i].name, machine.lacks[i].why);
    return TTT_OK;
}

static const char *type_of(const ttt_config *c)
{
    const char *type;
    return ttt_config_get_string(c, "model_type", &type) == TTT_OK ? type : "";
}

/* Of TTT layers, what is around them too. */
static void print_layers(const ttt_config *c)
{
    char layer[TTT_APP_LAYER], *blocks;
    const bool gate = ttt_app_integer_of(c, "use_gate"), share = ttt_app_integer_of(c, "share_qk");
    printf("layer         %s", ttt_app_title_of(c, layer));
    if (ttt_app_has_part(c, "ttt_"))
        printf(", %s%s%s", gate && share ? "mamba backbone" : "transformer backbone",
               gate != share ? (gate ? " with gate" : " with shared q and k") : "",
               ttt_app_integer_of(c, "pre_conv") ? ", a convolution before it" : "");
    printf("\n");
    if (strcmp(layer, "mixed") != 0 || ttt_config_get(c, "layers", &blocks) != TTT_OK) return;
    printf("blocks        %s\n", blocks);
    ttt_string_free(blocks);
}

/* Whether the key is `value`. */
static bool says(const ttt_config *c, const char *key, const char *value)
{
    char *text;
    if (ttt_config_get(c, key, &text) != TTT_OK) return false;
    const bool same = strcmp(text, value) == 0;
    ttt_string_free(text);
    return same;
}

/* What the TTT layers do within themselves, and where that is not what the paper's code does. */
static void print_inner_loop(const ttt_config *c)
{
    static const struct {
        const char *key, *value, *words;
    } flags[] = {{"ttt_norm", "false", "without norm"},
                 {"ttt_residual", "false", "without residual"},
                 {"ttt_bias", "false", "without biases"},
                 {"ttt_position_factor", "false", "without position factor"},
                 {"ttt_rope", "false", "without rotation"},
                 {"ttt_target", "v", "fitted to v"},
                 {"ttt_w0", "zero", "from zero"}};
    char *rate = NULL;
    printf("inner loop    mini-batches of %" PRId64, ttt_app_integer_of(c, "mini_batch_size"));
    if (says(c, "ttt_rate", "learned"))
        printf(", ttt_base_lr %g", ttt_app_real_of(c, "ttt_base_lr"));
    else if (ttt_config_get(c, "ttt_rate", &rate) == TTT_OK)
        printf(", every rate %s", rate);
    ttt_string_free(rate);
    printf(", rope_theta %g", ttt_app_real_of(c, "rope_theta"));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (says(c, flags[i].key, flags[i].value)) printf(", %s", flags[i].words);
    if (!says(c, "ttt_keep", "1")) printf(", ttt_keep %g", ttt_app_real_of(c, "ttt_keep"));
    if (!says(c, "ttt_keep_every", "null")) printf(" every %" PRId64, ttt_app_integer_of(c, "ttt_keep_every"));
    printf("\n");
}

static void print_config(const ttt_config *c)
{
    const int64_t hidden = ttt_app_integer_of(c, "hidden_size"), heads = ttt_app_integer_of(c, "num_attention_heads");
    const bool delta = ttt_app_has_part(c, "delta_net") || ttt_app_has_part(c, "gated_deltanet");
    const int64_t given = delta ? ttt_app_integer_of(c, "head_dim") : 0;
    printf("form          %s\n", type_of(c));
    print_layers(c);
    printf("size          %" PRId64 " layers, hidden_size %" PRId64, ttt_app_integer_of(c, "num_hidden_layers"),
           hidden);
    if (strcmp(type_of(c), "mamba") != 0)
        printf(", %" PRId64 " heads of %" PRId64, heads, given ? given : hidden / heads);
    if (ttt_app_has_part(c, "ffn")) printf(", intermediate_size %" PRId64, ttt_app_integer_of(c, "intermediate_size"));
    printf("\n");
    if (ttt_app_has_part(c, "ttt_")) print_inner_loop(c);
    printf("vocabulary    %" PRId64 ", %s head\n", ttt_app_integer_of(c, "vocab_size"),
           ttt_app_integer_of(c, "tie_word_embeddings") ? "tied" : "separate");
    printf("parameters    %" PRId64 "\n", ttt_config_parameters(c));
}

static void print_beginning(const ttt_tokenizer *t)
{
    if (!ttt_tokenizer_adds_bos(t)) {
        printf("a text        begins with itself: no token is put before it\n");
        return;
    }
    ttt_text text = {0};
    const int32_t bos = (int32_t)ttt_tokenizer_bos(t);
    const bool named = ttt_tokenizer_decode(t, &bos, 1, false, &text) == TTT_OK && text.size > 0;
    printf("a text        begins with the token %" PRId32 "%s%s\n", bos, named ? ", " : "", named ? text.data : "");
    ttt_text_deinit(&text);
}

/* A model without a tokenizer, or with a wrong one, is still a model. */
static void print_tokenizer(const char *folder, const ttt_model *model)
{
    ttt_tokenizer *t;
    ttt_status status = ttt_tokenizer_open(&t, folder);
    if (status == TTT_OK) status = ttt_model_check_tokenizer(model, t);
    if (status == TTT_OK) {
        printf("tokenizer     %" PRId64 " ids, %s", ttt_tokenizer_vocabulary(t),
               ttt_tokenizer_is_byte_level(t) ? "any bytes" : "UTF-8 only");
        if (ttt_tokenizer_eos(t) >= 0) printf(", end-of-text is %" PRId64, ttt_tokenizer_eos(t));
        printf("\n");
        print_beginning(t);
    } else {
        printf("tokenizer     %s\n", ttt_error_detail());
    }
    ttt_tokenizer_free(t);
}

static int64_t context_of(const ttt_model *model)
{
    return ttt_app_integer_of(ttt_model_config(model), "max_position_embeddings");
}

/* Of a state that grows: what it begins with, and what it has become after the context of training. */
static void print_state(const ttt_model *model)
{
    const int64_t context = context_of(model);
    const int64_t some = 1 << 20, more = 2 * some;
    const double least = ttt_model_state_bytes(model, 0), longest = ttt_model_state_bytes(model, more);
    const double each = (longest - ttt_model_state_bytes(model, some)) / (double)some;
    printf("state         ");
    if (longest == least)
        printf("%.0f bytes a sequence, however long\n", least);
    else if (each == 0)
        printf("%.0f bytes a sequence at most, %.0f at the beginning\n", longest, least);
    else
        printf("%.0f bytes a sequence of %" PRId64 " tokens: %.0f, and %.0f more for each token\n",
               ttt_model_state_bytes(model, context), context, least, each);
}

/* Weights are read and checked on the way: a folder that info describes is one that the other commands can use. */
static ttt_status print_model(const options *o)
{
    ttt_model *model;
    ttt_status status = ttt_model_open(&model, o->model, &o->compute);
    if (status != TTT_OK) return status;
    ttt_context *context;
    status = ttt_context_new(&context, model, o->compute.threads);
    if (status == TTT_OK) {
        const int threads = ttt_context_threads(context);
        printf("model         %s\n", o->model);
        print_config(ttt_model_config(model));
        print_state(model);
        printf("FLOPs a token ");
        ttt_app_print_flops(ttt_model_config(model), context_of(model));
        printf("backend       %s (%s), products in %s, %d thread%s\n", ttt_model_backend(model), ttt_model_isa(model),
               ttt_model_precision(model), threads, threads == 1 ? "" : "s");
        printf("fingerprint   %s\n", ttt_model_fingerprint(model));
        print_tokenizer(o->model, model);
    }
    ttt_context_free(context);
    ttt_model_free(model);
    return status;
}

/* The last and the best of what training wrote; nothing is said of a folder without metrics.jsonl. */
static void print_training(const char *folder)
{
    char *path = NULL;
    if (asprintf(&path, "%s/metrics.jsonl", folder) < 0) return;
    FILE *file = fopen(path, "r");
    free(path);
    if (!file) return;
    double step = NAN, loss = NAN, valid = NAN, best = NAN, tokens = NAN;
    json_t *line;
    while ((line = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, NULL)) != NULL) {
        const struct {
            const char *name;
            double *last;
        } wanted[] = {{"step", &step}, {"loss", &loss}, {"valid_loss", &valid}, {"tokens", &tokens}};
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            const json_t *value = json_object_get(line, wanted[i].name);
            if (json_is_number(value)) *wanted[i].last = json_number_value(value);
        }
        if (valid < best || isnan(best)) best = valid;
        json_decref(line);
    }
    fclose(file);
    if (isnan(step)) return;
    printf("training      %.0f steps", step);
    if (!isnan(tokens)) printf(", %.0f tokens", tokens);
    if (!isnan(loss)) printf(", last loss %.4f", loss);
    if (!isnan(valid)) printf(", held-out loss %.4f (best %.4f)", valid, best);
    printf("\n");
}

int ttt_cmd_info(int argc, char **argv)
{
    static const struct argp_option list[] = {
        {"model", 'm', "MODEL", 0, "model folder to describe; its weights are read and checked", 0},
        {"machine", 'M', NULL, 0, "describe this machine: processors, instruction set and why", 0},
        {0}};
    static const struct argp_child children[] = {{&ttt_app_compute_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {list,
                                     parse,
                                     "-m MODEL\n--machine",
                                     "Says what a model is."
                                     "\vExamples:\n"
                                     "  ttt info -m model\n"
                                     "  ttt info --machine\n"
                                     "  ttt info -m model --precision q8",
                                     children,
                                     NULL,
                                     NULL};
    options o = {0};
    ttt_app_parse(&argp, argc, argv, &o);

    ttt_status status = TTT_OK;
    if (o.machine) status = print_machine();
    if (status == TTT_OK && o.model) status = print_model(&o);
    if (status != TTT_OK) return ttt_app_failed(status);
    if (o.model) print_training(o.model);
    return 0;
}
