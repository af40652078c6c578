/* SPDX-License-Identifier: MIT
 *
 * The linear learner in its primal form, MATH (linear): for every token the weights it is read with are formed.
 * Parameters: W1 [H,D,D], b1 [H,D], norm weight [H,D], norm bias [H,D].
 */
#include "ref/ref.h"
#include "ref/ref_learner.h"

/* W [D,D] and, behind it, b [D]. */
static int64_t size(int weight, int64_t D) { return weight == 0 ? D * D : D; }

/* y = x W + b */
static void affine(double *y, const double *x, const double *W, int64_t D)
{
    memcpy(y, W + D * D, (size_t)D * sizeof *y);
    ref_row_times(y, x, W, D, D);
}

/* z = k W + b, g = d loss / d z; S += r k^T g, s += r g */
static void write_token(const ref_token *x, const double *start, double *sum)
{
    const int64_t D = x->D;
    double z[REF_HEAD_MAX], g[REF_HEAD_MAX];
    affine(z, x->k, start, D);
    ref_inner_gradient(g, z, x->k, x->v, x->gamma, x->beta, D);
    ref_outer(sum, x->r, x->k, g, D, D);
    ref_axpy(sum + D * D, x->r, g, D);
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
    double zbar[REF_HEAD_MAX], written[REF_HEAD_MAX];
    read_out(zbar, written, x, start, sum);
    ref_inner_read(x->out, x->q, zbar, x->gamma, x->beta, x->D);
}

static void backward_token(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum)
{
    const int64_t D = x->D;
    double z[REF_HEAD_MAX], zbar[REF_HEAD_MAX], g[REF_HEAD_MAX], dz[REF_HEAD_MAX], dzbar[REF_HEAD_MAX],
        dg[REF_HEAD_MAX], written[REF_HEAD_MAX];

    /* out = q + LN(zbar), zbar = q (W - c S) + b - c s */
    double through[REF_HEAD_MAX] = {0};
    read_out(zbar, written, x, start, sum);
    ref_inner_read_backward(dzbar, x->dq, x->dgamma, x->dbeta, x->dout, zbar, x->gamma, D);
    ref_times_column(x->dq, start, dzbar, D, D);
    ref_times_column(through, sum, dzbar, D, D);
    ref_axpy(x->dq, -x->c, through, D);
    *x->dc -= ref_dot(dzbar, written, D);
    ref_outer(dstart, 1, x->q, dzbar, D, D);
    ref_axpy(dstart + D * D, 1, dzbar, D);
    ref_outer(dsum, -x->c, x->q, dzbar, D, D);
    ref_axpy(dsum + D * D, -x->c, dzbar, D);

    /* S += r k^T g, s += r g: the gradient of r g is k dS + ds */
    double along[REF_HEAD_MAX] = {0};
    affine(z, x->k, start, D);
    ref_inner_gradient(g, z, x->k, x->v, x->gamma, x->beta, D);
    affine(dg, x->k, dsum, D);
    ref_times_column(along, dsum, g, D, D);
    ref_axpy(x->dk, x->r, along, D);
    *x->dr += ref_dot(dg, g, D);
    for (int64_t d = 0; d < D; d++) dg[d] *= x->r;

    /* g at z = k W + b */
    ref_inner_gradient_backward(dz, x->dk, x->dv, x->dgamma, x->dbeta, dg, z, x->k, x->v, x->gamma, x->beta, D);
    ref_times_column(x->dk, start, dz, D, D);
    ref_outer(dstart, 1, x->k, dz, D, D);
    ref_axpy(dstart + D * D, 1, dz, D);
}

/* ---- the table's entry ---- */

static const ref_learner learner = {
    .weights = 2, .size = size, .write = write_token, .read = read_token, .backward = backward_token};

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
                   const void *weights, const void *k, const void *v)
{
    (void)b;
    const int64_t D = dims->head_size;
    double z[REF_HEAD_MAX];
    affine(z, k, weights, D);
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
