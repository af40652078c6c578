/* SPDX-License-Identifier: MIT */
#include "train/match_flops.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

enum { WIDTH_STEP = 16, FFN_STEP = 8, UNITS_MAX = 4096 };

/* The last number of tokens in a metrics.jsonl; 0 if there is none. */
static double last_tokens(const ttt_buffer *text)
{
    double tokens = 0;
    for (const char *line = text->data, *end = line + text->size; line < end;) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        json_error_t error;
        json_t *object = ttt_json_read(line, (size_t)((newline ? newline : end) - line), 0, &error);
        const json_t *value = json_object_get(object, "tokens");
        if (json_is_number(value)) tokens = json_number_value(value);
        json_decref(object);
        line = newline ? newline + 1 : end;
    }
    return tokens;
}

static ttt_status read_tokens(const char *path, double *tokens)
{
    ttt_buffer text = {0};
    ttt_status status = ttt_file_read(&text, path, SIZE_MAX);
    *tokens = status == TTT_OK && text.size ? last_tokens(&text) : 0;
    ttt_buffer_deinit(&text);
    if (status == TTT_OK && !(*tokens > 0))
        status = ttt_fail(TTT_ERR_FORMAT, "%s does not say how many tokens the model was trained on", path);
    return status;
}

ttt_status ttt_match_total(const char *folder, double *total)
{
    char *path = ttt_path_join(folder, "config.json"), *metrics = ttt_path_join(folder, "metrics.jsonl");
    ttt_config config;
    ttt_flops flops;
    double tokens = 0;
    ttt_status status = path && metrics ? ttt_config_load(&config, path) : TTT_ERR_MEMORY;
    if (status == TTT_OK) status = read_tokens(metrics, &tokens);
    if (status == TTT_OK) status = ttt_config_flops(&config, config.max_position_embeddings, &flops);
    if (status == TTT_OK) *total = flops.training * tokens;
    ttt_free(path);
    ttt_free(metrics);
    return status;
}

ttt_status ttt_match_steps(double total, const ttt_config *config, const ttt_train_options *train, int64_t *steps)
{
    ttt_flops flops;
    TTT_TRY(ttt_config_flops(config, train->context, &flops));
    const double updates = round(total / (flops.training * (double)(train->batch * train->context)));
    *steps = updates >= 1 ? updates < INT32_MAX ? (int64_t)updates : INT32_MAX : 1;
    return TTT_OK;
}

/* ---- width ---- */

static bool has_heads(const ttt_config *config)
{
    return config->model_type != TTT_MODEL_MAMBA && config->hidden_size % config->num_attention_heads == 0;
}

/* The configuration of `units` heads, or sixteens, and how far its FLOPs are from what is wanted. */
static ttt_status with_width(const ttt_config *like, int64_t units, int64_t context, double wanted, ttt_config *config,
                             double *off)
{
    const bool heads = has_heads(like);
    const int64_t unit = heads ? like->hidden_size / like->num_attention_heads : WIDTH_STEP;
    const double ratio = (double)like->intermediate_size / (double)like->hidden_size;
    ttt_flops flops;
    *config = *like;
    config->hidden_size = units * unit;
    if (heads) config->num_attention_heads = units;
    config->intermediate_size = FFN_STEP * (int64_t)fmax(1, round(ratio * (double)config->hidden_size / FFN_STEP));
    if (units == like->hidden_size / unit) config->intermediate_size = like->intermediate_size;
    TTT_TRY(ttt_config_flops(config, context, &flops));
    *off = flops.training - wanted;
    return TTT_OK;
}

/* Whether a number of heads is one that the layers take: grouped queries want multiples of their groups. */
static bool is_possible(const ttt_config *like, int64_t units)
{
    return !has_heads(like) || like->num_key_value_heads == 0 || units % like->num_key_value_heads == 0;
}

/* intermediate_size takes up what is left; where no block has such, nothing changes. */
static ttt_status fit_rest(ttt_config *config, int64_t context, double off)
{
    ttt_config wider = *config;
    ttt_flops now, then;
    wider.intermediate_size += FFN_STEP;
    TTT_TRY(ttt_config_flops(config, context, &now));
    TTT_TRY(ttt_config_flops(&wider, context, &then));
    const double each = then.training - now.training;
    if (!(each > 0)) return TTT_OK;
    const int64_t most = 2 * config->intermediate_size, least = config->intermediate_size / 2 + 1;
    const int64_t size = config->intermediate_size - FFN_STEP * (int64_t)round(off / each);
    config->intermediate_size = size < least ? least : size > most ? most : size;
    return TTT_OK;
}

ttt_status ttt_match_width(double total, ttt_config *config, const ttt_train_options *train)
{
    const double wanted = total / ((double)train->steps * (double)(train->batch * train->context));
    ttt_config best = *config, tried;
    double nearest = INFINITY, off;
    for (int64_t units = 1; units <= UNITS_MAX; units++) {
        if (!is_possible(config, units)) continue;
        TTT_TRY(with_width(config, units, train->context, wanted, &tried, &off));
        if (fabs(off) < fabs(nearest)) {
            nearest = off;
            best = tried;
        }
        if (off > 0) break;
    }
    TTT_TRY(fit_rest(&best, train->context, nearest));
    *config = best;
    return TTT_OK;
}
