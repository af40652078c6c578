/* SPDX-License-Identifier: MIT
 *
 * DeltaNet and Gated DeltaNet, MATH (delta) and (matrix state). The state is S and the tails of three convolutions.
 */
#include "layer/delta.h"

#include <math.h>

#include "base/alloc.h"

/* q, k, v come three times, in this order. */
enum { Q, K, V, BETA, DECAY, A_LOG, DT_BIAS, CONV_Q, CONV_K, CONV_V, GATE, NORM, O, SLOTS };
enum { INPUTS = 3 };

typedef struct shape {
    ttt_delta_dims dims;
    int64_t taps; /* W */
    bool use_gate;
    double eps;          /* of the norm of o */
    double std;          /* of first values */
    ttt_first time_step; /* of dt_bias */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

static bool decays(const shape *s) { return s->dims.kind == TTT_DELTA_GATED; }

/* Widths of all heads: of input q, k or v. */
static int64_t width_of(const shape *s, int input)
{
    return s->dims.heads * (input == V ? s->dims.value_size : s->dims.key_size);
}

static int64_t tail_size(const shape *s, int input) { return (s->taps - 1) * width_of(s, input); }

/* ---- what it is ---- */

static ttt_status init(ttt_layer *layer, const ttt_config *config, ttt_delta_kind kind, ttt_maybe usual_gate)
{
    const int64_t H = config->num_attention_heads,
                  I = config->head_dim > 0 ? config->head_dim : config->hidden_size / H,
                  values = ttt_config_product(I, config->expand_v);
    if (values == 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: heads of %lld columns times expand_v %g are not a whole number of columns",
                        layer->ops->name, (long long)I, config->expand_v);
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (shape){
        .dims = {.kind = kind, .heads = H, .key_size = I, .value_size = values},
        .taps = config->conv_size,
        .use_gate = (config->delta_use_gate == TTT_UNSAID ? usual_gate : config->delta_use_gate) == TTT_YES,
        .eps = config->rms_norm_eps,
        .std = config->initializer_range,
        .time_step = ttt_first_time_step(config->time_step_min, config->time_step_max, config->time_step_floor)};
    layer->shape = s;
    return TTT_OK;
}

static ttt_status init_delta_net(ttt_layer *layer, const ttt_config *config)
{
    return init(layer, config, TTT_DELTA_RULE, TTT_NO);
}

static ttt_status init_gated(ttt_layer *layer, const ttt_config *config)
{
    return init(layer, config, TTT_DELTA_GATED, TTT_YES);
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    static const char *const projections[] = {"q_proj.weight", "k_proj.weight", "v_proj.weight"},
                             *const convolutions[] = {"q_conv1d.weight", "k_conv1d.weight", "v_conv1d.weight"};
    const shape *s = shape_of(layer);
    const int64_t C = layer->width, H = s->dims.heads;
    const ttt_first normal = ttt_first_normal(s->std);
    for (int i = 0; i < INPUTS; i++)
        ttt_params_add(params, Q + i, projections[i], TTT_ROLE_MATRIX, normal, TTT_SHAPE(width_of(s, i), C));
    ttt_params_add(params, BETA, "b_proj.weight", TTT_ROLE_PRODUCT, normal, TTT_SHAPE(H, C));
    if (decays(s)) {
        ttt_params_add(params, DECAY, "a_proj.weight", TTT_ROLE_PRODUCT, normal, TTT_SHAPE(H, C));
        ttt_params_add(params, A_LOG, "A_log", TTT_ROLE_VALUES, ttt_first_log_uniform(16), TTT_SHAPE(H));
        ttt_params_add(params, DT_BIAS, "dt_bias", TTT_ROLE_VALUES, s->time_step, TTT_SHAPE(H));
    }
    for (int i = 0; i < INPUTS; i++)
        ttt_params_add(params, CONV_Q + i, convolutions[i], TTT_ROLE_VALUES, normal,
                       TTT_SHAPE(width_of(s, i), 1, s->taps));
    if (s->use_gate)
        ttt_params_add(params, GATE, "g_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(width_of(s, V), C));
    ttt_params_add(params, NORM, "o_norm.weight", TTT_ROLE_VALUES, ttt_first_ones(), TTT_SHAPE(s->dims.value_size));
    ttt_params_add(params, O, "o_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, width_of(s, V)));
}

/* Products with q, k; v, o, gate; beta and decay. The convolutions stand with the scan. */
static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const shape *s = shape_of(layer);
    const double C = (double)layer->width, H = (double)s->dims.heads, keys = (double)width_of(s, K),
                 values = (double)width_of(s, V), times = backward ? 2 : 1;
    const double columns = 2 * keys + (s->use_gate ? 3 : 2) * values + (decays(s) ? 2 : 1) * H;
    return (ttt_layer_work){.products = times * 2 * C * columns,
                            .others = times * (ttt_delta_flops(&s->dims) + 2 * (double)s->taps * (2 * keys + values))};
}

static ttt_status attach(ttt_layer *layer, const ttt_backend *backend, ttt_rotations *rotations, int64_t group)
{
    (void)backend, (void)rotations;
    ((shape *)layer->shape)->dims.group = group;
    return TTT_OK;
}

/* S, then the tails of q, k and v. */
static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    const shape *s = shape_of(layer);
    ttt_state_size size = {.fixed = ttt_delta_reals(&s->dims)};
    for (int i = 0; i < INPUTS; i++) size.fixed += tail_size(s, i);
    return size;
}

/* Where the tail of an input begins in a state. */
static int64_t tail_offset(const ttt_layer *layer, int input)
{
    const shape *s = shape_of(layer);
    int64_t offset = layer->state_offset + ttt_delta_reals(&s->dims);
    for (int i = 0; i < input; i++) offset += tail_size(s, i);
    return offset;
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    const shape *s = shape_of(layer);
    const size_t delta = backend->ops->delta_scratch_bytes(&s->dims),
                 norm = TTT_NORM_SCRATCH * (size_t)s->dims.value_size * backend->real;
    return delta > norm ? delta : norm;
}

/* ---- a pass ---- */

typedef struct memory {
    /* saved: of each input what is projected, the tails as the forward found them, what the convolution gives, and q,
     * k, v, which in inference take its place */
    void *projected[INPUTS], *tails[INPUTS], *mixed[INPUTS], *ready[INPUTS];
    void *beta, *log_a, *logits; /* [R,H] */
    void *o, *normal, *gate;     /* [R,H O]: of the scan; normalised; the gate's logits */
    void *delta;                 /* [runs, H, stride]; NULL in inference */
    int64_t stride;
    /* scratch */
    void *gated; /* [R,H O] */
    void *d_o, *d[INPUTS], *dprojected, *dbeta, *dlog_a;
} memory;

static void carve_gradients(const ttt_layer *layer, const ttt_pass *pass, memory *m, ttt_arena *scratch)
{
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, widest = width_of(s, K) > width_of(s, V) ? width_of(s, K) : width_of(s, V);
    m->d_o = ttt_layer_reals(scratch, pass, R, width_of(s, V));
    for (int i = 0; i < INPUTS; i++) m->d[i] = ttt_layer_reals(scratch, pass, R, width_of(s, i));
    m->dprojected = ttt_layer_reals(scratch, pass, R, widest);
    m->dbeta = ttt_layer_reals(scratch, pass, R, s->dims.heads);
    if (decays(s)) m->dlog_a = ttt_layer_reals(scratch, pass, R, s->dims.heads);
}

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, H = s->dims.heads, values = width_of(s, V);
    memory m = {0};
    for (int i = 0; i < INPUTS; i++) {
        m.projected[i] = ttt_layer_reals(saved, pass, R, width_of(s, i));
        m.mixed[i] = m.ready[i] = ttt_layer_reals(saved, pass, R, width_of(s, i));
        if (!pass->train) continue;
        m.tails[i] = ttt_layer_reals(saved, pass, pass->run_count, tail_size(s, i));
        m.ready[i] = ttt_layer_reals(saved, pass, R, width_of(s, i));
    }
    m.beta = ttt_layer_reals(saved, pass, R, H);
    if (decays(s)) m.log_a = ttt_layer_reals(saved, pass, R, H);
    m.o = ttt_layer_reals(saved, pass, R, values);
    m.normal = ttt_layer_reals(saved, pass, R, values);
    if (s->use_gate) m.gate = ttt_layer_reals(saved, pass, R, values);
    if (s->use_gate || pass->train) m.gated = ttt_layer_reals(scratch, pass, R, values);
    if (!pass->train) return m;
    if (decays(s)) m.logits = ttt_layer_reals(saved, pass, R, H);
    m.stride = pass->backend->ops->delta_saved_size(&s->dims, pass->longest);
    m.delta = ttt_layer_reals(saved, pass, pass->run_count * H, m.stride);
    carve_gradients(layer, pass, &m, scratch);
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
                            .q = m->ready[Q],
                            .k = m->ready[K],
                            .v = m->ready[V],
                            .beta = m->beta,
                            .log_a = m->log_a,
                            .out = m->o,
                            .saved = m->delta,
                            .saved_stride = m->stride};
}

