/* SPDX-License-Identifier: MIT
 *
 * Reads Hugging Face's tokenizer.json: the BPE model and the added tokens (hf_unigram.c reads the other model,
 * hf_steps.c and hf_parts.c what surrounds them). Whatever is not supported is refused by name: skipping it would give
 * other ids than Hugging Face's.
 */
#include <string.h>

#include "base/alloc.h"
#include "text/byte_level.h"
#include "text/hf.h"
#include "text/json.h"
#include "text/tokenizer.h"

/* Ids may have holes, as in Hugging Face, but not so many that a small file asks for a large table. */
static json_int_t id_limit(size_t tokens) { return 2 * (json_int_t)tokens + 1024; }

static ttt_status read_vocabulary(ttt_tokenizer *tokenizer, json_t *vocabulary)
{
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0)
        return ttt_fail(TTT_ERR_FORMAT, "the model has no 'vocab' with at least one token");
    const bool bytes = tokenizer->byte_level;
    const json_int_t limit = id_limit(json_object_size(vocabulary));
    ttt_buffer raw = {0};
    ttt_status status = TTT_OK;
    const char *token;
    json_t *value;
    json_object_foreach(vocabulary, token, value)
    {
        const json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= limit)
            status = ttt_fail(TTT_ERR_FORMAT, "the id of token '%s' is no integer from 0 to %lld", token,
                              (long long)limit - 1);
        else if (ttt_strings_has(&tokenizer->tokens, (uint32_t)id))
            status = ttt_fail(TTT_ERR_FORMAT, "id %lld is given to token '%s' and to another one", (long long)id,
                              token);
        else
            status = ttt_strings_set(&tokenizer->tokens, (uint32_t)id, token, strlen(token));
        bool mapped = true;
        raw.size = 0;
        if (status == TTT_OK)
            status = bytes ? ttt_byte_level_read(&raw, token, strlen(token), &mapped)
                           : ttt_buffer_append(&raw, token, strlen(token));
        if (status == TTT_OK && mapped && raw.size > 0) /* the others can come from no text */
            status = ttt_strings_set(&tokenizer->bpe.words, (uint32_t)id, raw.data, raw.size);
        if (status != TTT_OK) break;
    }
    ttt_buffer_deinit(&raw);
    return status;
}

/* The two parts of "a b" or ["a", "b"]. */
static ttt_status merge_parts(const json_t *merge, size_t rank, const char *parts[2], size_t sizes[2])
{
    if (json_is_array(merge) && json_array_size(merge) == 2) {
        for (size_t i = 0; i < 2; i++) {
            parts[i] = json_string_value(json_array_get(merge, i));
            sizes[i] = json_string_length(json_array_get(merge, i));
        }
        if (parts[0] && parts[1]) return TTT_OK;
    } else if (json_is_string(merge)) {
        const char *text = json_string_value(merge);
        const size_t size = json_string_length(merge);
        const char *space = memchr(text, ' ', size);
        if (space && !memchr(space + 1, ' ', size - (size_t)(space + 1 - text))) {
            parts[0] = text;
            sizes[0] = (size_t)(space - text);
            parts[1] = space + 1;
            sizes[1] = size - sizes[0] - 1;
            return TTT_OK;
        }
    }
    return ttt_fail(TTT_ERR_FORMAT, "merge %zu is neither \"left right\" nor a list of two tokens", rank);
}

