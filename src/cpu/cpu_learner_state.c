/* SPDX-License-Identifier: MIT
 *
 * The state of a cpu learner: where its pieces lie, the empty sequence, its parts, and what inspection asks of it. None
 * of it needs vectors or threads.
 */
#include <math.h>
#include <string.h>

#include "base/elementary.h"
#include "cpu/cpu.h"
#include "cpu/cpu_learner.h"

/* ---- layout: weights | sums, if K > TTT_LEARNER_TILE | rows of the open tile ---- */

static bool has_sums(const ttt_learner_dims *dims) { return dims->mini_batch > TTT_LEARNER_TILE; }

int64_t ttt_cpu_closed_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    return ttt_learner_weights_size(self, dims) * (has_sums(dims) ? 2 : 1);
}

int64_t ttt_cpu_learner_state_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    const ttt_learner_maps *maps = self->maps;
    int64_t size = ttt_cpu_closed_size(self, dims);
    for (int m = 0; m < maps->count; m++)
        size += (maps->in[m] + maps->out[m]) * dims->key_size * ttt_learner_slots(dims);
    return size;
}

void ttt_cpu_find_maps(ttt_map *maps, const ttt_learner_ops *self, const ttt_learner_dims *dims, float *state)
{
    const int64_t D = dims->key_size, weights = ttt_learner_weights_size(self, dims), slots = ttt_learner_slots(dims);
    float *rows = state + ttt_cpu_closed_size(self, dims);
    for (int m = 0; m < self->maps->count; m++) {
        const int64_t in = self->maps->in[m] * D, out = self->maps->out[m] * D;
        maps[m] = (ttt_map){.in = in, .out = out, .slots = slots, .w = state, .b = state + in * out};
        if (has_sums(dims)) {
            maps[m].sw = maps[m].w + weights;
            maps[m].sb = maps[m].b + weights;
        }
        maps[m].x = rows;
        maps[m].g = rows + in * slots;
        rows += (in + out) * slots;
        state += (in + 1) * out;
    }
}

float *ttt_cpu_head_state(const ttt_learner_ops *self, const ttt_learner_call *call, void *block, int64_t head)
{
    return (float *)block + call->state_offset + head * ttt_cpu_learner_state_size(self, &call->dims);
}

/* ---- the empty sequence ---- */

void ttt_cpu_learner_reset(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    const size_t size = (size_t)ttt_cpu_learner_state_size(self, &call->dims) * sizeof(float);
    for (int64_t item = 0; item < call->run_count * call->dims.heads; item++) {
        const int64_t head = item % call->dims.heads;
        float *state = ttt_cpu_head_state(self, call, call->runs[item / call->dims.heads].state, head);
        ttt_map maps[TTT_LEARNER_MAPS];
        ttt_cpu_find_maps(maps, self, &call->dims, state);
        memset(state, 0, size);
        for (int m = 0; m < self->maps->count; m++) {
            const size_t out = (size_t)maps[m].out, n = (size_t)maps[m].in * out;
            const float *w = call->params[2 * m].values, *b0 = call->params[2 * m + 1].values;
            if (w) memcpy(maps[m].w, w + (size_t)head * n, n * sizeof(float));
            if (b0) memcpy(maps[m].b, b0 + (size_t)head * out, out * sizeof(float));
        }
    }
}

void ttt_cpu_learner_reset_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    for (int64_t item = 0; item < call->run_count * call->dims.heads; item++) {
        const int64_t head = item % call->dims.heads;
        ttt_map maps[TTT_LEARNER_MAPS];
        ttt_cpu_find_maps(maps, self, &call->dims,
                          ttt_cpu_head_state(self, call, call->runs[item / call->dims.heads].dstate, head));
        for (int m = 0; m < self->maps->count; m++) {
            const int64_t out = maps[m].out, n = maps[m].in * out;
            float *dw = call->dparams[2 * m].values, *db = call->dparams[2 * m + 1].values;
            for (int64_t i = 0; dw && i < n; i++) dw[head * n + i] += maps[m].w[i];
            for (int64_t i = 0; db && i < out; i++) db[head * out + i] += maps[m].b[i];
        }
    }
}

/* ---- its parts ---- */

/* Where part `index` lies in a state whose maps these are. */
static float *part_in(const ttt_map *maps, const ttt_learner_ops *self, const ttt_learner_dims *dims, int index)
{
    int which;
    const ttt_part_kind kind = ttt_learner_part_kind(self, dims, index, &which);
    const ttt_map *f = &maps[which / 2];
    const bool first = which % 2 == 0;
    if (kind == TTT_PART_WEIGHTS) return first ? f->w : f->b;
    if (kind == TTT_PART_SUMS) return first ? f->sw : f->sb;
    return first ? f->x : f->g;
}

