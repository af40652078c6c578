/* SPDX-License-Identifier: MIT
 *
 * The linear learner in its primal form, MATH (linear): for every token the weights it is read with are formed. The
 * state of a head is W, b at the start of the open mini-batch and the sums S, s over its tokens of r k^T g and r g.
 * Parameters: W1 [H,D,D], b1 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref.h"
#include "ref/ref_learner.h"

typedef struct weights {
    double *W, *b; /* [D,D], [D] */
} weights;

typedef struct state {
    weights start, sum;
} state;

typedef struct token {
    const double *q, *k, *v, *gamma, *beta;
    double r, c;
    int64_t D;
} token;

static int64_t weights_size(const ttt_learner_dims *dims) { return dims->head_size * (dims->head_size + 1); }
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

static weights weights_at(double *x, int64_t D) { return (weights){.W = x, .b = x + D * D}; }
static state state_at(double *x, int64_t D)
{
    return (state){.start = weights_at(x, D), .sum = weights_at(x + D * (D + 1), D)};
}

static token token_at(const ttt_learner_call *call, int64_t row, int64_t h)
{
    const int64_t H = call->dims.heads, D = call->dims.head_size, at = row * H * D + h * D;
    return (token){.q = (const double *)call->q + at,
                   .k = (const double *)call->k + at,
                   .v = (const double *)call->v + at,
                   .gamma = (const double *)call->params[2].values + h * D,
                   .beta = (const double *)call->params[3].values + h * D,
                   .r = ((const double *)call->write)[row * H + h],
                   .c = ((const double *)call->read)[row],
                   .D = D};
}

/* z = k W + b */
static void predict(double *z, const token *x, const weights *w)
{
    memcpy(z, w->b, (size_t)x->D * sizeof *z);
    ref_row_times(z, x->k, w->W, x->D, x->D);
}

/* zbar = q (W - c S) + b - c s */
static void read_out(double *zbar, const token *x, const state *s)
{
    double sum[REF_HEAD_MAX];
    memcpy(zbar, s->start.b, (size_t)x->D * sizeof *zbar);
    memcpy(sum, s->sum.b, (size_t)x->D * sizeof *sum);
    ref_row_times(zbar, x->q, s->start.W, x->D, x->D);
    ref_row_times(sum, x->q, s->sum.W, x->D, x->D);
    ref_axpy(zbar, -x->c, sum, x->D);
}

/* S += r k^T g, s += r g */
static void write_token(const token *x, const state *s)
{
    double z[REF_HEAD_MAX], g[REF_HEAD_MAX];
    predict(z, x, &s->start);
    ref_inner_gradient(g, z, x->k, x->v, x->gamma, x->beta, x->D);
    ref_outer(s->sum.W, x->r, x->k, g, x->D, x->D);
    ref_axpy(s->sum.b, x->r, g, x->D);
}

/* W -= c S, b -= c s, S = s = 0 */
static void close_mini_batch(const state *s, double c, int64_t D)
{
    const int64_t n = D * (D + 1);
    ref_axpy(s->start.W, -c, s->sum.W, n);
    memset(s->sum.W, 0, (size_t)n * sizeof(double));
}

static double *head_state(const ttt_learner_call *call, void *block, int64_t h)
{
    return (double *)block + call->state_offset + h * state_size(&call->dims);
}

