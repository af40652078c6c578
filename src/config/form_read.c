/* SPDX-License-Identifier: MIT
 *
 * What of the config.json of transformers and flash-linear-attention is no key by itself: sizes that follow from each
 * other, which must agree when read, and are all written.
 */
#include <inttypes.h>
#include <math.h>

#include "config/forms.h"

/* Takes `value`, which may be NULL when memory is short. */
static bool set(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

static ttt_status bad_size(const char *where, const char *key)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be a whole number", where, key);
}

/* A key that follows from others: absent, null, or what it must be. */
static ttt_status read_implied(const json_t *object, const char *key, int64_t must, const char *why, const char *where)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return TTT_OK;
    if (!json_is_integer(value)) return bad_size(where, key);
    if (json_integer_value(value) == must) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: %s %" JSON_INTEGER_FORMAT " is not supported, only %s, %" PRId64, where,
                    key, json_integer_value(value), why, must);
}

/* ---- llama, mistral ---- */

ttt_status ttt_form_llama_read(ttt_config *config, const json_t *object, const char *where)
{
    const int64_t heads = config->num_attention_heads;
    if (heads < 1 || config->hidden_size % heads != 0) return TTT_OK; /* refused by ttt_config_check_keys */
    return read_implied(object, "head_dim", config->hidden_size / heads, "hidden_size / num_attention_heads", where);
}

bool ttt_form_llama_write(json_t *object, const ttt_config *config)
{
    const int64_t heads = config->num_attention_heads;
    if (config->num_key_value_heads == 0 && !set(object, "num_key_value_heads", json_integer(heads))) return false;
    return set(object, "head_dim", json_integer(config->hidden_size / heads));
}

/* ---- mamba ---- */

ttt_status ttt_form_mamba_read(ttt_config *config, const json_t *object, const char *where)
{
    const int64_t inner = ttt_config_product(config->hidden_size, config->expand);
    if (inner == 0) return TTT_OK; /* refused by the layer */
    return read_implied(object, "intermediate_size", inner, "expand times hidden_size", where);
}

bool ttt_form_mamba_write(json_t *object, const ttt_config *config)
{
    const int64_t rank = config->time_step_rank ? config->time_step_rank : (config->hidden_size + 15) / 16;
    if (config->expand == floor(config->expand) && !set(object, "expand", json_integer((json_int_t)config->expand)))
        return false; /* transformers 5 takes no 2.0 */
    return set(object, "time_step_rank", json_integer(rank)) &&
           set(object, "intermediate_size", json_integer(ttt_config_product(config->hidden_size, config->expand)));
}

/* ---- delta_net, gated_deltanet ---- */

/* The factor that makes `size` to `product`, also for a reader that cuts off what is behind the point. */
static double factor_of(int64_t size, int64_t product)
{
    double factor = (double)product / (double)size;
    while ((double)size * factor < (double)product) factor = nextafter(factor, INFINITY);
    return factor;
}

static ttt_status read_real(double *value, const json_t *object, const char *key, double absent, const char *where)
{
    const json_t *found = json_object_get(object, key);
    *value = found ? json_number_value(found) : absent;
    if (found && !json_is_number(found)) return ttt_fail(TTT_ERR_FORMAT, "%s: %s must be a number", where, key);
    return TTT_OK;
}

/* The width of the feed-forward network: 256 times as many as two thirds of hidden_ratio times hidden_size need. */
static ttt_status read_width(ttt_config *config, const json_t *object, const char *where)
{
    const json_t *given = json_object_get(object, "intermediate_size");
    double ratio;
    if (given && !json_is_null(given)) {
        if (!json_is_integer(given)) return bad_size(where, "intermediate_size");
        config->intermediate_size = json_integer_value(given);
        return TTT_OK;
    }
    const json_t *null = json_object_get(object, "hidden_ratio");
    if (json_is_null(null))
        ratio = 4;
    else
        TTT_TRY(read_real(&ratio, object, "hidden_ratio", 4, where));
    const double width = 256 * ceil(floor((double)config->hidden_size * ratio * 2 / 3) / 256);
    if (!(width >= 1 && width <= 0x1p24))
        return ttt_fail(TTT_ERR_FORMAT, "%s: hidden_ratio %g makes no width that is supported", where, ratio);
    config->intermediate_size = (int64_t)width;
    return TTT_OK;
}

/* A head's part of hidden_size times `key`. */
static ttt_status read_head(int64_t *size, const ttt_config *config, const json_t *object, const char *key,
                            const char *where)
{
    double factor;
    TTT_TRY(read_real(&factor, object, key, 1, where));
    const int64_t heads = config->num_attention_heads, all = ttt_config_product(config->hidden_size, factor);
    if (all == 0 || heads < 1 || all % heads != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: hidden_size %" PRId64 " times %s %.17g over num_heads %" PRId64 " is no whole number",
                        where, config->hidden_size, key, factor, heads);
    *size = all / heads;
    return TTT_OK;
}

ttt_status ttt_form_delta_net_read(ttt_config *config, const json_t *object, const char *where)
{
    int64_t value_size = 0;
    TTT_TRY(read_width(config, object, where));
    TTT_TRY(read_head(&config->head_dim, config, object, "expand_k", where));
    TTT_TRY(read_head(&value_size, config, object, "expand_v", where));
    config->expand_v = factor_of(config->head_dim, value_size);
    return TTT_OK;
}

/* Sizes of a key and a value of a head. */
static int64_t key_size(const ttt_config *config)
{
    return config->head_dim ? config->head_dim : config->hidden_size / config->num_attention_heads;
}

static int64_t value_size(const ttt_config *config) { return ttt_config_product(key_size(config), config->expand_v); }

static bool write_delta(json_t *object, const ttt_config *config, bool gated)
{
    const bool gate = config->delta_use_gate == TTT_UNSAID ? gated : config->delta_use_gate == TTT_YES;
    return set(object, "use_gate", json_boolean(gate)) &&
           set(object, "intermediate_size", json_integer(config->intermediate_size));
}

bool ttt_form_delta_net_write(json_t *object, const ttt_config *config)
{
    const int64_t C = config->hidden_size, H = config->num_attention_heads;
    return write_delta(object, config, false) &&
           set(object, "expand_k", json_real(factor_of(C, H * key_size(config)))) &&
           set(object, "expand_v", json_real(factor_of(C, H * value_size(config))));
}

ttt_status ttt_form_gated_deltanet_read(ttt_config *config, const json_t *object, const char *where)
{
    const json_t *size = json_object_get(object, "head_dim");
    TTT_TRY(read_width(config, object, where));
    config->head_dim = size ? json_integer_value(size) : 256;
    if (size && !json_is_integer(size)) return bad_size(where, "head_dim");
    if (config->head_dim < 1) return ttt_fail(TTT_ERR_FORMAT, "%s: head_dim must be from 1", where);
    TTT_TRY(read_real(&config->expand_v, object, "expand_v", 2, where));
    return read_implied(object, "num_v_heads", config->num_attention_heads, "null or num_heads", where);
}

bool ttt_form_gated_deltanet_write(json_t *object, const ttt_config *config)
{
    return write_delta(object, config, true) && set(object, "head_dim", json_integer(key_size(config))) &&
           set(object, "expand_v", json_real(factor_of(key_size(config), value_size(config))));
}
