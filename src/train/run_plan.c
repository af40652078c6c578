/* SPDX-License-Identifier: MIT */
#include "train/run_plan.h"
#include "train/run_data.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/forms.h"
#include "config/standard.h"
#include "data/record.h"
#include "train/match_flops.h"
#include "train/trainer.h"

/* Of a configuration that comes from a file. */
enum { FILE_SEQUENCES = 8 };
static const double file_rate = 3e-3, tuning = 0.1; /* fine-tuning begins at a tenth of the rate */

/* Width times layers times tokens of a pass, up to which a pass is not cut by accumulation: 8,192 tokens of small. */
static const double pass_size = 8192.0 * 384 * 8;

void ttt_train_run_options_init(ttt_train_run_options *options)
{
    *options = (ttt_train_run_options){.segment = -1, .rate = -1, .seed = -1};
}

static bool is_set(const ttt_train_run_options *options, const char *key)
{
    const size_t length = strlen(key);
    for (size_t i = 0; i < options->setting_count; i++)
        if (strncmp(options->settings[i], key, length) == 0 && options->settings[i][length] == '=') return true;
    return false;
}

ttt_status ttt_run_plan_check(const ttt_train_run_options *options)
{
    if ((options->steps != 0) + (options->epochs != 0) + (options->minutes != 0) > 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "steps, epochs and minutes each say how long to train: give one of them");
    if (!(options->epochs >= 0 && options->minutes >= 0 && options->epochs < 1e9 && options->minutes < 1e9) ||
        options->steps < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "steps, epochs and minutes must be more than 0 and less than 10^9");
    if (options->context < 0 || options->batch < 0 || options->accumulate < 0 || options->leaves < 0 ||
        options->save_every < 0 || options->eval_every < 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "context, batch, accumulate, leaves, save_every and eval_every must be 1 or more");
    const ttt_data_options data = {.texts = options->texts, .text_count = options->text_count};
    if (ttt_run_data_is_given(&data) && (options->tokenizer || options->valid || options->parse_special))
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%s is prepared data: its tokenizer and held-out part are fixed; leave these options out",
                        options->texts[0]);
    if (options->match_flops && (options->epochs > 0 || options->minutes > 0))
        return ttt_fail(
            TTT_ERR_ARGUMENT,
            "match_flops says how long to train: leave out epochs and minutes; with steps it chooses the width");
    static const char *const of_width[] = {"hidden_size", "num_attention_heads", "intermediate_size"};
    for (size_t i = 0; i < sizeof of_width / sizeof *of_width && options->match_flops && options->steps; i++)
        if (options->init_from || is_set(options, of_width[i]))
            return ttt_fail(TTT_ERR_ARGUMENT, "match_flops with steps chooses the width: leave out %s",
                            options->init_from ? "init_from" : of_width[i]);
    static const char *const of_layers[] = {"layers", "num_hidden_layers", "ttt_layer_type", "pre_conv"};
    for (size_t i = 0; i < sizeof of_layers / sizeof *of_layers && options->layers; i++)
        if (options->layer || is_set(options, of_layers[i]))
            return ttt_fail(TTT_ERR_ARGUMENT, "layers says what every block is: leave out %s beside it",
                            options->layer ? "layer" : of_layers[i]);
    if (options->init_from && options->config)
        return ttt_fail(TTT_ERR_ARGUMENT, "the configuration of %s is that of the run: give no other (%s)",
                        options->init_from, options->config);
    return TTT_OK;
}

/* ---- configuration ---- */

/* What the configuration begins with: a standard one (*from NULL) or a file (*from its path, a new string). */
static ttt_status begin_config(const ttt_train_run_options *options, ttt_config *config, char **from)
{
    const char *name = options->config ? options->config : "tiny";
    *from = NULL;
    if (!options->init_from && (ttt_standard_find(name) || !ttt_file_exists(name)))
        return ttt_config_standard(config, name);
    *from = options->init_from ? ttt_path_join(options->init_from, "config.json") : ttt_strdup(name);
    if (!*from) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_config_load(config, options->init_from ? options->init_from : *from);
    if (status == TTT_OK) return TTT_OK;
    ttt_free(*from);
    *from = NULL;
    return status;
}

static ttt_status set_backbone(ttt_config *config, const char *name)
{
    const bool mamba = strcmp(name, "mamba") == 0;
    if (!mamba && strcmp(name, "transformer") != 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "there is no backbone \"%s\"; there are mamba and transformer", name);
    config->use_gate = config->share_qk = mamba;
    if (!mamba) config->pre_conv = false;
    return TTT_OK;
}

/* Every block the usual one of this layer. */
static ttt_status set_layer(ttt_config *config, const char *name)
{
    char text[128];
    if (strpbrk(name, ",*+\"") || strlen(name) > 64)
        return ttt_fail(TTT_ERR_ARGUMENT, "the layer \"%.64s\" is not one name: a list of blocks is for layers", name);
    snprintf(text, sizeof text, "%lld*%s", (long long)config->num_hidden_layers, name);
    return ttt_config_set(config, "layers", text);
}

