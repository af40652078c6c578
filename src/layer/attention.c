/* SPDX-License-Identifier: MIT
 *
 * Attention, MATH (attention): queries of all heads read the keys and values of every token before, or of the last W.
 * What it keeps of a token is its rotated key and its value, in blocks as backend.h says; with a window, in inference,
 * in as many blocks as a call may look at, round and round.
 */
#include <math.h>

#include "base/alloc.h"
#include "layer/layer.h"

enum { Q, K, V, O, SLOTS };

typedef struct shape {
    ttt_attention attention;
    double std;           /* of first values */
    double frequencies[]; /* [D/2], of the rotation */
} shape;

static const shape *shape_of(const ttt_layer *layer) { return layer->shape; }

/* Of keys and of values. */
static int64_t key_width(const ttt_layer *layer)
{
    return shape_of(layer)->attention.groups * shape_of(layer)->attention.head_size;
}

static ttt_status init(ttt_layer *layer, const ttt_config *config)
{
    enum { HEAD_SIZE_MAX = 1024 };
    const int64_t H = config->num_attention_heads, D = config->hidden_size / H;
    const int64_t G = config->num_key_value_heads ? config->num_key_value_heads : H;
    if (D > HEAD_SIZE_MAX)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "heads of size %lld are not supported: use more heads, at most %d columns each", (long long)D,
                        HEAD_SIZE_MAX);
    if (H % G != 0)
        return ttt_fail(TTT_ERR_FORMAT, "num_key_value_heads %lld does not divide num_attention_heads %lld",
                        (long long)G, (long long)H);
    shape *s = ttt_alloc(1, sizeof *s + (size_t)D * sizeof *s->frequencies);
    if (!s) return TTT_ERR_MEMORY;
    s->attention = (ttt_attention){.layer = layer->number,
                                   .heads = H,
                                   .groups = G,
                                   .head_size = D,
                                   .window = config->sliding_window,
                                   .scale = 1 / sqrt((double)D)};
    s->std = config->initializer_range;
    ttt_rotation_frequencies(s->frequencies, D, config->rope_theta);
    layer->shape = s;
    return TTT_OK;
}

static void deinit(ttt_layer *layer) { ttt_free(layer->shape); }

