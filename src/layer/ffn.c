/* SPDX-License-Identifier: MIT
 *
 * The feed-forward network, MATH (swiglu): y = (silu(x Wgate^T) * (x Wup^T)) Wdown^T. It has no state.
 */
#include "base/alloc.h"
#include "layer/layer.h"

enum { GATE, UP, DOWN, SLOTS };

typedef struct shape {
    int64_t hidden; /* F */
    double std;     /* of first values */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (shape){.hidden = config->intermediate_size, .std = config->initializer_range};
    layer->shape = s;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const int64_t C = layer->width, F = shape_of(layer)->hidden;
    const ttt_first normal = ttt_first_normal(shape_of(layer)->std);
    ttt_params_add(params, GATE, "gate_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(F, C));
    ttt_params_add(params, UP, "up_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(F, C));
    ttt_params_add(params, DOWN, "down_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, F));
}

static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const double forward = 2 * 3 * (double)layer->width * (double)shape_of(layer)->hidden;
    return (ttt_layer_work){.products = backward ? 2 * forward : forward};
}

typedef struct memory {
    void *gate, *up; /* saved, [R,F] */
    void *hidden;    /* scratch, [R,F] */
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const int64_t R = pass->rows, F = shape_of(layer)->hidden;
    return (memory){.gate = ttt_layer_reals(saved, pass, R, F),
                    .up = ttt_layer_reals(saved, pass, R, F),
                    .hidden = ttt_layer_reals(scratch, pass, R, F)};
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, F = shape_of(layer)->hidden;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear(b, m.gate, x, &w[GATE], R, false);
    b->ops->linear(b, m.up, x, &w[UP], R, false);
    b->ops->swiglu(b, m.hidden, m.gate, m.up, R * F);
    b->ops->linear(b, y, m.hidden, &w[DOWN], R, true);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, F = shape_of(layer)->hidden;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear_backward_input(b, m.hidden, dy, &w[DOWN], R, false);
    b->ops->swiglu_backward(b, m.hidden, m.gate, m.up, R * F); /* gate and up: now their gradients */
    b->ops->linear_backward_weight(b, &g[DOWN], dy, m.hidden, R);
    b->ops->linear_backward_weight(b, &g[GATE], m.gate, x, R);
    b->ops->linear_backward_weight(b, &g[UP], m.up, x, R);
    b->ops->linear_backward_input(b, dx, m.gate, &w[GATE], R, false);
    b->ops->linear_backward_input(b, dx, m.up, &w[UP], R, true);
}

const ttt_layer_ops ttt_layer_ffn = {.name = "ffn",
                                     .norm = "ffn_norm.weight",
                                     .prefix = "mlp.",
                                     .slots = SLOTS,
                                     .init = init,
                                     .declare = declare,
                                     .work = work,
                                     .layout = layout,
                                     .forward = forward,
                                     .backward = backward,
                                     .deinit = deinit};