void ttt_cpu_learner_export(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            int64_t position, const void *state, void *const *parts)
{
    (void)b;
    const int64_t size = ttt_cpu_learner_state_size(self, dims);
    for (int64_t h = 0; h < dims->heads; h++) {
        ttt_map maps[TTT_LEARNER_MAPS];
        ttt_cpu_find_maps(maps, self, dims, (float *)(uintptr_t)state + h * size);
        for (int i = 0; i < self->part_count(self, dims); i++) {
            const ttt_learner_part part = self->part(self, dims, i, position);
            const int64_t n = ttt_learner_part_size(&part);
            memcpy((float *)parts[i] + h * n, part_in(maps, self, dims, i), (size_t)n * sizeof(float));
        }
    }
}

void ttt_cpu_learner_import(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            int64_t position, void *state, const void *const *parts)
{
    (void)b;
    const int64_t size = ttt_cpu_learner_state_size(self, dims);
    memset(state, 0, (size_t)(dims->heads * size) * sizeof(float));
    for (int64_t h = 0; h < dims->heads; h++) {
        ttt_map maps[TTT_LEARNER_MAPS];
        ttt_cpu_find_maps(maps, self, dims, (float *)state + h * size);
        for (int i = 0; i < self->part_count(self, dims); i++) {
            const ttt_learner_part part = self->part(self, dims, i, position);
            const int64_t n = ttt_learner_part_size(&part);
            memcpy(part_in(maps, self, dims, i), (const float *)parts[i] + h * n, (size_t)n * sizeof(float));
        }
    }
}

/* ---- inspection ---- */

void ttt_cpu_learner_weights(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                             const void *state, void *weights)
{
    (void)b;
    const size_t size = (size_t)ttt_learner_weights_size(self, dims);
    float *sum = (float *)weights + size;
    memcpy(weights, state, size * sizeof *sum);
    if (has_sums(dims))
        memcpy(sum, (const float *)state + size, size * sizeof *sum);
    else
        memset(sum, 0, size * sizeof *sum);
    ttt_map maps[TTT_LEARNER_MAPS];
    ttt_cpu_find_maps(maps, self, dims, (float *)(uintptr_t)state);
    const bool has_bias = !(dims->flags & TTT_LEARNER_NO_BIAS);
    for (int m = 0; m < self->maps->count; m++) {
        const ttt_map *f = &maps[m];
        for (int64_t j = 0; j < f->slots; j++) {
            for (int64_t i = 0; i < f->in; i++)
                for (int64_t o = 0; o < f->out; o++) sum[i * f->out + o] += f->x[j * f->in + i] * f->g[j * f->out + o];
            for (int64_t o = 0; has_bias && o < f->out; o++) sum[f->in * f->out + o] += f->g[j * f->out + o];
        }
        sum += (f->in + 1) * f->out;
    }
}

/* z [out] = x W + b; `weights` are W [in, out] and then b [out] */
static void predict(float *z, const float *x, const float *weights, int64_t in, int64_t out)
{
    memcpy(z, weights + in * out, (size_t)out * sizeof *z);
    for (int64_t i = 0; i < in; i++)
        for (int64_t o = 0; o < out; o++) z[o] += x[i] * weights[i * out + o];
}

static float gelu(float z)
{
    const double x = (double)z;
    return (float)(0.5 * x * (1 + ttt_tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))));
}

/* mean((y - target)^2): y = LN(z), or z where weight is NULL; the target is v - k, or v where k is NULL */
static double target_loss(const float *z, const float *k, const float *v, const float *weight, const float *bias,
                          int64_t D)
{
    double mean = 0, variance = 0, loss = 0;
    for (int64_t d = 0; d < D; d++) mean += (double)z[d] / (double)D;
    for (int64_t d = 0; d < D; d++) variance += ((double)z[d] - mean) * ((double)z[d] - mean) / (double)D;
    const double scale = 1 / sqrt(variance + 1e-6);
    for (int64_t d = 0; d < D; d++) {
        const double y = weight && bias ? (double)weight[d] * (((double)z[d] - mean) * scale) + (double)bias[d]
                                        : (double)z[d];
        const double error = y - (k ? (double)v[d] - (double)k[d] : (double)v[d]);
        loss += error * error / (double)D;
    }
    return loss;
}

double ttt_cpu_learner_loss(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_dims *dims,
                            const ttt_param *params, int64_t head, const void *weights, const void *k, const void *v)
{
    const int64_t D = dims->key_size;
    const float *x = k, *w = weights, *weight = params[2 * self->maps->count].values,
                *bias = params[2 * self->maps->count + 1].values;
    float *z = ttt_scratch(b, 0);
    for (int m = 0; m < self->maps->count; m++) {
        const int64_t in = self->maps->in[m] * D, out = self->maps->out[m] * D;
        for (int64_t i = 0; m > 0 && i < in; i++) z[i - in] = gelu(z[i - in]);
        predict(z, x, w, in, out);
        x = z;
        w += (in + 1) * out;
        z += out;
    }
    const float *target_k = dims->flags & TTT_LEARNER_TARGET_V ? NULL : k;
    return target_loss(x, target_k, v, weight ? weight + head * D : NULL, bias ? bias + head * D : NULL, D);
}
