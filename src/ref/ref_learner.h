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

#include "backend/backend.h"
#include "ref/ref_math.h"

enum { REF_HEAD_MAX = 1024, REF_HIDDEN_MAX = 4 * REF_HEAD_MAX };

/* One token of one head, as a learner sees it. */
typedef struct ref_token {
    const double *q, *k, *v, *gamma, *beta, *dout; /* [D]; dout in a backward */
    double r, c;
    double *out, *dq, *dk, *dv, *dr, *dc, *dgamma, *dbeta; /* out in a forward, the gradients (all +=) in a backward */
    int64_t D;
} ref_token;

/* A state is two blocks of the same layout (all weights of a head one after another): `start`, the weights at the start
 * of the open mini-batch, and `sum`, the sums. */
typedef struct ref_learner {
    int weights; /* how many; they are also the first parameters */
    int64_t (*size)(int weight, int64_t D);
    void (*write)(const ref_token *x, const double *start, double *sum);      /* sum += r (gradients at start) */
    void (*read)(const ref_token *x, const double *start, const double *sum); /* out, with weights start - c sum */
    /* Backward of write and read of one token. `sum` has the token in it; dstart and dsum += . */
    void (*backward)(const ref_token *x, const double *start, const double *sum, double *dstart, double *dsum);
} ref_learner;

int64_t ttt_ref_learner_size(const ref_learner *learner, int64_t D); /* of one block */
void ttt_ref_learner_forward(const ref_learner *learner, const ttt_learner_call *call);
void ttt_ref_learner_backward(const ref_learner *learner, const ttt_backend *b, const ttt_learner_call *call);
void ttt_ref_learner_reset(const ref_learner *learner, const ttt_learner_call *call);
void ttt_ref_learner_reset_backward(const ref_learner *learner, const ttt_learner_call *call);

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

/* g = d/dz of 1/2 || LN(z; gamma, beta) - (v - k) ||^2: e = gamma (LN(z) - (v - k)), g = standardise_backward(e). */
static inline void ref_inner_gradient(double *g, const double *z, const double *k, const double *v, const double *gamma,
                                      const double *beta, int64_t D)
{
    double xhat[REF_HEAD_MAX], e[REF_HEAD_MAX];
    const double sigma = ref_standardise(xhat, z, D);
    for (int64_t d = 0; d < D; d++) e[d] = (gamma[d] * xhat[d] + beta[d] - (v[d] - k[d])) * gamma[d];
    ref_standardise_backward(g, e, xhat, sigma, D);
}

/* Given u = d loss / d g: dz is overwritten; dk, dv, dgamma, dbeta are added to. */
static inline void ref_inner_gradient_backward(double *dz, double *dk, double *dv, double *dgamma, double *dbeta,
                                               const double *u, const double *z, const double *k, const double *v,
                                               const double *gamma, const double *beta, int64_t D)
{
    double xhat[REF_HEAD_MAX], e[REF_HEAD_MAX], g[REF_HEAD_MAX], de[REF_HEAD_MAX], dxhat[REF_HEAD_MAX];
    const double sigma = ref_standardise(xhat, z, D), n = (double)D;
    for (int64_t d = 0; d < D; d++) e[d] = (gamma[d] * xhat[d] + beta[d] - (v[d] - k[d])) * gamma[d];
    ref_standardise_backward(g, e, xhat, sigma, D);

    /* g = (e - mean(e) - xhat mean(e xhat)) / sigma, a symmetric projection of e */
    ref_standardise_backward(de, u, xhat, sigma, D);
    const double e_along = ref_dot(e, xhat, D) / n, u_along = ref_dot(u, xhat, D) / n;
    const double dsigma = -ref_dot(u, g, D) / sigma;
    for (int64_t d = 0; d < D; d++) {
        dxhat[d] = -(u[d] * e_along + e[d] * u_along) / sigma + de[d] * gamma[d] * gamma[d];
        dgamma[d] += de[d] * (gamma[d] * xhat[d] + beta[d] - (v[d] - k[d])) + de[d] * gamma[d] * xhat[d];
        dbeta[d] += de[d] * gamma[d];
        dv[d] -= de[d] * gamma[d];
        dk[d] += de[d] * gamma[d];
    }
    ref_standardise_backward(dz, dxhat, xhat, sigma, D);
    for (int64_t d = 0; d < D; d++) dz[d] += dsigma * xhat[d] / n;
}

/* out = q + LN(zbar) */
static inline void ref_inner_read(double *out, const double *q, const double *zbar, const double *gamma,
                                  const double *beta, int64_t D)
{
    double xhat[REF_HEAD_MAX];
    ref_standardise(xhat, zbar, D);
    for (int64_t d = 0; d < D; d++) out[d] = q[d] + gamma[d] * xhat[d] + beta[d];
}

/* dzbar is overwritten; dq, dgamma, dbeta are added to. */
static inline void ref_inner_read_backward(double *dzbar, double *dq, double *dgamma, double *dbeta, const double *dout,
                                           const double *zbar, const double *gamma, int64_t D)
{
    double xhat[REF_HEAD_MAX], dxhat[REF_HEAD_MAX];
    const double sigma = ref_standardise(xhat, zbar, D);
    for (int64_t d = 0; d < D; d++) {
        dq[d] += dout[d];
        dgamma[d] += dout[d] * xhat[d];
        dbeta[d] += dout[d];
        dxhat[d] = dout[d] * gamma[d];
    }
    ref_standardise_backward(dzbar, dxhat, xhat, sigma, D);
}

/* mean over D of (LN(z) - (v - k))^2 */
static inline double ref_inner_loss(const double *z, const double *k, const double *v, const double *gamma,
                                    const double *beta, int64_t D)
{
    double xhat[REF_HEAD_MAX], sum = 0;
    ref_standardise(xhat, z, D);
    for (int64_t d = 0; d < D; d++) {
        const double error = gamma[d] * xhat[d] + beta[d] - (v[d] - k[d]);
        sum += error * error;
    }
    return sum / (double)D;
}

#endif
