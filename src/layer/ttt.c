/* SPDX-License-Identifier: MIT
 *
 * The TTT layer, MATH (layer): projections, convolutions and rotation make q, k, v; a gate makes the inner learning
 * rate; the learner reads and learns; its output is normalised, gated and projected.
 */
#include "layer/ttt.h"

#include <math.h>

#include "base/alloc.h"

enum { HEAD_SIZE_MAX = 1024 };

/* ---- what it is ---- */

/* Positions of a mini-batch up to which their rotations lie in a table; beyond it angles are computed as they come. */
enum { ROTATION_TABLE_MOST = 4096 };

static unsigned flags_of(const ttt_config *config)
{
    return (config->ttt_norm ? 0 : TTT_LEARNER_NO_NORM) | (config->ttt_residual ? 0 : TTT_LEARNER_NO_RESIDUAL) |
           (config->ttt_target == TTT_TARGET_V ? TTT_LEARNER_TARGET_V : 0) |
           (config->ttt_bias ? 0 : TTT_LEARNER_NO_BIAS) | (config->ttt_w0 == TTT_W0_ZERO ? TTT_LEARNER_ZERO_START : 0);
}

static ttt_status init(ttt_layer *layer, const ttt_config *config, const ttt_learner *learner)
{
    const int64_t H = config->num_attention_heads, D = config->hidden_size / H;
    if (D > HEAD_SIZE_MAX)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "heads of size %lld are not supported: use more heads, at most %d columns "
                        "each",
                        (long long)D, HEAD_SIZE_MAX);
    if (config->ttt_w0 == TTT_W0_ZERO && learner->maps->count > 1)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "ttt_w0 \"zero\" is not supported with ttt_mlp, whose two maps would never leave zero");
    if (config->ttt_keep_every % config->mini_batch_size != 0)
        return ttt_fail(TTT_ERR_FORMAT,
                        "ttt_keep_every %lld is no multiple of mini_batch_size %lld: weights move where mini-batches "
                        "end",
                        (long long)config->ttt_keep_every, (long long)config->mini_batch_size);
    ttt_shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (ttt_shape){.learner = learner,
                     .dims = {.heads = H,
                              .key_size = D,
                              .value_size = D,
                              .mini_batch = config->mini_batch_size,
                              .flags = flags_of(config),
                              .forget = 1 - config->ttt_keep,
                              .forget_every = config->ttt_keep_every},
                     .taps = config->conv_kernel,
                     .share_qk = config->share_qk,
                     .use_gate = config->use_gate,
                     .rotates = config->ttt_rope,
                     .has_factor = config->ttt_position_factor,
                     .constant_rate = config->ttt_rate,
                     .base_lr = config->ttt_base_lr,
                     .rope_theta = config->rope_theta,
                     .std = config->initializer_range};
    layer->shape = s;
    if (!s->rotates || s->dims.mini_batch <= ROTATION_TABLE_MOST) return TTT_OK;
    s->frequencies = ttt_alloc((size_t)(D / 2), sizeof *s->frequencies);
    if (!s->frequencies) return TTT_ERR_MEMORY;
    ttt_rotation_frequencies(s->frequencies, D, s->rope_theta);
    return TTT_OK;
}

static ttt_status init_linear(ttt_layer *layer, const ttt_config *config)
{
    return init(layer, config, &ttt_learner_linear);
}

static ttt_status init_mlp(ttt_layer *layer, const ttt_config *config) { return init(layer, config, &ttt_learner_mlp); }

static void deinit(ttt_layer *layer)
{
    if (layer->shape) ttt_free(ttt_shape_of(layer)->frequencies);
    ttt_free(layer->shape);
}

