/* SPDX-License-Identifier: MIT
 *
 * The optimizer over a flat piece of parameters, and the norm of the gradients.
 */
#ifndef TTT_CPU_BODY_OPTIM_H
#define TTT_CPU_BODY_OPTIM_H

#include "base/elementary.h"

/* In double, where squares of floats are exact and cannot overflow; several chains, which the compiler vectorises. */
static double sum_squares(const float *x, int64_t n)
{
    enum { CHAINS = 16 };
    double sums[CHAINS] = {0};
    int64_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS) {
        for (int c = 0; c < CHAINS; c++) sums[c] += (double)x[i + c] * (double)x[i + c];
    }
    double total = 0;
    for (; i < n; i++) total += (double)x[i] * (double)x[i];
    for (int c = 0; c < CHAINS; c++) total += sums[c];
    return total;
}

static void adamw(float *p, float *m, float *v, const float *g, int64_t n, const ttt_adamw *options)
{
    const double step = (double)options->step;
    const vf scale = vf_set((float)options->scale), eps = vf_set((float)options->eps);
    const vf beta1 = vf_set((float)options->beta1), rest1 = vf_set((float)(1 - options->beta1));
    const vf beta2 = vf_set((float)options->beta2), rest2 = vf_set((float)(1 - options->beta2));
    const vf unbias2 = vf_set((float)(1 / (1 - ttt_pow(options->beta2, step))));
    const vf rate = vf_set((float)(options->rate / (1 - ttt_pow(options->beta1, step))));
    const vf keep = vf_set((float)(options->rate * options->decay));
    for (int64_t i = 0; i < n; i += VF) {
        const int64_t lanes = lanes_at(i, n);
        const vf gradient = vf_mul(scale, vf_load_n(g + i, lanes));
        const vf first = vf_fma(beta1, vf_load_n(m + i, lanes), vf_mul(rest1, gradient));
        const vf second = vf_fma(beta2, vf_load_n(v + i, lanes), vf_mul(rest2, vf_mul(gradient, gradient)));
        const vf change = vf_div(first, vf_add(vf_sqrt(vf_mul(second, unbias2)), eps));
        const vf old = vf_load_n(p + i, lanes);
        vf_store_n(p + i, vf_fnma(rate, change, vf_fnma(keep, old, old)), lanes);
        vf_store_n(m + i, first, lanes);
        vf_store_n(v + i, second, lanes);
    }
}

#endif