static ttt_status read_merge(ttt_tokenizer *tokenizer, const json_t *merge, size_t rank, ttt_buffer *joined)
{
    const char *parts[2];
    size_t sizes[2];
    int32_t ids[3];
    TTT_TRY(merge_parts(merge, rank, parts, sizes));
    joined->size = 0;
    for (int i = 0; i < 2; i++) TTT_TRY(ttt_buffer_append(joined, parts[i], sizes[i]));
    for (int i = 0; i < 3; i++) {
        const char *text = i < 2 ? parts[i] : joined->data;
        const size_t size = i < 2 ? sizes[i] : joined->size;
        ids[i] = ttt_strings_find(&tokenizer->tokens, text, size);
        if (ids[i] < 0)
            return ttt_fail(TTT_ERR_FORMAT, "merge %zu needs '%.*s', which is not in the vocabulary", rank,
                            (int)(size < 100 ? size : 100), text);
    }
    const ttt_strings *words = &tokenizer->bpe.words;
    for (int i = 0; i < 3; i++)
        if (!ttt_strings_has(words, (uint32_t)ids[i])) return TTT_OK; /* no text leads to it */
    ttt_bpe_add(&tokenizer->bpe, (uint32_t)ids[0], (uint32_t)ids[1], (uint32_t)rank, (uint32_t)ids[2]);
    return TTT_OK;
}

static ttt_status read_merges(ttt_tokenizer *tokenizer, const json_t *merges)
{
    if (!json_is_array(merges)) return ttt_fail(TTT_ERR_FORMAT, "the model has no list 'merges'");
    TTT_TRY(ttt_bpe_init(&tokenizer->bpe, json_array_size(merges)));
    ttt_buffer joined = {0};
    ttt_status status = TTT_OK;
    for (size_t rank = 0; rank < json_array_size(merges) && status == TTT_OK; rank++)
        status = read_merge(tokenizer, json_array_get(merges, rank), rank, &joined);
    ttt_buffer_deinit(&joined);
    return status == TTT_OK ? ttt_bpe_finish(&tokenizer->bpe) : status;
}

ttt_status ttt_hf_byte_tokens(const ttt_strings *tokens, bool all, int32_t ids[256])
{
    for (int byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)byte);
        ids[byte] = ttt_strings_find(tokens, name, strlen(name));
        if (all && ids[byte] < 0)
            return ttt_fail(TTT_ERR_FORMAT, "byte_fallback needs a token for every byte, and '%s' is missing", name);
    }
    return TTT_OK;
}

/* On the byte level every byte is a symbol; else "<0x00>" to "<0xFF>" may stand for the bytes of characters that are
 * no token. */
static ttt_status read_byte_ids(ttt_tokenizer *tokenizer, bool byte_fallback)
{
    ttt_bpe *bpe = &tokenizer->bpe;
    bpe->bytes = tokenizer->byte_level;
    if (byte_fallback && !bpe->bytes) return ttt_hf_byte_tokens(&tokenizer->tokens, true, bpe->byte_ids);
    for (int byte = 0; byte < 256; byte++) {
        const char raw = (char)byte;
        bpe->byte_ids[byte] = bpe->bytes ? ttt_strings_find(&bpe->words, &raw, 1) : -1;
        if (byte_fallback && bpe->byte_ids[byte] < 0)
            return ttt_fail(TTT_ERR_FORMAT, "byte_fallback needs a token for every byte, and one is missing");
    }
    return TTT_OK;
}

/* Options that would change every id. */
static ttt_status check_model(const json_t *model, bool *unigram)
{
    if (!json_is_object(model)) return ttt_fail(TTT_ERR_FORMAT, "this is no tokenizer.json: it has no object 'model'");
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!type && json_object_get(model, "merges")) type = "BPE"; /* old files do not say */
    if (!type && json_is_array(json_object_get(model, "vocab"))) type = "Unigram";
    if (!type) return ttt_fail(TTT_ERR_FORMAT, "the model does not say its 'type'");
    *unigram = strcmp(type, "Unigram") == 0;
    if (*unigram) return TTT_OK;
    if (strcmp(type, "BPE") != 0)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "the model is of type %s; BPE and Unigram are supported", type);
    if (json_number_value(json_object_get(model, "dropout")) > 0)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "the model asks for dropout, which makes its ids random");
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < sizeof affixes / sizeof *affixes; i++)
        if (json_string_length(json_object_get(model, affixes[i])) > 0)
            return ttt_fail(TTT_ERR_UNSUPPORTED, "the model's %s is not supported", affixes[i]);
    return TTT_OK;
}