static void declare_convolutions(const ttt_layer *layer, ttt_params *params)
{
    const int64_t C = layer->width, W = ttt_shape_of(layer)->taps;
    const ttt_first first = ttt_first_truncated(sqrt(1 / (double)W)), zeros = ttt_first_zeros();
    ttt_params_add(params, TTT_CONV_Q, "conv_q.weight", TTT_ROLE_VALUES, first, TTT_SHAPE(C, 1, W));
    ttt_params_add(params, TTT_CONV_Q_BIAS, "conv_q.bias", TTT_ROLE_VALUES, zeros, TTT_SHAPE(C));
    ttt_params_add(params, TTT_CONV_K, "conv_k.weight", TTT_ROLE_VALUES, first, TTT_SHAPE(C, 1, W));
    ttt_params_add(params, TTT_CONV_K_BIAS, "conv_k.bias", TTT_ROLE_VALUES, zeros, TTT_SHAPE(C));
}

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const int64_t C = layer->width, H = s->dims.heads, K = s->dims.mini_batch;
    const ttt_first normal = ttt_first_normal(s->std), zeros = ttt_first_zeros();
    ttt_params_add(params, TTT_Q, "q_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    if (!s->share_qk) ttt_params_add(params, TTT_K, "k_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    ttt_params_add(params, TTT_V, "v_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    ttt_params_add(params, TTT_O, "o_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    if (s->use_gate) ttt_params_add(params, TTT_GATE, "g_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    if (s->share_qk) declare_convolutions(layer, params);
    if (s->constant_rate < 0) {
        ttt_params_add(params, TTT_RATE, "learnable_ttt_lr_weight", TTT_ROLE_PRODUCT, normal, TTT_SHAPE(H, 1, C));
        ttt_params_add(params, TTT_RATE_BIAS, "learnable_ttt_lr_bias", TTT_ROLE_VALUES, zeros, TTT_SHAPE(H, 1));
    }
    if (s->has_factor)
        ttt_params_add(params, TTT_TOKEN_IDX, "learnable_token_idx", TTT_ROLE_VALUES, zeros, TTT_SHAPE(K));
    s->learner->declare(&s->dims, s->std, params, TTT_LEARNER);
    ttt_params_add(params, TTT_POST, "post_norm.weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(C));
    ttt_params_add(params, TTT_POST_BIAS, "post_norm.bias", TTT_ROLE_VALUES, zeros, TTT_SHAPE(C));
}

/* Products with q, v, o; k; gate; and the rates. What else: the learner, and the convolutions of q and k. */
static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const double C = (double)layer->width, squares = 3 + (s->share_qk ? 0 : 1) + (s->use_gate ? 1 : 0);
    const double forward = 2 * (squares * C * C + (s->constant_rate < 0 ? (double)s->dims.heads * C : 0));
    const double convolutions = s->share_qk ? (backward ? 2 : 1) * 2 * 2 * (double)s->taps * C : 0;
    return (ttt_layer_work){.products = backward ? 2 * forward : forward,
                            .others = ttt_maps_work(s->learner->maps, &s->dims, backward).flops + convolutions};
}

static ttt_status attach(ttt_layer *layer, const ttt_backend *backend, ttt_rotations *rotations, int64_t group)
{
    ttt_shape *s = layer->shape;
    const ttt_learner_ops *ops = s->learner->ops(backend);
    s->dims.group = group;
    TTT_TRY(ops->supports(ops, &s->dims));
    if (!s->rotates || s->frequencies) return TTT_OK;
    return ttt_rotations_find(rotations, backend, s->dims.mini_batch, s->dims.key_size, s->rope_theta, &s->rotation);
}

/* ---- memory ---- */

int64_t ttt_learner_reals(const ttt_layer *layer, const ttt_backend *backend)
{
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    const ttt_learner_ops *ops = ttt_learner_of(layer, backend);
    return dims->heads * ops->state_size(ops, dims);
}

int64_t ttt_tail_reals(const ttt_layer *layer)
{
    return ttt_shape_of(layer)->share_qk ? (ttt_shape_of(layer)->taps - 1) * layer->width : 0;
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    const ttt_learner_dims *dims = &ttt_shape_of(layer)->dims;
    const ttt_learner_ops *ops = ttt_learner_of(layer, backend);
    return (ttt_state_size){.fixed = ttt_learner_reals(layer, backend) + ttt_tail_reals(layer),
                            .per_token = ops->per_token ? dims->heads * ops->per_token(ops, dims) : 0};
}

/* Where the tail of u begins in a state. */
static int64_t tail_offset(const ttt_layer *layer, const ttt_backend *backend)
{
    return layer->state_offset + ttt_learner_reals(layer, backend);
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    const ttt_learner_ops *ops = ttt_learner_of(layer, backend);
    return ops->scratch_bytes(ops, &ttt_shape_of(layer)->dims);
}

/* Forward to backward. */
typedef struct saved {
    void *u, *u_tail;    /* [R,C], [runs, W-1, C]: with share_qk */
    void *q, *k, *v;     /* [R,C], q and k rotated */
    void *rate, *factor; /* r [R,H], c [R] */
    void *z;             /* [R,C] out of the learner */
    void *gate;          /* [R,C] logits of the gate */
    void *learner;       /* [runs, H, learner_stride]; NULL in inference */
    int64_t learner_stride;
} saved;

static saved carve_saved(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *arena)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const int64_t R = pass->rows, C = layer->width, H = s->dims.heads;
    saved kept = {0};
    if (s->share_qk) kept.u = ttt_layer_reals(arena, pass, R, C);
    if (s->share_qk && pass->train) kept.u_tail = ttt_layer_reals(arena, pass, pass->run_count, ttt_tail_reals(layer));
    kept.q = ttt_layer_reals(arena, pass, R, C);
    kept.k = ttt_layer_reals(arena, pass, R, C);
    kept.v = ttt_layer_reals(arena, pass, R, C);
    kept.rate = ttt_layer_reals(arena, pass, R, H);
    kept.factor = ttt_layer_reals(arena, pass, R, 1);
    kept.z = ttt_layer_reals(arena, pass, R, C);
    if (s->use_gate) kept.gate = ttt_layer_reals(arena, pass, R, C);
    if (!pass->train) return kept;
    const ttt_learner_ops *ops = ttt_learner_of(layer, pass->backend);
    kept.learner_stride = ops->saved_size(ops, &s->dims, pass->longest);
    kept.learner = ttt_layer_reals(arena, pass, pass->run_count * H, kept.learner_stride);
    return kept;
}

typedef struct scratch {
    void *o;                              /* [R,C] */
    void *dz, *dq, *dk, *dv, *du, *dgate; /* [R,C] */
    void *drate, *dfactor;                /* [R,H] */
    void *partial;                        /* the learner's */
} scratch;

static scratch carve_scratch(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *arena)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const int64_t R = pass->rows, C = layer->width, H = s->dims.heads;
    scratch t = {.o = ttt_layer_reals(arena, pass, R, C)};
    if (!pass->train) return t;
    t.dz = ttt_layer_reals(arena, pass, R, C);
    t.dq = ttt_layer_reals(arena, pass, R, C);
    t.dk = ttt_layer_reals(arena, pass, R, C);
    t.dv = ttt_layer_reals(arena, pass, R, C);
    if (s->share_qk) t.du = ttt_layer_reals(arena, pass, R, C);
    if (s->use_gate) t.dgate = ttt_layer_reals(arena, pass, R, C);
    t.drate = ttt_layer_reals(arena, pass, R, H);
    t.dfactor = ttt_layer_reals(arena, pass, R, H);
    const ttt_learner_ops *ops = ttt_learner_of(layer, pass->backend);
    t.partial = ttt_layer_reals(arena, pass, pass->run_count * H, ops->partial_size(ops, &s->dims));
    return t;
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved_arena, ttt_arena *scratch_arena)
{
    carve_saved(layer, pass, saved_arena);
    carve_scratch(layer, pass, scratch_arena);
}

