/* SPDX-License-Identifier: MIT
 *
 * A state by names. A layer says what its pieces are; here they stand side by side for all layers, the fixed ones of a
 * layer as it gives them, and then what it keeps of every token.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "model/state.h"

/* Whether another entry of its block has the name of the last one. */
static bool is_taken(const ttt_state_table *table, const char *block)
{
    const ttt_state_entry *last = &table->entries[table->count - 1];
    for (const ttt_state_entry *e = last; e-- > table->entries && strncmp(e->name, block, strlen(block)) == 0;)
        if (strcmp(e->name, last->name) == 0) return true;
    return false;
}

static ttt_status add_piece(ttt_state_table *table, int64_t block, const ttt_state_piece *piece)
{
    ttt_state_entry *entries = ttt_realloc(table->entries, (size_t)table->count + 1, sizeof *entries);
    if (!entries) return TTT_ERR_MEMORY;
    table->entries = entries;
    ttt_state_entry *entry = &entries[table->count++];
    *entry = (ttt_state_entry){.rank = piece->rank, .elements = 1, .offset = table->elements};
    bool too_large = false;
    for (int i = 0; i < piece->rank; i++)
        too_large |= __builtin_mul_overflow(entry->elements, piece->shape[i], &entry->elements);
    too_large |= __builtin_add_overflow(table->elements, entry->elements, &table->elements);
    if (too_large || table->elements > INT64_MAX / 8)
        return ttt_fail(TTT_ERR_FORMAT, "what layer %lld keeps of so many tokens fits in no memory", (long long)block);
    char start[32];
    snprintf(start, sizeof start, "layers.%lld.", (long long)block);
    snprintf(entry->name, sizeof entry->name, "%s%s", start, piece->name);
    for (int n = 2; is_taken(table, start); n++) /* such as parts of a block with a convolution each */
        snprintf(entry->name, sizeof entry->name, "%s%s.%d", start, piece->name, n);
    memcpy(entry->shape, piece->shape, sizeof entry->shape);
    return TTT_OK;
}

static int64_t block_of(const ttt_stack *stack, const ttt_layer *layer)
{
    int64_t block = 0;
    while (layer >= stack->blocks[block].parts + stack->blocks[block].count) block++;
    return block;
}

static int pieces_of(const ttt_layer *layer, const ttt_backend *b, int64_t position, ttt_state_piece *pieces)
{
    return layer->ops->pieces ? layer->ops->pieces(layer, b, position, pieces) : 0;
}

ttt_status ttt_state_table_init(ttt_state_table *table, const ttt_model *model, int64_t position)
{
    *table = (ttt_state_table){0};
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) {
        const ttt_layer *layer = &model->lm.stack.layers[i];
        ttt_state_piece pieces[TTT_STATE_PIECES];
        const int count = pieces_of(layer, model->backend, position, pieces);
        for (int p = 0; p < count; p++) {
            const ttt_status status = add_piece(table, block_of(&model->lm.stack, layer), &pieces[p]);
            if (status == TTT_OK) continue;
            ttt_state_table_deinit(table);
            return status;
        }
    }
    return TTT_OK;
}

void ttt_state_table_deinit(ttt_state_table *table)
{
    ttt_free(table->entries);
    *table = (ttt_state_table){0};
}

void ttt_state_export(const ttt_state *state, const ttt_state_table *table, void *values)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    const ttt_run run = {.position = state->position, .state = state->fixed, .grown = state->grown};
    int64_t entry = 0;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) {
        const ttt_layer *layer = &model->lm.stack.layers[i];
        ttt_state_piece pieces[TTT_STATE_PIECES];
        void *places[TTT_STATE_PIECES];
        const int count = pieces_of(layer, b, state->position, pieces);
        for (int p = 0; p < count; p++) places[p] = ttt_at(b, values, table->entries[entry++].offset);
        if (count > 0) layer->ops->export(layer, b, &run, places);
    }
}

ttt_status ttt_state_import(ttt_state *state, int64_t position, const ttt_state_table *table, const void *values)
{
    const ttt_model *model = state->model;
    const ttt_backend *b = model->backend;
    TTT_TRY(ttt_state_reserve(state, position));
    ttt_state_forget(state);
    ttt_state_reset(state);
    const ttt_run run = {.position = position, .state = state->fixed, .grown = state->grown};
    int64_t entry = 0;
    for (int64_t i = 0; i < model->lm.stack.layer_count; i++) {
        const ttt_layer *layer = &model->lm.stack.layers[i];
        ttt_state_piece pieces[TTT_STATE_PIECES];
        const void *places[TTT_STATE_PIECES];
        const int count = pieces_of(layer, b, position, pieces);
        for (int p = 0; p < count; p++) places[p] = ttt_at(b, values, table->entries[entry++].offset);
        if (count > 0) layer->ops->import(layer, b, &run, places);
    }
    state->position = position;
    return TTT_OK;
}
