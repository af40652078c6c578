/* SPDX-License-Identifier: MIT
 *
 * The normalizer and the pre_tokenizer of a tokenizer.json: lists of steps, nested Sequences made flat.
 */
#include <string.h>

#include "base/alloc.h"
#include "text/charsmap.h"
#include "text/hf.h"
#include "text/json.h"

/* The place of `name` in a list that ends with NULL, or -1. */
static int find(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* {"String": text} or {"Regex": expression}: one of the two is set. */
static ttt_status read_pattern(const json_t *part, const char *where, ttt_buffer *text, ttt_regex **regex)
{
    const json_t *pattern = json_object_get(part, "pattern"), *expression = json_object_get(pattern, "Regex");
    if (json_is_string(expression))
        return ttt_regex_new(regex, json_string_value(expression), json_string_length(expression), where);
    TTT_TRY(ttt_json_string(pattern, where, "String", text));
    return text->size > 0 ? TTT_OK : ttt_fail(TTT_ERR_FORMAT, "%s has no pattern", where);
}

ttt_status ttt_hf_replace(ttt_normal *step, const json_t *part, const char *where)
{
    TTT_TRY(read_pattern(part, where, &step->from, &step->pattern));
    step->kind = step->pattern ? TTT_NORMAL_REPLACE_REGEX : TTT_NORMAL_REPLACE;
    return ttt_json_string(part, where, "content", &step->to);
}

static ttt_status read_charsmap(ttt_normal *step, const json_t *part, const char *where)
{
    ttt_buffer text = {0};
    step->kind = TTT_NORMAL_CHARSMAP;
    ttt_status status = ttt_json_string(part, where, "precompiled_charsmap", &text);
    if (status == TTT_OK) status = ttt_charsmap_decode(&step->from, text.data, text.size);
    ttt_buffer_deinit(&text);
    return status;
}

static ttt_status read_normal(ttt_normal *step, const json_t *part, const char *where, const char *type)
{
    enum { NFC, NFD, NFKC, NFKD, LOWERCASE, STRIP, STRIP_ACCENTS, PREPEND, REPLACE, PRECOMPILED };
    static const char *const names[] = {"NFC",          "NFD",     "NFKC",    "NFKD",        "Lowercase", "Strip",
                                        "StripAccents", "Prepend", "Replace", "Precompiled", NULL};
    const int kind = find(names, type);
    switch (kind) {
    case NFC:
    case NFD:
    case NFKC:
    case NFKD: *step = (ttt_normal){.kind = TTT_NORMAL_FORM, .form = (ttt_form)kind}; return TTT_OK;
    case LOWERCASE: step->kind = TTT_NORMAL_LOWER; return TTT_OK;
    case STRIP_ACCENTS: step->kind = TTT_NORMAL_STRIP_MARKS; return TTT_OK;
    case STRIP:
        *step = (ttt_normal){.kind = TTT_NORMAL_STRIP, .left = true, .right = true};
        TTT_TRY(ttt_json_bool(part, where, "strip_left", &step->left));
        return ttt_json_bool(part, where, "strip_right", &step->right);
    case PREPEND: step->kind = TTT_NORMAL_PREPEND; return ttt_json_string(part, where, "prepend", &step->to);
    case REPLACE: return ttt_hf_replace(step, part, where);
    case PRECOMPILED: return read_charsmap(step, part, where);
    default: return ttt_hf_unsupported(where, type);
    }
}

ttt_status ttt_hf_read_normalizer(ttt_tokenizer *tokenizer, const json_t *part)
{
    static const char where[] = "a normalizer";
    const char *type;
    TTT_TRY(ttt_json_type(part, where, &type));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(part, "normalizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            TTT_TRY(ttt_hf_read_normalizer(tokenizer, json_array_get(list, i)));
        return TTT_OK;
    }
    ttt_normal *step;
    TTT_TRY(ttt_hf_normal_new(&tokenizer->normals, &tokenizer->normal_count, &step));
    return read_normal(step, part, where, type);
}

/* What is done with matches: the behavior that the file names. */
static ttt_status read_behavior(ttt_split_step *step, const json_t *part, const char *where)
{
    static const char *const names[] = {"Removed",        "Isolated",   "MergedWithPrevious",
                                        "MergedWithNext", "Contiguous", NULL};
    const char *name = json_string_value(json_object_get(part, "behavior"));
    const int behavior = name ? find(names, name) : -1;
    if (behavior < 0) return ttt_fail(TTT_ERR_FORMAT, "%s: 'behavior' is none of those that are known", where);
    step->behavior = (ttt_split_behavior)behavior;
    return TTT_OK;
}

static ttt_status read_split(ttt_split_step *step, const json_t *part, const char *where, const char *type)
{
    enum { BYTE_LEVEL, METASPACE, WHITESPACE, WHITESPACE_SPLIT, DIGITS, PUNCTUATION, SPLIT };
    static const char *const names[] = {"ByteLevel", "Metaspace",   "Whitespace", "WhitespaceSplit",
                                        "Digits",    "Punctuation", "Split",      NULL};
    bool each = false;
    step->pieces = true;
    switch (find(names, type)) {
    case BYTE_LEVEL:
        step->kind = TTT_SPLIT_BYTE_LEVEL;
        TTT_TRY(ttt_hf_prefix(part, where, &step->prefix));
        return ttt_json_bool(part, where, "use_regex", &step->pieces);
    case METASPACE:
        step->kind = TTT_SPLIT_METASPACE;
        TTT_TRY(ttt_hf_prefix(part, where, &step->prefix));
        TTT_TRY(ttt_json_bool(part, where, "split", &step->pieces));
        return ttt_hf_character(part, where, "replacement", "\u2581", &step->text);
    case WHITESPACE:
        step->kind = TTT_SPLIT_WORDS;
        step->behavior = TTT_SPLIT_ISOLATED;
        return TTT_OK;
    case WHITESPACE_SPLIT: step->kind = TTT_SPLIT_SPACES; return TTT_OK; /* removed */
    case DIGITS:
        step->kind = TTT_SPLIT_NUMBERS;
        TTT_TRY(ttt_json_bool(part, where, "individual_digits", &each));
        step->behavior = each ? TTT_SPLIT_ISOLATED : TTT_SPLIT_CONTIGUOUS;
        return TTT_OK;
    case PUNCTUATION:
        step->kind = TTT_SPLIT_PUNCTUATION;
        step->behavior = TTT_SPLIT_ISOLATED;
        return ttt_hf_absent(json_object_get(part, "behavior")) ? TTT_OK : read_behavior(step, part, where);
    case SPLIT:
        TTT_TRY(read_pattern(part, where, &step->text, &step->regex));
        step->kind = step->regex ? TTT_SPLIT_REGEX : TTT_SPLIT_TEXT;
        TTT_TRY(ttt_json_bool(part, where, "invert", &step->invert));
        return read_behavior(step, part, where);
    default: return ttt_hf_unsupported(where, type);
    }
}

ttt_status ttt_hf_read_pre_tokenizer(ttt_tokenizer *tokenizer, const json_t *part)
{
    static const char where[] = "a pre_tokenizer";
    const char *type;
    TTT_TRY(ttt_json_type(part, where, &type));
    if (strcmp(type, "Sequence") == 0) {
        const json_t *list = json_object_get(part, "pretokenizers");
        for (size_t i = 0; i < json_array_size(list); i++)
            TTT_TRY(ttt_hf_read_pre_tokenizer(tokenizer, json_array_get(list, i)));
        return TTT_OK;
    }
    const bool changes = strcmp(type, "ByteLevel") == 0 || strcmp(type, "Metaspace") == 0;
    if (tokenizer->byte_level && changes)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s of type %s behind one of type ByteLevel is not supported", where,
                        type);
    if (tokenizer->split_count == TTT_SPLIT_STEPS)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "more than %d pre_tokenizers are not supported", TTT_SPLIT_STEPS);
    ttt_split_step *grown = ttt_realloc(tokenizer->splits, tokenizer->split_count + 1, sizeof *grown);
    if (!grown) return TTT_ERR_MEMORY;
    tokenizer->splits = grown;
    ttt_split_step *step = &grown[tokenizer->split_count++];
    *step = (ttt_split_step){0};
    TTT_TRY(read_split(step, part, where, type));
    tokenizer->byte_level = tokenizer->byte_level || step->kind == TTT_SPLIT_BYTE_LEVEL;
    return TTT_OK;
}
