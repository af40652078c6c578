/* SPDX-License-Identifier: MIT
 *
 * What the two reference learners share. In its primal form a learner is its weights at the start of the open
 * mini-batch, the sums over the mini-batch's tokens of r times the gradients, and three things that it does with one
 * token; the walk along a sequence, forward and backward, is the same for both. Also the loss that adapts them, its
 * gradient g (MATH (inner)), and the gradient of that gradient, by which the outer loop reaches through the inner step.
 */
#ifndef TTT_REF_REF_LEARNER_H
#define TTT_REF_REF_LEARNER_H

#include <string.h>

#include "backend/host.h"
#include "ref/ref_math.h"

/* One token of one head, as a learner sees it. */
typedef struct ref_token {
    const double *q, *k, *v, *gamma, *beta, *dout; /* [D]; dout in a backward */
    double r, c;
    unsigned flags;                                        /* of ttt_learner_flag */
    double *out, *dq, *dk, *dv, *dr, *dc, *dgamma, *dbeta; /* out in a forward, the gradients (all +=) in a backward */
    double *work;                                          /* [REF_WORK, D] for what is computed on the way */
    int64_t D;
} ref_token;

enum { REF_WORK = 64 };

/* Takes n reals of what is left for a function's own use: it and those it calls. */
static inline double *ref_take(double **work, int64_t n)
{
    double *taken = *work;
    *work += n;
    return taken;
}

/* The rows of one token in every map: x_j [in] and G_j [out]. */
typedef struct ref_rows {
    double *x[TTT_LEARNER_MAPS], *g[TTT_LEARNER_MAPS];
} ref_rows;

/* What tells one learner from another. All weights of a head lie one after another, W1, b1, W2, b2, in `start`, those
 * at the start of the open mini-batch, as in `sum`, the sums of x^T G and G over its tokens. */
typedef struct ref_learner {
    void (*write)(const ref_token *x, const double *start, const ref_rows *rows);
    void (*read)(const ref_token *x, const double *start, const double *sum); /* out, with weights start - c sum */
    /* Backward of write, of what is added to the sums, and of read, of one token. `sum` has the token in it; dstart and
     * dsum += . */
    void (*backward)(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum);
    double (*loss)(const ref_token *x, const double *weights);
} ref_learner;

extern const ref_learner ttt_ref_linear, ttt_ref_mlp;

/* y = x W (+ y), x [n], W [n,m], y [m] */
static inline void ref_row_times(double *y, const double *x, const double *W, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) y[j] += x[i] * W[i * m + j];
}

/* x += W y, W [n,m] */
static inline void ref_times_column(double *x, const double *W, const double *y, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) x[i] += W[i * m + j] * y[j];
}

/* W += factor x^T y */
static inline void ref_outer(double *W, double factor, const double *x, const double *y, int64_t n, int64_t m)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) W[i * m + j] += factor * x[i] * y[j];
}

static inline double ref_dot(const double *x, const double *y, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

static inline void ref_axpy(double *y, double factor, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) y[i] += factor * x[i];
}

/* db += factor dy, where there is a bias */
static inline void ref_bias_add(const ref_token *x, double *db, double factor, const double *dy, int64_t n)
{
    if (!(x->flags & TTT_LEARNER_NO_BIAS)) ref_axpy(db, factor, dy, n);
}

/* What y is to become: v - k, or v */
static inline double ref_target(const ref_token *x, int64_t d)
{
    return x->flags & TTT_LEARNER_TARGET_V ? x->v[d] : x->v[d] - x->k[d];
}

/* g = d/dz of 1/2 || LN(z; gamma, beta) - target ||^2: e = gamma (LN(z) - target), g = standardise_backward(e). Without
 * the norm g = z - target. */
static inline void ref_inner_gradient(const ref_token *x, double *g, const double *z, double *work)
{
    const int64_t D = x->D;
    if (x->flags & TTT_LEARNER_NO_NORM) {
        for (int64_t d = 0; d < D; d++) g[d] = z[d] - ref_target(x, d);
        return;
    }
    double *xhat = ref_take(&work, D), *e = ref_take(&work, D);
    const double sigma = ref_standardise(xhat, z, D);
    for (int64_t d = 0; d < D; d++) e[d] = (x->gamma[d] * xhat[d] + x->beta[d] - ref_target(x, d)) * x->gamma[d];
    ref_standardise_backward(g, e, xhat, sigma, D);
}

/* dv and dk of the token, from the gradient dt of the target */
static inline void ref_target_backward(const ref_token *x, int64_t d, double dt)
{
    x->dv[d] += dt;
    if (!(x->flags & TTT_LEARNER_TARGET_V)) x->dk[d] -= dt;
}

