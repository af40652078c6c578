/* SPDX-License-Identifier: MIT
 *
 * Opening, saving and asking a tokenizer. A tokenizer keeps the bytes it was read from, and saving writes them back:
 * what is saved is what was tested, also the parts of a file that only other programs use.
 */
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kind.h"
#include "text/utf8.h"

enum { CONFIG_LIMIT = 16 << 20 };

static bool is_json(const char *bytes, size_t size)
{
    while (size > 0 && (*bytes == ' ' || (*bytes >= '\t' && *bytes <= '\r'))) {
        bytes++;
        size--;
    }
    return size > 0 && *bytes == '{';
}

ttt_status ttt_tokenizer_load(ttt_tokenizer **out, const char *bytes, size_t size)
{
    *out = NULL;
    const size_t mark = ttt_byte_order_mark(bytes, size);
    bytes += mark;
    size -= mark;
    if (size == 0) return ttt_fail(TTT_ERR_FORMAT, "the file is empty");
    const char *kind = is_json(bytes, size) ? NULL : ttt_kind_name_not_tokenizer(bytes, size);
    if (kind) return ttt_fail(TTT_ERR_FORMAT, "this is no tokenizer.json or tokenizer.model but %s", kind);
    ttt_tokenizer *tokenizer = ttt_alloc(1, sizeof *tokenizer);
    if (!tokenizer) return TTT_ERR_MEMORY;
    ttt_status status = ttt_buffer_append(&tokenizer->source, bytes, size);
    if (status == TTT_OK)
        status = is_json(bytes, size) ? ttt_tokenizer_read_json(tokenizer, bytes, size)
                                      : ttt_tokenizer_read_model(tokenizer, bytes, size);
    if (status != TTT_OK) {
        ttt_tokenizer_free(tokenizer);
        return status;
    }
    *out = tokenizer;
    return TTT_OK;
}

static ttt_status load_file(ttt_tokenizer **tokenizer, const char *path)
{
    ttt_map map;
    TTT_TRY(ttt_map_open(&map, path));
    const ttt_status status = ttt_tokenizer_load(tokenizer, (const char *)map.data, map.size);
    ttt_map_close(&map);
    return status == TTT_OK ? TTT_OK : ttt_fail_prefix(status, "%s", path);
}

static ttt_status load_config(ttt_tokenizer *tokenizer, const char *folder)
{
    char *path = ttt_path_join(folder, "tokenizer_config.json");
    if (!path) return TTT_ERR_MEMORY;
    ttt_status status = TTT_OK;
    if (ttt_file_exists(path)) {
        status = ttt_file_read(&tokenizer->config, path, CONFIG_LIMIT);
        if (status == TTT_OK) {
            status = ttt_tokenizer_read_config(tokenizer, tokenizer->config.data, tokenizer->config.size);
            if (status != TTT_OK) status = ttt_fail_prefix(status, "%s", path);
        }
    }
    ttt_free(path);
    return status;
}

static ttt_status load_folder(ttt_tokenizer **tokenizer, const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = ttt_path_join(folder, names[i]);
        if (!path) return TTT_ERR_MEMORY;
        const bool exists = ttt_file_exists(path);
        ttt_status status = exists ? load_file(tokenizer, path) : TTT_OK;
        ttt_free(path);
        if (!exists) continue;
        if (status == TTT_OK && *tokenizer) status = load_config(*tokenizer, folder);
        return status;
    }
    char other[512];
    return ttt_fail(TTT_ERR_IO, "%s holds neither tokenizer.json nor tokenizer.model%s", folder,
                    ttt_kind_of_folder(other, sizeof other, folder, true));
}

ttt_status ttt_tokenizer_open(ttt_tokenizer **tokenizer, const char *path)
{
    *tokenizer = NULL;
    const ttt_status status = ttt_is_folder(path) ? load_folder(tokenizer, path) : load_file(tokenizer, path);
    if (status == TTT_OK) return TTT_OK;
    ttt_tokenizer_free(*tokenizer);
    *tokenizer = NULL;
    return status;
}

static void normals_free(ttt_normal *normals, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ttt_buffer_deinit(&normals[i].from);
        ttt_buffer_deinit(&normals[i].to);
        ttt_regex_free(normals[i].pattern);
    }
    ttt_free(normals);
}