/* What q and k are multiplied by when their length is 1. */
static double scale_of(const shape *s, int input) { return input == Q ? 1 / sqrt((double)s->dims.key_size) : 1; }

/* An input from x to what the scan takes. */
static void input_forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const memory *m, int input,
                          const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, width = width_of(s, input), tail = tail_offset(layer, input);
    b->ops->linear(b, m->projected[input], x, &w[Q + input], R, false);
    ttt_layer_keep(pass, m->tails[input], tail, tail_size(s, input));
    b->ops->conv(b, m->mixed[input], m->projected[input], w[CONV_Q + input].values, NULL, pass->runs, pass->run_count,
                 tail, width, s->taps);
    b->ops->conv_tail(b, m->projected[input], pass->runs, pass->run_count, tail, width, s->taps);
    if (input == V)
        b->ops->silu(b, m->ready[V], m->mixed[V], R * width);
    else
        b->ops->silu_l2(b, m->ready[input], m->mixed[input], R * s->dims.heads, s->dims.key_size, scale_of(s, input));
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, H = s->dims.heads;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    for (int i = 0; i < INPUTS; i++) input_forward(layer, pass, w, &m, i, x);
    b->ops->linear(b, m.beta, x, &w[BETA], R, false);
    b->ops->rate(b, m.beta, NULL, R, H, 1);
    if (decays(s)) {
        b->ops->linear(b, m.log_a, x, &w[DECAY], R, false);
        b->ops->decay(b, m.log_a, m.logits, w[A_LOG].values, w[DT_BIAS].values, R, H);
    }
    const ttt_delta_call call = call_of(layer, pass, &m);
    b->ops->delta(b, &call);
    b->ops->rmsnorm(b, m.normal, m.o, w[NORM].values, R * H, s->dims.value_size, s->eps);
    if (s->use_gate) {
        b->ops->linear(b, m.gate, x, &w[GATE], R, false);
        b->ops->swiglu(b, m.gated, m.gate, m.normal, R * width_of(s, V));
    }
    b->ops->linear(b, y, s->use_gate ? m.gated : m.normal, &w[O], R, true);
}

