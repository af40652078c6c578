/* SPDX-License-Identifier: MIT
 *
 * MATH (loss), (clip) and (adamw).
 */
#include <math.h>

#include "base/elementary.h"
#include "ref/ref.h"

static void cross_entropy(const ttt_backend *b, double *losses, void *logitsv, const int32_t *targets, int64_t rows,
                          int64_t V, double scale)
{
    (void)b;
    for (int64_t r = 0; r < rows; r++) {
        double *logits = (double *)logitsv + r * V;
        double largest = logits[0], sum = 0;
        for (int64_t i = 1; i < V; i++) largest = fmax(largest, logits[i]);
        for (int64_t i = 0; i < V; i++) sum += ttt_exp(logits[i] - largest);
        losses[r] = targets[r] < 0 ? 0 : largest + ttt_ln(sum) - logits[targets[r]];
        if (scale == 0) continue;
        for (int64_t i = 0; i < V; i++)
            logits[i] = targets[r] < 0 ? 0 : scale * (ttt_exp(logits[i] - largest) / sum - (i == targets[r] ? 1 : 0));
    }
}

static void sum_squares(const ttt_backend *b, double *sums, const void *xv, int64_t n, int64_t part)
{
    (void)b;
    const double *x = xv;
    for (int64_t first = 0; first < n; first += part) {
        double sum = 0;
        for (int64_t i = first; i < n && i < first + part; i++) sum += x[i] * x[i];
        sums[first / part] = sum;
    }
}

static void adamw(const ttt_backend *b, void *pv, void *mv, void *vv, const void *gv, int64_t n, const ttt_adamw *o)
{
    (void)b;
    double *p = pv, *m = mv, *v = vv;
    const double *g = gv;
    const double correct1 = 1 - ttt_pow(o->beta1, (double)o->step), correct2 = 1 - ttt_pow(o->beta2, (double)o->step);
    for (int64_t i = 0; i < n; i++) {
        const double gradient = o->scale * g[i];
        m[i] = o->beta1 * m[i] + (1 - o->beta1) * gradient;
        v[i] = o->beta2 * v[i] + (1 - o->beta2) * gradient * gradient;
        p[i] -= o->rate * (m[i] / correct1 / (sqrt(v[i] / correct2) + o->eps) + o->decay * p[i]);
    }
}

void ttt_ref_ops_optim(ttt_ops *ops)
{
    ops->cross_entropy = cross_entropy;
    ops->sum_squares = sum_squares;
    ops->adamw = adamw;
}
