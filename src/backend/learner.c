/* SPDX-License-Identifier: MIT
 *
 * What is true of the learners of docs/MATH.md whatever computes them: sizes, work, and the parts of their state.
 */
#include <inttypes.h>

#include "backend/backend.h"

const ttt_learner_maps ttt_linear_maps = {.count = 1, .in = {1}, .out = {1}};
const ttt_learner_maps ttt_mlp_maps = {.count = 2, .in = {1, 4}, .out = {4, 1}};

/* ---- sizes ---- */

int64_t ttt_learner_weights_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    int64_t size = 0;
    for (int m = 0; m < self->maps->count; m++) size += ttt_map_size(self->maps, m, dims->key_size);
    return size;
}

double ttt_learner_forgotten(const ttt_learner_dims *dims, const ttt_run *run, int64_t position)
{
    const bool now = dims->forget_every == 0 || position % dims->forget_every == 0;
    return now && !run->frozen ? dims->forget : 0;
}

int64_t ttt_learner_slots(const ttt_learner_dims *dims)
{
    return dims->mini_batch < TTT_LEARNER_TILE ? dims->mini_batch : TTT_LEARNER_TILE;
}

int64_t ttt_learner_open_rows(const ttt_learner_dims *dims, int64_t position)
{
    return position % dims->mini_batch % TTT_LEARNER_TILE;
}

/* ---- MATH (work) ---- */

ttt_learner_work ttt_maps_work(const ttt_learner_maps *maps, const ttt_learner_dims *dims, bool backward)
{
    const double D = (double)dims->key_size, H = (double)dims->heads, tile = (double)ttt_learner_slots(dims);
    double once = 0;
    for (int m = 0; m < maps->count; m++) {
        const double in = (double)maps->in[m] * D, out = (double)maps->out[m] * D, back = m > 0 ? in * out : 0;
        once += 3 * in * out + tile * (in + out) + back;
    }
    return (ttt_learner_work){.flops = (backward ? 4 : 2) * once * H, .reals = (backward ? 7 : 4) * D * H};
}

ttt_learner_work ttt_learner_work_of(const ttt_learner_ops *self, const ttt_learner_dims *dims, bool backward)
{
    return ttt_maps_work(self->maps, dims, backward);
}

/* ---- parts of a state ---- */

static int kinds_of_weights(const ttt_learner_dims *dims) { return dims->mini_batch > TTT_LEARNER_TILE ? 2 : 1; }

/* Parts of the weights, and of the sums. */
static int weight_parts(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    return (dims->flags & TTT_LEARNER_NO_BIAS ? 1 : 2) * self->maps->count;
}

int ttt_learner_part_count(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    const int rows = dims->mini_batch > 1 ? 2 * self->maps->count : 0;
    return kinds_of_weights(dims) * weight_parts(self, dims) + rows;
}

ttt_part_kind ttt_learner_part_kind(const ttt_learner_ops *self, const ttt_learner_dims *dims, int index, int *which)
{
    const int parts = weight_parts(self, dims), kinds = kinds_of_weights(dims);
    const int kind = index / parts < kinds ? index / parts : kinds, place = index - kind * parts;
    *which = kind < kinds && dims->flags & TTT_LEARNER_NO_BIAS ? 2 * place : place;
    return kind == 0 ? TTT_PART_WEIGHTS : kind < kinds ? TTT_PART_SUMS : TTT_PART_ROWS;
}

ttt_learner_part ttt_learner_part_at(const ttt_learner_ops *self, const ttt_learner_dims *dims, int index,
                                     int64_t position)
{
    static const char *const names[][2 * TTT_LEARNER_MAPS] = {
        [TTT_PART_WEIGHTS] = {"W1", "b1", "W2", "b2"},
        [TTT_PART_SUMS] = {"W1_sum", "b1_sum", "W2_sum", "b2_sum"},
        [TTT_PART_ROWS] = {"x1", "g1", "x2", "g2"}};
    const ttt_learner_maps *maps = self->maps;
    int which;
    const ttt_part_kind kind = ttt_learner_part_kind(self, dims, index, &which);
    const int64_t in = maps->in[which / 2] * dims->key_size, out = maps->out[which / 2] * dims->key_size;
    ttt_learner_part part = {.name = names[kind][which], .rank = 3, .shape = {dims->heads}};
    if (kind == TTT_PART_ROWS) {
        part.shape[1] = ttt_learner_open_rows(dims, position);
        part.shape[2] = which % 2 == 0 ? in : out;
    } else if (which % 2 == 0) {
        part.shape[1] = in;
        part.shape[2] = out;
    } else {
        part.rank = 2;
        part.shape[1] = out;
    }
    return part;
}

/* ---- which of them are computed ---- */

ttt_status ttt_learner_supports(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    if (dims->flags & TTT_LEARNER_DECAY)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "the learner \"%s\" with decay is not computed", self->name);
    if (dims->flags & TTT_LEARNER_ZERO_START && self->maps->count > 1)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "the learner \"%s\" cannot begin as zero: its two maps would never leave it", self->name);
    if (dims->key_size != dims->value_size)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "the learner \"%s\" has keys and values of one size, not of %" PRId64 " and %" PRId64,
                        self->name, dims->key_size, dims->value_size);
    return TTT_OK;
}