static void declare(const ttt_layer *layer, ttt_params *params)
{
    const int64_t C = layer->width, width = key_width(layer);
    const ttt_first normal = ttt_first_normal(shape_of(layer)->std);
    ttt_params_add(params, Q, "q_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
    ttt_params_add(params, K, "k_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(width, C));
    ttt_params_add(params, V, "v_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(width, C));
    ttt_params_add(params, O, "o_proj.weight", TTT_ROLE_MATRIX, normal, TTT_SHAPE(C, C));
}

/* The products; and for each visible token what its score and its value take. */
static ttt_layer_work work(const ttt_layer *layer, bool backward)
{
    const double C = (double)layer->width, forward = 4 * C * (C + (double)key_width(layer)), times = backward ? 2 : 1;
    return (ttt_layer_work){
        .products = times * forward, .per_visible = times * 4 * C, .window = shape_of(layer)->attention.window};
}

/* ---- memory ---- */

/* Tokens that a ring must hold, so that all rows of a pass can be written before the first of them reads. */
static int64_t ring_of(const ttt_layer *layer)
{
    const int64_t window = shape_of(layer)->attention.window, block = TTT_KEY_BLOCK;
    return window ? (window + TTT_RUN_ROWS + block - 1) / block * block : 0;
}

static ttt_state_size state(const ttt_layer *layer, const ttt_backend *backend)
{
    (void)backend;
    return (ttt_state_size){.per_token = 2 * key_width(layer), .window = ring_of(layer), .block = TTT_KEY_BLOCK};
}

static size_t scratch_bytes(const ttt_layer *layer, const ttt_backend *backend)
{
    return backend->ops->attention_scratch(&shape_of(layer)->attention);
}

typedef struct memory {
    void *q, *out, *sums;              /* saved: [R,C], q rotated; [R,C]; [R,H] */
    void *k, *v, *partial;             /* scratch: [R, G D]; see backend.h */
    void *dq, *dk, *dv, *dout, *delta; /* scratch: [R,C], [R, G D], [R,C], [R,H] */
} memory;

static memory carve(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    const ttt_attention *a = &shape_of(layer)->attention;
    const int64_t R = pass->rows, C = layer->width, width = key_width(layer);
    memory m = {.q = ttt_layer_reals(saved, pass, R, C), .out = ttt_layer_reals(saved, pass, R, C)};
    if (pass->train) m.sums = ttt_layer_reals(saved, pass, R, a->heads);
    m.k = ttt_layer_reals(scratch, pass, R, width);
    m.v = ttt_layer_reals(scratch, pass, R, width);
    m.partial = ttt_layer_reals(scratch, pass, TTT_ATTENTION_PARTS, a->head_size + TTT_ATTENTION_SUMS);
    if (!pass->train) return m;
    m.dq = ttt_layer_reals(scratch, pass, R, C);
    m.dout = ttt_layer_reals(scratch, pass, R, C);
    m.delta = ttt_layer_reals(scratch, pass, R, a->heads);
    m.dk = m.k;
    m.dv = m.v;
    return m;
}

static void layout(const ttt_layer *layer, const ttt_pass *pass, ttt_arena *saved, ttt_arena *scratch)
{
    carve(layer, pass, saved, scratch);
}

static ttt_attention attention_of(const ttt_layer *layer, const ttt_pass *pass)
{
    ttt_attention a = shape_of(layer)->attention;
    a.ring = pass->keeps_all ? 0 : ring_of(layer);
    return a;
}

/* ---- forward and backward ---- */

static void rotate(const ttt_layer *layer, const ttt_pass *pass, void *x, int64_t heads, bool inverse)
{
    const shape *s = shape_of(layer);
    pass->backend->ops->rotate_at(pass->backend, x, s->frequencies, pass->runs, pass->run_count, heads,
                                  s->attention.head_size, true, inverse);
}

static void forward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, void *saved, void *scratch,
                    void *y, const void *x)
{
    const ttt_backend *b = pass->backend;
    const ttt_attention a = attention_of(layer, pass);
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear(b, m.q, x, &w[Q], pass->rows, false);
    b->ops->linear(b, m.k, x, &w[K], pass->rows, false);
    b->ops->linear(b, m.v, x, &w[V], pass->rows, false);
    rotate(layer, pass, m.q, a.heads, false);
    rotate(layer, pass, m.k, a.groups, false);
    b->ops->keys_write(b, &a, m.k, m.v, pass->runs, pass->run_count);
    b->ops->attention(b, &a, m.out, m.sums, m.partial, m.q, pass->runs, pass->run_count);
    b->ops->linear(b, y, m.out, &w[O], pass->rows, true);
}

static void backward(const ttt_layer *layer, const ttt_pass *pass, const ttt_param *w, const ttt_param *g, void *saved,
                     void *scratch, void *dx, const void *dy, const void *x)
{
    const ttt_backend *b = pass->backend;
    const int64_t R = pass->rows;
    const ttt_attention a = attention_of(layer, pass);
    const memory m = carve(layer, pass, &(ttt_arena){.base = saved}, &(ttt_arena){.base = scratch});
    b->ops->linear_backward_input(b, m.dout, dy, &w[O], R, false);
    b->ops->linear_backward_weight(b, &g[O], dy, m.out, R);
    b->ops->attention_backward(b, &a, m.dq, m.delta, m.dout, m.out, m.sums, m.q, pass->runs, pass->run_count);
    b->ops->keys_read(b, &a, m.dk, m.dv, pass->runs, pass->run_count, true);
    rotate(layer, pass, m.dq, a.heads, true);
    rotate(layer, pass, m.dk, a.groups, true);
    b->ops->linear_backward_weight(b, &g[Q], m.dq, x, R);
    b->ops->linear_backward_weight(b, &g[K], m.dk, x, R);
    b->ops->linear_backward_weight(b, &g[V], m.dv, x, R);
    b->ops->linear_backward_input(b, dx, m.dq, &w[Q], R, false);
    b->ops->linear_backward_input(b, dx, m.dk, &w[K], R, true);
    b->ops->linear_backward_input(b, dx, m.dv, &w[V], R, true);
}

/* ---- its state by names: rotated keys, and values, of the tokens that the last one sees ---- */

static int64_t kept_of(const ttt_layer *layer, int64_t position)
{
    const int64_t window = shape_of(layer)->attention.window;
    return window && window < position ? window : position;
}

static int pieces(const ttt_layer *layer, const ttt_backend *backend, int64_t position,
                  ttt_state_piece list[TTT_STATE_PIECES])
{
    (void)backend;
    const ttt_attention *a = &shape_of(layer)->attention;
    list[0] = (ttt_state_piece){.name = "k", .rank = 3, .shape = {kept_of(layer, position), a->groups, a->head_size}};
    list[1] = list[0];
    list[1].name = "v";
    return 2;
}

/* The run whose rows are the tokens kept. */
static ttt_run kept_run(const ttt_layer *layer, const ttt_run *run)
{
    ttt_run kept = *run;
    kept.row = 0;
    kept.count = kept_of(layer, run->position);
    kept.position = run->position - kept.count;
    return kept;
}

static void export(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, void *const values[])
{
    const ttt_run kept = kept_run(layer, run);
    ttt_attention a = shape_of(layer)->attention;
    a.ring = ring_of(layer);
    if (kept.count > 0) b->ops->keys_read(b, &a, values[0], values[1], &kept, 1, false);
}

static void import(const ttt_layer *layer, const ttt_backend *b, const ttt_run *run, const void *const values[])
{
    const ttt_run kept = kept_run(layer, run);
    ttt_attention a = shape_of(layer)->attention;
    a.ring = ring_of(layer);
    if (kept.count > 0) b->ops->keys_write(b, &a, values[0], values[1], &kept, 1);
}

const ttt_layer_ops ttt_layer_attention = {.name = "attention",
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
                                           .deinit = deinit};
