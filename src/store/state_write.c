/* SPDX-License-Identifier: MIT
 *
 * State files as they are written: a state, or a state file under another name, to a file or into memory. The checksum
 * is of all that is written while its own place still holds zeros; then it is put there.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "model/state.h"
#include "store/safetensors_write.h"
#include "store/state_file.h"

enum { PAIRS = 13, NUMBER = 24 };

/* All that a file is made of. */
typedef struct contents {
    const char *metadata[2 * PAIRS + 1];
    char zeros[TTT_DIGEST_TEXT], version[NUMBER], position[NUMBER], open[NUMBER], hash[TTT_STATE_HASH + 1];
    ttt_tensor_out *tensors; /* [count] */
    int64_t count;
} contents;

static ttt_status check_about(const ttt_state_about *about, bool remembers)
{
    const char *const names[] = {about->name, about->parent};
    for (int i = 0; i < 2; i++)
        if (names[i] && names[i][0] && !ttt_state_name_is_good(names[i]))
            return ttt_fail(TTT_ERR_ARGUMENT,
                            "%s \"%.140s\": a name is at most %d of A-Z a-z 0-9 . _ - and does not begin with a dot",
                            i == 0 ? "name" : "parent", names[i], TTT_STATE_NAME_MAX);
    if (about->tokens && !remembers)
        return ttt_fail(TTT_ERR_ARGUMENT, "tokens: this state did not keep them: ask it to remember before it reads");
    json_t *note = about->note ? json_string(about->note) : json_null();
    json_decref(note);
    return note ? TTT_OK : ttt_fail(TTT_ERR_ARGUMENT, "note: it is not UTF-8, or memory is short");
}

/* `info`: of the state; what it says of names and of the file does not count. */
static void set_metadata(contents *c, const ttt_state_info *info, const ttt_state_about *about)
{
    memset(c->zeros, '0', sizeof c->zeros - 1);
    snprintf(c->version, sizeof c->version, "%d", TTT_STATE_VERSION);
    snprintf(c->position, sizeof c->position, "%" PRId64, info->position);
    snprintf(c->open, sizeof c->open, "%" PRId64, info->mini_batch_position);
    snprintf(c->hash, sizeof c->hash, "%016" PRIx64 "%016" PRIx64, info->token_hash.high, info->token_hash.low);
    const char *const pairs[] = {"checksum",
                                 c->zeros,
                                 "format",
                                 "ttt_state",
                                 "version",
                                 c->version,
                                 "name",
                                 about->name ? about->name : "",
                                 "parent",
                                 about->parent ? about->parent : "",
                                 "fingerprint",
                                 info->fingerprint,
                                 "precision",
                                 info->precision,
                                 "type",
                                 info->type,
                                 "position",
                                 c->position,
                                 "mini_batch_position",
                                 c->open,
                                 "token_hash",
                                 c->hash,
                                 "frozen",
                                 info->frozen ? "true" : "false"};
    _Static_assert(sizeof pairs == 2 * (PAIRS - 1) * sizeof *pairs, "then the note and a NULL");
    memcpy(c->metadata, pairs, sizeof pairs);
    if (about->note && *about->note) {
        c->metadata[2 * (PAIRS - 1)] = "note";
        c->metadata[2 * PAIRS - 1] = about->note;
    }
}

static void add_tokens(contents *c, const int32_t *tokens, int64_t count)
{
    c->tensors[c->count++] = (ttt_tensor_out){.tensor = {.name = TTT_STATE_TOKENS,
                                                         .dtype = TTT_I32,
                                                         .rank = 1,
                                                         .shape = {count},
                                                         .data = tokens,
                                                         .bytes = (size_t)count * sizeof *tokens},
                                              .dtype = TTT_I32};
}

/* ---- where it goes ---- */

static ttt_status to_file(const contents *c, const char *path)
{
    char sum[TTT_DIGEST_TEXT];
    ttt_digest *digest;
    ttt_writer *writer = NULL;
    TTT_TRY(ttt_digest_new(&digest));
    ttt_status status = ttt_safetensors_write(&writer, path, c->tensors, c->count, c->metadata, digest);
    ttt_digest_print(digest, sum);
    ttt_digest_free(digest);
    if (status == TTT_OK) status = ttt_writer_patch(writer, TTT_STATE_CHECKSUM_AT, sum, TTT_STATE_CHECKSUM);
    if (status == TTT_OK) return ttt_writer_commit(&writer);
    ttt_writer_abandon(&writer);
    return status;
}