/* ---- the empty sequence ---- */

static ttt_learner_call learner_call(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w)
{
    return (ttt_learner_call){.dims = ttt_shape_of(layer)->dims,
                              .runs = pass->runs,
                              .run_count = pass->run_count,
                              .layer = layer->number,
                              .state_offset = layer->state_offset,
                              .params = w + TTT_LEARNER};
}

static void reset(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w)
{
    const ttt_learner_call call = learner_call(layer, pass, w);
    const ttt_learner_ops *ops = ttt_learner_of(layer, pass->backend);
    ops->reset(ops, pass->backend, &call);
}

static void reset_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *g)
{
    ttt_learner_call call = learner_call(layer, pass, g);
    call.dparams = g + TTT_LEARNER;
    const ttt_learner_ops *ops = ttt_learner_of(layer, pass->backend);
    ops->reset_backward(ops, pass->backend, &call);
}

/* ---- forward ---- */

/* MATH (rotate) without a table: the part of a run in one mini-batch after the other. */
static void rotate_at(const ttt_shape *s, const ttt_pass *pass, void *x, bool inverse)
{
    const ttt_backend *b = pass->backend;
    const int64_t K = s->dims.mini_batch;
    for (int64_t n = 0; n < pass->run_count; n++) {
        ttt_run left = pass->runs[n];
        while (left.count > 0) {
            const int64_t place = left.position % K, count = left.count < K - place ? left.count : K - place;
            const ttt_run part = {.row = left.row, .count = count, .position = place};
            b->ops->rotate_at(b, x, s->frequencies, &part, 1, s->dims.heads, s->dims.key_size, false, inverse);
            left.row += count;
            left.count -= count;
            left.position += count;
        }
    }
}

