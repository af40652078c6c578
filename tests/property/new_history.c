/* SPDX-License-Identifier: MIT
 *
 * A layer whose state grows: y_t = w (x_0 + ... + x_t) / (t + 1), channel by channel. It keeps x of every token, where
 * a sum would do, as attention has to keep its keys and values.
 */
#include <string.h>

#include "new_layers.h"

enum { W, SLOTS };

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    (void)layer, (void)config;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { (void)layer; }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    ttt_params_add(params, W, "weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(layer->width));
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return (ttt_state_size){.per_token = layer->width};
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    (void)layer, (void)pass, (void)saved, (void)scratch;
}

static double *kept_of(const ttt_layer *layer, const ttt_run *run) { return run->grown[layer->number]; }

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *yv, const void *xv)
{
    (void)saved, (void)scratch;
    const int64_t C = layer->width;
    const double *weight = w[W].values;
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        double *kept = kept_of(layer, run);
        memcpy(kept + run->position * C, (const double *)xv + run->row * C, (size_t)(run->count * C) * sizeof *kept);
        for (int64_t t = run->position; t < run->position + run->count; t++) {
            double *y = (double *)yv + (run->row + t - run->position) * C;
            for (int64_t c = 0; c < C; c++) {
                double sum = 0;
                for (int64_t j = 0; j <= t; j++) sum += kept[j * C + c];
                y[c] += weight[c] * sum / (double)(t + 1);
            }
        }
    }
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dxv, const void *dyv, const void *xv)
{
    (void)saved, (void)scratch, (void)xv;
    const int64_t C = layer->width;
    const double *weight = w[W].values;
    double *dweight = g[W].values;
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        const double *kept = kept_of(layer, run);
        double *dkept = run->dgrown[layer->number];
        for (int64_t t = run->position; t < run->position + run->count; t++) {
            const double *dy = (const double *)dyv + (run->row + t - run->position) * C;
            for (int64_t j = 0; j <= t; j++) {
                for (int64_t c = 0; c < C; c++) {
                    dkept[j * C + c] += weight[c] * dy[c] / (double)(t + 1);
                    dweight[c] += kept[j * C + c] * dy[c] / (double)(t + 1);
                }
            }
        }
        memcpy((double *)dxv + run->row * C, dkept + run->position * C, (size_t)(run->count * C) * sizeof *dkept);
    }
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend;
    list[0] = (ttt_state_piece){.name = "rows", .rank = 2, .shape = {position, layer->width}};
    return 1;
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    if (run->position > 0) b->ops->copy(b, values[0], kept_of(layer, run), run->position * layer->width);
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    if (run->position > 0) b->ops->copy(b, kept_of(layer, run), values[0], run->position * layer->width);
}

const ttt_layer_ops new_history = {.name = "history",
                                   .norm = "seq_norm.weight",
                                   .prefix = "seq_modeling_block.",
                                   .slots = SLOTS,
                                   .is_sequence = true,
                                   .init = init,
                                   .declare = declare,
                                   .state = state,
                                   .layout = layout,
                                   .forward = forward,
                                   .backward = backward,
                                   .pieces = pieces,
                                   .export = export,
                                   .import = import,
                                   .deinit = deinit};
