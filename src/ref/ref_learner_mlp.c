/* SPDX-License-Identifier: MIT
 *
 * The MLP learner in its primal form, MATH (mlp): k W1 + b1, gelu, W2, b2.
 * Parameters: W1 [H,D,4D], b1 [H,4D], W2 [H,4D,D], b2 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref.h"
#include "ref/ref_learner.h"

static int64_t size(int weight, int64_t D) { return weight == 3 ? D : weight == 1 ? 4 * D : 4 * D * D; }

/* Where the weights lie in a block: W1 [D,E], b1 [E], W2 [E,D], b2 [D], E = 4D. */
typedef struct weights {
    double *W1, *b1, *W2, *b2;
} weights;

static weights weights_at(const double *block, int64_t D)
{
    double *x = (double *)(uintptr_t)block;
    return (weights){.W1 = x, .b1 = x + 4 * D * D, .W2 = x + 4 * D * D + 4 * D, .b2 = x + 8 * D * D + 4 * D};
}

/* y = x W + b, W [n,m] */
static void affine(double *y, const double *x, const double *W, const double *b, int64_t n, int64_t m)
{
    memcpy(y, b, (size_t)m * sizeof *y);
    ref_row_times(y, x, W, n, m);
}

/* z1 = k W1 + b1, a = gelu(z1), z2 = a W2 + b2 */
static void predict(double *z1, double *a, double *z2, const double *k, const weights *w, int64_t D)
{
    affine(z1, k, w->W1, w->b1, D, 4 * D);
    for (int64_t e = 0; e < 4 * D; e++) a[e] = ref_gelu(z1[e]);
    affine(z2, a, w->W2, w->b2, 4 * D, D);
}

/* What the write of one token computes on its way. */
typedef struct write_trace {
    double z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], z2[REF_HEAD_MAX], g2[REF_HEAD_MAX], back[REF_HIDDEN_MAX],
        g1[REF_HIDDEN_MAX];
} write_trace;

/* g2 = d loss / d z2, g1 = (g2 W2^T) gelu'(z1) */
static void inner_gradients(write_trace *w, const ref_token *x, const weights *start)
{
    const int64_t D = x->D, E = 4 * D;
    predict(w->z1, w->a, w->z2, x->k, start, D);
    ref_inner_gradient(w->g2, w->z2, x->k, x->v, x->gamma, x->beta, D);
    memset(w->back, 0, (size_t)E * sizeof *w->back);
    ref_times_column(w->back, start->W2, w->g2, E, D);
    for (int64_t e = 0; e < E; e++) w->g1[e] = w->back[e] * ref_gelu_inner(w->z1[e]);
}

/* S1 += r k^T g1, s1 += r g1, S2 += r a^T g2, s2 += r g2 */
static void write_token(const ref_token *x, const double *start, double *sum)
{
    const int64_t D = x->D, E = 4 * D;
    const weights w = weights_at(start, D), s = weights_at(sum, D);
    write_trace trace;
    inner_gradients(&trace, x, &w);
    ref_outer(s.W1, x->r, x->k, trace.g1, D, E);
    ref_axpy(s.b1, x->r, trace.g1, E);
    ref_outer(s.W2, x->r, trace.a, trace.g2, E, D);
    ref_axpy(s.b2, x->r, trace.g2, D);
}

/* What the read of one token computes on its way; written: q S1 + s1 and abar S2 + s2. */
typedef struct read_trace {
    double written1[REF_HIDDEN_MAX], z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], written2[REF_HEAD_MAX], z2[REF_HEAD_MAX];
} read_trace;

/* z1bar = q (W1 - c S1) + b1 - c s1, abar = gelu(z1bar), z2bar = abar (W2 - c S2) + b2 - c s2 */
static void read_out(read_trace *o, const ref_token *x, const weights *start, const weights *sum)
{
    const int64_t D = x->D, E = 4 * D;
    affine(o->z1, x->q, start->W1, start->b1, D, E);
    affine(o->written1, x->q, sum->W1, sum->b1, D, E);
    ref_axpy(o->z1, -x->c, o->written1, E);
    for (int64_t e = 0; e < E; e++) o->a[e] = ref_gelu(o->z1[e]);
    affine(o->z2, o->a, start->W2, start->b2, E, D);
    affine(o->written2, o->a, sum->W2, sum->b2, E, D);
    ref_axpy(o->z2, -x->c, o->written2, D);
}

