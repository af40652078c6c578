/* SPDX-License-Identifier: MIT
 *
 * The parts of a tokenizer.json around its model: post_processor, decoder, truncation (hf_steps.c: normalizer and
 * pre_tokenizer); and tokenizer_config.json. Each kind of part is either done exactly or refused by name.
 */
#include <string.h>

#include "base/alloc.h"
#include "text/hf.h"
#include "text/json.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

bool ttt_hf_absent(const json_t *part) { return !part || json_is_null(part); }

ttt_status ttt_hf_unsupported(const char *where, const char *type)
{
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s of type %s is not supported", where, type);
}

ttt_status ttt_hf_normal_new(ttt_normal **list, size_t *count, ttt_normal **added)
{
    ttt_normal *grown = ttt_realloc(*list, *count + 1, sizeof *grown);
    if (!grown) return TTT_ERR_MEMORY;
    *list = grown;
    *added = &grown[(*count)++];
    **added = (ttt_normal){0};
    return TTT_OK;
}

ttt_status ttt_hf_character(const json_t *part, const char *where, const char *key, const char *fallback,
                            ttt_buffer *value)
{
    TTT_TRY(ttt_json_string(part, where, key, value));
    if (value->size == 0) return ttt_buffer_append(value, fallback, strlen(fallback));
    uint32_t code;
    if ((size_t)ttt_utf8_decode(value->data, value->size, &code) == value->size) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: '%s' must be one character", where, key);
}

ttt_status ttt_hf_prefix(const json_t *part, const char *where, ttt_prefix *prefix)
{
    static const char *const names[] = {"never", "first", "always"};
    bool add = true;
    TTT_TRY(ttt_json_bool(part, where, "add_prefix_space", &add));
    *prefix = add ? TTT_PREFIX_ALWAYS : TTT_PREFIX_NEVER;
    const json_t *scheme = json_object_get(part, "prepend_scheme");
    if (ttt_hf_absent(scheme)) return TTT_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!json_is_string(scheme) || strcmp(json_string_value(scheme), names[i]) != 0) continue;
        *prefix = (ttt_prefix)i;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_FORMAT, "%s: 'prepend_scheme' must be never, first or always", where);
}

/* The token that a TemplateProcessing puts before a text; one only, and what comes behind the text is not looked at:
 * documents end with end-of-text here. */
static ttt_status read_template(ttt_tokenizer *tokenizer, const json_t *part, const char *where)
{
    const json_t *single = json_object_get(part, "single");
    const json_t *name = json_object_get(json_object_get(json_array_get(single, 0), "SpecialToken"), "id");
    if (!json_is_string(name)) return TTT_OK;
    if (json_object_get(json_array_get(single, 1), "SpecialToken"))
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s that begins every text with several tokens is not supported", where);
    const json_t *token = json_object_get(json_object_get(part, "special_tokens"), json_string_value(name));
    const json_t *ids = json_object_get(token, "ids"), *id = json_array_get(ids, 0);
    if (json_array_size(ids) != 1 || !json_is_integer(id) || json_integer_value(id) < 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s names the token '%s' without one id for it", where,
                        json_string_value(name));
    tokenizer->template_bos = json_integer_value(id);
    return TTT_OK;
}

/* "cls": [text, id], which the older kinds put before a text. */
static ttt_status read_class_token(ttt_tokenizer *tokenizer, const json_t *part, const char *where)
{
    const json_t *id = json_array_get(json_object_get(part, "cls"), 1);
    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: 'cls' must be a list of a token and its id", where);
    tokenizer->template_bos = json_integer_value(id);
    return TTT_OK;
}

/* A post_processor adds tokens around the text or trims offsets. Encoding adds nothing and has no offsets; what begins
 * a text is noted. */
static ttt_status read_post_processor(ttt_tokenizer *tokenizer, const json_t *part)
{
    static const char where[] = "a post_processor";
    const char *type;
    TTT_TRY(ttt_json_type(part, where, &type));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(part, "processors");
        for (size_t i = 0; i < json_array_size(list); i++)
            TTT_TRY(read_post_processor(tokenizer, json_array_get(list, i)));
        return TTT_OK;
    }
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(tokenizer, part, where);
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0)
        return read_class_token(tokenizer, part, where);
    return strcmp(type, "ByteLevel") == 0 ? TTT_OK : ttt_hf_unsupported(where, type);
}

static ttt_status read_strip(ttt_decode *decode, const json_t *part, const char *where)
{
    int64_t start = 0, stop = 0;
    TTT_TRY(ttt_hf_character(part, where, "content", " ", &decode->strip));
    TTT_TRY(ttt_json_count(part, where, "start", INT32_MAX, &start));
    TTT_TRY(ttt_json_count(part, where, "stop", INT32_MAX, &stop));
    if (stop > 0) return ttt_hf_unsupported(where, "Strip at the end of the text");
    decode->strip_count = (size_t)start;
    return TTT_OK;
}

