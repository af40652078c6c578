/* SPDX-License-Identifier: MIT
 *
 * A convolution as a part of a block, MATH (conv): causal, depthwise, with a bias. Its state is the tail: the last W -
 * 1 rows of its input.
 */
#include <math.h>

#include "base/alloc.h"
#include "layer/layer.h"

enum { WEIGHT, BIAS, SLOTS };

typedef struct shape {
    int64_t taps; /* W */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

static int64_t tail_size(const ttt_layer *layer) { return (shape_of(layer)->taps - 1) * layer->width; }

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (shape){.taps = config->conv_kernel};
    layer->shape = s;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const int64_t W = shape_of(layer)->taps;
    ttt_params_add(params, WEIGHT, "conv.weight", TTT_ROLE_VALUES, ttt_first_truncated(sqrt(1 / (double)W)),
                   TTT_SHAPE(layer->width, 1, W));
    ttt_params_add(params, BIAS, "conv.bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(layer->width));
}

static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const double forward = 2 * (double)shape_of(layer)->taps * (double)layer->width;
    return (ttt_layer_work){.others = backward ? 2 * forward : forward};
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return (ttt_state_size){.fixed = tail_size(layer)};
}

static void *tail_of(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run)
{
    return ttt_at(b, run->state, layer->state_offset);
}

typedef struct memory {
    void *tails; /* saved, [runs, W-1, C]: as the forward found them */
    void *y;     /* scratch, [R,C] */
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    return (memory){.tails = pass->train ? ttt_layer_reals(saved, pass, pass->run_count, tail_size(layer)) : NULL,
                    .y = ttt_layer_reals(scratch, pass, pass->rows, layer->width)};
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t W = shape_of(layer)->taps;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    ttt_layer_keep(pass, m.tails, layer->state_offset, tail_size(layer));
    b->ops->conv(b, m.y, x, w[WEIGHT].values, w[BIAS].values, pass->runs, pass->run_count, layer->state_offset,
                 layer->width, W);
    b->ops->conv_tail(b, x, pass->runs, pass->run_count, layer->state_offset, layer->width, W);
    b->ops->add(b, y, m.y, pass->rows * layer->width);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t W = shape_of(layer)->taps;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->zero(b, dx, pass->rows * layer->width);
    b->ops->conv_tail_backward(b, dx, pass->runs, pass->run_count, layer->state_offset, layer->width, W);
    b->ops->conv_backward(b, dx, g[WEIGHT].values, g[BIAS].values, dy, x, m.tails, w[WEIGHT].values, pass->runs,
                          pass->run_count, layer->state_offset, layer->width, W);
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend, (void)position;
    list[0] = (ttt_state_piece){.name = "tail", .rank = 2, .shape = {shape_of(layer)->taps - 1, layer->width}};
    return tail_size(layer) > 0;
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    if (tail_size(layer) > 0) b->ops->copy(b, values[0], tail_of(layer, b, run), tail_size(layer));
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    if (tail_size(layer) > 0) b->ops->copy(b, tail_of(layer, b, run), values[0], tail_size(layer));
}

static int view_pieces(const ttt_layer *layer, const ttt_backend *b, ttt_state_piece list[TTT_STATE_PIECES])
{
    return pieces(layer, b, 0, list);
}

static ttt_status view(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *values)
{
    export(layer, b, run, &values);
    return TTT_OK;
}

const ttt_layer_ops ttt_layer_conv = {.name = "conv",
                                      .norm = "conv.norm.weight",
                                      .prefix = "conv.",
                                      .slots = SLOTS,
                                      .init = init,
                                      .declare = declare,
                                      .work = work,
                                      .state = state,
                                      .layout = layout,
                                      .forward = forward,
                                      .backward = backward,
                                      .pieces = pieces,
                                      .export = export,
                                      .import = import,
                                      .view_pieces = view_pieces,
                                      .view = view,
                                      .deinit = deinit};
