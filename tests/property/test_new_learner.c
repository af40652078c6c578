/* SPDX-License-Identifier: MIT
 * A learner that the library does not know, defined in this file alone: DeltaNet with a decay factor. It takes its
 * gradient at the current W, updates before it reads, has no norm, no residual and no mini-batches. That it trains and
 * advances inside the TTT layer shows that the learner interface is wide enough.
 *
 *   U_t = a W_{t-1};  e_t = v_t - k_t U_t;  W_t = U_t + r_t k_t^T e_t;  out_t = c_t q_t W_t;   a: one learned number
 * per head, W_0 = 0
 */
#include "backend/host.h"
#include "base/rng.h"
#include "layer/layer.h"
#include "test.h"

/* ---- the learner, for the reference backend ---- */

static int64_t size_of(const ttt_learner_dims *dims) { return dims->key_size * dims->value_size; }

static int64_t state_size(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self;
    return size_of(dims);
}
static int64_t saved_size(const ttt_learner_ops *self, const ttt_learner_dims *dims, int64_t tokens)
{
    (void)self;
    return (tokens + 1) * size_of(dims);
}
static int64_t no_partial(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self, (void)dims;
    return 0;
}
static size_t scratch_bytes(const ttt_learner_ops *self, const ttt_learner_dims *dims)
{
    (void)self;
    return (size_t)(3 * dims->value_size) * sizeof(double);
}

static double *head_state(const ttt_learner_call *call, void *state, int64_t h)
{
    return (double *)state + call->state_offset + h * size_of(&call->dims);
}

static void reset(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self;
    for (int64_t n = 0; n < call->run_count; n++)
        b->ops->zero(b, head_state(call, call->runs[n].state, 0), call->dims.heads * size_of(&call->dims));
}

/* The first state depends on no parameter. */
static void reset_backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self, (void)b, (void)call;
}

static void forward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self;
    const int64_t H = call->dims.heads, D = call->dims.key_size;
    double *e = ttt_scratch(b, 0);
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        const int64_t h = i % H;
        const double a = ((const double *)call->params[0].values)[h];
        double *W = head_state(call, run->state, h),
               *saved = call->saved ? (double *)call->saved + i * call->saved_stride : NULL;
        if (saved) memcpy(saved, W, (size_t)(D * D) * sizeof *W);
        for (int64_t row = run->row; row < run->row + run->count; row++) {
            const int64_t at = (row * H + h) * D;
            const double *q = (const double *)call->q + at, *k = (const double *)call->k + at,
                         *v = (const double *)call->v + at;
            const double r = ((const double *)call->write)[row * H + h], c = ((const double *)call->read)[row];
            double *out = (double *)call->out + at;
            for (int64_t m = 0; m < D * D; m++) W[m] *= a;
            for (int64_t j = 0; j < D; j++) {
                e[j] = v[j];
                for (int64_t m = 0; m < D; m++) e[j] -= k[m] * W[m * D + j];
            }
            for (int64_t m = 0; m < D; m++)
                for (int64_t j = 0; j < D; j++) W[m * D + j] += r * k[m] * e[j];
            for (int64_t j = 0; j < D; j++) {
                out[j] = 0;
                for (int64_t m = 0; m < D; m++) out[j] += c * q[m] * W[m * D + j];
            }
            if (saved) memcpy(saved += D * D, W, (size_t)(D * D) * sizeof *W);
        }
    }
}

/* One token of one head: W before it, W after it, and dW, the gradient of the latter on entry, of the former on return.
 */
static void token_backward(const ttt_backend *b, const ttt_learner_call *call, int64_t row, int64_t h,
                           const double *before, const double *after, double *dW)
{
    const int64_t H = call->dims.heads, D = call->dims.key_size, at = (row * H + h) * D;
    const double a = ((const double *)call->params[0].values)[h], r = ((const double *)call->write)[row * H + h],
                 c = ((const double *)call->read)[row];
    const double *q = (const double *)call->q + at, *k = (const double *)call->k + at,
                 *v = (const double *)call->v + at;
    const double *dout = (const double *)call->dout + at;
    double *dq = (double *)call->dq + at, *dk = (double *)call->dk + at, *dv = (double *)call->dv + at;
    double *e = ttt_scratch(b, 0), dr = 0, dc = 0, da = 0;
    for (int64_t m = 0; m < D; m++) {
        dq[m] = 0;
        for (int64_t j = 0; j < D; j++) {
            dq[m] += c * after[m * D + j] * dout[j];
            dc += q[m] * after[m * D + j] * dout[j];
            dW[m * D + j] += c * q[m] * dout[j];
        }
    }
    for (int64_t j = 0; j < D; j++) {
        e[j] = v[j];
        for (int64_t m = 0; m < D; m++) e[j] -= k[m] * a * before[m * D + j];
    }
    for (int64_t j = 0; j < D; j++) { /* de = r k dW, and e is an affine function of v, k and U */
        dv[j] = 0;
        for (int64_t m = 0; m < D; m++) dv[j] += r * k[m] * dW[m * D + j];
    }
    for (int64_t m = 0; m < D; m++) {
        dk[m] = 0;
        for (int64_t j = 0; j < D; j++) {
            dk[m] += r * dW[m * D + j] * e[j] - a * before[m * D + j] * dv[j];
            dr += k[m] * e[j] * dW[m * D + j];
        }
    }
    for (int64_t m = 0; m < D; m++) {
        for (int64_t j = 0; j < D; j++) {
            const double dU = dW[m * D + j] - k[m] * dv[j];
            da += dU * before[m * D + j];
            dW[m * D + j] = a * dU;
        }
    }
    ((double *)call->dwrite)[row * H + h] = dr;
    ((double *)call->dread)[row * H + h] = dc;
    ((double *)call->dparams[0].values)[h] += da;
}

