/* SPDX-License-Identifier: MIT
 *
 * The state of a TTT layer by names: in the form that no backend changes, and as other programs hold it.
 */
#include "layer/ttt.h"

static void *tail_of(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run)
{
    return ttt_at(b, run->state, layer->state_offset + ttt_learner_reals(layer, b));
}

static ttt_state_piece tail_piece(const ttt_layer *layer)
{
    return (ttt_state_piece){.name = "tail", .rank = 2, .shape = {ttt_shape_of(layer)->taps - 1, layer->width}};
}

/* ---- in the form that no backend changes: the learner's parts, and the tail ---- */

int ttt_inner_pieces(const ttt_layer *layer, const ttt_backend *b, int64_t position,
                     ttt_state_piece list[TTT_STATE_PIECES])
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    int count = 0;
    for (; count < ops->part_count(ops, dims); count++) {
        const ttt_learner_part part = ops->part(ops, dims, count, position);
        list[count] = (ttt_state_piece){.name = part.name, .rank = part.rank};
        for (int i = 0; i < part.rank; i++) list[count].shape[i] = part.shape[i];
    }
    if (ttt_tail_reals(layer) > 0) list[count++] = tail_piece(layer);
    return count;
}

void ttt_inner_export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    const int64_t tail = ttt_tail_reals(layer);
    ops->export_state(ops, b, dims, run->position, ttt_at(b, run->state, layer->state_offset), values);
    if (tail > 0) b->ops->copy(b, values[ops->part_count(ops, dims)], tail_of(layer, b, run), tail);
}

void ttt_inner_import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    const int64_t tail = ttt_tail_reals(layer);
    ops->import_state(ops, b, dims, run->position, ttt_at(b, run->state, layer->state_offset), values);
    if (tail > 0) b->ops->copy(b, tail_of(layer, b, run), values[ops->part_count(ops, dims)], tail);
}

/* ---- as other programs hold it: weights at the start of the open mini-batch, open sums, the tail ---- */

/* Whether the weight, W1, b1, W2, b2 by number, is there to be seen. */
static bool is_seen(const ttt_shape *s, int weight)
{
    return weight % 2 == 0 || !(s->dims.flags & TTT_LEARNER_NO_BIAS);
}

int ttt_inner_view_pieces(const ttt_layer *layer, const ttt_backend *b, ttt_state_piece list[TTT_STATE_PIECES])
{
    const ttt_shape *s = ttt_shape_of(layer);
    const ttt_learner *learner = s->learner;
    int count = 0;
    (void)b;
    for (int i = 0; i < 2 * learner->weights; i++) {
        const int weight = i % learner->weights;
        if (!is_seen(s, weight)) continue;
        list[count++] = (ttt_state_piece){.name = i < learner->weights ? learner->names[weight] : learner->sums[weight],
                                          .rank = 2,
                                          .shape = {s->dims.heads, learner->weight_size(&s->dims, weight)}};
    }
    if (ttt_tail_reals(layer) > 0) list[count++] = tail_piece(layer);
    return count;
}

/* A learner gives all weights of one head, then its sums; a view has all heads of one weight together. */
ttt_status ttt_inner_view(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *values)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    const int64_t H = s->dims.heads, of_head = 2 * ops->weights_size(ops, &s->dims);
    int64_t to = 0;
    void *head = b->ops->alloc(b, of_head, b->real);
    if (!head) return TTT_ERR_MEMORY;
    for (int64_t h = 0; h < H; h++) {
        ops->weights(ops, b, &s->dims, ttt_at(b, run->state, layer->state_offset + h * ops->state_size(ops, &s->dims)),
                     head);
        int64_t from = 0;
        to = 0;
        for (int i = 0; i < 2 * s->learner->weights; i++) {
            const int weight = i % s->learner->weights;
            const int64_t size = s->learner->weight_size(&s->dims, weight);
            from += size;
            if (!is_seen(s, weight)) continue;
            b->ops->copy(b, ttt_at(b, values, to + h * size), ttt_at(b, head, from - size), size);
            to += H * size;
        }
    }
    b->ops->free(b, head);
    b->ops->copy(b, ttt_at(b, values, to), tail_of(layer, b, run), ttt_tail_reals(layer));
    return TTT_OK;
}