/* ---- backward ---- */

/* From dy to d_o, and dx: the gate's part, or zero. */
static void output_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                            const memory *m, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, n = R * width_of(s, V);
    b->ops->linear_backward_input(b, m->gated, dy, &w[O], R, false);
    if (s->use_gate) {
        b->ops->swiglu_backward(b, m->gated, m->gate, m->normal, n); /* now: what it was; gradients of both */
        b->ops->linear_backward_weight(b, &g[O], dy, m->gated, R);
        b->ops->linear_backward_weight(b, &g[GATE], m->gate, x, R);
        b->ops->linear_backward_input(b, dx, m->gate, &w[GATE], R, false);
    } else {
        b->ops->linear_backward_weight(b, &g[O], dy, m->normal, R);
        b->ops->zero(b, dx, R * layer->width);
    }
    b->ops->zero(b, m->d_o, n);
    b->ops->rmsnorm_backward(b, m->d_o, g[NORM].values, s->use_gate ? m->normal : m->gated, m->o, w[NORM].values,
                             R * s->dims.heads, s->dims.value_size, s->eps);
}

/* From the gradient of what the scan took to dx. */
static void input_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                           const memory *m, int input, void *dx, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, width = width_of(s, input), tail = tail_offset(layer, input);
    if (input == V)
        b->ops->silu_backward(b, m->d[V], m->mixed[V], R * width);
    else
        b->ops->silu_l2_backward(b, m->d[input], m->mixed[input], R * s->dims.heads, s->dims.key_size,
                                 scale_of(s, input));
    b->ops->zero(b, m->dprojected, R * width);
    b->ops->conv_tail_backward(b, m->dprojected, pass->runs, pass->run_count, tail, width, s->taps);
    b->ops->conv_backward(b, m->dprojected, g[CONV_Q + input].values, NULL, m->d[input], m->projected[input],
                          m->tails[input], w[CONV_Q + input].values, pass->runs, pass->run_count, tail, width, s->taps);
    b->ops->linear_backward_weight(b, &g[Q + input], m->dprojected, x, R);
    b->ops->linear_backward_input(b, dx, m->dprojected, &w[Q + input], R, true);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, H = s->dims.heads;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    output_backward(layer, pass, w, g, &m, dx, dy, x);
    ttt_delta_call call = call_of(layer, pass, &m);
    call.dout = m.d_o;
    call.dq = m.d[Q];
    call.dk = m.d[K];
    call.dv = m.d[V];
    call.dbeta = m.dbeta;
    call.dlog_a = m.dlog_a;
    b->ops->delta_backward(b, &call);
    for (int i = 0; i < INPUTS; i++) input_backward(layer, pass, w, g, &m, i, dx, x);
    b->ops->rate_backward(b, m.dbeta, NULL, m.beta, R, H, 1);
    b->ops->linear_backward_weight(b, &g[BETA], m.dbeta, x, R);
    b->ops->linear_backward_input(b, dx, m.dbeta, &w[BETA], R, true);
    if (!decays(s)) return;
    b->ops->decay_backward(b, m.dlog_a, g[A_LOG].values, g[DT_BIAS].values, m.logits, w[A_LOG].values,
                           w[DT_BIAS].values, R, H);
    b->ops->linear_backward_weight(b, &g[DECAY], m.dlog_a, x, R);
    b->ops->linear_backward_input(b, dx, m.dlog_a, &w[DECAY], R, true);
}

