/* SPDX-License-Identifier: MIT
 *
 * Loss, norm of the gradients and the optimizer.
 */
#include <string.h>

#include "cpu/cpu.h"

typedef struct loss {
    const ttt_kernels *kernels;
    double *losses;
    float *logits;
    const int32_t *targets;
    int64_t vocabulary;
    double scale;
} loss;

static void cross_entropy_rows(void *context, int64_t begin, int64_t end)
{
    const loss *l = context;
    for (int64_t r = begin; r < end; r++) {
        float *logits = l->logits + r * l->vocabulary;
        if (l->targets[r] >= 0) {
            l->losses[r] = l->kernels->cross_entropy(logits, l->targets[r], l->vocabulary, l->scale);
            continue;
        }
        l->losses[r] = 0;
        if (l->scale != 0) memset(logits, 0, (size_t)l->vocabulary * sizeof *logits);
    }
}

static void cross_entropy(const ttt_backend *b, double *losses, void *logits, const int32_t *targets, int64_t rows,
                          int64_t vocabulary, double scale)
{
    loss l = {.kernels = ttt_cpu_kernels(b),
              .losses = losses,
              .logits = logits,
              .targets = targets,
              .vocabulary = vocabulary,
              .scale = scale};
    ttt_cpu_split(b, rows, 8 * vocabulary, cross_entropy_rows, &l);
}

typedef struct squares {
    const ttt_kernels *kernels;
    const float *x;
    double *sums;
    int64_t n, size;
} squares;

static void sum_parts(void *context, int64_t begin, int64_t end)
{
    squares *s = context;
    for (int64_t i = begin; i < end; i++) {
        const int64_t start = i * s->size, left = s->n - start;
        s->sums[i] = s->kernels->sum_squares(s->x + start, left < s->size ? left : s->size);
    }
}

static void sum_squares(const ttt_backend *b, double *sums, const void *x, int64_t n, int64_t part)
{
    squares s = {.kernels = ttt_cpu_kernels(b), .x = x, .sums = sums, .n = n, .size = part};
    ttt_cpu_split(b, (n + part - 1) / part, part, sum_parts, &s);
}

typedef struct update {
    const ttt_kernels *kernels;
    float *p, *m, *v;
    const float *g;
    const ttt_adamw *options;
} update;

static void adamw_part(void *context, int64_t begin, int64_t end)
{
    const update *u = context;
    u->kernels->adamw(u->p + begin, u->m + begin, u->v + begin, u->g + begin, end - begin, u->options);
}

static void adamw(const ttt_backend *b, void *p, void *m, void *v, const void *g, int64_t n, const ttt_adamw *options)
{
    update u = {.kernels = ttt_cpu_kernels(b), .p = p, .m = m, .v = v, .g = g, .options = options};
    ttt_cpu_split(b, n, 4, adamw_part, &u);
}

void ttt_cpu_ops_optim(ttt_ops *ops)
{
    ops->cross_entropy = cross_entropy;
    ops->sum_squares = sum_squares;
    ops->adamw = adamw;
}