static void rotate(const ttt_layer *layer, const ttt_pass *pass, void *x, bool inverse)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const ttt_learner_dims *d = &s->dims;
    if (!s->rotates) return;
    if (s->frequencies) {
        rotate_at(s, pass, x, inverse);
        return;
    }
    pass->backend->ops->rotate(pass->backend, x, s->rotation, pass->runs, pass->run_count, d->heads, d->key_size,
                               d->mini_batch, inverse);
}

/* q and k as two convolutions of one projection. */
static void share_queries_and_keys(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const saved *kept,
                                   const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t C = layer->width, W = ttt_shape_of(layer)->taps, tail = tail_offset(layer, b);
    b->ops->linear(b, kept->u, x, &w[TTT_Q], pass->rows, false);
    ttt_layer_keep(pass, kept->u_tail, tail, ttt_tail_reals(layer));
    b->ops->conv(b, kept->q, kept->u, w[TTT_CONV_Q].values, w[TTT_CONV_Q_BIAS].values, pass->runs, pass->run_count,
                 tail, C, W);
    b->ops->conv(b, kept->k, kept->u, w[TTT_CONV_K].values, w[TTT_CONV_K_BIAS].values, pass->runs, pass->run_count,
                 tail, C, W);
    b->ops->conv_tail(b, kept->u, pass->runs, pass->run_count, tail, C, W);
}

/* q, k, v of the tokens, q and k rotated. */
static void project(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const saved *kept, const void *x)
{
    const ttt_backend *b = pass->backend;
    if (ttt_shape_of(layer)->share_qk) {
        share_queries_and_keys(layer, pass, w, kept, x);
    } else {
        b->ops->linear(b, kept->q, x, &w[TTT_Q], pass->rows, false);
        b->ops->linear(b, kept->k, x, &w[TTT_K], pass->rows, false);
    }
    b->ops->linear(b, kept->v, x, &w[TTT_V], pass->rows, false);
    rotate(layer, pass, kept->q, false);
    rotate(layer, pass, kept->k, false);
}

/* Of the rate: learned, base_lr / D; or constant. */
static double rate_scale(const ttt_layer *layer, const ttt_pass *pass)
{
    const ttt_shape *s = ttt_shape_of(layer);
    const bool learned = s->constant_rate < 0;
    const double rate = learned ? s->base_lr : s->constant_rate, D = learned ? (double)s->dims.key_size : 1;
    return (s->learner->warmed_up ? rate * pass->rate_factor : rate) / D;
}