/* One step of a decoder. Steps must come in this order; *stage is how far the list has come. */
static ttt_status read_decode_step(ttt_decode *decode, const json_t *part, int *stage)
{
    enum { REPLACE, METASPACE, BYTE_FALLBACK, FUSE, STRIP, STAGES };
    static const char *const names[STAGES] = {"Replace", "Metaspace", "ByteFallback", "Fuse", "Strip"};
    static const char where[] = "a decoder";
    const char *type;
    TTT_TRY(ttt_json_type(part, where, &type));
    int step = 0;
    while (step < STAGES && strcmp(type, names[step]) != 0) step++;
    if (step == STAGES) return ttt_hf_unsupported(where, type);
    if (step < *stage || (step == *stage && step != REPLACE) || (step == STRIP && *stage != FUSE))
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s of type %s is not supported at this place of a Sequence", where, type);
    *stage = step;
    ttt_normal *replace;
    ttt_prefix prefix;
    switch (step) {
    case REPLACE:
        TTT_TRY(ttt_hf_normal_new(&decode->replaces, &decode->replace_count, &replace));
        TTT_TRY(ttt_hf_replace(replace, part, where));
        return replace->kind == TTT_NORMAL_REPLACE ? TTT_OK
                                                   : ttt_hf_unsupported(where, "Replace with a regular expression");
    case METASPACE:
        TTT_TRY(ttt_hf_prefix(part, where, &prefix));
        decode->metaspace = true;
        decode->keep_first = prefix == TTT_PREFIX_NEVER;
        return ttt_hf_character(part, where, "replacement", "\u2581", &decode->replacement);
    case BYTE_FALLBACK: decode->byte_fallback = true; return TTT_OK;
    case STRIP: return read_strip(decode, part, where);
    default: return TTT_OK; /* Fuse: text is one run of bytes here anyway */
    }
}

static ttt_status read_decoder(ttt_decode *decode, const json_t *part)
{
    const char *type;
    int stage = 0;
    TTT_TRY(ttt_json_type(part, "a decoder", &type));
    const json_t *list = json_object_get(part, "decoders");
    const bool sequence = strcmp(type, "Sequence") == 0;
    if (sequence && json_array_size(list) == 1) return read_decoder(decode, json_array_get(list, 0));
    decode->kind = TTT_DECODE_STEPS;
    for (size_t i = 0; sequence && i < json_array_size(list); i++)
        TTT_TRY(read_decode_step(decode, json_array_get(list, i), &stage));
    if (sequence) return TTT_OK;
    if (strcmp(type, "ByteLevel") != 0) return read_decode_step(decode, part, &stage);
    decode->kind = TTT_DECODE_BYTE_LEVEL;
    return TTT_OK;
}

static ttt_status read_truncation(ttt_tokenizer *tokenizer, const json_t *part)
{
    static const char where[] = "the truncation";
    TTT_TRY(ttt_json_count(part, where, "max_length", INT64_MAX, &tokenizer->truncation));
    const char *direction = json_string_value(json_object_get(part, "direction"));
    tokenizer->truncates_left = direction && strcmp(direction, "Left") == 0;
    return TTT_OK;
}

ttt_status ttt_tokenizer_read_parts(ttt_tokenizer *tokenizer, const json_t *root)
{
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *pre_tokenizer = json_object_get(root, "pre_tokenizer");
    const json_t *post_processor = json_object_get(root, "post_processor");
    const json_t *decoder = json_object_get(root, "decoder");
    if (!ttt_hf_absent(normalizer)) TTT_TRY(ttt_hf_read_normalizer(tokenizer, normalizer));
    if (!ttt_hf_absent(pre_tokenizer)) TTT_TRY(ttt_hf_read_pre_tokenizer(tokenizer, pre_tokenizer));
    tokenizer->template_bos = -1;
    if (!ttt_hf_absent(post_processor)) TTT_TRY(read_post_processor(tokenizer, post_processor));
    if (!ttt_hf_absent(decoder)) TTT_TRY(read_decoder(&tokenizer->decode, decoder));
    return read_truncation(tokenizer, json_object_get(root, "truncation"));
}

/* "bos_token" and "eos_token" are a string, or an object with "content". */
static ttt_status read_named_token(const ttt_tokenizer *tokenizer, const json_t *root, const char *key, int64_t *id)
{
    const json_t *token = json_object_get(root, key);
    if (json_is_object(token)) token = json_object_get(token, "content");
    if (ttt_hf_absent(token)) return TTT_OK;
    const char *content = json_string_value(token);
    if (!content) return ttt_fail(TTT_ERR_FORMAT, "'%s' must be a string or an object with 'content'", key);
    const int32_t found = ttt_strings_find(&tokenizer->tokens, content, strlen(content));
    if (found < 0) return ttt_fail(TTT_ERR_FORMAT, "'%s' is '%s', which is no token of the tokenizer", key, content);
    *id = found;
    return TTT_OK;
}

/* Whether texts begin with BOS: as "add_bos_token" says; without it as tokenizer.json's post_processor does, and beside
 * a tokenizer.model, which has none, as transformers' class for it does of its own accord. */
static ttt_status read_adds_bos(ttt_tokenizer *tokenizer, const json_t *root)
{
    if (!ttt_hf_absent(json_object_get(root, "add_bos_token")))
        return ttt_json_bool(root, "the configuration", "add_bos_token", &tokenizer->adds_bos);
    const char *class = json_string_value(json_object_get(root, "tokenizer_class"));
    if (tokenizer->kind == TTT_TEXT_SENTENCEPIECE)
        tokenizer->adds_bos = tokenizer->bos >= 0 && class && strncmp(class, "LlamaTokenizer", 14) == 0;
    else if (tokenizer->template_bos >= 0)
        tokenizer->bos = tokenizer->template_bos;
    return TTT_OK;
}

ttt_status ttt_tokenizer_read_config(ttt_tokenizer *tokenizer, const char *bytes, size_t size)
{
    json_t *root;
    TTT_TRY(ttt_json_parse(&root, bytes, size));
    ttt_status status = read_named_token(tokenizer, root, "bos_token", &tokenizer->bos);
    if (status == TTT_OK) status = read_named_token(tokenizer, root, "eos_token", &tokenizer->eos);
    if (status == TTT_OK) status = read_adds_bos(tokenizer, root);
    json_decref(root);
    if (status == TTT_OK && tokenizer->adds_bos && tokenizer->bos < 0)
        status = ttt_fail(TTT_ERR_FORMAT, "'add_bos_token' is true, but the tokenizer has no BOS");
    return status;
}