static ttt_status to_memory(const contents *c, ttt_buffer *buffer)
{
    char sum[TTT_DIGEST_TEXT];
    TTT_TRY(ttt_safetensors_print(buffer, "the state", c->tensors, c->count, c->metadata));
    TTT_TRY(ttt_state_checksum(sum, buffer->data, buffer->size));
    memcpy(buffer->data + TTT_STATE_CHECKSUM_AT, sum, TTT_STATE_CHECKSUM);
    return TTT_OK;
}

/* To `path`, or into `buffer` where that is NULL. */
static ttt_status put(const contents *c, const char *path, ttt_buffer *buffer)
{
    return path ? to_file(c, path) : to_memory(c, buffer);
}

/* ---- a state ---- */

static ttt_state_info info_of(const ttt_state *state)
{
    const ttt_model *model = state->model;
    return (ttt_state_info){.fingerprint = model->fingerprint,
                            .precision = ttt_model_precision(model),
                            .type = ttt_dtype_name(model->backend->dtype),
                            .position = state->position,
                            .mini_batch_position = state->position % model->lm.config.mini_batch_size,
                            .token_hash = state->hash,
                            .frozen = state->frozen};
}

/* values [table->elements] */
static ttt_status put_pieces(const ttt_state *state, const ttt_state_about *about, const ttt_state_table *table,
                             const void *values, const char *path, ttt_buffer *buffer)
{
    const ttt_backend *b = state->model->backend;
    const ttt_state_info info = info_of(state);
    contents c = {.tensors = ttt_alloc((size_t)table->count + 1, sizeof *c.tensors)};
    if (!c.tensors) return TTT_ERR_MEMORY;
    for (; c.count < table->count; c.count++) {
        const ttt_state_entry *entry = &table->entries[c.count];
        ttt_tensor_out *out = &c.tensors[c.count];
        *out = (ttt_tensor_out){.tensor = {.name = entry->name, .dtype = b->dtype, .rank = entry->rank},
                                .dtype = b->dtype};
        memcpy(out->tensor.shape, entry->shape, sizeof entry->shape);
        out->tensor.data = (const char *)values + (size_t)entry->offset * b->real;
        out->tensor.bytes = (size_t)entry->elements * b->real;
    }
    int64_t count;
    const int32_t *tokens = ttt_state_tokens(state, &count);
    if (about->tokens) add_tokens(&c, tokens, count);
    set_metadata(&c, &info, about);
    const ttt_status status = put(&c, path, buffer);
    ttt_free(c.tensors);
    return status;
}

static ttt_status put_state(const ttt_state *state, const ttt_state_about *about, const char *path, ttt_buffer *buffer)
{
    static const ttt_state_about nothing;
    ttt_state_table table;
    if (!about) about = &nothing;
    TTT_TRY(check_about(about, state->history));
    TTT_TRY(ttt_state_table_init(&table, state->model, state->position));
    void *values = ttt_alloc((size_t)table.elements, state->model->backend->real);
    ttt_status status = values ? TTT_OK : TTT_ERR_MEMORY;
    if (values) {
        ttt_state_export(state, &table, values);
        status = put_pieces(state, about, &table, values, path, buffer);
    }
    ttt_free(values);
    ttt_state_table_deinit(&table);
    return status;
}

ttt_status ttt_state_save(const ttt_state *state, const char *path, const ttt_state_about *about)
{
    return put_state(state, about, path, NULL);
}

ttt_status ttt_state_write(const ttt_state *state, const ttt_state_about *about, void **bytes, size_t *size)
{
    ttt_buffer buffer = {0};
    const ttt_status status = put_state(state, about, NULL, &buffer);
    if (status != TTT_OK) ttt_buffer_deinit(&buffer);
    *bytes = buffer.data;
    *size = buffer.size;
    return status;
}

void ttt_state_bytes_free(void *bytes) { ttt_free(bytes); }

/* ---- a state file again ---- */

ttt_status ttt_state_file_save(const ttt_state_file *file, const char *path, const ttt_state_about *about)
{
    static const ttt_state_about nothing;
    if (!about) about = &nothing;
    TTT_TRY(check_about(about, file->info.tokens));
    contents c = {.tensors = ttt_alloc((size_t)file->pieces + 1, sizeof *c.tensors)};
    if (!c.tensors) return TTT_ERR_MEMORY;
    for (; c.count < file->pieces; c.count++) {
        const ttt_tensor *piece = ttt_state_file_piece(file, c.count);
        c.tensors[c.count] = (ttt_tensor_out){.tensor = *piece, .dtype = piece->dtype};
    }
    if (about->tokens) add_tokens(&c, file->info.tokens, file->info.position);
    set_metadata(&c, &file->info, about);
    const ttt_status status = put(&c, path, NULL);
    ttt_free(c.tensors);
    return status;
}