void ttt_tokenizer_free(ttt_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    ttt_strings_deinit(&tokenizer->tokens);
    ttt_free(tokenizer->special);
    ttt_bpe_deinit(&tokenizer->bpe);
    ttt_free(tokenizer->added);
    ttt_trie_deinit(&tokenizer->added_raw);
    ttt_trie_deinit(&tokenizer->added_normal);
    normals_free(tokenizer->normals, tokenizer->normal_count);
    ttt_splits_free(tokenizer->splits, tokenizer->split_count);
    ttt_unigram_deinit(&tokenizer->unigram);
    normals_free(tokenizer->decode.replaces, tokenizer->decode.replace_count);
    ttt_buffer_deinit(&tokenizer->decode.replacement);
    ttt_buffer_deinit(&tokenizer->decode.strip);
    ttt_free(tokenizer->sentencepiece.types);
    ttt_trie_deinit(&tokenizer->sentencepiece.user_defined);
    ttt_buffer_deinit(&tokenizer->sentencepiece.unknown_surface);
    ttt_buffer_deinit(&tokenizer->sentencepiece.charsmap);
    ttt_buffer_deinit(&tokenizer->source);
    ttt_buffer_deinit(&tokenizer->config);
    ttt_free(tokenizer);
}

/* "name": the token, or null. */
static ttt_status print_token(ttt_buffer *out, const ttt_tokenizer *tokenizer, const char *name, int64_t id)
{
    size_t size = 0;
    const char *text = id >= 0 ? ttt_strings_get(&tokenizer->tokens, (uint32_t)id, &size) : NULL;
    json_t *value = text ? json_stringn(text, size) : json_null();
    char *dumped = json_dumps(value, JSON_ENCODE_ANY);
    const ttt_status status = dumped ? ttt_buffer_print(out, "  \"%s\": %s,\n", name, dumped)
                                     : ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot write a token");
    free(dumped);
    json_decref(value);
    return status;
}

/* A tokenizer_config.json for a tokenizer that had none. */
static ttt_status print_config(ttt_buffer *out, const ttt_tokenizer *tokenizer)
{
    const bool json = ttt_tokenizer_is_json(tokenizer);
    TTT_TRY(ttt_buffer_print(out, "{\n  \"add_bos_token\": %s,\n  \"add_eos_token\": false,\n",
                             tokenizer->adds_bos ? "true" : "false"));
    TTT_TRY(print_token(out, tokenizer, "bos_token", tokenizer->bos));
    TTT_TRY(print_token(out, tokenizer, "eos_token", tokenizer->eos));
    return ttt_buffer_print(out, "  \"clean_up_tokenization_spaces\": false,\n  \"tokenizer_class\": \"%s\"\n}\n",
                            json ? "PreTrainedTokenizerFast" : "LlamaTokenizer");
}

ttt_status ttt_tokenizer_save(const ttt_tokenizer *tokenizer, const char *folder)
{
    const bool json = ttt_tokenizer_is_json(tokenizer);
    TTT_TRY(ttt_folder_make(folder));
    TTT_TRY(ttt_file_write_in(folder, json ? "tokenizer.json" : "tokenizer.model", tokenizer->source.data,
                              tokenizer->source.size));
    ttt_buffer made = {0};
    const ttt_buffer *config = tokenizer->config.data ? &tokenizer->config : &made;
    ttt_status status = tokenizer->config.data ? TTT_OK : print_config(&made, tokenizer);
    if (status == TTT_OK) status = ttt_file_write_in(folder, "tokenizer_config.json", config->data, config->size);
    ttt_buffer_deinit(&made);
    return status;
}

int64_t ttt_tokenizer_vocabulary(const ttt_tokenizer *tokenizer) { return tokenizer->tokens.count; }
int64_t ttt_tokenizer_bos(const ttt_tokenizer *tokenizer) { return tokenizer->bos; }
int64_t ttt_tokenizer_eos(const ttt_tokenizer *tokenizer) { return tokenizer->eos; }
bool ttt_tokenizer_adds_bos(const ttt_tokenizer *tokenizer) { return tokenizer->adds_bos; }

bool ttt_tokenizer_is_json(const ttt_tokenizer *tokenizer) { return tokenizer->kind == TTT_TEXT_HUGGING_FACE; }

bool ttt_tokenizer_is_byte_level(const ttt_tokenizer *tokenizer) { return tokenizer->byte_level; }

bool ttt_tokenizer_truncate(const ttt_tokenizer *tokenizer, ttt_ids *ids)
{
    const size_t limit = (size_t)tokenizer->truncation;
    if (limit == 0 || ids->count <= limit) return false;
    if (tokenizer->truncates_left) memmove(ids->data, ids->data + ids->count - limit, limit * sizeof *ids->data);
    ids->count = limit;
    return true;
}

void ttt_ids_deinit(ttt_ids *ids)
{
    ttt_free(ids->data);
    *ids = (ttt_ids){0};
}

void ttt_text_deinit(ttt_text *text)
{
    ttt_free(text->data);
    *text = (ttt_text){0};
}