static ttt_status read_model(ttt_tokenizer *tokenizer, json_t *model, ttt_buffer *unknown)
{
    ttt_bpe *bpe = &tokenizer->bpe;
    bool byte_fallback = false;
    TTT_TRY(ttt_json_bool(model, "the model", "byte_fallback", &byte_fallback));
    TTT_TRY(ttt_json_bool(model, "the model", "fuse_unk", &bpe->fuse_unknown));
    TTT_TRY(ttt_json_bool(model, "the model", "ignore_merges", &bpe->ignore_merges));
    TTT_TRY(ttt_json_string(model, "the model", "unk_token", unknown));
    TTT_TRY(read_vocabulary(tokenizer, json_object_get(model, "vocab")));
    bpe->vocabulary = tokenizer->tokens.count;
    bpe->unknown = -1;
    if (unknown->data) {
        bpe->unknown = ttt_strings_find(&tokenizer->tokens, unknown->data, unknown->size);
        if (bpe->unknown < 0)
            return ttt_fail(TTT_ERR_FORMAT, "the unk_token '%s' is not in the vocabulary", unknown->data);
    }
    TTT_TRY(read_byte_ids(tokenizer, byte_fallback));
    return read_merges(tokenizer, json_object_get(model, "merges"));
}

/* The id that Hugging Face gives: a token of the vocabulary keeps its own, the others count on. */
static ttt_status added_id(ttt_tokenizer *tokenizer, const json_t *token, const ttt_buffer *content, size_t vocabulary,
                           int32_t *id)
{
    const int32_t known = ttt_strings_find(&tokenizer->tokens, content->data, content->size);
    int64_t next = (int64_t)vocabulary, given = -1;
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        if (tokenizer->added[i].id == known)
            return ttt_fail(TTT_ERR_FORMAT, "the added token '%s' is listed twice", content->data);
        if (tokenizer->added[i].id >= next) next = (int64_t)tokenizer->added[i].id + 1;
    }
    *id = known;
    if (known >= 0) return TTT_OK;
    TTT_TRY(ttt_json_count(token, "an added token", "id", INT32_MAX, &given));
    if (given != next || ttt_strings_has(&tokenizer->tokens, (uint32_t)next))
        return ttt_fail(TTT_ERR_FORMAT, "the added token '%s' has the id %lld, but the next free one is %lld",
                        content->data, (long long)given, (long long)next);
    *id = (int32_t)next;
    return ttt_strings_set(&tokenizer->tokens, (uint32_t)next, content->data, content->size);
}

static ttt_status read_added_token(ttt_tokenizer *tokenizer, const json_t *token, size_t vocabulary,
                                   ttt_buffer *content, ttt_buffer *normal)
{
    static const char where[] = "an added token";
    ttt_added *added = &tokenizer->added[tokenizer->added_count];
    bool normalized = true;
    content->size = 0;
    if (!json_is_object(token)) return ttt_fail(TTT_ERR_FORMAT, "an added token is no object");
    TTT_TRY(ttt_json_string(token, where, "content", content));
    if (content->size == 0) return TTT_OK; /* Hugging Face ignores it */
    TTT_TRY(ttt_json_bool(token, where, "special", &added->special));
    TTT_TRY(ttt_json_bool(token, where, "single_word", &added->single_word));
    TTT_TRY(ttt_json_bool(token, where, "lstrip", &added->left_trim));
    TTT_TRY(ttt_json_bool(token, where, "rstrip", &added->right_trim));
    TTT_TRY(ttt_json_bool(token, where, "normalized", &normalized));
    TTT_TRY(added_id(tokenizer, token, content, vocabulary, &added->id));
    const int32_t index = (int32_t)tokenizer->added_count++;
    if (!normalized) return ttt_trie_add(&tokenizer->added_raw, content->data, content->size, index);
    normal->size = 0;
    TTT_TRY(ttt_tokenizer_normalize(tokenizer, normal, content->data, content->size));
    return normal->size > 0 ? ttt_trie_add(&tokenizer->added_normal, normal->data, normal->size, index) : TTT_OK;
}