/* Backbone, layers and single keys, over what came before. */
static ttt_status adapt_config(const ttt_train_run_options *options, ttt_config *config)
{
    if (options->backbone) TTT_TRY(set_backbone(config, options->backbone));
    if (options->layer) TTT_TRY(set_layer(config, options->layer));
    if (options->layers) TTT_TRY(ttt_config_set(config, "layers", options->layers));
    return ttt_config_apply(config, options->settings, options->setting_count);
}

/* Whether a run's blocks are those of the list. Of a list of unlike blocks pre_conv says nothing any more, so that a
 * bare name may have stood for a block with a convolution or for one without. */
static ttt_status read_layers(const ttt_train_run_options *options, ttt_config *config)
{
    const ttt_key *key = ttt_key_find("layers");
    const ttt_config run = *config;
    for (int way = 1; way >= 0; way--) {
        config->pre_conv = way ? !run.pre_conv : run.pre_conv;
        TTT_TRY(ttt_config_set(config, "layers", options->layers));
        if (key->kind->equal(key, config, &run)) break;
    }
    return TTT_OK;
}

ttt_status ttt_run_plan_config(const ttt_train_run_options *options, ttt_config *config)
{
    const ttt_config run = *config;
    ttt_train_run_options rest = *options;
    if (options->config) {
        char *from;
        TTT_TRY(begin_config(options, config, &from));
        ttt_free(from);
        config->vocab_size = run.vocab_size;
        config->bos_token_id = run.bos_token_id;
        config->eos_token_id = run.eos_token_id;
        config->max_position_embeddings = run.max_position_embeddings;
    } else if (options->layers) {
        TTT_TRY(read_layers(options, config));
        rest.layers = NULL;
    }
    return adapt_config(&rest, config);
}

/* vocab_size follows the tokenizer unless a file or a setting says it; the ids of the special tokens always do. */
static ttt_status fit_tokenizer(const ttt_train_run_options *options, const ttt_tokenizer *tokenizer, bool from_file,
                                ttt_config *config)
{
    const int64_t vocabulary = ttt_tokenizer_vocabulary(tokenizer);
    if (!from_file && !is_set(options, "vocab_size")) config->vocab_size = vocabulary;
    if (vocabulary > config->vocab_size)
        return ttt_fail(TTT_ERR_ARGUMENT, "the tokenizer has %lld ids, but the model's vocab_size is only %lld",
                        (long long)vocabulary, (long long)config->vocab_size);
    const int64_t bos = ttt_tokenizer_bos(tokenizer), eos = ttt_tokenizer_eos(tokenizer);
    if (!is_set(options, "bos_token_id") && (bos >= 0 || !from_file)) config->bos_token_id = bos;
    if (!is_set(options, "eos_token_id") && (eos >= 0 || !from_file)) config->eos_token_id = eos;
    return TTT_OK;
}

/* The tokenizer that will be used, as far as it exists already; *tokenizer NULL: one of `vocabulary` ids will be
 * trained. */
static ttt_status foresee_tokenizer(const ttt_train_run_options *options, ttt_tokenizer **tokenizer,
                                    int64_t *vocabulary)
{
    ttt_data_options data;
    ttt_data_options_init(&data);
    const char *name = options->tokenizer   ? options->tokenizer
                       : options->init_from ? options->init_from
                                            : data.tokenizer;
    data.texts = options->texts;
    data.text_count = options->text_count;
    bool made;
    *tokenizer = NULL;
    *vocabulary = 0;
    if (ttt_run_data_is_given(&data)) return ttt_tokenizer_open(tokenizer, options->texts[0]);
    TTT_TRY(ttt_tokenizer_spec(name, &made, vocabulary));
    if (!made) return ttt_tokenizer_open(tokenizer, name);
    return *vocabulary ? TTT_OK : ttt_tokenizer_new_bytes(tokenizer);
}

static ttt_status foresee_vocabulary(const ttt_train_run_options *options, bool from_file, ttt_config *config)
{
    ttt_tokenizer *tokenizer;
    int64_t vocabulary;
    TTT_TRY(foresee_tokenizer(options, &tokenizer, &vocabulary));
    ttt_status status = TTT_OK;
    if (tokenizer)
        status = fit_tokenizer(options, tokenizer, from_file, config);
    else if (!from_file && !is_set(options, "vocab_size"))
        config->vocab_size = vocabulary;
    ttt_tokenizer_free(tokenizer);
    return status;
}

/* ---- options ---- */

static ttt_status find_schedule(const char *name, ttt_schedule *schedule)
{
    for (int i = 0; i < TTT_SCHEDULE_COUNT; i++) {
        if (strcmp(name, ttt_schedule_names[i]) != 0) continue;
        *schedule = (ttt_schedule)i;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_ARGUMENT, "there is no schedule \"%s\"; there are cosine, constant and linear", name);
}

