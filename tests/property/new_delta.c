/* SPDX-License-Identifier: MIT
 *
 * A DeltaNet with a decay for every token and head, as a learner and the layer around it:
 *
 *   U_t = a_t W_{t-1},  e_t = v_t - k_t U_t,  W_t = U_t + r_t k_t^T e_t,  out_t = c_t q_t W_t,  W_{-1} = 0
 *
 * q, k, v, a (a sigmoid) and r (likewise) are made of x; c is 1. What tells it from the library's learners: no norm, no
 * residual, the target is v, it updates before it reads, at every token, and it forgets.
 */
#include <string.h>

#include "backend/host.h"
#include "base/alloc.h"
#include "config/config.h"
#include "new_layers.h"

/* ---- the learner ---- */

static int64_t size_of(const ttt_learner_dims *dims) { return dims->key_size * dims->value_size; }

static int64_t state_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    return (void)self, size_of(dims);
}

static int64_t saved_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens)
{
    return (void)self, (tokens + 1) * size_of(dims);
}

static int64_t partial_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    return (void)self, (void)dims, 0;
}

static size_t learner_scratch(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    return (void)self, (size_t)dims->value_size * sizeof(double);
}

static ttt_status supports(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self;
    const unsigned flags = TTT_LEARNER_NO_NORM | TTT_LEARNER_NO_RESIDUAL | TTT_LEARNER_NO_BIAS | TTT_LEARNER_TARGET_V |
                           TTT_LEARNER_ZERO_START | TTT_LEARNER_DECAY;
    if (dims->flags == flags && dims->mini_batch == 1) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "delta learns token by token, with decay");
}

static double *head_state(const ttt_learner_call *call, void *state, int64_t h)
{
    return (double *)state + call->state_offset + h * size_of(&call->dims);
}

static void learner_reset(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    for (int64_t n = 0; n < call->run_count; n++)
        b->ops->zero(b, head_state(call, call->runs[n].state, 0), call->dims.heads * state_size(self, &call->dims));
}

static void learner_reset_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self, (void)b, (void)call; /* the first state depends on no parameter */
}

/* One token of one head. */
typedef struct token {
    const double *q, *k, *v;
    double a, r, c;
    int64_t at, rate; /* of it in [R,H*D] and in [R,H] */
} token;

static token token_of(const ttt_learner_call *call, int64_t row, int64_t h)
{
    const int64_t rate = row * call->dims.heads + h, at = rate * call->dims.key_size;
    return (token){.q = (const double *)call->q + at,
                   .k = (const double *)call->k + at,
                   .v = (const double *)call->v + at,
                   .a = ((const double *)call->decay)[rate],
                   .r = ((const double *)call->write)[rate],
                   .c = ((const double *)call->read)[row],
                   .at = at,
                   .rate = rate};
}

/* e = v - k (a W) */
static void error_of(double *e, const token *t, const double *W, int64_t D)
{
    for (int64_t j = 0; j < D; j++) {
        e[j] = t->v[j];
        for (int64_t m = 0; m < D; m++) e[j] -= t->k[m] * t->a * W[m * D + j];
    }
}

static void forward_token(const ttt_backend *b, const ttt_learner_call *call, const token *t, double *W)
{
    const int64_t D = call->dims.key_size;
    double *e = ttt_scratch(b, 0), *out = (double *)call->out + t->at;
    error_of(e, t, W, D);
    for (int64_t m = 0; m < D; m++)
        for (int64_t j = 0; j < D; j++) W[m * D + j] = t->a * W[m * D + j] + t->r * t->k[m] * e[j];
    for (int64_t j = 0; j < D; j++) {
        out[j] = 0;
        for (int64_t m = 0; m < D; m++) out[j] += t->c * t->q[m] * W[m * D + j];
    }
}

static void learner_forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads, size = state_size(self, &call->dims);
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        double *W = head_state(call, run->state, i % H),
               *saved = call->saved ? (double *)call->saved + i * call->saved_stride : NULL;
        if (saved) memcpy(saved, W, (size_t)size * sizeof *W);
        for (int64_t row = run->row; row < run->row + run->count; row++) {
            const token t = token_of(call, row, i % H);
            forward_token(b, call, &t, W);
            if (saved) memcpy(saved += size, W, (size_t)size * sizeof *W);
        }
    }
}

