/* SPDX-License-Identifier: MIT
 *
 * MATH (scan): the selective scan, token by token, and its backward, one state of one channel after another.
 */
#include "ref/ref.h"
#include "ref/ref_math.h"

static double softplus(double x) { return x > 0 ? x + ttt_ln1p(ttt_exp(-x)) : ttt_ln1p(ttt_exp(x)); }

static size_t scan_scratch_bytes(int64_t states)
{
    (void)states;
    return 0;
}

/* The operands of row `row` of the call. */
typedef struct row {
    const double *u, *l, *b, *c;
} row;

static row row_at(const ttt_scan *s, int64_t r)
{
    return (row){.u = (const double *)s->u + r * s->channels,
                 .l = (const double *)s->l + r * s->channels,
                 .b = (const double *)s->b + r * s->stride,
                 .c = (const double *)s->c + r * s->stride};
}

static void scan(const ttt_backend *b, void *outv, const ttt_scan *s)
{
    (void)b;
    const int64_t E = s->channels, N = s->states;
    const double *a_log = s->a_log, *bias = s->bias, *D = s->skip;
    for (int64_t i = 0; i < s->run_count; i++) {
        const ttt_run *run = &s->runs[i];
        double *h = (double *)run->state + s->state, *kept = s->kept ? (double *)s->kept + i * s->kept_stride : NULL;
        for (int64_t t = 0; t < run->count; t++) {
            const row r = row_at(s, run->row + t);
            double *out = (double *)outv + (run->row + t) * E;
            if (kept && t % TTT_SCAN_CHUNK == 0)
                for (int64_t k = 0; k < E * N; k++) kept[t / TTT_SCAN_CHUNK * E * N + k] = h[k];
            for (int64_t e = 0; e < E; e++) {
                const double dt = softplus(r.l[e] + bias[e]), w = dt * r.u[e];
                out[e] = D[e] * r.u[e];
                for (int64_t n = 0; n < N; n++) {
                    const int64_t place = ttt_scan_place(E, N, e, n);
                    h[place] = ttt_exp(-dt * ttt_exp(a_log[e * N + n])) * h[place] + w * r.b[n];
                    out[e] += h[place] * r.c[n];
                }
            }
        }
    }
}

/* Rows [first, first + count) of the call, of one channel and one state: `before` is h before them, *g the gradient of
 * h after them and on return of h before them. */
static void chunk_backward(const ttt_scan *s, const ttt_scan_gradients *d, int64_t first, int64_t count, int64_t e,
                           int64_t n, double before, double *g)
{
    const int64_t E = s->channels;
    const double A = -ttt_exp(((const double *)s->a_log)[e * s->states + n]), bias = ((const double *)s->bias)[e];
    double h[TTT_SCAN_CHUNK + 1] = {before};
    for (int64_t t = 0; t < count; t++) {
        const row r = row_at(s, first + t);
        const double dt = softplus(r.l[e] + bias);
        h[t + 1] = ttt_exp(dt * A) * h[t] + dt * r.u[e] * r.b[n];
    }
    for (int64_t t = count - 1; t >= 0; t--) {
        const row r = row_at(s, first + t);
        const int64_t at = (first + t) * E + e, small = (first + t) * s->stride + n;
        const double dt = softplus(r.l[e] + bias), a = ttt_exp(dt * A), dout = ((const double *)d->dout)[at];
        *g += dout * r.c[n];
        ((double *)d->dc)[small] += dout * h[t + 1];
        ((double *)d->db)[small] += *g * dt * r.u[e];
        const double dw = *g * r.b[n], dexponent = *g * a * h[t];
        const double dl = (dw * r.u[e] + dexponent * A) * ref_sigmoid(r.l[e] + bias);
        ((double *)d->du)[at] += dw * dt;
        ((double *)d->dl)[at] += dl;
        ((double *)d->dbias)[e] += dl;
        ((double *)d->da_log)[e * s->states + n] += dexponent * dt * A;
        *g *= a;
    }
}

/* What does not go through the states: out = D u; and zeros to add to. */
static void begin_backward(const ttt_scan *s, const ttt_scan_gradients *d, int64_t r)
{
    const int64_t E = s->channels;
    const double *dout = (const double *)d->dout + r * E, *u = (const double *)s->u + r * E, *D = s->skip;
    double *du = (double *)d->du + r * E, *dl = (double *)d->dl + r * E, *dskip = d->dskip;
    for (int64_t n = 0; n < s->states; n++)
        ((double *)d->db)[r * s->stride + n] = ((double *)d->dc)[r * s->stride + n] = 0;
    for (int64_t e = 0; e < E; e++) {
        dl[e] = 0;
        du[e] = dout[e] * D[e];
        dskip[e] += dout[e] * u[e];
    }
}

static void scan_backward(const ttt_backend *b, const ttt_scan_gradients *d, const ttt_scan *s)
{
    (void)b;
    const int64_t E = s->channels, N = s->states;
    for (int64_t i = 0; i < s->run_count; i++) {
        const ttt_run *run = &s->runs[i];
        const double *kept = (const double *)s->kept + i * s->kept_stride;
        double *g = (double *)run->dstate + s->state;
        for (int64_t t = 0; t < run->count; t++) begin_backward(s, d, run->row + t);
        for (int64_t chunk = (run->count - 1) / TTT_SCAN_CHUNK; chunk >= 0; chunk--) {
            const int64_t first = chunk * TTT_SCAN_CHUNK, left = run->count - first;
            for (int64_t e = 0; e < E; e++) {
                for (int64_t n = 0; n < N; n++) {
                    const int64_t place = ttt_scan_place(E, N, e, n);
                    chunk_backward(s, d, run->row + first, left < TTT_SCAN_CHUNK ? left : TTT_SCAN_CHUNK, e, n,
                                   kept[chunk * E * N + place], &g[place]);
                }
            }
        }
    }
}

void ttt_ref_ops_scan(ttt_ops *ops)
{
    ops->scan_scratch_bytes = scan_scratch_bytes;
    ops->scan = scan;
    ops->scan_backward = scan_backward;
}