/* As few passes per update, a multiple of the leaves, as keep each within the size above; a single sequence is never
 * cut. */
static int64_t choose_accumulate(int64_t sequences, int64_t leaves, int64_t context, const ttt_config *config)
{
    const double each = (double)context * (double)config->hidden_size * (double)config->num_hidden_layers;
    for (int64_t passes = leaves; passes < sequences; passes += leaves) {
        const int64_t at_once = sequences / passes;
        if (at_once * passes == sequences && (double)at_once * each <= pass_size) return passes;
    }
    return sequences;
}

ttt_status ttt_run_plan_batch(const ttt_train_run_options *options, const ttt_config *config, int64_t tokens,
                              ttt_train_options *train)
{
    const int64_t accumulate = options->accumulate ? options->accumulate : 1;
    train->leaves = options->leaves ? options->leaves : 1;
    if (train->context > INT32_MAX || accumulate > INT32_MAX || train->leaves > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "a context of %lld tokens, %lld passes an update, %lld leaves: at most 2^31 - 1 of each",
                        (long long)train->context, (long long)accumulate, (long long)train->leaves);
    const int64_t parts = accumulate > train->leaves ? accumulate : train->leaves, unit = train->context * parts;
    if (options->batch && options->batch % unit != 0)
        return ttt_fail(
            TTT_ERR_ARGUMENT, "%lld tokens per update is not a multiple of context %lld times %s %lld: give %lld, say",
            (long long)options->batch, (long long)train->context, parts == accumulate ? "accumulate" : "leaves",
            (long long)parts, (long long)(options->batch / unit + (options->batch < unit)) * unit);
    if (options->batch) tokens = options->batch;
    train->batch = (tokens < unit ? unit : tokens / unit * unit) / train->context;
    train->accumulate = options->accumulate ? accumulate
                                            : choose_accumulate(train->batch, train->leaves, train->context, config);
    return TTT_OK;
}

static ttt_status make_options(const ttt_train_run_options *options, const ttt_config *config, ttt_train_options *train)
{
    const ttt_standard *found = options->init_from ? NULL
                                                   : ttt_standard_find(options->config ? options->config : "tiny");
    ttt_train_options_init(train);
    train->backend = options->backend;
    train->precision = options->precision;
    train->threads = options->threads;
    train->recompute = options->recompute;
    train->profile = options->profile;
    train->comm = options->comm;
    train->context = options->context ? options->context : config->max_position_embeddings;
    TTT_TRY(ttt_run_plan_batch(options, config, found ? found->batch : FILE_SEQUENCES * train->context, train));
    train->segment = options->segment > 0 ? options->segment : 0;
    train->rate = options->rate >= 0   ? options->rate
                  : found              ? found->rate
                  : options->init_from ? tuning * file_rate
                                       : file_rate;
    train->seed = options->seed > 0 ? (uint64_t)options->seed : 0;
    train->steps = options->steps;
    return options->schedule ? find_schedule(options->schedule, &train->schedule) : TTT_OK;
}

/* As much work as another model's run; after the options, which say how many tokens an update has. */
static ttt_status match(const ttt_train_run_options *options, ttt_config *config, ttt_train_options *train)
{
    double total;
    TTT_TRY(ttt_match_total(options->match_flops, &total));
    if (options->steps == 0) return ttt_match_steps(total, config, train, &train->steps);
    TTT_TRY(ttt_match_width(total, config, train));
    return make_options(options, config, train); /* passes are as many as the width asks for */
}

static ttt_status make_all(const ttt_train_run_options *options, const ttt_tokenizer *tokenizer, bool from_file,
                           ttt_config *config, ttt_train_options *train)
{
    TTT_TRY(adapt_config(options, config));
    if (tokenizer)
        TTT_TRY(fit_tokenizer(options, tokenizer, from_file, config));
    else
        TTT_TRY(foresee_vocabulary(options, from_file, config));
    TTT_TRY(ttt_config_check(config, "the configuration"));
    TTT_TRY(make_options(options, config, train));
    if (options->match_flops) TTT_TRY(match(options, config, train));
    if (!is_set(options, "max_position_embeddings")) config->max_position_embeddings = train->context;
    return TTT_OK;
}

ttt_status ttt_run_plan_make(const ttt_train_run_options *options, const ttt_tokenizer *tokenizer, ttt_config *config,
                             ttt_train_options *train, char **base)
{
    char *from;
    TTT_TRY(ttt_run_plan_check(options));
    TTT_TRY(begin_config(options, config, &from));
    const ttt_status status = make_all(options, tokenizer, from != NULL, config, train);
    if (base && status == TTT_OK)
        *base = from;
    else
        ttt_free(from);
    return status;
}

ttt_status ttt_train_run_plan(const ttt_train_run_options *options, ttt_config *config, ttt_train_options *train)
{
    return ttt_run_plan_make(options, NULL, config, train, NULL);
}