/* W before and after the token, and dW: the gradient of the latter on entry, of the former on return. */
static void backward_token(const ttt_backend *b, const ttt_learner_call *call, const token *t, const double *before,
                           const double *after, double *dW)
{
    const int64_t D = call->dims.key_size;
    const double *dout = (const double *)call->dout + t->at;
    double *dq = (double *)call->dq + t->at, *dk = (double *)call->dk + t->at, *dv = (double *)call->dv + t->at;
    double *e = ttt_scratch(b, 0), da = 0, dr = 0, dc = 0;
    error_of(e, t, before, D);
    memset(dq, 0, (size_t)D * sizeof *dq);
    memset(dk, 0, (size_t)D * sizeof *dk);
    memset(dv, 0, (size_t)D * sizeof *dv);
    for (int64_t m = 0; m < D; m++) {
        for (int64_t j = 0; j < D; j++) {
            const int64_t i = m * D + j;
            dq[m] += t->c * after[i] * dout[j];
            dc += t->q[m] * after[i] * dout[j];
            dW[i] += t->c * t->q[m] * dout[j];
            dv[j] += t->r * t->k[m] * dW[i]; /* de = r k dW, and e is an affine function of v, k and U */
        }
    }
    for (int64_t m = 0; m < D; m++) {
        for (int64_t j = 0; j < D; j++) {
            const int64_t i = m * D + j;
            dk[m] += t->r * dW[i] * e[j] - t->a * before[i] * dv[j];
            dr += t->k[m] * e[j] * dW[i];
            const double dU = dW[i] - t->k[m] * dv[j];
            da += dU * before[i];
            dW[i] = t->a * dU;
        }
    }
    ((double *)call->dwrite)[t->rate] = dr;
    ((double *)call->dread)[t->rate] = dc;
    ((double *)call->ddecay)[t->rate] = da;
}

static void learner_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    const int64_t H = call->dims.heads, size = state_size(self, &call->dims);
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        const double *saved = (const double *)call->saved + i * call->saved_stride;
        for (int64_t n = run->count - 1; n >= 0; n--) {
            const token t = token_of(call, run->row + n, i % H);
            backward_token(b, call, &t, saved + n * size, saved + (n + 1) * size, head_state(call, run->dstate, i % H));
        }
    }
}

static const ttt_learner_ops learner = {.name = "delta",
                                        .supports = supports,
                                        .state_size = state_size,
                                        .saved_size = saved_size,
                                        .partial_size = partial_size,
                                        .scratch_bytes = learner_scratch,
                                        .reset = learner_reset,
                                        .reset_backward = learner_reset_backward,
                                        .forward = learner_forward,
                                        .backward = learner_backward};

/* ---- the layer ---- */

enum { Q, K, V, O, DECAY, DECAY_BIAS, RATE, RATE_BIAS, SLOTS };