static void backward(const ttt_learner_ops *self, const ttt_backend *b, const ttt_learner_call *call)
{
    (void)self;
    const int64_t H = call->dims.heads, size = size_of(&call->dims);
    for (int64_t i = 0; i < call->run_count * H; i++) {
        const ttt_run *run = &call->runs[i / H];
        const double *saved = (const double *)call->saved + i * call->saved_stride;
        for (int64_t t = run->count - 1; t >= 0; t--)
            token_backward(b, call, run->row + t, i % H, saved + t * size, saved + (t + 1) * size,
                           head_state(call, run->dstate, i % H));
    }
}

static const ttt_learner_ops delta_ops = {.state_size = state_size,
                                          .saved_size = saved_size,
                                          .partial_size = no_partial,
                                          .scratch_bytes = scratch_bytes,
                                          .reset = reset,
                                          .reset_backward = reset_backward,
                                          .forward = forward,
                                          .backward = backward};
static const ttt_learner_ops *get_ops(const ttt_backend *backend) { return (void)backend, &delta_ops; }
static const ttt_learner delta = {.name = "delta", .params = {"decay"}, .ops = get_ops};

/* ---- a layer with it ---- */

enum { C = 8, H = 2, D = 4, K = 4, T = 21, B = 2, PARAMS = 4 * C * C + H * C + H + K + 2 * C + H };

typedef struct net {
    ttt_backend *backend;
    ttt_layer_shape shape;
    double params[PARAMS], grads[PARAMS], rotation[K * D], x[B * T * C], dx[B * T * C], dy[B * T * C];
    ttt_layer_weights weights, gradients;
    double states[B * H * D * D], dstates[B * H * D * D];
} net;

static double noise(uint64_t seed, int64_t i)
{
    return ttt_rng_normal((ttt_rng){.seed = seed, .stream = TTT_RNG_TEST}, (uint64_t)i);
}

static void bind(ttt_layer_weights *w, double *at)
{
    ttt_param *const fields[] = {&w->q,         &w->k,         &w->v,    &w->o,         &w->rate,
                                 &w->rate_bias, &w->token_idx, &w->post, &w->post_bias, &w->learner[0]};
    static const int64_t rows[] = {C, C, C, C, H, 1, 1, 1, 1, 1}, columns[] = {C, C, C, C, C, H, K, C, C, H};
    *w = (ttt_layer_weights){0};
    for (int i = 0; i < 10; i++) {
        *fields[i] = (ttt_param){.values = at, .rows = rows[i], .columns = columns[i]};
        at += rows[i] * columns[i];
    }
}

static void net_init(net *n)
{
    *n = (net){0};
    CHECK_OK(ttt_backend_new(&n->backend, "ref", 1));
    CHECK_OK(ttt_backend_reserve(n->backend, 1 << 16));
    for (int i = 0; i < PARAMS; i++) n->params[i] = 0.4 * noise(1, i);
    for (int i = 0; i < B * T * C; i++) {
        n->x[i] = noise(2, i);
        n->dy[i] = noise(3, i);
    }
    for (int i = 0; i < K * D; i++)
        n->rotation[i] = i % 2 ? sin(i) : cos(i + 1); /* cos and sin of the same angle, pair by pair */
    bind(&n->weights, n->params);
    bind(&n->gradients, n->grads);
    for (int h = 0; h < H; h++) ((double *)n->weights.learner[0].values)[h] = 0.9 - 0.1 * h;
    n->shape = (ttt_layer_shape){.width = C,
                                 .taps = 4,
                                 .base_lr = 2,
                                 .dims = {.heads = H, .key_size = D, .value_size = D, .mini_batch = K, .group = 2},
                                 .learner = &delta,
                                 .rotation = n->rotation};
}

/* Runs tokens [first, first + count) of both sequences from the states as they are; y [B,count,C]. With `back` also the
 * backward. */