/* r_j = base_lr sigmoid(x_j . w_lr + b_lr) / D, or a constant, and c_i */
static void rates(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const saved *kept, const void *x)
{
    const ttt_backend *b = pass->backend;
    const ttt_shape *s = ttt_shape_of(layer);
    const ttt_learner_dims *d = &s->dims;
    const double scale = rate_scale(layer, pass);
    if (s->constant_rate < 0) {
        b->ops->linear(b, kept->rate, x, &w[TTT_RATE], pass->rows, false);
        b->ops->rate(b, kept->rate, w[TTT_RATE_BIAS].values, pass->rows, d->heads, scale);
    } else {
        b->ops->fill(b, kept->rate, scale, pass->rows * d->heads);
    }
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        if (run->frozen) b->ops->zero(b, ttt_at(b, kept->rate, run->row * d->heads), run->count * d->heads);
    }
    if (s->has_factor)
        b->ops->position_factor(b, kept->factor, w[TTT_TOKEN_IDX].values, pass->runs, pass->run_count, d->mini_batch);
    else
        b->ops->fill(b, kept->factor, 1, pass->rows);
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved_memory,
                    void *scratch_memory, void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const saved kept = carve_saved(layer, pass, &(ttt_arena){.base = saved_memory});
    const scratch t = carve_scratch(layer, pass, &(ttt_arena){.base = scratch_memory});
    project(layer, pass, w, &kept, x);
    rates(layer, pass, w, &kept, x);
    const ttt_learner_ops *ops = ttt_learner_of(layer, b);
    ttt_learner_call call = learner_call(layer, pass, w);
    call.q = kept.q;
    call.k = kept.k;
    call.v = kept.v;
    call.write = kept.rate;
    call.read = kept.factor;
    call.out = kept.z;
    call.saved = kept.learner;
    call.saved_stride = kept.learner_stride;
    if (pass->inspection) ttt_inspect_before(layer, pass);
    ops->forward(ops, b, &call);
    if (pass->inspection) ttt_inspect_after(layer, pass, &call);
    if (kept.gate) b->ops->linear(b, kept.gate, x, &w[TTT_GATE], pass->rows, false);
    b->ops->norm_gate(b, t.o, kept.z, w[TTT_POST].values, w[TTT_POST_BIAS].values, kept.gate, pass->rows, layer->width);
    b->ops->linear(b, y, t.o, &w[TTT_O], pass->rows, true);
}

/* ---- backward ---- */

/* Through the output projection, the gate and the norm, down to the learner's output. Sets dx to the gate's part. */
static void output_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                            const saved *kept, const scratch *t, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = layer->width;
    b->ops->linear_backward_input(b, t->o, dy, &w[TTT_O], R, false); /* the gradient of o, and after this o itself: */
    b->ops->norm_gate_backward(b, t->dz, t->dgate, g[TTT_POST].values, g[TTT_POST_BIAS].values, t->o, kept->z,
                               w[TTT_POST].values, w[TTT_POST_BIAS].values, kept->gate, R, C);
    b->ops->linear_backward_weight(b, &g[TTT_O], dy, t->o, R);
    b->ops->zero(b, dx, R * C);
    if (!kept->gate) return;
    b->ops->linear_backward_weight(b, &g[TTT_GATE], t->dgate, x, R);
    b->ops->linear_backward_input(b, dx, t->dgate, &w[TTT_GATE], R, true);
}

static void learner_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                             const saved *kept, const scratch *t)
{
    ttt_learner_call call = learner_call(layer, pass, w);
    call.q = kept->q;
    call.k = kept->k;
    call.v = kept->v;
    call.write = kept->rate;
    call.read = kept->factor;
    call.saved = kept->learner;
    call.saved_stride = kept->learner_stride;
    call.dout = t->dz;
    call.dq = t->dq;
    call.dk = t->dk;
    call.dv = t->dv;
    call.dwrite = t->drate;
    call.dread = t->dfactor;
    call.dparams = g + TTT_LEARNER;
    call.partial = t->partial;
    const ttt_learner_ops *ops = ttt_learner_of(layer, pass->backend);
    ops->backward(ops, pass->backend, &call);
}

static void rates_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                           const saved *kept, const scratch *t, void *dx, const void *x)
{
    const ttt_backend *b = pass->backend;
    const ttt_shape *s = ttt_shape_of(layer);
    const ttt_learner_dims *d = &s->dims;
    if (s->has_factor)
        b->ops->position_factor_backward(b, g[TTT_TOKEN_IDX].values, t->dfactor, w[TTT_TOKEN_IDX].values, pass->runs,
                                         pass->run_count, d->mini_batch, d->heads);
    if (s->constant_rate >= 0) return;
    b->ops->rate_backward(b, t->drate, g[TTT_RATE_BIAS].values, kept->rate, pass->rows, d->heads,
                          rate_scale(layer, pass));
    b->ops->linear_backward_weight(b, &g[TTT_RATE], t->drate, x, pass->rows);
    b->ops->linear_backward_input(b, dx, t->drate, &w[TTT_RATE], pass->rows, true);
}

