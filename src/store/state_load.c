/* SPDX-License-Identifier: MIT
 *
 * From a state file to a state of a model: first what tells that it is this model's, then that the file has the pieces
 * which such a state has, then the numbers.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/tokens.h"
#include "model/state.h"
#include "store/state_file.h"

/* The fingerprint covers precision and backend too: what differs is named as nearly as it can be. */
static ttt_status check_model(const ttt_state_file *file, const ttt_model *model)
{
    const ttt_state_info *info = &file->info;
    const char *precision = ttt_model_precision(model), *type = ttt_dtype_name(model->backend->dtype);
    if (strcmp(info->precision, precision) != 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%s: precision: the state was made in %s, and this model computes in %s: open it with the "
                        "precision %s",
                        file->where, info->precision, precision, info->precision);
    if (strcmp(info->type, type) != 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%s: type: the numbers of the state are %s, and this model's (backend %s) are %s: open it with "
                        "the backend %s",
                        file->where, info->type, model->backend->name, type,
                        strcmp(info->type, "F64") == 0 ? "ref" : "cpu");
    if (strcmp(info->fingerprint, model->fingerprint) != 0)
        return ttt_fail(TTT_ERR_ARGUMENT,
                        "%s: fingerprint: the state is of another model (%.16s) than this one (%.16s): their weights "
                        "or configurations differ",
                        file->where, info->fingerprint, model->fingerprint);
    if (info->mini_batch_position != info->position % model->lm.config.mini_batch_size)
        return ttt_fail(TTT_ERR_FORMAT, "%s: mini_batch_position: %lld is not where token %lld of this model is",
                        file->where, (long long)info->mini_batch_position, (long long)info->position);
    if (info->tokens) {
        const ttt_status status = ttt_tokens_check(info->tokens, (size_t)info->position, model->lm.config.vocab_size,
                                                   "the state");
        if (status != TTT_OK) return ttt_fail_prefix(TTT_ERR_FORMAT, "%s", file->where);
    }
    return TTT_OK;
}

static ttt_status check_shape(const ttt_state_file *file, const ttt_state_entry *entry, const ttt_tensor *tensor)
{
    char has[TTT_SHAPE_TEXT], needs[TTT_SHAPE_TEXT];
    if (!tensor)
        return ttt_fail(TTT_ERR_FORMAT, "%s: the state lacks tensor %s, which this model has", file->where,
                        entry->name);
    if (ttt_shape_equal(entry->shape, entry->rank, tensor->shape, tensor->rank)) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has the shape %s, and after so many tokens it must be %s",
                    file->where, entry->name, ttt_shape_print(has, tensor->shape, tensor->rank),
                    ttt_shape_print(needs, entry->shape, entry->rank));
}

/* That the file has all pieces and no others, before memory is taken by what it says. */
static ttt_status check_table(const ttt_state_file *file, const ttt_state_table *table)
{
    for (int64_t i = 0; i < table->count; i++) {
        const ttt_state_entry *entry = &table->entries[i];
        TTT_TRY(check_shape(file, entry, ttt_safetensors_find(file->tensors, entry->name)));
    }
    if (file->pieces == table->count) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT, "%s: the state has %lld tensors, and this model's has %lld", file->where,
                    (long long)file->pieces, (long long)table->count);
}

/* values [table->elements], as the file has them. */
static ttt_status gather(const ttt_state_file *file, const ttt_backend *b, const ttt_state_table *table, void *values)
{
    for (int64_t i = 0; i < table->count; i++) {
        const ttt_state_entry *entry = &table->entries[i];
        const ttt_tensor *tensor = ttt_safetensors_find(file->tensors, entry->name);
        void *to = ttt_at(b, values, entry->offset);
        if (tensor->bytes > 0) memcpy(to, tensor->data, tensor->bytes);
        if (!isfinite(ttt_sum_squares(b, to, entry->elements)))
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s holds a value that is not a finite number", file->where,
                            entry->name);
    }
    return TTT_OK;
}

static ttt_status load_pieces(const ttt_state_file *file, const ttt_state_table *table, ttt_state *state)
{
    const ttt_backend *b = state->model->backend;
    TTT_TRY(check_table(file, table));
    void *values = ttt_alloc((size_t)table->elements, b->real);
    if (!values) return TTT_ERR_MEMORY;
    ttt_status status = gather(file, b, table, values);
    if (status == TTT_OK) status = ttt_state_import(state, file->info.position, table, values);
    ttt_free(values);
    return status;
}

static ttt_status load(const ttt_state_file *file, ttt_state *state)
{
    ttt_state_table table;
    TTT_TRY(check_model(file, state->model));
    TTT_TRY(ttt_state_table_init(&table, state->model, file->info.position));
    const ttt_status status = load_pieces(file, &table, state);
    ttt_state_table_deinit(&table);
    TTT_TRY(status);
    state->frozen = file->info.frozen;
    state->hash = file->info.token_hash;
    return file->info.tokens ? ttt_state_recall(state, file->info.tokens) : TTT_OK;
}

ttt_status ttt_state_file_load(const ttt_state_file *file, const ttt_model *model, ttt_state **out)
{
    ttt_state *state;
    *out = NULL;
    TTT_TRY(ttt_state_new(&state, model));
    const ttt_status status = load(file, state);
    if (status == TTT_OK)
        *out = state;
    else
        ttt_state_free(state);
    return status;
}

ttt_status ttt_state_load(ttt_state **state, const ttt_model *model, const char *path)
{
    ttt_state_file *file;
    *state = NULL;
    TTT_TRY(ttt_state_file_open(&file, path));
    const ttt_status status = ttt_state_file_load(file, model, state);
    ttt_state_file_close(file);
    return status;
}