/* Given u = d loss / d g: dz is overwritten; dk, dv, dgamma, dbeta of the token are added to. */
static inline void ref_inner_gradient_backward(const ref_token *x, double *dz, const double *u, const double *z,
                                               double *work)
{
    const int64_t D = x->D;
    if (x->flags & TTT_LEARNER_NO_NORM) {
        for (int64_t d = 0; d < D; d++) {
            dz[d] = u[d];
            ref_target_backward(x, d, -u[d]);
        }
        return;
    }
    const double *gamma = x->gamma, *beta = x->beta;
    double *xhat = ref_take(&work, D), *e = ref_take(&work, D), *g = ref_take(&work, D), *de = ref_take(&work, D),
           *dxhat = ref_take(&work, D);
    const double sigma = ref_standardise(xhat, z, D), n = (double)D;
    for (int64_t d = 0; d < D; d++) e[d] = (gamma[d] * xhat[d] + beta[d] - ref_target(x, d)) * gamma[d];
    ref_standardise_backward(g, e, xhat, sigma, D);

    /* g = (e - mean(e) - xhat mean(e xhat)) / sigma, a symmetric projection of e */
    ref_standardise_backward(de, u, xhat, sigma, D);
    const double e_along = ref_dot(e, xhat, D) / n, u_along = ref_dot(u, xhat, D) / n;
    const double dsigma = -ref_dot(u, g, D) / sigma;
    for (int64_t d = 0; d < D; d++) {
        dxhat[d] = -(u[d] * e_along + e[d] * u_along) / sigma + de[d] * gamma[d] * gamma[d];
        x->dgamma[d] += de[d] * (gamma[d] * xhat[d] + beta[d] - ref_target(x, d)) + de[d] * gamma[d] * xhat[d];
        x->dbeta[d] += de[d] * gamma[d];
        ref_target_backward(x, d, -de[d] * gamma[d]);
    }
    ref_standardise_backward(dz, dxhat, xhat, sigma, D);
    for (int64_t d = 0; d < D; d++) dz[d] += dsigma * xhat[d] / n;
}

/* out = q + LN(zbar), with zbar itself without the norm and without q without the residual */
static inline void ref_inner_read(const ref_token *x, const double *zbar, double *work)
{
    double *xhat = ref_take(&work, x->D);
    const bool norm = !(x->flags & TTT_LEARNER_NO_NORM), residual = !(x->flags & TTT_LEARNER_NO_RESIDUAL);
    if (norm) ref_standardise(xhat, zbar, x->D);
    for (int64_t d = 0; d < x->D; d++) {
        const double y = norm ? x->gamma[d] * xhat[d] : zbar[d];
        x->out[d] = (residual ? x->q[d] + y : y) + (norm ? x->beta[d] : 0);
    }
}

/* dzbar is overwritten; dq, dgamma, dbeta of the token are added to. */
static inline void ref_inner_read_backward(const ref_token *x, double *dzbar, const double *zbar, double *work)
{
    if (!(x->flags & TTT_LEARNER_NO_RESIDUAL)) ref_axpy(x->dq, 1, x->dout, x->D);
    if (x->flags & TTT_LEARNER_NO_NORM) {
        memcpy(dzbar, x->dout, (size_t)x->D * sizeof *dzbar);
        return;
    }
    double *xhat = ref_take(&work, x->D), *dxhat = ref_take(&work, x->D);
    const double sigma = ref_standardise(xhat, zbar, x->D);
    for (int64_t d = 0; d < x->D; d++) {
        x->dgamma[d] += x->dout[d] * xhat[d];
        x->dbeta[d] += x->dout[d];
        dxhat[d] = x->dout[d] * x->gamma[d];
    }
    ref_standardise_backward(dzbar, dxhat, xhat, sigma, x->D);
}

/* mean over D of (y - target)^2, y = LN(z) or z */
static inline double ref_inner_loss(const ref_token *x, const double *z, double *work)
{
    double *xhat = ref_take(&work, x->D), sum = 0;
    const bool norm = !(x->flags & TTT_LEARNER_NO_NORM);
    if (norm) ref_standardise(xhat, z, x->D);
    for (int64_t d = 0; d < x->D; d++) {
        const double y = norm ? x->gamma[d] * xhat[d] + x->beta[d] : z[d];
        sum += (y - ref_target(x, d)) * (y - ref_target(x, d));
    }
    return sum / (double)x->D;
}

#endif