static void forward_head(const ttt_learner_call *call, const ttt_run *run, int64_t h, double *saved)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch;
    double *block = head_state(call, run->state, h);
    const state s = state_at(block, D);
    const size_t size = (size_t)state_size(&call->dims);
    if (saved) memcpy(saved, block, size * sizeof *saved);
    for (int64_t t = 0; t < run->count; t++) {
        const token x = token_at(call, run->row + t, h);
        double zbar[REF_HEAD_MAX];
        write_token(&x, &s);
        read_out(zbar, &x, &s);
        ref_inner_read((double *)call->out + ((run->row + t) * call->dims.heads + h) * D, x.q, zbar, x.gamma, x.beta,
                       D);
        if ((run->position + t) % K != K - 1) continue;
        close_mini_batch(&s, x.c, D);
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

/* One token backwards. `s` are the weights of its mini-batch's start and the sums with this token in them; `ds` their
 * gradient so far. */
static void token_backward(const ttt_learner_call *call, int64_t row, int64_t h, const state *s, const state *ds,
                           double *dgamma, double *dbeta)
{
    const token x = token_at(call, row, h);
    const int64_t H = call->dims.heads, D = x.D, at = (row * H + h) * D;
    double *dq = (double *)call->dq + at, *dk = (double *)call->dk + at, *dv = (double *)call->dv + at;
    double z[REF_HEAD_MAX], zbar[REF_HEAD_MAX], g[REF_HEAD_MAX], dz[REF_HEAD_MAX], dzbar[REF_HEAD_MAX],
        dG[REF_HEAD_MAX], sum[REF_HEAD_MAX];
    memset(dq, 0, (size_t)D * sizeof *dq);
    memset(dk, 0, (size_t)D * sizeof *dk);
    memset(dv, 0, (size_t)D * sizeof *dv);

    /* out = q + LN(zbar), zbar = q (W - c S) + b - c s */
    read_out(zbar, &x, s);
    ref_inner_read_backward(dzbar, dq, dgamma, dbeta, (const double *)call->dout + at, zbar, x.gamma, D);
    ref_times_column(dq, s->start.W, dzbar, D, D);
    memcpy(sum, s->sum.b, (size_t)D * sizeof *sum);
    ref_row_times(sum, x.q, s->sum.W, D, D);
    ((double *)call->dread)[row * H + h] -= ref_dot(dzbar, sum, D);
    memset(sum, 0, (size_t)D * sizeof *sum);
    ref_times_column(sum, s->sum.W, dzbar, D, D);
    ref_axpy(dq, -x.c, sum, D);
    ref_outer(ds->start.W, 1, x.q, dzbar, D, D);
    ref_axpy(ds->start.b, 1, dzbar, D);
    ref_outer(ds->sum.W, -x.c, x.q, dzbar, D, D);
    ref_axpy(ds->sum.b, -x.c, dzbar, D);

    /* S += r k^T g, s += r g */
    predict(z, &x, &s->start);
    ref_inner_gradient(g, z, x.k, x.v, x.gamma, x.beta, D);
    memcpy(dG, ds->sum.b, (size_t)D * sizeof *dG);
    ref_row_times(dG, x.k, ds->sum.W, D, D);
    memset(sum, 0, (size_t)D * sizeof *sum);
    ref_times_column(sum, ds->sum.W, g, D, D);
    ref_axpy(dk, x.r, sum, D);
    ((double *)call->dwrite)[row * H + h] = ref_dot(dG, g, D);
    for (int64_t d = 0; d < D; d++) dG[d] *= x.r;

    /* g of z = k W + b */
    ref_inner_gradient_backward(dz, dk, dv, dgamma, dbeta, dG, z, x.k, x.v, x.gamma, x.beta, D);
    ref_times_column(dk, s->start.W, dz, D, D);
    ref_outer(ds->start.W, 1, x.k, dz, D, D);
    ref_axpy(ds->start.b, 1, dz, D);
}

/* The tokens [first, last) of a run, all in one mini-batch, backwards. `start` [2, weights]: the state before them;
 * `sums`: scratch [K+1, weights]. */
static void mini_batch_backward(const ttt_learner_call *call, const ttt_run *run, int64_t h, int64_t first,
                                int64_t last, const double *start, double *sums, double *dgamma, double *dbeta)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch, n = weights_size(&call->dims),
                  H = call->dims.heads;
    const state ds = state_at(head_state(call, run->dstate, h), D);
    memcpy(sums, start + n, (size_t)n * sizeof *sums);
    for (int64_t t = first; t < last; t++) {
        double *next = sums + (t - first + 1) * n;
        memcpy(next, next - n, (size_t)n * sizeof *next);
        const token x = token_at(call, run->row + t, h);
        const state s = {.start = weights_at((double *)(uintptr_t)start, D), .sum = weights_at(next, D)};
        write_token(&x, &s);
    }
    for (int64_t t = first; t < last; t++) ((double *)call->dread)[(run->row + t) * H + h] = 0;
    if ((run->position + last - 1) % K == K - 1) { /* W' = W - c S, S' = 0 */
        const int64_t row = run->row + last - 1;
        const double c = ((const double *)call->read)[row];
        ((double *)call->dread)[row * H + h] -= ref_dot(ds.start.W, sums + (last - first) * n, n);
        memset(ds.sum.W, 0, (size_t)n * sizeof(double));
        ref_axpy(ds.sum.W, -c, ds.start.W, n);
    }
    for (int64_t t = last - 1; t >= first; t--) {
        const state s = {.start = weights_at((double *)(uintptr_t)start, D),
                         .sum = weights_at(sums + (t - first + 1) * n, D)};
        token_backward(call, run->row + t, h, &s, &ds, dgamma, dbeta);
    }
}

static void backward_head(const ttt_backend *b, const ttt_learner_call *call, const ttt_run *run, int64_t h,
                          const double *saved)
{
    const int64_t D = call->dims.head_size, K = call->dims.mini_batch;
    double *sums = (double *)(void *)b->scratch;
    double *dgamma = (double *)call->dparams[2].values + h * D, *dbeta = (double *)call->dparams[3].values + h * D;
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

static void reset(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    const int64_t D = call->dims.head_size;
    for (int64_t n = 0; n < call->run_count; n++) {
        for (int64_t h = 0; h < call->dims.heads; h++) {
            const state s = state_at(head_state(call, call->runs[n].state, h), D);
            memcpy(s.start.W, (const double *)call->params[0].values + h * D * D, (size_t)(D * D) * sizeof(double));
            memcpy(s.start.b, (const double *)call->params[1].values + h * D, (size_t)D * sizeof(double));
            memset(s.sum.W, 0, (size_t)weights_size(&call->dims) * sizeof(double));
        }
    }
}

static void reset_backward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b;
    const int64_t D = call->dims.head_size;
    for (int64_t n = 0; n < call->run_count; n++) {
        for (int64_t h = 0; h < call->dims.heads; h++) {
            const state ds = state_at(head_state(call, call->runs[n].dstate, h), D);
            ref_axpy((double *)call->dparams[0].values + h * D * D, 1, ds.start.W, D * D);
            ref_axpy((double *)call->dparams[1].values + h * D, 1, ds.start.b, D);
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
    const token x = {.k = k, .D = D};
    const weights W = weights_at((double *)(uintptr_t)w, D);
    double z[REF_HEAD_MAX];
    predict(z, &x, &W);
    return ref_inner_loss(z, k, v, (const double *)params[2].values + h * D, (const double *)params[3].values + h * D,
                          D);
}

const ttt_learner_ops ttt_ref_learner_linear = {.state_size = state_size,
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
