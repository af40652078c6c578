/* SPDX-License-Identifier: MIT
 *
 * What a model folder says about generation: generation_config.json under Hugging Face's names. A key that is absent or
 * null leaves the default; keys for what this version does not do are left alone.
 */
#include <jansson.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"
#include "infer/sampler.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

void ttt_generate_options_init(ttt_generate_options *options)
{
    *options = (ttt_generate_options){.max_new_tokens = 256, .logprobs = -1};
    ttt_sampling_init(&options->sampling);
}

ttt_status ttt_model_check_tokenizer(const ttt_model *model, const ttt_tokenizer *tokenizer)
{
    const int64_t ids = ttt_tokenizer_vocabulary(tokenizer), vocabulary = ttt_model_vocabulary(model);
    if (ids <= vocabulary) return TTT_OK;
    return ttt_fail(TTT_ERR_ARGUMENT,
                    "the tokenizer has %lld ids, but the model's vocab_size is %lld: it belongs to another model",
                    (long long)ids, (long long)vocabulary);
}

static ttt_status read_eos(ttt_generate_options *o, const json_t *value, int64_t vocabulary)
{
    if (!value || json_is_null(value)) return TTT_OK;
    const size_t count = json_is_array(value) ? json_array_size(value) : 1;
    if (count > TTT_EOS_IDS)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "eos_token_id lists %zu ids; %d are supported", count, TTT_EOS_IDS);
    for (size_t i = 0; i < count; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= vocabulary)
            return ttt_fail(TTT_ERR_FORMAT, "eos_token_id must be an id from 0 to %lld or a list of such",
                            (long long)vocabulary - 1);
        o->eos[i] = (int32_t)json_integer_value(id);
    }
    o->eos_count = (int64_t)count;
    return TTT_OK;
}

static ttt_status read_number(const json_t *root, const char *key, double *value)
{
    const json_t *member = json_object_get(root, key);
    if (!member || json_is_null(member)) return TTT_OK;
    if (!json_is_number(member)) return ttt_fail(TTT_ERR_FORMAT, "%s must be a number", key);
    *value = json_number_value(member);
    return TTT_OK;
}

static ttt_status read_count(const json_t *root, const char *key, int64_t *value)
{
    const json_t *member = json_object_get(root, key);
    if (!member || json_is_null(member)) return TTT_OK;
    if (!json_is_integer(member) || json_integer_value(member) < 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s must be a whole number, 0 or more", key);
    *value = json_integer_value(member);
    return TTT_OK;
}

/* -1 is one way to say that it is off. */
static ttt_status read_top_k(const json_t *root, int64_t *value)
{
    const json_t *member = json_object_get(root, "top_k");
    if (!json_is_integer(member) || json_integer_value(member) != -1) return read_count(root, "top_k", value);
    *value = 0;
    return TTT_OK;
}

static ttt_status read_config(ttt_generate_options *o, const json_t *root, int64_t vocabulary)
{
    if (!json_is_object(root)) return ttt_fail(TTT_ERR_FORMAT, "not a JSON object");
    TTT_TRY(read_eos(o, json_object_get(root, "eos_token_id"), vocabulary));
    TTT_TRY(read_number(root, "temperature", &o->sampling.temperature));
    TTT_TRY(read_number(root, "top_p", &o->sampling.top_p));
    if (o->sampling.top_p == 0) o->sampling.top_p = 1; /* as others do: off */
    TTT_TRY(read_number(root, "min_p", &o->sampling.min_p));
    TTT_TRY(read_number(root, "repetition_penalty", &o->sampling.repetition_penalty));
    TTT_TRY(read_top_k(root, &o->sampling.top_k));
    TTT_TRY(read_count(root, "max_new_tokens", &o->max_new_tokens));
    const json_t *sample = json_object_get(root, "do_sample");
    if (sample && !json_is_null(sample) && !json_is_boolean(sample))
        return ttt_fail(TTT_ERR_FORMAT, "do_sample must be true or false");
    if (json_is_false(sample)) o->sampling.temperature = 0;
    return ttt_sampling_check(&o->sampling);
}

static ttt_status load_config(ttt_generate_options *o, const char *path, int64_t vocabulary)
{
    ttt_buffer bytes = {0};
    ttt_status status = ttt_file_read(&bytes, path, CONFIG_BYTES_MAX);
    if (status == TTT_OK) {
        json_error_t error;
        json_t *root = ttt_json_read(bytes.data, bytes.size, 0, &error);
        status = root ? read_config(o, root, vocabulary)
                      : ttt_fail(ttt_json_status(&error), "line %d: %s", error.line, error.text);
        if (status != TTT_OK) status = ttt_fail_prefix(status, "%s", path);
        json_decref(root);
    }
    ttt_buffer_deinit(&bytes);
    return status;
}

ttt_status ttt_generate_options_load(ttt_generate_options *options, const char *folder, const ttt_model *model,
                                     const ttt_tokenizer *tokenizer)
{
    const ttt_config *config = ttt_model_config(model);
    const int64_t known = tokenizer ? ttt_tokenizer_eos(tokenizer) : -1;
    const int64_t eos = known >= 0 ? known : config->eos_token_id;
    options->eos_count = eos >= 0 && eos < config->vocab_size;
    options->eos[0] = options->eos_count ? (int32_t)eos : 0;
    char *path = ttt_path_join(folder, "generation_config.json");
    if (!path) return TTT_ERR_MEMORY;
    const ttt_status status = ttt_file_exists(path) ? load_config(options, path, config->vocab_size) : TTT_OK;
    ttt_free(path);
    return status;
}
