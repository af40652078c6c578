/* SPDX-License-Identifier: MIT
 *
 * The Mamba layer, MATH (mamba): a projection to two halves, of which one goes through a convolution and the selective
 * scan, whose steps, inputs and outputs depend on it, and the other gates the result. Its state is h of the scan and
 * the convolution's tail.
 */
#include <math.h>

#include "base/alloc.h"
#include "layer/layer.h"

enum { IN, CONV, CONV_BIAS, SMALL, STEP, STEP_BIAS, RATES, SKIP, OUT, SLOTS };

typedef struct shape {
    int64_t inner, states, rank, taps; /* E, N, R_t, W */
    ttt_first step, step_bias;         /* first values of dt_proj */
    double out;                        /* bound of out_proj's first values */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

/* ---- what it is ---- */

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    const int64_t C = config->hidden_size, E = ttt_config_product(C, config->expand);
    if (E == 0)
        return ttt_fail(TTT_ERR_FORMAT, "expand %g times hidden_size %lld is no whole number of channels",
                        config->expand, (long long)C);
    shape *s = ttt_alloc(1, sizeof *s);
    if (!s) return TTT_ERR_MEMORY;
    *s = (shape){
        .inner = E,
        .states = config->state_size,
        .rank = config->time_step_rank ? config->time_step_rank : (C + 15) / 16,
        .taps = config->mamba_conv_kernel,
        .step_bias = ttt_first_time_step(config->time_step_min, config->time_step_max, config->time_step_floor),
        .out = 1 / sqrt((double)E)};
    const double size = config->time_step_scale / sqrt((double)s->rank);
    const bool constant = config->time_step_init_scheme == TTT_STEP_CONSTANT;
    s->step = constant ? ttt_first_constant(size) : ttt_first_uniform(size);
    if (config->rescale_prenorm_residual) s->out /= sqrt((double)config->num_hidden_layers);
    layer->shape = s;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

/* r, b and c of a token, one after another. */
static int64_t small_of(const shape *s) { return s->rank + 2 * s->states; }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const shape *s = shape_of(layer);
    const int64_t C = layer->width, E = s->inner, N = s->states, W = s->taps;
    const ttt_first in = ttt_first_uniform(1 / sqrt((double)C)), inner = ttt_first_uniform(1 / sqrt((double)E));
    const ttt_first taps = ttt_first_uniform(1 / sqrt((double)W)), ones = ttt_first_ones();
    ttt_params_add(params, IN, "in_proj.weight", TTT_ROLE_MATRIX, in, TTT_SHAPE(2 * E, C));
    ttt_params_add(params, CONV, "conv1d.weight", TTT_ROLE_VALUES, taps, TTT_SHAPE(E, 1, W));
    ttt_params_add(params, CONV_BIAS, "conv1d.bias", TTT_ROLE_VALUES, ttt_first_zeros(), TTT_SHAPE(E));
    ttt_params_add(params, SMALL, "x_proj.weight", TTT_ROLE_MATRIX, inner, TTT_SHAPE(small_of(s), E));
    ttt_params_add(params, STEP, "dt_proj.weight", TTT_ROLE_PRODUCT, s->step, TTT_SHAPE(E, s->rank));
    ttt_params_add(params, STEP_BIAS, "dt_proj.bias", TTT_ROLE_VALUES, s->step_bias, TTT_SHAPE(E));
    ttt_params_add(params, RATES, "A_log", TTT_ROLE_VALUES, ttt_first_log_index(), TTT_SHAPE(E, N));
    ttt_params_add(params, SKIP, "D", TTT_ROLE_VALUES, ones, TTT_SHAPE(E));
    ttt_params_add(params, OUT, "out_proj.weight", TTT_ROLE_MATRIX, ttt_first_uniform(s->out), TTT_SHAPE(C, E));
}

static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const shape *s = shape_of(layer);
    const double C = (double)layer->width, E = (double)s->inner, times = backward ? 2 : 1;
    const double products = 2 * E * (3 * C + (double)(small_of(s) + s->rank));
    return (ttt_layer_work){.products = times * products,
                            .others = times * E * (6 * (double)s->states + 2 * (double)s->taps)};
}

/* ---- memory ---- */

static int64_t h_size(const shape *s) { return s->inner * s->states; }
static int64_t tail_size(const shape *s) { return (s->taps - 1) * s->inner; }
static int64_t tail_offset(const ttt_layer *layer) { return layer->state_offset + h_size(shape_of(layer)); }

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return (ttt_state_size){.fixed = h_size(shape_of(layer)) + tail_size(shape_of(layer))};
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    return backend->ops->scan_scratch_bytes(shape_of(layer)->states);
}

