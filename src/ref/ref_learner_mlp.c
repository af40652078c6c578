/* SPDX-License-Identifier: MIT
 *
 * The MLP learner in its primal form, MATH (mlp): k W1 + b1, gelu, W2, b2. The state of a head is the weights at the
 * start of the open mini-batch and, for each of them, the sum over its tokens of r times the gradient. Parameters: W1
 * [H,D,4D], b1 [H,4D], W2 [H,4D,D], b2 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref.h"
#include "ref/ref_learner.h"

typedef struct weights {
    double *W1, *b1, *W2, *b2; /* [D,E], [E], [E,D], [D], E = 4D; one block that starts at W1 */
} weights;

typedef struct state {
    weights start, sum;
} state;

typedef struct token {
    const double *q, *k, *v, *gamma, *beta;
    double r, c;
    int64_t D, E;
} token;

/* What the write of one token computes on its way: MATH (mlp), first four lines. */
typedef struct write_trace {
    double z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], z2[REF_HEAD_MAX], g2[REF_HEAD_MAX], back[REF_HIDDEN_MAX],
        g1[REF_HIDDEN_MAX];
} write_trace;

typedef struct read_trace {
    double sum1[REF_HIDDEN_MAX], z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], sum2[REF_HEAD_MAX], z2[REF_HEAD_MAX];
} read_trace;

static int64_t weights_size(const ttt_learner_dims *dims) { return dims->head_size * (8 * dims->head_size + 5); }
static int64_t state_size(const ttt_learner_dims *dims) { return 2 * weights_size(dims); }
/* The state on entry and after every mini-batch that closes. */
static int64_t saved_size(const ttt_learner_dims *dims, int64_t tokens)
{
    return (tokens / dims->mini_batch + 2) * state_size(dims);
}
static int64_t partial_size(const ttt_learner_dims *dims) { return (void)dims, 0; }
static size_t scratch_bytes(const ttt_learner_dims *dims)
{
    return (size_t)((dims->mini_batch + 1) * weights_size(dims)) * sizeof(double);
}

static weights weights_at(double *x, int64_t D)
{
    return (weights){.W1 = x, .b1 = x + 4 * D * D, .W2 = x + 4 * D * D + 4 * D, .b2 = x + 8 * D * D + 4 * D};
}

static state state_at(double *x, int64_t D)
{
    return (state){.start = weights_at(x, D), .sum = weights_at(x + D * (8 * D + 5), D)};
}

static token token_at(const ttt_learner_call *call, int64_t row, int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size, at = row * H * D + h * D;
    return (token){.q = (const double *)call->q + at,
                   .k = (const double *)call->k + at,
                   .v = (const double *)call->v + at,
                   .gamma = (const double *)call->params[4].values + h * D,
                   .beta = (const double *)call->params[5].values + h * D,
                   .r = ((const double *)call->write)[row * H + h],
                   .c = ((const double *)call->read)[row],
                   .D = D,
                   .E = 4 * D};
}

/* z1 = k W1 + b1, a = gelu(z1), z2 = a W2 + b2 */
static void predict(double *z1, double *a, double *z2, const double *k, const weights *w, int64_t D)
{
    const int64_t E = 4 * D;
    memcpy(z1, w->b1, (size_t)E * sizeof *z1);
    ref_row_times(z1, k, w->W1, D, E);
    for (int64_t e = 0; e < E; e++) a[e] = ref_gelu(z1[e]);
    memcpy(z2, w->b2, (size_t)D * sizeof *z2);
    ref_row_times(z2, a, w->W2, E, D);
}

/* g2 = LN-L2 gradient at z2, g1 = (g2 W2^T) gelu'(z1) */
static void inner_gradients(write_trace *w, const token *x, const weights *start)
{
    predict(w->z1, w->a, w->z2, x->k, start, x->D);
    ref_inner_gradient(w->g2, w->z2, x->k, x->v, x->gamma, x->beta, x->D);
    memset(w->back, 0, (size_t)x->E * sizeof *w->back);
    ref_times_column(w->back, start->W2, w->g2, x->E, x->D);
    for (int64_t e = 0; e < x->E; e++) w->g1[e] = w->back[e] * ref_gelu_inner(w->z1[e]);
}

/* S1 += r k^T g1, s1 += r g1, S2 += r a^T g2, s2 += r g2 */
static void write_token(const token *x, const state *s)
{
    write_trace w;
    inner_gradients(&w, x, &s->start);
    ref_outer(s->sum.W1, x->r, x->k, w.g1, x->D, x->E);
    ref_axpy(s->sum.b1, x->r, w.g1, x->E);
    ref_outer(s->sum.W2, x->r, w.a, w.g2, x->E, x->D);
    ref_axpy(s->sum.b2, x->r, w.g2, x->D);
}

