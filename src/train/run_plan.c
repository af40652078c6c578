/* SPDX-License-Identifier: MIT */
#include "train/run_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "config/standard.h"
#include "data/record.h"
#include "train/run_folder.h"
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

ttt_status ttt_run_plan_check(const ttt_train_run_options *said)
{
    if ((said->steps != 0) + (said->epochs != 0) + (said->minutes != 0) > 1)
        return ttt_fail(TTT_ERR_ARGUMENT, "steps, epochs and minutes each say how long to train: give one of them");
    if (!(said->epochs >= 0 && said->minutes >= 0 && said->epochs < 1e9 && said->minutes < 1e9) || said->steps < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "steps, epochs and minutes must be more than 0 and less than 10^9");
    if (said->context < 0 || said->batch < 0 || said->accumulate < 0 || said->save_every < 0 || said->eval_every < 0)
        return ttt_fail(TTT_ERR_ARGUMENT, "context, batch, accumulate, save_every and eval_every must be 1 or more");
    const ttt_data_options data = {.texts = said->texts, .text_count = said->text_count};
    if (ttt_run_data_is_given(&data) && (said->tokenizer || said->valid || said->parse_special))
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%s is prepared data: its tokenizer and held-out part are fixed; leave these options out",
                        said->texts[0]);
    if (said->init_from && said->config)
        return ttt_fail(TTT_ERR_ARGUMENT, "the configuration of %s is that of the run: give no other (%s)",
                        said->init_from, said->config);
    return TTT_OK;
}

/* ---- configuration ---- */

/* What is said first of the configuration: a standard one (*from NULL) or a file (*from its path, a new string). */
static ttt_status begin_config(const ttt_train_run_options *said, ttt_config *config, char **from)
{
    const char *name = said->config ? said->config : "tiny";
    *from = NULL;
    if (!said->init_from && (ttt_standard_find(name) || !ttt_file_exists(name)))
        return ttt_config_standard(config, name);
    *from = said->init_from ? ttt_path_join(said->init_from, "config.json") : ttt_strdup(name);
    if (!*from) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_config_load(config, *from);
    if (status == TTT_OK) return TTT_OK;
    ttt_free(*from);
    *from = NULL;
    return status;
}

static bool is_set(const ttt_train_run_options *said, const char *key)
{
    const size_t length = strlen(key);
    for (size_t i = 0; i < said->setting_count; i++)
        if (strncmp(said->settings[i], key, length) == 0 && said->settings[i][length] == '=') return true;
    return false;
}

static ttt_status apply_setting(ttt_config *config, const char *setting)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting) return ttt_fail(TTT_ERR_ARGUMENT, "the setting \"%s\" is not KEY=VALUE", setting);
    char *key = ttt_strdup(setting);
    if (!key) return TTT_ERR_MEMORY;
    key[equals - setting] = '\0';
    const ttt_status status = ttt_config_set(config, key, equals + 1);
    ttt_free(key);
    return status;
}

/* Layer, backbone and single keys, over what came before. */
static ttt_status adapt_config(const ttt_train_run_options *said, ttt_config *config)
{
    const double before = ttt_config_usual_rate(config);
    if (said->layer) {
        const bool mlp = strcmp(said->layer, "ttt_mlp") == 0;
        if (!mlp && strcmp(said->layer, "ttt_linear") != 0)
            return ttt_fail(TTT_ERR_ARGUMENT, "there is no layer \"%s\"; there are ttt_linear and ttt_mlp",
                            said->layer);
        config->ttt_layer_type = mlp ? TTT_LEARNER_MLP : TTT_LEARNER_LINEAR;
        if (ttt_config_usual_rate(config) != before) config->ttt_base_lr = ttt_config_usual_rate(config);
    }
    if (said->backbone) {
        const bool mamba = strcmp(said->backbone, "mamba") == 0;
        if (!mamba && strcmp(said->backbone, "transformer") != 0)
            return ttt_fail(TTT_ERR_ARGUMENT, "there is no backbone \"%s\"; there are mamba and transformer",
                            said->backbone);
        config->use_gate = config->share_qk = mamba;
        if (!mamba) config->pre_conv = false;
    }
    for (size_t i = 0; i < said->setting_count; i++) TTT_TRY(apply_setting(config, said->settings[i]));
    return TTT_OK;
}

ttt_status ttt_run_plan_config(const ttt_train_run_options *said, ttt_config *config)
{
    const ttt_config run = *config;
    if (said->config) {
        char *from;
        TTT_TRY(begin_config(said, config, &from));
        ttt_free(from);
        config->vocab_size = run.vocab_size;
        config->bos_token_id = run.bos_token_id;
        config->eos_token_id = run.eos_token_id;
        config->max_position_embeddings = run.max_position_embeddings;
    }
    return adapt_config(said, config);
}

/* vocab_size follows the tokenizer unless a file or a setting says it; the ids of the special tokens always do. */
static ttt_status fit_tokenizer(const ttt_train_run_options *said, const ttt_tokenizer *tokenizer, bool from_file,
                                ttt_config *config)
{
    const int64_t vocabulary = ttt_tokenizer_vocabulary(tokenizer);
    if (!from_file && !is_set(said, "vocab_size")) config->vocab_size = vocabulary;
    if (vocabulary > config->vocab_size)
        return ttt_fail(TTT_ERR_ARGUMENT, "the tokenizer has %lld ids, but the model's vocab_size is only %lld",
                        (long long)vocabulary, (long long)config->vocab_size);
    const int64_t bos = ttt_tokenizer_bos(tokenizer), eos = ttt_tokenizer_eos(tokenizer);
    if (!is_set(said, "bos_token_id") && (bos >= 0 || !from_file)) config->bos_token_id = bos;
    if (!is_set(said, "eos_token_id") && (eos >= 0 || !from_file)) config->eos_token_id = eos;
    return TTT_OK;
}

