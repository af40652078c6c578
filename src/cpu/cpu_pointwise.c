/* SPDX-License-Identifier: MIT
 *
 * Element by element: SwiGLU, silu, and the rates of the inner loop, which are few and so computed in place.
 */
#include "cpu/cpu.h"

typedef struct pointwise {
    const ttt_kernels *kernels;
    float *y, *dgate, *dup;
    const float *gate, *up, *bias;
    int64_t width;
    float scale;
} pointwise;

static void swiglu_part(void *context, int64_t begin, int64_t end)
{
    const pointwise *p = context;
    p->kernels->swiglu(p->y + begin, p->gate + begin, p->up + begin, end - begin);
}

static void swiglu(const ttt_backend *b, void *y, const void *gate, const void *up, int64_t n)
{
    pointwise p = {.kernels = ttt_cpu_kernels(b), .y = y, .gate = gate, .up = up};
    ttt_cpu_split(b, n, 4, swiglu_part, &p);
}

static void swiglu_backward_part(void *context, int64_t begin, int64_t end)
{
    const pointwise *p = context;
    p->kernels->swiglu_backward(p->y + begin, p->dgate + begin, p->dup + begin, end - begin);
}

static void swiglu_backward(const ttt_backend *b, void *dy, void *gate, void *up, int64_t n)
{
    pointwise p = {.kernels = ttt_cpu_kernels(b), .y = dy, .dgate = gate, .dup = up};
    ttt_cpu_split(b, n, 4, swiglu_backward_part, &p);
}

static void silu_part(void *context, int64_t begin, int64_t end)
{
    const pointwise *p = context;
    p->kernels->silu(p->y + begin, p->gate + begin, end - begin);
}

static void silu(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    pointwise p = {.kernels = ttt_cpu_kernels(b), .y = y, .gate = x};
    ttt_cpu_split(b, n, 4, silu_part, &p);
}

static void silu_backward_part(void *context, int64_t begin, int64_t end)
{
    const pointwise *p = context;
    p->kernels->silu_backward(p->y + begin, p->gate + begin, end - begin);
}

static void silu_backward(const ttt_backend *b, void *dy, const void *x, int64_t n)
{
    pointwise p = {.kernels = ttt_cpu_kernels(b), .y = dy, .gate = x};
    ttt_cpu_split(b, n, 4, silu_backward_part, &p);
}

static void rate_rows(void *context, int64_t begin, int64_t end)
{
    const pointwise *p = context;
    for (int64_t r = begin; r < end; r++) p->kernels->rate(p->y + r * p->width, p->bias, p->width, p->scale);
}

static void rate(const ttt_backend *b, void *r, const void *bias, int64_t rows, int64_t heads, double scale)
{
    pointwise p = {.kernels = ttt_cpu_kernels(b), .y = r, .bias = bias, .width = heads, .scale = (float)scale};
    ttt_cpu_split(b, rows, 8 * heads, rate_rows, &p);
}

/* r = scale s: dr/dlogit = scale s (1 - s) = r (1 - r / scale), which is 0 for scale 0. */
static void rate_backward(const ttt_backend *b, void *drv, void *dbiasv, const void *rv, int64_t rows, int64_t heads,
                          double scale)
{
    (void)b;
    float *dr = drv, *dbias = dbiasv;
    const float *r = rv, unscale = scale != 0 ? (float)(1 / scale) : 0;
    for (int64_t row = 0; row < rows; row++, dr += heads, r += heads) {
        for (int64_t h = 0; h < heads; h++) {
            dr[h] *= r[h] * (1 - r[h] * unscale);
            if (dbias) dbias[h] += dr[h];
        }
    }
}

static float factor(const float *idx, int64_t i) { return 1 / (float)(i + 1) + idx[i]; }

static void position_factor(const ttt_backend *b, void *cv, const void *idx, const ttt_run *runs, int64_t run_count,
                            int64_t mini_batch)
{
    (void)b;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        float *c = (float *)cv + run->row;
        for (int64_t t = 0; t < run->count; t++) {
            const float value = factor(idx, (run->position + t) % mini_batch);
            c[t] = value > 0 ? value : 0;
        }
    }
}

static void position_factor_backward(const ttt_backend *b, void *didxv, const void *dcv, const void *idx,
                                     const ttt_run *runs, int64_t run_count, int64_t mini_batch, int64_t heads)
{
    (void)b;
    float *didx = didxv;
    for (const ttt_run *run = runs; run < runs + run_count; run++) {
        const float *dc = (const float *)dcv + run->row * heads;
        for (int64_t t = 0; t < run->count; t++, dc += heads) {
            const int64_t i = (run->position + t) % mini_batch;
            if (factor(idx, i) <= 0) continue;
            for (int64_t h = 0; h < heads; h++) didx[i] += dc[h];
        }
    }
}

void ttt_cpu_ops_pointwise(ttt_ops *ops)
{
    ops->swiglu = swiglu;
    ops->swiglu_backward = swiglu_backward;
    ops->silu = silu;
    ops->silu_backward = silu_backward;
    ops->rate = rate;
    ops->rate_backward = rate_backward;
    ops->position_factor = position_factor;
    ops->position_factor_backward = position_factor_backward;
}