typedef struct memory {
    /* saved */
    void *before, *tails; /* the convolution's input [R,E], and [runs, W-1, E] as the forward found them */
    void *conv;           /* its output [R,E] */
    void *small, *l;      /* r, b, c [R, R_t + 2N]; l [R,E] */
    void *z, *o;          /* [R,E] */
    void *kept;           /* states of the scan, [runs, kept_stride] */
    int64_t kept_stride;
    /* scratch */
    void *halves;        /* [R,2E]: u and z before anything else, and their gradients */
    void *u, *r, *gated; /* [R,E], [R,R_t], [R,E] */
    void *du, *dl, *dbefore, *dsmall, *partial;
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, E = s->inner, N = s->states;
    memory m = {
        .before = ttt_layer_reals(saved, pass, R, E),
        .conv = ttt_layer_reals(saved, pass, R, E),
        .small = ttt_layer_reals(saved, pass, R, small_of(s)),
        .l = ttt_layer_reals(saved, pass, R, E),
        .z = ttt_layer_reals(saved, pass, R, E),
        .o = ttt_layer_reals(saved, pass, R, E),
        .halves = ttt_layer_reals(scratch, pass, R, 2 * E),
        .u = ttt_layer_reals(scratch, pass, R, E),
        .r = ttt_layer_reals(scratch, pass, R, s->rank),
        .gated = ttt_layer_reals(scratch, pass, R, E),
    };
    if (!pass->train) return m;
    m.tails = ttt_layer_reals(saved, pass, pass->run_count, tail_size(s));
    m.kept_stride = ttt_scan_kept(pass->longest, E, N);
    m.kept = ttt_layer_reals(saved, pass, pass->run_count, m.kept_stride);
    m.du = ttt_layer_reals(scratch, pass, R, E);
    m.dl = ttt_layer_reals(scratch, pass, R, E);
    m.dbefore = ttt_layer_reals(scratch, pass, R, E);
    m.dsmall = ttt_layer_reals(scratch, pass, R, small_of(s));
    m.partial = ttt_layer_reals(scratch, pass, ttt_scan_partial(R, E, N), 1);
    return m;
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

/* ---- forward ---- */

/* Columns [column, column + count) of x [R,width], to y [R,count] or back. */
static void take(const ttt_pass *pass, void *y, const void *x, int64_t width, int64_t column, int64_t count)
{
    const ttt_backend *b = pass->backend;
    b->ops->copy_rows(b, y, count, ttt_at(b, x, column), width, pass->rows, count);
}

static void put(const ttt_pass *pass, void *x, const void *y, int64_t width, int64_t column, int64_t count)
{
    const ttt_backend *b = pass->backend;
    b->ops->copy_rows(b, ttt_at(b, x, column), width, y, count, pass->rows, count);
}

static void convolve(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const memory *m)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t tail = tail_offset(layer);
    ttt_layer_keep(pass, m->tails, tail, tail_size(s));
    b->ops->conv(b, m->conv, m->before, w[CONV].values, w[CONV_BIAS].values, pass->runs, pass->run_count, tail,
                 s->inner, s->taps);
    b->ops->conv_tail(b, m->before, pass->runs, pass->run_count, tail, s->inner, s->taps);
    b->ops->silu(b, m->u, m->conv, pass->rows * s->inner);
}

static ttt_scan scan_of(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const memory *m)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    return (ttt_scan){.runs = pass->runs,
                      .run_count = pass->run_count,
                      .state = layer->state_offset,
                      .channels = s->inner,
                      .states = s->states,
                      .stride = small_of(s),
                      .u = m->u,
                      .l = m->l,
                      .b = ttt_at(b, m->small, s->rank),
                      .c = ttt_at(b, m->small, s->rank + s->states),
                      .a_log = w[RATES].values,
                      .bias = w[STEP_BIAS].values,
                      .skip = w[SKIP].values,
                      .kept = m->kept,
                      .kept_stride = m->kept_stride};
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows, E = s->inner;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear(b, m.halves, x, &w[IN], R, false);
    take(pass, m.before, m.halves, 2 * E, 0, E);
    take(pass, m.z, m.halves, 2 * E, E, E);
    convolve(layer, pass, w, &m);
    b->ops->linear(b, m.small, m.u, &w[SMALL], R, false);
    take(pass, m.r, m.small, small_of(s), 0, s->rank);
    b->ops->linear(b, m.l, m.r, &w[STEP], R, false);
    const ttt_scan scan = scan_of(layer, pass, w, &m);
    b->ops->scan(b, m.o, &scan);
    b->ops->swiglu(b, m.gated, m.z, m.o, R * E);
    b->ops->linear(b, y, m.gated, &w[OUT], R, true);
}

/* ---- backward ---- */

