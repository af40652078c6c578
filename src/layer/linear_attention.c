/* SPDX-License-Identifier: MIT
 *
 * Linear attention, MATH (linear attention) and (matrix state): its state is S, and z where it is normalised.
 */
#include "base/alloc.h"
#include "layer/delta.h"

enum { Q, K, V, O, POST, POST_BIAS, SLOTS };

typedef struct shape {
    ttt_delta_dims dims;
    ttt_feature_map map;
    bool post_norm, rope;
    double std;          /* of first values */
    double *frequencies; /* [D/2] with rope */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

static void deinit(ttt_layer *layer)
{
    shape *s = layer->shape;
    if (s) ttt_free(s->frequencies);
    ttt_free(s);
}

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    const int64_t H = config->num_attention_heads, D = config->hidden_size / H;
    if (config->linear_attention_normalise && config->linear_attention_feature_map == TTT_FEATURE_IDENTITY)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "linear_attention_normalise needs linear_attention_feature_map elu1, whose "
                        "sums are positive: set it to false with identity");
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    layer->shape = s;
    *s = (shape){.dims = {.kind = config->linear_attention_normalise ? TTT_DELTA_NORMALISED : TTT_DELTA_LINEAR,
                          .heads = H,
                          .key_size = D,
                          .value_size = D},
                 .map = config->linear_attention_feature_map,
                 .post_norm = config->linear_attention_post_norm,
                 .rope = config->linear_attention_rope,
                 .std = config->initializer_range};
    if (!s->rope) return TTT_OK;
    s->frequencies = ttt_alloc((size_t)D / 2, sizeof *s->frequencies);
    if (!s->frequencies) return TTT_ERR_MEMORY;
    ttt_rotation_frequencies(s->frequencies, D, config->rope_theta);
    return TTT_OK;
}

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const int64_t C = layer->width;
    static const char *const squares[] = {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"};
    for (int slot = Q; slot <= O; slot++)
        ttt_params_add(params, slot, squares[slot], TTT_ROLE_MATRIX, ttt_first_normal(shape_of(layer)->std),
                       TTT_SHAPE(C, C));
    if (!shape_of(layer)->post_norm) return;
    ttt_params_add(params, POST, "post_norm.weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(C));
    ttt_params_add(params, POST_BIAS, "post_norm.bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(C));
}

static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const double C = (double)layer->width, times = backward ? 2 : 1;
    return (ttt_layer_work){.products = times * 2 * 4 * C * C,
                            .others = times * ttt_delta_flops(&shape_of(layer)->dims)};
}

static ttt_status attach(ttt_layer *layer, const ttt_backend *backend, ttt_rotations *rotations, int64_t group)
{
    (void)backend, (void)rotations;
    ((shape *)layer->shape)->dims.group = group;
    return TTT_OK;
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return (ttt_state_size){.fixed = ttt_delta_reals(&shape_of(layer)->dims)};
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    return backend->ops->delta_scratch_bytes(&shape_of(layer)->dims);
}

/* ---- a pass ---- */

typedef struct memory {
    void *q, *k, *v; /* saved, [R,C]: after the feature map */
    void *o;         /* saved, [R,C] */
    void *delta;     /* saved, [runs, H, stride]; NULL in inference */
    int64_t stride;
    void *post;               /* scratch, [R,C] */
    void *d_o, *dq, *dk, *dv; /* scratch, [R,C] */
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, C = layer->width;
    memory m = {0};
    void **const kept[] = {&m.q, &m.k, &m.v, &m.o}, **const gradients[] = {&m.d_o, &m.dq, &m.dk, &m.dv};
    for (int i = 0; i < 4; i++) *kept[i] = ttt_layer_reals(saved, pass, R, C);
    if (s->post_norm || pass->train) m.post = ttt_layer_reals(scratch, pass, R, C);
    if (!pass->train) return m;
    m.stride = pass->backend->ops->delta_saved_size(&s->dims, pass->longest);
    m.delta = ttt_layer_reals(saved, pass, pass->run_count * s->dims.heads, m.stride);
    for (int i = 0; i < 4; i++) *gradients[i] = ttt_layer_reals(scratch, pass, R, C);
    return m;
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

static ttt_delta_call call_of(const ttt_layer *layer, const ttt_pass *pass, const memory *m)
{
    return (ttt_delta_call){.dims = shape_of(layer)->dims,
                            .runs = pass->runs,
                            .run_count = pass->run_count,
                            .state_offset = layer->state_offset,
                            .q = m->q,
                            .k = m->k,
                            .v = m->v,
                            .out = m->o,
                            .saved = m->delta,
                            .saved_stride = m->stride};
}

static void turn(const ttt_layer *layer, const ttt_pass *pass, void *x, bool inverse)
{
    const shape *s = shape_of(layer);
    if (!s->rope) return;
    pass->backend->ops->rotate_at(pass->backend, x, s->frequencies, pass->runs, pass->run_count, s->dims.heads,
                                  s->dims.key_size, false, inverse);
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, C = layer->width;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    void *const features[] = {m.q, m.k};
    for (int i = 0; i < 2; i++) {
        b->ops->linear(b, features[i], x, &w[Q + i], R, false);
        turn(layer, pass, features[i], false);
        if (s->map == TTT_FEATURE_ELU1) b->ops->elu1(b, features[i], R * C);
    }
    b->ops->linear(b, m.v, x, &w[V], R, false);
    const ttt_delta_call call = call_of(layer, pass, &m);
    b->ops->delta(b, &call);
    if (s->post_norm) b->ops->norm_gate(b, m.post, m.o, w[POST].values, w[POST_BIAS].values, NULL, R, C);
    b->ops->linear(b, y, s->post_norm ? m.post : m.o, &w[O], R, true);
}

/* From dy to d_o. */
static void output_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                            const memory *m, const void *dy)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = layer->width;
    if (!shape_of(layer)->post_norm) {
        b->ops->linear_backward_input(b, m->d_o, dy, &w[O], R, false);
        b->ops->linear_backward_weight(b, &g[O], dy, m->o, R);
        return;
    }
    b->ops->linear_backward_input(b, m->post, dy, &w[O], R, false);
    b->ops->norm_gate_backward(b, m->d_o, NULL, g[POST].values, g[POST_BIAS].values, m->post, m->o, w[POST].values,
                               w[POST_BIAS].values, NULL, R, C); /* post: now what it was in the forward */
    b->ops->linear_backward_weight(b, &g[O], dy, m->post, R);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = layer->width;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    output_backward(layer, pass, w, g, &m, dy);
    ttt_delta_call call = call_of(layer, pass, &m);
    call.dout = m.d_o;
    call.dq = m.dq;
    call.dk = m.dk;
    call.dv = m.dv;
    b->ops->delta_backward(b, &call);
    const void *const features[] = {m.q, m.k};
    void *const gradients[] = {m.dq, m.dk, m.dv};
    for (int i = 0; i < 3; i++) {
        if (i < 2 && shape_of(layer)->map == TTT_FEATURE_ELU1)
            b->ops->elu1_backward(b, gradients[i], features[i], R * C);
        if (i < 2) turn(layer, pass, gradients[i], true);
        b->ops->linear_backward_weight(b, &g[Q + i], gradients[i], x, R);
        b->ops->linear_backward_input(b, dx, gradients[i], &w[Q + i], R, i > 0);
    }
}