static void share_queries_and_keys_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w,
                                            const ttt_param *g, const saved *kept, const scratch *t, void *dx,
                                            const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, C = layer->width, runs = pass->run_count, W = ttt_shape_of(layer)->taps,
                  tail = tail_offset(layer, b);
    b->ops->zero(b, t->du, R * C);
    b->ops->conv_tail_backward(b, t->du, pass->runs, runs, tail, C, W);
    b->ops->conv_backward(b, t->du, g[TTT_CONV_Q].values, g[TTT_CONV_Q_BIAS].values, t->dq, kept->u, kept->u_tail,
                          w[TTT_CONV_Q].values, pass->runs, runs, tail, C, W);
    b->ops->conv_backward(b, t->du, g[TTT_CONV_K].values, g[TTT_CONV_K_BIAS].values, t->dk, kept->u, kept->u_tail,
                          w[TTT_CONV_K].values, pass->runs, runs, tail, C, W);
    b->ops->linear_backward_weight(b, &g[TTT_Q], t->du, x, R);
    b->ops->linear_backward_input(b, dx, t->du, &w[TTT_Q], R, true);
}

/* From dq, dk, dv to dx. */
static void project_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                             const saved *kept, const scratch *t, void *dx, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows;
    rotate(layer, pass, t->dq, true);
    rotate(layer, pass, t->dk, true);
    b->ops->linear_backward_weight(b, &g[TTT_V], t->dv, x, R);
    b->ops->linear_backward_input(b, dx, t->dv, &w[TTT_V], R, true);
    if (ttt_shape_of(layer)->share_qk) {
        share_queries_and_keys_backward(layer, pass, w, g, kept, t, dx, x);
        return;
    }
    b->ops->linear_backward_weight(b, &g[TTT_Q], t->dq, x, R);
    b->ops->linear_backward_input(b, dx, t->dq, &w[TTT_Q], R, true);
    b->ops->linear_backward_weight(b, &g[TTT_K], t->dk, x, R);
    b->ops->linear_backward_input(b, dx, t->dk, &w[TTT_K], R, true);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                     void *saved_memory, void *scratch_memory, void *dx, const void *dy, const void *x)
{
    const saved kept = carve_saved(layer, pass, &(ttt_arena){.base = saved_memory});
    const scratch t = carve_scratch(layer, pass, &(ttt_arena){.base = scratch_memory});
    output_backward(layer, pass, w, g, &kept, &t, dx, dy, x);
    learner_backward(layer, pass, w, g, &kept, &t);
    rates_backward(layer, pass, w, g, &kept, &t, dx, x);
    project_backward(layer, pass, w, g, &kept, &t, dx, x);
}

/* ---- one layer a learner ---- */

#define TTT_LAYER(layer_name, begin)                                                                                   \
    {                                                                                                                  \
        .name = layer_name, .norm = "seq_norm.weight", .prefix = "seq_modeling_block.", .slots = TTT_SLOTS,            \
        .is_sequence = true, .init = begin, .declare = declare, .work = work, .attach = attach, .state = state,        \
        .scratch_bytes = scratch_bytes, .layout = layout, .reset = reset, .reset_backward = reset_backward,            \
        .forward = forward, .backward = backward, .pieces = ttt_inner_pieces, .export = ttt_inner_export,              \
        .import = ttt_inner_import, .view_pieces = ttt_inner_view_pieces, .view = ttt_inner_view,                      \
        .inspect_size = ttt_inspect_size, .deinit = deinit                                                             \
    }

const ttt_layer_ops ttt_layer_ttt_linear = TTT_LAYER("ttt_linear", init_linear);
const ttt_layer_ops ttt_layer_ttt_mlp = TTT_LAYER("ttt_mlp", init_mlp);