static void run(net *n, int64_t first, int64_t count, double *y, bool back)
{
    static double x[B * T * C], dy[B * T * C], dx[B * T * C], memory[1 << 16];
    ttt_run runs[B];
    for (int64_t b = 0; b < B; b++) {
        runs[b] = (ttt_run){.row = b * count,
                            .count = count,
                            .position = first,
                            .state = n->states + b * H * D * D,
                            .dstate = n->dstates + b * H * D * D};
        memcpy(x + b * count * C, n->x + (b * T + first) * C, (size_t)(count * C) * sizeof *x);
        memcpy(dy + b * count * C, n->dy + (b * T + first) * C, (size_t)(count * C) * sizeof *x);
    }
    const ttt_pass pass = {
        .backend = n->backend, .runs = runs, .run_count = B, .rows = B * count, .longest = count, .train = back};
    ttt_arena measure = {0}, arena = {.base = (char *)memory};
    (void)ttt_layer_saved_layout(&measure, &n->shape, &pass);
    (void)ttt_layer_scratch_layout(&measure, &n->shape, &pass);
    CHECK(measure.used <= sizeof memory);
    const ttt_layer_saved saved = ttt_layer_saved_layout(&arena, &n->shape, &pass);
    const ttt_layer_scratch scratch = ttt_layer_scratch_layout(&arena, &n->shape, &pass);
    memset(y, 0, (size_t)(B * count * C) * sizeof *y);
    ttt_layer_forward(&pass, &n->shape, &n->weights, &saved, &scratch, y, x);
    if (!back) return;
    ttt_layer_backward(&pass, &n->shape, &n->weights, &n->gradients, &saved, &scratch, dx, dy, x);
    for (int64_t b = 0; b < B; b++)
        memcpy(n->dx + (b * T + first) * C, dx + b * count * C, (size_t)(count * C) * sizeof *dx);
}

static void reset_states(net *n, double size)
{
    for (int i = 0; i < B * H * D * D; i++) n->states[i] = size * noise(4, i);
    memset(n->dstates, 0, sizeof n->dstates);
}

/* <y, dy> of the whole, from states that are not zero, so that their gradient can be checked too. */
static double objective(net *n, const double *states)
{
    static double y[B * T * C];
    memcpy(n->states, states, sizeof n->states);
    run(n, 0, T, y, false);
    double sum = 0;
    for (int i = 0; i < B * T * C; i++) sum += y[i] * n->dy[i];
    return sum;
}

static void check_derivative(net *n, double *states, double *value, double gradient)
{
    const double kept = *value, step = 1e-5;
    *value = kept + step;
    const double above = objective(n, states);
    *value = kept - step;
    const double below = objective(n, states);
    *value = kept;
    CHECK_NEAR((above - below) / (2 * step), gradient, 1e-6 * (1 + fabs(gradient)));
}

static void gradients(net *n)
{
    static double y[B * T * C], states[B * H * D * D], dstates[B * H * D * D], whole[PARAMS];
    reset_states(n, 0.3);
    memcpy(states, n->states, sizeof states);
    memset(n->grads, 0, sizeof n->grads);
    run(n, 0, T, y, true);
    memcpy(dstates, n->dstates, sizeof dstates);
    memcpy(whole, n->grads, sizeof whole);
    for (int i = 0; i < PARAMS; i++) check_derivative(n, states, &n->params[i], whole[i]);
    for (int i = 0; i < B * T * C; i += 5) check_derivative(n, states, &n->x[i], n->dx[i]);
    for (int i = 0; i < B * H * D * D; i++) check_derivative(n, states, &states[i], dstates[i]);

    /* In two segments, the state's gradient carried across, the same. */
    static double middle[B * H * D * D];
    memcpy(n->states, states, sizeof states);
    run(n, 0, 9, y, false);
    memcpy(middle, n->states, sizeof middle);
    memset(n->grads, 0, sizeof n->grads);
    memset(n->dstates, 0, sizeof n->dstates);
    run(n, 9, T - 9, y, true);
    memcpy(n->states, states, sizeof states);
    run(n, 0, 9, y, true);
    for (int i = 0; i < PARAMS; i++) CHECK_NEAR(n->grads[i], whole[i], 1e-12 * (1 + fabs(whole[i])));
    for (int i = 0; i < B * H * D * D; i++) CHECK_NEAR(n->dstates[i], dstates[i], 1e-12);
}

static void splits(net *n)
{
    static double y[B * T * C], part[B * T * C];
    for (int64_t split = 1; split < T; split++) {
        reset_states(n, 0);
        run(n, 0, T, y, false);
        reset_states(n, 0);
        for (int64_t first = 0; first < T; first += split) {
            const int64_t count = T - first < split ? T - first : split;
            run(n, first, count, part, false);
            for (int64_t b = 0; b < B; b++)
                CHECK(memcmp(part + b * count * C, y + (b * T + first) * C, (size_t)(count * C) * sizeof *y) == 0);
        }
    }
}

int main(void)
{
    static net n;
    net_init(&n);
    CHECK_EQ(ttt_layer_state_size(&n.shape, n.backend), H * D * D);
    splits(&n);
    gradients(&n);
    ttt_backend_free(n.backend);
    return test_end();
}