/* z1bar = q (W1 - c S1) + b1 - c s1, abar = gelu(z1bar), z2bar = abar (W2 - c S2) + b2 - c s2 */
static void read_out(read_trace *o, const token *x, const state *s)
{
    memcpy(o->z1, s->start.b1, (size_t)x->E * sizeof *o->z1);
    memcpy(o->sum1, s->sum.b1, (size_t)x->E * sizeof *o->sum1);
    ref_row_times(o->z1, x->q, s->start.W1, x->D, x->E);
    ref_row_times(o->sum1, x->q, s->sum.W1, x->D, x->E);
    ref_axpy(o->z1, -x->c, o->sum1, x->E);
    for (int64_t e = 0; e < x->E; e++) o->a[e] = ref_gelu(o->z1[e]);
    memcpy(o->z2, s->start.b2, (size_t)x->D * sizeof *o->z2);
    memcpy(o->sum2, s->sum.b2, (size_t)x->D * sizeof *o->sum2);
    ref_row_times(o->z2, o->a, s->start.W2, x->E, x->D);
    ref_row_times(o->sum2, o->a, s->sum.W2, x->E, x->D);
    ref_axpy(o->z2, -x->c, o->sum2, x->D);
}

static double *head_state(const ttt_learner_call *call, void *block, int64_t h)
{
    return (double *)block + call->state_offset + h * state_size(&call->dims);
}

static void forward_head(const ttt_learner_call *call, const ttt_run *run, int64_t h, double *saved)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch, n = weights_size(&call->dims);
    const size_t size = (size_t)state_size(&call->dims);
    double *block = head_state(call, run->state, h);
    const state s = state_at(block, D);
    if (saved) memcpy(saved, block, size * sizeof *saved);
    for (int64_t t = 0; t < run->count; t++) {
        const token x = token_at(call, run->row + t, h);
        read_trace o;
        write_token(&x, &s);
        read_out(&o, &x, &s);
        ref_inner_read((double *)call->out + ((run->row + t) * call->dims.heads + h) * D, x.q, o.z2, x.gamma, x.beta,
                       D);
        if ((run->position + t) % K != K - 1) continue;
        ref_axpy(block, -x.c, block + n, n); /* W -= c S for every weight */
        memset(block + n, 0, (size_t)n * sizeof *block);
        if (saved) memcpy(saved += size, block, size * sizeof *saved);
    }
}

static void forward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    for (int64_t n = 0; n < call->run_count; n++)
        for (int64_t h = 0; h < call->dims.heads; h++)
            forward_head(call, &call->runs[n], h,
                         call->saved ? (double *)call->saved + (n * call->dims.heads + h) * call->saved_stride : NULL);
}

/* Backward of y = x (W - c S) + b - c s: dx +=, gradients of W, b, S, s +=; returns that of c. `sum` is x S + s. */
static double read_layer_backward(double *dx, const double *dy, const double *x, double c, const double *W,
                                  const double *S, const double *sum, double *dW, double *db, double *dS, double *ds,
                                  int64_t n, int64_t m)
{
    double through[REF_HIDDEN_MAX] = {0};
    ref_times_column(dx, W, dy, n, m);
    ref_times_column(through, S, dy, n, m);
    ref_axpy(dx, -c, through, n);
    ref_outer(dW, 1, x, dy, n, m);
    ref_axpy(db, 1, dy, m);
    ref_outer(dS, -c, x, dy, n, m);
    ref_axpy(ds, -c, dy, m);
    return -ref_dot(dy, sum, m);
}

/* Gradient through out = q + LN(z2bar) down to q, c and the state. */
static void read_backward(const ttt_learner_call *call, int64_t row, int64_t h, const token *x, const state *s,
                          const state *ds, double *dq, double *dgamma, double *dbeta)
{
    const int64_t H = call->dims.heads, D = x->D, E = x->E;
    read_trace o;
    double dz2[REF_HEAD_MAX], dz1[REF_HIDDEN_MAX] = {0}, dc;
    read_out(&o, x, s);
    ref_inner_read_backward(dz2, dq, dgamma, dbeta, (const double *)call->dout + (row * H + h) * D, o.z2, x->gamma, D);
    dc = read_layer_backward(dz1, dz2, o.a, x->c, s->start.W2, s->sum.W2, o.sum2, ds->start.W2, ds->start.b2,
                             ds->sum.W2, ds->sum.b2, E, D);
    for (int64_t e = 0; e < E; e++) dz1[e] *= ref_gelu_slope(o.z1[e]);
    dc += read_layer_backward(dq, dz1, x->q, x->c, s->start.W1, s->sum.W1, o.sum1, ds->start.W1, ds->start.b1,
                              ds->sum.W1, ds->sum.b1, D, E);
    ((double *)call->dread)[row * H + h] += dc;
}

