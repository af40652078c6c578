/* SPDX-License-Identifier: MIT
 *
 * Cross entropy of one row of logits, in three passes over a row that lies in the cache: maximum, exponentials and
 * their sum, and where it is wanted the gradient. The sum is kept in double from block to block.
 */
#ifndef TTT_CPU_BODY_LOSS_H
#define TTT_CPU_BODY_LOSS_H

#include "base/elementary.h"

static float row_top(const float *x, int64_t n)
{
    vf top = vf_set(x[0]);
    int64_t i = 0;
    for (; i + VF <= n; i += VF) top = vf_max(top, vf_load(x + i));
    float most = vf_top(top);
    for (; i < n; i++) most = most > x[i] ? most : x[i];
    return most;
}

/* Sum of exp(x - top); with `keep`, x becomes these. */
static double row_exp(float *x, int64_t n, float top, bool keep)
{
    enum { BLOCK = 64 * VS };
    double total = 0;
    for (int64_t start = 0; start < n; start += BLOCK) {
        const int64_t end = n - start < BLOCK ? n : start + BLOCK;
        vs sum = vs_zero();
        for (int64_t i = start; i < end; i += VS) {
            EACH_PART(p)
            {
                const int64_t lanes = part_lanes(i, p, end);
                const vf e = vm_exp(vf_sub(vf_load_n(x + i + p * VF, lanes), vf_set(top)));
                sum.part[p] = vf_add(sum.part[p], vf_first(e, lanes));
                if (keep) vf_store_n(x + i + p * VF, e, lanes);
            }
        }
        total += (double)vs_sum(sum);
    }
    return total;
}

static double cross_entropy(float *logits, int64_t target, int64_t vocabulary, double scale)
{
    const float top = row_top(logits, vocabulary);
    const double at = (double)logits[target] - (double)top;
    const double total = row_exp(logits, vocabulary, top, scale != 0);
    if (scale != 0) {
        const vf factor = vf_set((float)(scale / total));
        for (int64_t i = 0; i < vocabulary; i += VF) {
            const int64_t n = lanes_at(i, vocabulary);
            vf_store_n(logits + i, vf_mul(vf_load_n(logits + i, n), factor), n);
        }
        logits[target] -= (float)scale;
    }
    return ttt_ln(total) - at;
}

#endif