/* ---- its state by names ---- */

static void *state_of(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run)
{
    return ttt_at(b, run->state, layer->state_offset);
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend;
    return ttt_delta_pieces(&shape_of(layer)->dims, position, list);
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    ttt_delta_export(&shape_of(layer)->dims, b, run->position, state_of(layer, b, run), values);
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    ttt_delta_import(&shape_of(layer)->dims, b, run->position, state_of(layer, b, run), values);
}

static int view_pieces(const ttt_layer *layer, const ttt_backend *b, ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)b;
    return ttt_delta_view_pieces(&shape_of(layer)->dims, list);
}

static ttt_status view(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *values)
{
    return ttt_delta_view(&shape_of(layer)->dims, b, run->position, state_of(layer, b, run), values);
}

const ttt_layer_ops ttt_layer_linear_attention = {.name = "linear_attention",
                                                  .norm = "seq_norm.weight",
                                                  .prefix = "seq_modeling_block.",
                                                  .slots = SLOTS,
                                                  .is_sequence = true,
                                                  .init = init,
                                                  .declare = declare,
                                                  .work = work,
                                                  .attach = attach,
                                                  .state = state,
                                                  .scratch_bytes = scratch_bytes,
                                                  .layout = layout,
                                                  .forward = forward,
                                                  .backward = backward,
                                                  .pieces = pieces,
                                                  .export = export,
                                                  .import = import,
                                                  .view_pieces = view_pieces,
                                                  .view = view,
                                                  .deinit = deinit};
