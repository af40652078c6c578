/* SPDX-License-Identifier: MIT
 *
 * What makes the operands of a matrix state, element by element or vector by vector; the logarithms of what S keeps are
 * few.
 */
#include <string.h>

#include "cpu/cpu.h"

typedef struct inputs {
    const ttt_kernels *kernels;
    float *y;
    const float *x;
    int64_t size;
    float scale;
} inputs;

static void silu_l2_vectors(void *context, int64_t begin, int64_t end)
{
    const inputs *p = context;
    for (int64_t i = begin; i < end; i++)
        p->kernels->silu_l2(p->y + i * p->size, p->x + i * p->size, p->size, p->scale);
}

static void silu_l2(const ttt_backend *b, void *y, const void *x, int64_t vectors, int64_t size, double scale)
{
    inputs p = {.kernels = ttt_cpu_kernels(b), .y = y, .x = x, .size = size, .scale = (float)scale};
    ttt_cpu_split(b, vectors, 4 * size, silu_l2_vectors, &p);
}

static void silu_l2_backward_vectors(void *context, int64_t begin, int64_t end)
{
    const inputs *p = context;
    for (int64_t i = begin; i < end; i++)
        p->kernels->silu_l2_backward(p->y + i * p->size, p->x + i * p->size, p->size, p->scale);
}

static void silu_l2_backward(const ttt_backend *b, void *dy, const void *x, int64_t vectors, int64_t size, double scale)
{
    inputs p = {.kernels = ttt_cpu_kernels(b), .y = dy, .x = x, .size = size, .scale = (float)scale};
    ttt_cpu_split(b, vectors, 8 * size, silu_l2_backward_vectors, &p);
}

static void elu1_part(void *context, int64_t begin, int64_t end)
{
    const inputs *p = context;
    p->kernels->elu1(p->y + begin, end - begin);
}

static void elu1(const ttt_backend *b, void *x, int64_t n)
{
    inputs p = {.kernels = ttt_cpu_kernels(b), .y = x};
    ttt_cpu_split(b, n, 4, elu1_part, &p);
}

static void elu1_backward_part(void *context, int64_t begin, int64_t end)
{
    const inputs *p = context;
    p->kernels->elu1_backward(p->y + begin, p->x + begin, end - begin);
}

static void elu1_backward(const ttt_backend *b, void *dy, const void *y, int64_t n)
{
    inputs p = {.kernels = ttt_cpu_kernels(b), .y = dy, .x = y};
    ttt_cpu_split(b, n, 1, elu1_backward_part, &p);
}

static void decay(const ttt_backend *b, void *log_av, void *logits, const void *a_log, const void *bias, int64_t rows,
                  int64_t heads)
{
    float *log_a = log_av;
    if (logits) memcpy(logits, log_a, (size_t)(rows * heads) * sizeof *log_a);
    for (int64_t r = 0; r < rows; r++) ttt_cpu_kernels(b)->decay(log_a + r * heads, a_log, bias, heads);
}

static void decay_backward(const ttt_backend *b, void *dlog_a, void *da_log, void *dbias, const void *logits,
                           const void *a_log, const void *bias, int64_t rows, int64_t heads)
{
    for (int64_t r = 0; r < rows; r++)
        ttt_cpu_kernels(b)->decay_backward((float *)dlog_a + r * heads, da_log, dbias,
                                           (const float *)logits + r * heads, a_log, bias, heads);
}

void ttt_cpu_ops_delta_inputs(ttt_ops *ops)
{
    ops->silu_l2 = silu_l2;
    ops->silu_l2_backward = silu_l2_backward;
    ops->elu1 = elu1;
    ops->elu1_backward = elu1_backward;
    ops->decay = decay;
    ops->decay_backward = decay_backward;
}
