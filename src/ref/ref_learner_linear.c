/* SPDX-License-Identifier: MIT
 *
 * The linear learner in its primal form, MATH (linear): for every token the weights it is read with are formed.
 * Parameters: W1 [H,D,D], b1 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref_learner.h"

/* y = x W + b; W [D,D] and, behind it, b [D] */
static void affine(double *y, const double *x, const double *W, int64_t D)
{
    memcpy(y, W + D * D, (size_t)D * sizeof *y);
    ref_row_times(y, x, W, D, D);
}

/* z = k W + b, g = d loss / d z; x = k, G = r g */
static void write_token(const ref_token *x, const double *start, const ref_rows *rows)
{
    const int64_t D = x->D;
    double *work = x->work, *z = ref_take(&work, D), *g = rows->g[0];
    affine(z, x->k, start, D);
    ref_inner_gradient(x, g, z, work);
    memcpy(rows->x[0], x->k, (size_t)D * sizeof *g);
    for (int64_t d = 0; d < D; d++) g[d] *= x->r;
}

/* zbar = q (W - c S) + b - c s; also q S + s */
static void read_out(double *zbar, double *written, const ref_token *x, const double *start, const double *sum)
{
    affine(zbar, x->q, start, x->D);
    affine(written, x->q, sum, x->D);
    ref_axpy(zbar, -x->c, written, x->D);
}

/* out = q + LN(zbar) */
static void read_token(const ref_token *x, const double *start, const double *sum)
{
    double *work = x->work, *zbar = ref_take(&work, x->D), *written = ref_take(&work, x->D);
    read_out(zbar, written, x, start, sum);
    ref_inner_read(x, zbar, work);
}

static void read_backward(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum)
{
    const int64_t D = x->D;
    double *work = x->work, *zbar = ref_take(&work, D), *written = ref_take(&work, D), *dzbar = ref_take(&work, D),
           *through = ref_take(&work, D);

    /* out = q + LN(zbar), zbar = q (W - c S) + b - c s */
    read_out(zbar, written, x, start, sum);
    ref_inner_read_backward(x, dzbar, zbar, work);
    ref_times_column(x->dq, start, dzbar, D, D);
    memset(through, 0, (size_t)D * sizeof *through);
    ref_times_column(through, sum, dzbar, D, D);
    ref_axpy(x->dq, -x->c, through, D);
    *x->dc -= ref_dot(dzbar, written, D);
    ref_outer(dstart, 1, x->q, dzbar, D, D);
    ref_bias_add(x, dstart + D * D, 1, dzbar, D);
    ref_outer(dsum, -x->c, x->q, dzbar, D, D);
    ref_bias_add(x, dsum + D * D, -x->c, dzbar, D);
}

static void write_backward(const ref_token *x, const double *start, double *dstart, const double *dsum)
{
    const int64_t D = x->D;
    double *work = x->work, *z = ref_take(&work, D), *g = ref_take(&work, D), *dg = ref_take(&work, D),
           *dz = ref_take(&work, D), *along = ref_take(&work, D);

    /* S += r k^T g, s += r g: the gradient of r g is k dS + ds */
    affine(z, x->k, start, D);
    ref_inner_gradient(x, g, z, work);
    affine(dg, x->k, dsum, D);
    memset(along, 0, (size_t)D * sizeof *along);
    ref_times_column(along, dsum, g, D, D);
    ref_axpy(x->dk, x->r, along, D);
    *x->dr += ref_dot(dg, g, D);
    for (int64_t d = 0; d < D; d++) dg[d] *= x->r;

    /* g at z = k W + b */
    ref_inner_gradient_backward(x, dz, dg, z, work);
    ref_times_column(x->dk, start, dz, D, D);
    ref_outer(dstart, 1, x->k, dz, D, D);
    ref_bias_add(x, dstart + D * D, 1, dz, D);
}

static void backward_token(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum)
{
    read_backward(x, start, sum, dstart, dsum);
    write_backward(x, start, dstart, dsum);
}

static double loss(const ref_token *x, const double *weights)
{
    double *work = x->work, *z = ref_take(&work, x->D);
    affine(z, x->k, weights, x->D);
    return ref_inner_loss(x, z, work);
}

const ref_learner ttt_ref_linear = {.write = write_token, .read = read_token, .backward = backward_token, .loss = loss};