/* Backward of S += r x^T g, s += r g: dx += ; dg overwritten; returns the gradient of r. */
static double write_layer_backward(double *dx, double *dg, const double *x, const double *g, double r, const double *dS,
                                   const double *ds, int64_t n, int64_t m)
{
    double through[REF_HIDDEN_MAX] = {0};
    memcpy(dg, ds, (size_t)m * sizeof *dg);
    ref_row_times(dg, x, dS, n, m);
    ref_times_column(through, dS, g, n, m);
    ref_axpy(dx, r, through, n);
    const double dr = ref_dot(dg, g, m);
    for (int64_t i = 0; i < m; i++) dg[i] *= r;
    return dr;
}

/* Gradient through what the token wrote, down to k, v, r and the weights at the mini-batch's start. */
static void write_backward(const ttt_learner_call *call, int64_t row, int64_t h, const token *x, const state *s,
                           const state *ds, double *dk, double *dv, double *dgamma, double *dbeta)
{
    const int64_t D = x->D, E = x->E;
    write_trace w;
    double dg1[REF_HIDDEN_MAX], dg2[REF_HEAD_MAX], da[REF_HIDDEN_MAX] = {0}, dz1[REF_HIDDEN_MAX], dz2[REF_HEAD_MAX];
    inner_gradients(&w, x, &s->start);
    double dr = write_layer_backward(dk, dg1, x->k, w.g1, x->r, ds->sum.W1, ds->sum.b1, D, E);
    dr += write_layer_backward(da, dg2, w.a, w.g2, x->r, ds->sum.W2, ds->sum.b2, E, D);
    ((double *)call->dwrite)[row * call->dims.heads + h] = dr;

    /* g1 = (g2 W2^T) gelu'(z1) */
    double dback[REF_HIDDEN_MAX];
    for (int64_t e = 0; e < E; e++) {
        dback[e] = dg1[e] * ref_gelu_inner(w.z1[e]);
        dz1[e] = dg1[e] * w.back[e] * ref_gelu_inner_slope(w.z1[e]);
    }
    ref_row_times(dg2, dback, s->start.W2, E, D);
    ref_outer(ds->start.W2, 1, dback, w.g2, E, D);

    /* g2 of z2 = a W2 + b2, a = gelu(z1), z1 = k W1 + b1 */
    ref_inner_gradient_backward(dz2, dk, dv, dgamma, dbeta, dg2, w.z2, x->k, x->v, x->gamma, x->beta, D);
    ref_times_column(da, s->start.W2, dz2, E, D);
    ref_outer(ds->start.W2, 1, w.a, dz2, E, D);
    ref_axpy(ds->start.b2, 1, dz2, D);
    for (int64_t e = 0; e < E; e++) dz1[e] += da[e] * ref_gelu_slope(w.z1[e]);
    ref_times_column(dk, s->start.W1, dz1, D, E);
    ref_outer(ds->start.W1, 1, x->k, dz1, D, E);
    ref_axpy(ds->start.b1, 1, dz1, E);
}

/* The tokens [first, last) of a run, all in one mini-batch, backwards. `start` [2, weights]: the state before them;
 * `sums`: scratch [K+1, weights]. */
static void mini_batch_backward(const ttt_learner_call *call, const ttt_run *run, int64_t h, int64_t first,
                                int64_t last, const double *start, double *sums, double *dgamma, double *dbeta)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch, n = weights_size(&call->dims),
                  H = call->dims.heads;
    const size_t bytes = (size_t)D * sizeof(double);
    double *block = head_state(call, run->dstate, h);
    const state ds = state_at(block, D);
    memcpy(sums, start + n, (size_t)n * sizeof *sums);
    for (int64_t t = first; t < last; t++) {
        double *next = sums + (t - first + 1) * n;
        memcpy(next, next - n, (size_t)n * sizeof *next);
        const token x = token_at(call, run->row + t, h);
        write_token(&x, &(state){.start = weights_at((double *)(uintptr_t)start, D), .sum = weights_at(next, D)});
        ((double *)call->dread)[(run->row + t) * H + h] = 0;
    }
    if ((run->position + last - 1) % K == K - 1) { /* W' = W - c S, S' = 0 */
        const int64_t row = run->row + last - 1;
        const double c = ((const double *)call->read)[row];
        ((double *)call->dread)[row * H + h] -= ref_dot(block, sums + (last - first) * n, n);
        memset(block + n, 0, (size_t)n * sizeof *block);
        ref_axpy(block + n, -c, block, n);
    }
    for (int64_t t = last - 1; t >= first; t--) {
        const int64_t row = run->row + t, at = (row * H + h) * D;
        const token x = token_at(call, row, h);
        const state s = {.start = weights_at((double *)(uintptr_t)start, D),
                         .sum = weights_at(sums + (t - first + 1) * n, D)};
        double *dq = (double *)call->dq + at, *dk = (double *)call->dk + at, *dv = (double *)call->dv + at;
        memset(dq, 0, bytes);
        memset(dk, 0, bytes);
        memset(dv, 0, bytes);
        read_backward(call, row, h, &x, &s, &ds, dq, dgamma, dbeta);
        write_backward(call, row, h, &x, &s, &ds, dk, dv, dgamma, dbeta);
    }
}