/* ---- its state by names: that of S, then the tails ---- */

static int add_tails(const shape *s, ttt_state_piece *list)
{
    static const char *const names[] = {"q_tail", "k_tail", "v_tail"};
    for (int i = 0; i < INPUTS && s->taps > 1; i++)
        list[i] = (ttt_state_piece){.name = names[i], .rank = 2, .shape = {s->taps - 1, width_of(s, i)}};
    return s->taps > 1 ? INPUTS : 0;
}

static void *state_of(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run)
{
    return ttt_at(b, run->state, layer->state_offset);
}

static void *tail_of(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, int input)
{
    return ttt_at(b, run->state, tail_offset(layer, input));
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend;
    const int count = ttt_delta_pieces(&shape_of(layer)->dims, position, list);
    return count + add_tails(shape_of(layer), list + count);
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    const shape *s = shape_of(layer);
    ttt_state_piece list[TTT_STATE_PIECES];
    const int count = ttt_delta_pieces(&s->dims, run->position, list);
    ttt_delta_export(&s->dims, b, run->position, state_of(layer, b, run), values);
    for (int i = 0; i < INPUTS && s->taps > 1; i++)
        b->ops->copy(b, values[count + i], tail_of(layer, b, run, i), tail_size(s, i));
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    const shape *s = shape_of(layer);
    ttt_state_piece list[TTT_STATE_PIECES];
    const int count = ttt_delta_pieces(&s->dims, run->position, list);
    ttt_delta_import(&s->dims, b, run->position, state_of(layer, b, run), values);
    for (int i = 0; i < INPUTS && s->taps > 1; i++)
        b->ops->copy(b, tail_of(layer, b, run, i), values[count + i], tail_size(s, i));
}

static int view_pieces(const ttt_layer *layer, const ttt_backend *b, ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)b;
    const int count = ttt_delta_view_pieces(&shape_of(layer)->dims, list);
    return count + add_tails(shape_of(layer), list + count);
}

static ttt_status view(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *values)
{
    const shape *s = shape_of(layer);
    int64_t at = s->dims.heads * s->dims.key_size * s->dims.value_size;
    TTT_TRY(ttt_delta_view(&s->dims, b, run->position, state_of(layer, b, run), values));
    for (int i = 0; i < INPUTS; at += tail_size(s, i), i++)
        if (s->taps > 1) b->ops->copy(b, ttt_at(b, values, at), tail_of(layer, b, run, i), tail_size(s, i));
    return TTT_OK;
}

#define DELTA_LAYER(layer_name, begin)                                                                                 \
    {                                                                                                                  \
        .name = layer_name, .norm = "seq_norm.weight", .prefix = "seq_modeling_block.", .slots = SLOTS,                \
        .is_sequence = true, .init = begin, .declare = declare, .work = work, .attach = attach, .state = state,        \
        .scratch_bytes = scratch_bytes, .layout = layout, .forward = forward, .backward = backward, .pieces = pieces,  \
        .export = export, .import = import, .view_pieces = view_pieces, .view = view, .deinit = deinit                 \
    }

const ttt_layer_ops ttt_layer_delta_net = DELTA_LAYER("delta_net", init_delta_net);
const ttt_layer_ops ttt_layer_gated_deltanet = DELTA_LAYER("gated_deltanet", init_gated);