/* out = q + LN(z2bar) */
static void read_token(const ref_token *x, const double *start, const double *sum)
{
    const weights w = weights_at(start, x->D), s = weights_at(sum, x->D);
    read_trace o;
    read_out(&o, x, &w, &s);
    ref_inner_read(x->out, x->q, o.z2, x->gamma, x->beta, x->D);
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

/* Through out = q + LN(z2bar), down to q, c and the state. */
static void read_backward(const ref_token *x, const weights *w, const weights *s, const weights *dw, const weights *ds)
{
    const int64_t D = x->D, E = 4 * D;
    read_trace o;
    double dz2[REF_HEAD_MAX], dz1[REF_HIDDEN_MAX] = {0};
    read_out(&o, x, w, s);
    ref_inner_read_backward(dz2, x->dq, x->dgamma, x->dbeta, x->dout, o.z2, x->gamma, D);
    *x->dc += read_layer_backward(dz1, dz2, o.a, x->c, w->W2, s->W2, o.written2, dw->W2, dw->b2, ds->W2, ds->b2, E, D);
    for (int64_t e = 0; e < E; e++) dz1[e] *= ref_gelu_slope(o.z1[e]);
    *x->dc += read_layer_backward(x->dq, dz1, x->q, x->c, w->W1, s->W1, o.written1, dw->W1, dw->b1, ds->W1, ds->b1, D,
                                  E);
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

/* Through what the token wrote, down to k, v, r and the weights at the mini-batch's start. */
static void write_backward(const ref_token *x, const weights *w, const weights *dw, const weights *ds)
{
    const int64_t D = x->D, E = 4 * D;
    write_trace t;
    double dg1[REF_HIDDEN_MAX], dg2[REF_HEAD_MAX], dback[REF_HIDDEN_MAX], da[REF_HIDDEN_MAX] = {0}, dz1[REF_HIDDEN_MAX],
                                                                          dz2[REF_HEAD_MAX];
    inner_gradients(&t, x, w);
    *x->dr += write_layer_backward(x->dk, dg1, x->k, t.g1, x->r, ds->W1, ds->b1, D, E);
    *x->dr += write_layer_backward(da, dg2, t.a, t.g2, x->r, ds->W2, ds->b2, E, D);

    /* g1 = (g2 W2^T) gelu'(z1) */
    for (int64_t e = 0; e < E; e++) {
        dback[e] = dg1[e] * ref_gelu_inner(t.z1[e]);
        dz1[e] = dg1[e] * t.back[e] * ref_gelu_inner_slope(t.z1[e]);
    }
    ref_row_times(dg2, dback, w->W2, E, D);
    ref_outer(dw->W2, 1, dback, t.g2, E, D);

    /* g2 at z2 = a W2 + b2, a = gelu(z1), z1 = k W1 + b1 */
    ref_inner_gradient_backward(dz2, x->dk, x->dv, x->dgamma, x->dbeta, dg2, t.z2, x->k, x->v, x->gamma, x->beta, D);
    ref_times_column(da, w->W2, dz2, E, D);
    ref_outer(dw->W2, 1, t.a, dz2, E, D);
    ref_axpy(dw->b2, 1, dz2, D);
    for (int64_t e = 0; e < E; e++) dz1[e] += da[e] * ref_gelu_slope(t.z1[e]);
    ref_times_column(x->dk, w->W1, dz1, D, E);
    ref_outer(dw->W1, 1, x->k, dz1, D, E);
    ref_axpy(dw->b1, 1, dz1, E);
}

static void backward_token(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum)
{
    const weights w = weights_at(start, x->D), s = weights_at(sum, x->D), dw = weights_at(dstart, x->D),
                  ds = weights_at(dsum, x->D);
    read_backward(x, &w, &s, &dw, &ds);
    write_backward(x, &w, &dw, &ds);
}

/* ---- the table's entry ---- */

static const ref_learner learner = {
    .weights = 4, .size = size, .write = write_token, .read = read_token, .backward = backward_token};

static int64_t weights_size(const ttt_learner_dims *dims) { return ttt_ref_learner_size(&learner, dims->head_size); }
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
static void reset(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b, ttt_ref_learner_reset(&learner, call);
}
static void reset_backward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b, ttt_ref_learner_reset_backward(&learner, call);
}
static void forward(const ttt_backend *b, const ttt_learner_call *call)
{
    (void)b, ttt_ref_learner_forward(&learner, call);
}
static void backward(const ttt_backend *b, const ttt_learner_call *call)
{
    ttt_ref_learner_backward(&learner, b, call);
}

static void read_weights(const ttt_backend *b, const ttt_learner_dims *dims, const void *state, void *out)
{
    (void)b;
    memcpy(out, state, (size_t)state_size(dims) * sizeof(double));
}

static double loss(const ttt_backend *b, const ttt_learner_dims *dims, const ttt_param *params, int64_t h,
                   const void *block, const void *k, const void *v)
{
    (void)b;
    const int64_t D = dims->head_size;
    const weights w = weights_at(block, D);
    double z1[REF_HIDDEN_MAX], a[REF_HIDDEN_MAX], z2[REF_HEAD_MAX];
    predict(z1, a, z2, k, &w, D);
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
