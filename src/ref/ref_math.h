/* SPDX-License-Identifier: MIT
 *
 * The scalar functions of the model and their derivatives (docs/MATH.md, "Functions"), and the two normalisations that
 * the learners and the layer share.
 */
#ifndef TTT_REF_REF_MATH_H
#define TTT_REF_REF_MATH_H

#include <math.h>
#include <stdint.h>

#include "base/elementary.h"

static const double ref_gelu_c = 0.79788456080286535587989211986876; /* sqrt(2/pi) */
static const double ref_norm_eps = 1e-6; /* of the learner's and the post norm, whatever rms_norm_eps is */

static inline double ref_sigmoid(double x) { return 1 / (1 + ttt_exp(-x)); }

/* log(1 + e^x); x itself where 1 is lost beside e^x */
static inline double ref_softplus(double x) { return x > 40 ? x : ttt_ln1p(ttt_exp(x)); }

/* MATH (gelu) */
static inline double ref_gelu(double x) { return 0.5 * x * (1 + ttt_tanh(ref_gelu_c * (x + 0.044715 * x * x * x))); }

/* d gelu / dx, exact: what the outer gradient uses where it passes through gelu itself */
static inline double ref_gelu_slope(double x)
{
    const double t = ttt_tanh(ref_gelu_c * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * ref_gelu_c * (1 + 3 * 0.044715 * x * x);
}

/* MATH (gelu'): the derivative as the inner gradient uses it, with the authors' rounded constants */
static inline double ref_gelu_inner(double x)
{
    const double t = ttt_tanh(0.79788456 * x * (1 + 0.044715 * x * x));
    return 0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t);
}

/* d ref_gelu_inner / dx, of the formula as written */
static inline double ref_gelu_inner_slope(double x)
{
    const double t = ttt_tanh(0.79788456 * x * (1 + 0.044715 * x * x));
    const double dt = (1 - t * t) * 0.79788456 * (1 + 3 * 0.044715 * x * x);
    const double p = 0.79788456 + 0.1070322243 * x * x;
    return 0.5 * (1 - t * t) * p - x * t * dt * p + x * (1 - t * t) * 0.1070322243 * x + 0.5 * dt;
}

/* xhat = (z - mean) / sigma, sigma = sqrt(var + 1e-6); returns sigma */
static inline double ref_standardise(double *xhat, const double *z, int64_t n)
{
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; i++) mean += z[i];
    mean /= (double)n;
    for (int64_t i = 0; i < n; i++) variance += (z[i] - mean) * (z[i] - mean);
    const double sigma = sqrt(variance / (double)n + ref_norm_eps);
    for (int64_t i = 0; i < n; i++) xhat[i] = (z[i] - mean) / sigma;
    return sigma;
}

/* dz = (dxhat - mean(dxhat) - xhat mean(dxhat xhat)) / sigma: the gradient of standardising, with sigma's part in it */
static inline void ref_standardise_backward(double *dz, const double *dxhat, const double *xhat, double sigma,
                                            int64_t n)
{
    double mean = 0, along = 0;
    for (int64_t i = 0; i < n; i++) {
        mean += dxhat[i] / (double)n;
        along += dxhat[i] * xhat[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) dz[i] = (dxhat[i] - mean - xhat[i] * along) / sigma;
}

#endif
