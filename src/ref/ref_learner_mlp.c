/* SPDX-License-Identifier: MIT
 *
 * The MLP learner in its primal form, MATH (mlp): k W1 + b1, gelu, W2, b2.
 * Parameters: W1 [H,D,4D], b1 [H,4D], W2 [H,4D,D], b2 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref_learner.h"

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
    double *z1, *a, *back, *g1; /* [4D] */
    double *z2, *g2;            /* [D] */
} write_trace;

static write_trace write_trace_new(double **work, int64_t D)
{
    return (write_trace){.z1 = ref_take(work, 4 * D),
                         .a = ref_take(work, 4 * D),
                         .back = ref_take(work, 4 * D),
                         .g1 = ref_take(work, 4 * D),
                         .z2 = ref_take(work, D),
                         .g2 = ref_take(work, D)};
}

/* g2 = d loss / d z2, g1 = (g2 W2^T) gelu'(z1) */
static void inner_gradients(const write_trace *w, const ref_token *x, const weights *start, double *work)
{
    const int64_t D = x->D, E = 4 * D;
    predict(w->z1, w->a, w->z2, x->k, start, D);
    ref_inner_gradient(x, w->g2, w->z2, work);
    memset(w->back, 0, (size_t)E * sizeof *w->back);
    ref_times_column(w->back, start->W2, w->g2, E, D);
    for (int64_t e = 0; e < E; e++) w->g1[e] = w->back[e] * ref_gelu_inner(w->z1[e]);
}

/* x1 = k, G1 = r g1; x2 = a, G2 = r g2 */
static void write_token(const ref_token *x, const double *start, const ref_rows *rows)
{
    const int64_t D = x->D, E = 4 * D;
    const weights w = weights_at(start, D);
    double *work = x->work;
    const write_trace trace = write_trace_new(&work, D);
    inner_gradients(&trace, x, &w, work);
    memcpy(rows->x[0], x->k, (size_t)D * sizeof(double));
    memcpy(rows->x[1], trace.a, (size_t)E * sizeof(double));
    for (int64_t e = 0; e < E; e++) rows->g[0][e] = x->r * trace.g1[e];
    for (int64_t d = 0; d < D; d++) rows->g[1][d] = x->r * trace.g2[d];
}

/* What the read of one token computes on its way; written: q S1 + s1 and abar S2 + s2. */
typedef struct read_trace {
    double *written1, *z1, *a; /* [4D] */
    double *written2, *z2;     /* [D] */
} read_trace;

/* z1bar = q (W1 - c S1) + b1 - c s1, abar = gelu(z1bar), z2bar = abar (W2 - c S2) + b2 - c s2 */
static read_trace read_out(const ref_token *x, const weights *start, const weights *sum, double **work)
{
    const int64_t D = x->D, E = 4 * D;
    const read_trace o = {.written1 = ref_take(work, E),
                          .z1 = ref_take(work, E),
                          .a = ref_take(work, E),
                          .written2 = ref_take(work, D),
                          .z2 = ref_take(work, D)};
    affine(o.z1, x->q, start->W1, start->b1, D, E);
    affine(o.written1, x->q, sum->W1, sum->b1, D, E);
    ref_axpy(o.z1, -x->c, o.written1, E);
    for (int64_t e = 0; e < E; e++) o.a[e] = ref_gelu(o.z1[e]);
    affine(o.z2, o.a, start->W2, start->b2, E, D);
    affine(o.written2, o.a, sum->W2, sum->b2, E, D);
    ref_axpy(o.z2, -x->c, o.written2, D);
    return o;
}

/* out = q + LN(z2bar) */
static void read_token(const ref_token *x, const double *start, const double *sum)
{
    const weights w = weights_at(start, x->D), s = weights_at(sum, x->D);
    double *work = x->work;
    const read_trace o = read_out(x, &w, &s, &work);
    ref_inner_read(x, o.z2, work);
}

/* Backward of y = x (W - c S) + b - c s: dx +=, gradients of W, b, S, s +=; returns that of c. `sum` is x S + s. */
static double read_layer_backward(const ref_token *token, double *dx, const double *dy, const double *x,
                                  const double *W, const double *S, const double *sum, double *dW, double *db,
                                  double *dS, double *ds, int64_t n, int64_t m, double *work)
{
    const double c = token->c;
    double *through = ref_take(&work, n);
    memset(through, 0, (size_t)n * sizeof *through);
    ref_times_column(dx, W, dy, n, m);
    ref_times_column(through, S, dy, n, m);
    ref_axpy(dx, -c, through, n);
    ref_outer(dW, 1, x, dy, n, m);
    ref_bias_add(token, db, 1, dy, m);
    ref_outer(dS, -c, x, dy, n, m);
    ref_bias_add(token, ds, -c, dy, m);
    return -ref_dot(dy, sum, m);
}