static ttt_status read_added(ttt_tokenizer *tokenizer, const json_t *list, size_t vocabulary)
{
    if (list && !json_is_null(list) && !json_is_array(list))
        return ttt_fail(TTT_ERR_FORMAT, "'added_tokens' is no list");
    tokenizer->added = ttt_alloc(json_array_size(list), sizeof *tokenizer->added);
    if (!tokenizer->added) return TTT_ERR_MEMORY;
    ttt_buffer content = {0}, normal = {0};
    ttt_status status = TTT_OK;
    for (size_t i = 0; i < json_array_size(list) && status == TTT_OK; i++)
        status = read_added_token(tokenizer, json_array_get(list, i), vocabulary, &content, &normal);
    ttt_buffer_deinit(&content);
    ttt_buffer_deinit(&normal);
    if (status != TTT_OK) return status;
    tokenizer->special = ttt_alloc(tokenizer->tokens.count, 1);
    if (!tokenizer->special) return TTT_ERR_MEMORY;
    for (size_t i = 0; i < tokenizer->added_count; i++)
        tokenizer->special[tokenizer->added[i].id] = tokenizer->added[i].special;
    return TTT_OK;
}

/* The special token with the first of these names; -1: none. */
static int64_t special_named(const ttt_tokenizer *tokenizer, const char *const names[2])
{
    for (int i = 0; i < 2; i++) {
        const int32_t id = ttt_strings_find(&tokenizer->tokens, names[i], strlen(names[i]));
        if (id >= 0 && tokenizer->special[id]) return id;
    }
    return -1;
}

static ttt_status read_root(ttt_tokenizer *tokenizer, const json_t *root)
{
    json_t *model = json_object_get(root, "model");
    bool unigram = false;
    TTT_TRY(check_model(model, &unigram));
    TTT_TRY(ttt_tokenizer_read_parts(tokenizer, root));
    ttt_buffer unknown = {0};
    const ttt_status status = unigram ? ttt_hf_read_unigram(tokenizer, model) : read_model(tokenizer, model, &unknown);
    ttt_buffer_deinit(&unknown);
    TTT_TRY(status);
    const json_t *vocabulary = json_object_get(model, "vocab");
    TTT_TRY(read_added(tokenizer, json_object_get(root, "added_tokens"),
                       unigram ? json_array_size(vocabulary) : json_object_size(vocabulary)));
    tokenizer->bos = special_named(tokenizer, (const char *const[]){"<s>", "<|endoftext|>"});
    tokenizer->eos = special_named(tokenizer, (const char *const[]){"</s>", "<|endoftext|>"});
    if (tokenizer->template_bos < 0) return TTT_OK;
    if (tokenizer->template_bos > INT32_MAX || !ttt_strings_has(&tokenizer->tokens, (uint32_t)tokenizer->template_bos))
        return ttt_fail(TTT_ERR_FORMAT, "the post_processor begins texts with the id %lld, which is no token",
                        (long long)tokenizer->template_bos);
    tokenizer->bos = tokenizer->template_bos;
    tokenizer->adds_bos = true;
    return TTT_OK;
}

ttt_status ttt_tokenizer_read_json(ttt_tokenizer *tokenizer, const char *bytes, size_t size)
{
    json_t *root;
    TTT_TRY(ttt_json_parse(&root, bytes, size));
    tokenizer->kind = TTT_TEXT_HUGGING_FACE;
    const ttt_status status = read_root(tokenizer, root);
    json_decref(root);
    return status;
}