/* The tokenizer that will be used, as far as it exists already; *tokenizer NULL: one of `vocabulary` ids will be
 * trained. */
static ttt_status foresee_tokenizer(const ttt_train_run_options *said, ttt_tokenizer **tokenizer, int64_t *vocabulary)
{
    const char *name = said->tokenizer ? said->tokenizer : said->init_from ? said->init_from : "bpe:4096";
    const ttt_data_options data = {.texts = said->texts, .text_count = said->text_count};
    bool made;
    *tokenizer = NULL;
    *vocabulary = 0;
    if (ttt_run_data_is_given(&data)) return ttt_tokenizer_open(tokenizer, said->texts[0]);
    TTT_TRY(ttt_tokenizer_spec(name, &made, vocabulary));
    if (!made) return ttt_tokenizer_open(tokenizer, name);
    return *vocabulary ? TTT_OK : ttt_tokenizer_new_bytes(tokenizer);
}

static ttt_status foresee_vocabulary(const ttt_train_run_options *said, bool from_file, ttt_config *config)
{
    ttt_tokenizer *tokenizer;
    int64_t vocabulary;
    TTT_TRY(foresee_tokenizer(said, &tokenizer, &vocabulary));
    ttt_status status = TTT_OK;
    if (tokenizer)
        status = fit_tokenizer(said, tokenizer, from_file, config);
    else if (!from_file && !is_set(said, "vocab_size"))
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

/* As few passes per update as keep each within the size above; a single sequence is never cut. */
static int64_t choose_accumulate(int64_t sequences, int64_t context, const ttt_config *config)
{
    const double each = (double)context * (double)config->hidden_size * (double)config->num_hidden_layers;
    for (int64_t passes = 1; passes < sequences; passes++) {
        const int64_t at_once = sequences / passes;
        if (at_once * passes == sequences && (double)at_once * each <= pass_size) return passes;
    }
    return sequences;
}

static ttt_status make_batch(const ttt_train_run_options *said, const ttt_config *config, int64_t tokens,
                             ttt_train_options *train)
{
    const int64_t accumulate = said->accumulate ? said->accumulate : 1;
    if (train->context > INT32_MAX || accumulate > INT32_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "a context of %lld tokens, %lld passes an update: at most 2^31 - 1 of each",
                        (long long)train->context, (long long)accumulate);
    const int64_t unit = train->context * accumulate;
    if (said->batch && said->batch % unit != 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%lld tokens per update is not a multiple of context %lld times accumulate %lld: give %lld, "
                        "say",
                        (long long)said->batch, (long long)train->context, (long long)accumulate,
                        (long long)(said->batch / unit + (said->batch < unit)) * unit);
    if (said->batch) tokens = said->batch;
    train->batch = (tokens < unit ? unit : tokens / unit * unit) / train->context;
    train->accumulate = said->accumulate ? accumulate : choose_accumulate(train->batch, train->context, config);
    return TTT_OK;
}

static ttt_status make_options(const ttt_train_run_options *said, const ttt_config *config, ttt_train_options *train)
{
    const ttt_standard *found = said->init_from ? NULL : ttt_standard_find(said->config ? said->config : "tiny");
    ttt_train_options_init(train);
    train->backend = said->backend;
    train->precision = said->precision;
    train->threads = said->threads;
    train->recompute = said->recompute;
    train->profile = said->profile;
    train->context = said->context ? said->context : config->max_position_embeddings;
    TTT_TRY(make_batch(said, config, found ? found->batch : FILE_SEQUENCES * train->context, train));
    train->segment = said->segment > 0 ? said->segment : 0;
    train->rate = said->rate >= 0 ? said->rate : found ? found->rate : said->init_from ? tuning * file_rate : file_rate;
    train->seed = said->seed > 0 ? (uint64_t)said->seed : 0;
    train->steps = said->steps;
    return said->schedule ? find_schedule(said->schedule, &train->schedule) : TTT_OK;
}

static ttt_status make_all(const ttt_train_run_options *said, const ttt_tokenizer *tokenizer, bool from_file,
                           ttt_config *config, ttt_train_options *train)
{
    TTT_TRY(adapt_config(said, config));
    if (tokenizer)
        TTT_TRY(fit_tokenizer(said, tokenizer, from_file, config));
    else
        TTT_TRY(foresee_vocabulary(said, from_file, config));
    TTT_TRY(ttt_config_check(config, "the configuration"));
    TTT_TRY(make_options(said, config, train));
    if (!is_set(said, "max_position_embeddings")) config->max_position_embeddings = train->context;
    return TTT_OK;
}

ttt_status ttt_run_plan_make(const ttt_train_run_options *said, const ttt_tokenizer *tokenizer, ttt_config *config,
                             ttt_train_options *train, char **base)
{
    char *from;
    TTT_TRY(ttt_run_plan_check(said));
    TTT_TRY(begin_config(said, config, &from));
    const ttt_status status = make_all(said, tokenizer, from != NULL, config, train);
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