/* Through out = q + LN(z2bar), down to q, c and the state. */
static void read_backward(const ref_token *x, const weights *w, const weights *s, const weights *dw, const weights *ds)
{
    const int64_t D = x->D, E = 4 * D;
    double *work = x->work, *dz2 = ref_take(&work, D), *dz1 = ref_take(&work, E);
    const read_trace o = read_out(x, w, s, &work);
    memset(dz1, 0, (size_t)E * sizeof *dz1);
    ref_inner_read_backward(x, dz2, o.z2, work);
    *x->dc += read_layer_backward(x, dz1, dz2, o.a, w->W2, s->W2, o.written2, dw->W2, dw->b2, ds->W2, ds->b2, E, D,
                                  work);
    for (int64_t e = 0; e < E; e++) dz1[e] *= ref_gelu_slope(o.z1[e]);
    *x->dc += read_layer_backward(x, x->dq, dz1, x->q, w->W1, s->W1, o.written1, dw->W1, dw->b1, ds->W1, ds->b1, D, E,
                                  work);
}

/* Backward of S += r x^T g, s += r g: dx += ; dg overwritten; returns the gradient of r. */
static double write_layer_backward(double *dx, double *dg, const double *x, const double *g, double r, const double *dS,
                                   const double *ds, int64_t n, int64_t m, double *work)
{
    double *through = ref_take(&work, n);
    memset(through, 0, (size_t)n * sizeof *through);
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
    double *work = x->work;
    const write_trace t = write_trace_new(&work, D);
    double *dg1 = ref_take(&work, E), *dback = ref_take(&work, E), *da = ref_take(&work, E), *dz1 = ref_take(&work, E),
           *dg2 = ref_take(&work, D), *dz2 = ref_take(&work, D);
    inner_gradients(&t, x, w, work);
    memset(da, 0, (size_t)E * sizeof *da);
    *x->dr += write_layer_backward(x->dk, dg1, x->k, t.g1, x->r, ds->W1, ds->b1, D, E, work);
    *x->dr += write_layer_backward(da, dg2, t.a, t.g2, x->r, ds->W2, ds->b2, E, D, work);

    /* g1 = (g2 W2^T) gelu'(z1) */
    for (int64_t e = 0; e < E; e++) {
        dback[e] = dg1[e] * ref_gelu_inner(t.z1[e]);
        dz1[e] = dg1[e] * t.back[e] * ref_gelu_inner_slope(t.z1[e]);
    }
    ref_row_times(dg2, dback, w->W2, E, D);
    ref_outer(dw->W2, 1, dback, t.g2, E, D);

    /* g2 at z2 = a W2 + b2, a = gelu(z1), z1 = k W1 + b1 */
    ref_inner_gradient_backward(x, dz2, dg2, t.z2, work);
    ref_times_column(da, w->W2, dz2, E, D);
    ref_outer(dw->W2, 1, t.a, dz2, E, D);
    ref_bias_add(x, dw->b2, 1, dz2, D);
    for (int64_t e = 0; e < E; e++) dz1[e] += da[e] * ref_gelu_slope(t.z1[e]);
    ref_times_column(x->dk, w->W1, dz1, D, E);
    ref_outer(dw->W1, 1, x->k, dz1, D, E);
    ref_bias_add(x, dw->b1, 1, dz1, E);
}

static void backward_token(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum)
{
    const weights w = weights_at(start, x->D), s = weights_at(sum, x->D), dw = weights_at(dstart, x->D),
                  ds = weights_at(dsum, x->D);
    read_backward(x, &w, &s, &dw, &ds);
    write_backward(x, &w, &dw, &ds);
}

static double loss(const ref_token *x, const double *block)
{
    const int64_t D = x->D;
    const weights w = weights_at(block, D);
    double *work = x->work, *z1 = ref_take(&work, 4 * D), *a = ref_take(&work, 4 * D), *z2 = ref_take(&work, D);
    predict(z1, a, z2, x->k, &w, D);
    return ref_inner_loss(x, z2, work);
}

const ref_learner ttt_ref_mlp = {.write = write_token, .read = read_token, .backward = backward_token, .loss = loss};
