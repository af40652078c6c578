/* SPDX-License-Identifier: MIT
 *
 * MATH (rotate), (rotate-at) and (conv): what looks at a token's position or at the tokens before it.
 */
#include <string.h>

#include "base/elementary.h"
#include "ref/ref.h"

static void rotate(const ttt_backend *b, void *xv, const void *tablev, const ttt_run *runs, int64_t run_count,
                   int64_t H, int64_t D, int64_t K, bool inverse)
{
    (void)b;
    const double *table = tablev;
    for (int64_t n = 0; n < run_count; n++) {
        for (int64_t t = 0; t < runs[n].count; t++) {
            const double *angle = table + (runs[n].position + t) % K * D;
            double *x = (double *)xv + (runs[n].row + t) * H * D;
            for (int64_t pair = 0; pair < H * D / 2; pair++) {
                const double c = angle[pair % (D / 2) * 2],
                             s = inverse ? -angle[pair % (D / 2) * 2 + 1] : angle[pair % (D / 2) * 2 + 1];
                const double even = x[2 * pair], odd = x[2 * pair + 1];
                x[2 * pair] = even * c - odd * s;
                x[2 * pair + 1] = even * s + odd * c;
            }
        }
    }
}

static void rotate_at(const ttt_backend *b, void *xv, const double *frequencies, const ttt_run *runs, int64_t run_count,
                      int64_t H, int64_t D, bool halves, bool inverse)
{
    (void)b;
    for (int64_t n = 0; n < run_count; n++) {
        for (int64_t t = 0; t < runs[n].count; t++) {
            double *x = (double *)xv + (runs[n].row + t) * H * D;
            for (int64_t pair = 0; pair < H * D / 2; pair++) {
                const int64_t h = pair / (D / 2), i = pair % (D / 2);
                const double angle = (double)(runs[n].position + t) * frequencies[i];
                double s, c;
                ttt_sincos(inverse ? -angle : angle, &s, &c);
                double *one = x + h * D + (halves ? i : 2 * i), *two = one + (halves ? D / 2 : 1);
                const double first = *one, second = *two;
                *one = first * c - second * s;
                *two = first * s + second * c;
            }
        }
    }
}

/* Row t of the convolution's input: of the run from 0 on, of the tail before. */
static const double *input_row(const double *x, const double *tail, int64_t t, int64_t C, int64_t W)
{
    return t >= 0 ? x + t * C : tail + (t + W - 1) * C;
}

static void conv(const ttt_backend *b, void *yv, const void *xv, const void *wv, const void *biasv, const ttt_run *runs,
                 int64_t run_count, int64_t tail, int64_t C, int64_t W)
{
    (void)b;
    const double *w = wv, *bias = biasv;
    for (int64_t n = 0; n < run_count; n++) {
        const double *x = (const double *)xv + runs[n].row * C, *before = (const double *)runs[n].state + tail;
        for (int64_t t = 0; t < runs[n].count; t++) {
            double *y = (double *)yv + (runs[n].row + t) * C;
            for (int64_t c = 0; c < C; c++) y[c] = bias ? bias[c] : 0;
            for (int64_t m = 0; m < W; m++) {
                const double *row = input_row(x, before, t - (W - 1) + m, C, W);
                for (int64_t c = 0; c < C; c++) y[c] += w[c * W + m] * row[c];
            }
        }
    }
}

static void conv_tail(const ttt_backend *b, const void *xv, const ttt_run *runs, int64_t run_count, int64_t tail,
                      int64_t C, int64_t W)
{
    (void)b;
    for (int64_t n = 0; n < run_count; n++) {
        const double *x = (const double *)xv + runs[n].row * C;
        double *kept = (double *)runs[n].state + tail;
        for (int64_t m = 0; m < W - 1; m++) /* ascending: a row is read before it is overwritten */
            memmove(kept + m * C, input_row(x, kept, runs[n].count - (W - 1) + m, C, W), (size_t)C * sizeof *kept);
    }
}

static void conv_backward(const ttt_backend *b, void *dxv, void *dwv, void *dbiasv, const void *dyv, const void *xv,
                          const void *x_tail, const void *wv, const ttt_run *runs, int64_t run_count, int64_t tail,
                          int64_t C, int64_t W)
{
    (void)b;
    double *dw = dwv, *dbias = dbiasv;
    const double *w = wv;
    for (int64_t n = 0; n < run_count; n++) {
        const double *x = (const double *)xv + runs[n].row * C, *before = (const double *)x_tail + n * (W - 1) * C;
        double *dx = (double *)dxv + runs[n].row * C, *dbefore = (double *)runs[n].dstate + tail;
        for (int64_t t = 0; t < runs[n].count; t++) {
            const double *dy = (const double *)dyv + (runs[n].row + t) * C;
            for (int64_t m = 0; m < W; m++) {
                const int64_t source = t - (W - 1) + m;
                const double *row = input_row(x, before, source, C, W);
                double *drow = source >= 0 ? dx + source * C : dbefore + (source + W - 1) * C;
                for (int64_t c = 0; c < C; c++) {
                    drow[c] += w[c * W + m] * dy[c];
                    dw[c * W + m] += row[c] * dy[c];
                }
            }
            for (int64_t c = 0; c < C && dbias; c++) dbias[c] += dy[c];
        }
    }
}

static void conv_tail_backward(const ttt_backend *b, void *dxv, const ttt_run *runs, int64_t run_count, int64_t tail,
                               int64_t C, int64_t W)
{
    (void)b;
    for (int64_t n = 0; n < run_count; n++) {
        double *dx = (double *)dxv + runs[n].row * C, *dkept = (double *)runs[n].dstate + tail;
        for (int64_t m = W - 2; m >= 0;
             m--) { /* descending: row m came from row m + count of the old tail, or from the run */
            const int64_t source = runs[n].count - (W - 1) + m;
            for (int64_t c = 0; c < C; c++) {
                const double d = dkept[m * C + c];
                dkept[m * C + c] = 0;
                if (source >= 0)
                    dx[source * C + c] += d;
                else
                    dkept[(source + W - 1) * C + c] = d;
            }
        }
    }
}

void ttt_ref_ops_sequence(ttt_ops *ops)
{
    ops->rotate = rotate;
    ops->rotate_at = rotate_at;
    ops->conv = conv;
    ops->conv_tail = conv_tail;
    ops->conv_backward = conv_backward;
    ops->conv_tail_backward = conv_tail_backward;
}