static void backward_head(const ttt_backend *b, const ttt_learner_call *call, const ttt_run *run, int64_t h,
                          const double *saved)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch;
    double *sums = (double *)(void *)b->scratch;
    double *dgamma = (double *)call->dparams[4].values + h * D, *dbeta = (double *)call->dparams[5].values + h * D;
    for (int64_t last = run->count; last > 0;) {
        const int64_t open = (run->position + last - 1) % K + 1; /* tokens of the mini-batch that ends at `last` */
        const int64_t first = open < last ? last - open : 0;
        const int64_t closed = (run->position + first) / K - run->position / K; /* mini-batches of this run before it */
        mini_batch_backward(call, run, h, first, last, saved + closed * state_size(&call->dims), sums, dgamma, dbeta);
        last = first;
    }
}

static void backward(const ttt_backend *b, const ttt_learner_call *call)
{
    for (int64_t n = 0; n < call->run_count; n++)
        for (int64_t h = 0; h < call->dims.heads; h++)
            backward_head(b, call, &call->runs[n], h,
                          (const double *)call->saved + (n * call->dims.heads + h) * call->saved_stride);
}

/* Sizes of the four weights of one head, in the order of the parameters and of the state. */
static void weight_sizes(int64_t sizes[4], int64_t D)
{
    sizes[0] = sizes[2] = 4 * D * D;
    sizes[1] = 4 * D;
    sizes[3] = D;
}

static void reset(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    int64_t sizes[4];
    weight_sizes(sizes, call->dims.head_size);
    for (int64_t n = 0; n < call->run_count; n++) {
        for (int64_t h = 0; h < call->dims.heads; h++) {
            double *block = head_state(call, call->runs[n].state, h);
            memset(block, 0, (size_t)state_size(&call->dims) * sizeof *block);
            for (int i = 0; i < 4; block += sizes[i++])
                ref_axpy(block, 1, (const double *)call->params[i].values + h * sizes[i], sizes[i]);
        }
    }
}

static void reset_backward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    int64_t sizes[4];
    weight_sizes(sizes, call->dims.head_size);
    for (int64_t n = 0; n < call->run_count; n++) {
        for (int64_t h = 0; h < call->dims.heads; h++) {
            const double *block = head_state(call, call->runs[n].dstate, h);
            for (int i = 0; i < 4; block += sizes[i++])
                ref_axpy((double *)call->dparams[i].values + h * sizes[i], 1, block, sizes[i]);
        }
    }
}

static void read_weights(const ttt_backend *b, const ttt_learner_dims *dims, const void *block, void *out)
{
    (void)b;
    memcpy(out, block, (size_t)state_size(dims) * sizeof(double));
}

static double loss(const ttt_backend *b, const ttt_learner_dims *dims, const ttt_param *params, int64_t h,
                   const void *w, const void *k, const void *v)
{
    (void)b;
    const int64_t D = dims->head_size;
    const weights W = weights_at((double *)(uintptr_t)w, D);
    double z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], z2[REF_HEAD_MAX];
    predict(z1, a, z2, k, &W, D);
    return ref_inner_loss(z2, k, v, (const double *)params[4].values + h * D, (const double *)params[5].values + h * D,
                          D);
}

const ttt_learner_ops ttt_ref_learner_mlp = {.state_size = state_size,
                                             .saved_size = saved_size,
                                             .partial_size = partial_size,
                                             .scratch_bytes = scratch_bytes,
                                             .reset = reset,
                                             .reset_backward = reset_backward,
                                             .forward = forward,
                                             .backward = backward,
                                             .weights_size = weights_size,
                                             .weights = read_weights,
                                             .loss = loss};