typedef struct shape {
    ttt_learner_dims dims;
    double std;
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    const int64_t D = config->hidden_size / config->num_attention_heads;
    *s = (shape){.dims = {.heads = config->num_attention_heads,
                          .key_size = D,
                          .value_size = D,
                          .mini_batch = 1,
                          .group = 1,
                          .flags = TTT_LEARNER_NO_NORM | TTT_LEARNER_NO_RESIDUAL | TTT_LEARNER_NO_BIAS |
                                   TTT_LEARNER_TARGET_V | TTT_LEARNER_ZERO_START | TTT_LEARNER_DECAY},
                 .std = config->initializer_range};
    layer->shape = s;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const int64_t C = layer->width, H = shape_of(layer)->dims.heads;
    const ttt_first normal = ttt_first_normal(shape_of(layer)->std);
    static const char *const squares[] = {"q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight"};
    for (int slot = Q; slot <= O; slot++)
        ttt_params_add(params, slot, squares[slot], TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    ttt_params_add(params, DECAY, "a_proj.weight", TTT_ROLE_PRODUCT, normal, TTT_SHAPE(H, C));
    ttt_params_add(params, DECAY_BIAS, "a_bias", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(H));
    ttt_params_add(params, RATE, "b_proj.weight", TTT_ROLE_PRODUCT, normal, TTT_SHAPE(H, C));
    ttt_params_add(params, RATE_BIAS, "b_bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(H));
}

static ttt_status attach(ttt_layer *layer, const ttt_backend *backend, ttt_rotations *rotations, int64_t group)
{
    (void)rotations, (void)group;
    if (backend->dtype != TTT_F64) return ttt_fail(TTT_ERR_UNSUPPORTED, "delta is computed by ref alone");
    return learner.supports(&learner, &shape_of(layer)->dims);
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    const ttt_learner_dims *dims = &shape_of(layer)->dims;
    return (ttt_state_size){.fixed = dims->heads * size_of(dims)};
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return learner.scratch_bytes(&learner, &shape_of(layer)->dims);
}

typedef struct memory {
    void *q, *k, *v, *decay, *rate, *read, *z, *learner; /* saved */
    int64_t stride;
    void *dz, *dq, *dk, *dv, *ddecay, *drate, *dread; /* scratch */
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const ttt_learner_dims *dims = &shape_of(layer)->dims;
    const int64_t R = pass->rows, C = layer->width, H = dims->heads;
    memory m = {.stride = saved_size(&learner, dims, pass->longest)};
    void **const rows[] = {&m.q, &m.k, &m.v, &m.z}, **const rates[] = {&m.decay, &m.rate};
    for (int i = 0; i < 4; i++) *rows[i] = ttt_layer_reals(saved, pass, R, C);
    for (int i = 0; i < 2; i++) *rates[i] = ttt_layer_reals(saved, pass, R, H);
    m.read = ttt_layer_reals(saved, pass, R, 1);
    if (!pass->train) return m;
    m.learner = ttt_layer_reals(saved, pass, pass->run_count * H, m.stride);
    void **const drows[] = {&m.dz, &m.dq, &m.dk, &m.dv}, **const drates[] = {&m.ddecay, &m.drate, &m.dread};
    for (int i = 0; i < 4; i++) *drows[i] = ttt_layer_reals(scratch, pass, R, C);
    for (int i = 0; i < 3; i++) *drates[i] = ttt_layer_reals(scratch, pass, R, H);
    return m;
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

static ttt_learner_call call_of(const ttt_layer *layer, const ttt_pass *pass, const memory *m)
{
    return (ttt_learner_call){.dims = shape_of(layer)->dims,
                              .runs = pass->runs,
                              .run_count = pass->run_count,
                              .state_offset = layer->state_offset,
                              .q = m->q,
                              .k = m->k,
                              .v = m->v,
                              .write = m->rate,
                              .decay = m->decay,
                              .read = m->read,
                              .out = m->z,
                              .saved = m->learner,
                              .saved_stride = m->stride};
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, H = shape_of(layer)->dims.heads;
    const double one = 1;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear(b, m.q, x, &w[Q], R, false);
    b->ops->linear(b, m.k, x, &w[K], R, false);
    b->ops->linear(b, m.v, x, &w[V], R, false);
    b->ops->linear(b, m.decay, x, &w[DECAY], R, false);
    b->ops->rate(b, m.decay, w[DECAY_BIAS].values, R, H, 1);
    b->ops->linear(b, m.rate, x, &w[RATE], R, false);
    b->ops->rate(b, m.rate, w[RATE_BIAS].values, R, H, 1);
    for (int64_t row = 0; row < R; row++) b->ops->from(b, ttt_at(b, m.read, row), &one, TTT_F64, 1);
    const ttt_learner_call call = call_of(layer, pass, &m);
    learner.forward(&learner, b, &call);
    b->ops->linear(b, y, m.z, &w[O], R, true);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, H = shape_of(layer)->dims.heads;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear_backward_input(b, m.dz, dy, &w[O], R, false);
    b->ops->linear_backward_weight(b, &g[O], dy, m.z, R);
    ttt_learner_call call = call_of(layer, pass, &m);
    call.dout = m.dz;
    call.dq = m.dq;
    call.dk = m.dk;
    call.dv = m.dv;
    call.dwrite = m.drate;
    call.ddecay = m.ddecay;
    call.dread = m.dread;
    learner.backward(&learner, b, &call);
    b->ops->rate_backward(b, m.ddecay, g[DECAY_BIAS].values, m.decay, R, H, 1);
    b->ops->rate_backward(b, m.drate, g[RATE_BIAS].values, m.rate, R, H, 1);
    const struct {
        int slot;
        const void *gradient;
    } products[] = {{Q, m.dq}, {K, m.dk}, {V, m.dv}, {DECAY, m.ddecay}, {RATE, m.drate}};
    for (int i = 0; i < 5; i++) {
        b->ops->linear_backward_weight(b, &g[products[i].slot], products[i].gradient, x, R);
        b->ops->linear_backward_input(b, dx, products[i].gradient, &w[products[i].slot], R, i > 0);
    }
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend, (void)position;
    const ttt_learner_dims *dims = &shape_of(layer)->dims;
    list[0] = (ttt_state_piece){.name = "S", .rank = 3, .shape = {dims->heads, dims->key_size, dims->value_size}};
    return 1;
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    b->ops->copy(b, values[0], ttt_at(b, run->state, layer->state_offset), state(layer, b).fixed);
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    b->ops->copy(b, ttt_at(b, run->state, layer->state_offset), values[0], state(layer, b).fixed);
}

const ttt_layer_ops new_delta = {.name = "delta",
                                 .norm = "seq_norm.weight",
                                 .prefix = "seq_modeling_block.",
                                 .slots = SLOTS,
                                 .is_sequence = true,
                                 .init = init,
                                 .declare = declare,
                                 .attach = attach,
                                 .state = state,
                                 .scratch_bytes = scratch_bytes,
                                 .layout = layout,
                                 .forward = forward,
                                 .backward = backward,
                                 .pieces = pieces,
                                 .export = export,
                                 .import = import,
                                 .deinit = deinit};