/* From the gradient of o, which m->o holds, to du, dl and those of b and c; then through l and the small product. */
static void scan_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                          const memory *m)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t R = pass->rows;
    const ttt_scan scan = scan_of(layer, pass, w, m);
    const ttt_scan_gradients gradients = {.dout = m->o,
                                          .du = m->du,
                                          .dl = m->dl,
                                          .db = ttt_at(b, m->dsmall, s->rank),
                                          .dc = ttt_at(b, m->dsmall, s->rank + s->states),
                                          .da_log = g[RATES].values,
                                          .dbias = g[STEP_BIAS].values,
                                          .dskip = g[SKIP].values,
                                          .partial = m->partial};
    b->ops->scan_backward(b, &gradients, &scan);
    take(pass, m->r, m->small, small_of(s), 0, s->rank);
    b->ops->linear_backward_weight(b, &g[STEP], m->dl, m->r, R);
    b->ops->linear_backward_input(b, m->r, m->dl, &w[STEP], R, false);
    put(pass, m->dsmall, m->r, small_of(s), 0, s->rank);
    b->ops->linear_backward_weight(b, &g[SMALL], m->dsmall, m->u, R);
    b->ops->linear_backward_input(b, m->du, m->dsmall, &w[SMALL], R, true);
}

static void convolve_backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g,
                              const memory *m)
{
    const ttt_backend *b = pass->backend;
    const shape *s = shape_of(layer);
    const int64_t tail = tail_offset(layer), n = pass->rows * s->inner;
    b->ops->silu_backward(b, m->du, m->conv, n);
    b->ops->zero(b, m->dbefore, n);
    b->ops->conv_tail_backward(b, m->dbefore, pass->runs, pass->run_count, tail, s->inner, s->taps);
    b->ops->conv_backward(b, m->dbefore, g[CONV].values, g[CONV_BIAS].values, m->du, m->before, m->tails,
                          w[CONV].values, pass->runs, pass->run_count, tail, s->inner, s->taps);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows, E = shape_of(layer)->inner;
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear_backward_input(b, m.gated, dy, &w[OUT], R, false);
    b->ops->swiglu_backward(b, m.gated, m.z, m.o, R * E); /* z and o: now their gradients */
    b->ops->linear_backward_weight(b, &g[OUT], dy, m.gated, R);
    b->ops->silu(b, m.u, m.conv, R * E);
    scan_backward(layer, pass, w, g, &m);
    convolve_backward(layer, pass, w, g, &m);
    put(pass, m.halves, m.dbefore, 2 * E, 0, E);
    put(pass, m.halves, m.z, 2 * E, E, E);
    b->ops->linear_backward_weight(b, &g[IN], m.halves, x, R);
    b->ops->linear_backward_input(b, dx, m.halves, &w[IN], R, false);
}

/* ---- its state by names: h as [E,N], here and elsewhere ---- */

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    const shape *s = shape_of(layer);
    (void)backend, (void)position;
    list[0] = (ttt_state_piece){.name = "h", .rank = 2, .shape = {s->inner, s->states}};
    list[1] = (ttt_state_piece){.name = "tail", .rank = 2, .shape = {s->taps - 1, s->inner}};
    return tail_size(s) > 0 ? 2 : 1;
}

/* Channels of the block that begins with channel e, and its h. */
static int64_t channels_at(const shape *s, int64_t e)
{
    return s->inner - e < TTT_SCAN_CHANNELS ? s->inner - e : TTT_SCAN_CHANNELS;
}

static void *h_at(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, int64_t e)
{
    return ttt_at(b, run->state, layer->state_offset + e * shape_of(layer)->states);
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    const shape *s = shape_of(layer);
    for (int64_t e = 0; e < s->inner; e += TTT_SCAN_CHANNELS)
        b->ops->transpose(b, ttt_at(b, values[0], e * s->states), h_at(layer, b, run, e), s->states, channels_at(s, e));
    if (tail_size(s) > 0) b->ops->copy(b, values[1], ttt_at(b, run->state, tail_offset(layer)), tail_size(s));
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    const shape *s = shape_of(layer);
    for (int64_t e = 0; e < s->inner; e += TTT_SCAN_CHANNELS)
        b->ops->transpose(b, h_at(layer, b, run, e), ttt_at(b, values[0], e * s->states), channels_at(s, e), s->states);
    if (tail_size(s) > 0) b->ops->copy(b, ttt_at(b, run->state, tail_offset(layer)), values[1], tail_size(s));
}

static int view_pieces(const ttt_layer *layer, const ttt_backend *b, ttt_state_piece list[TTT_STATE_PIECES])
{
    return pieces(layer, b, 0, list);
}

static ttt_status view(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *values)
{
    void *const places[] = {values, ttt_at(b, values, h_size(shape_of(layer)))};
    export(layer, b, run, places);
    return TTT_OK;
}

const ttt_layer_ops ttt_layer_mamba = {.name = "mamba",
                                       .norm = "seq_norm.weight",
                                       .prefix = "seq_modeling_block.",
                                       .slots = SLOTS,
                                       .is_sequence = true,
                                       .init = init,
                                       .declare = declare,
                                       .work = work,
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
