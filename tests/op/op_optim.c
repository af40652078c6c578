/* SPDX-License-Identifier: MIT
 *
 * Loss, norm of the gradients and AdamW. A double result is passed on as two floats' worth of operand: the loss rounded
 * to a real.
 */
#include <math.h>
#include <stdlib.h>

#include "op.h"

static void put(const ttt_backend *b, void *x, int64_t index, double value)
{
    b->ops->from(b, ttt_at(b, x, index), &value, TTT_F64, 1);
}

/* ---- cross_entropy: losses, logits. dims: rows, vocabulary, 1: loss alone or 2: with the gradient ---- */

static const double loss_scale = 0.125;

static int32_t target_of(const op_case *c, int64_t row) { return row % 4 == 3 ? -1 : op_random(row, c->dims[1]); }

static void run_cross_entropy(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const int64_t R = c->dims[0], V = c->dims[1];
    double *losses = malloc((size_t)R * sizeof *losses);
    int32_t *targets = calloc((size_t)R + 1, sizeof *targets);
    for (int64_t r = 0; r < R; r++) targets[r] = target_of(c, r);
    b->ops->cross_entropy(b, losses, x[1], targets, R, V, c->dims[2] == 2 ? loss_scale : 0);
    for (int64_t r = 0; r < R; r++) put(b, x[0], r, losses[r]);
    free(losses);
    free(targets);
}

/* An exponential has the error of its argument; the gradient at the target is a difference. */
static void terms_cross_entropy(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    const int64_t R = c->dims[0], V = c->dims[1];
    for (int64_t r = 0; r < R; r++) {
        const double *logits = before[1] + r * V;
        double top = fabs(logits[0]);
        for (int64_t i = 1; i < V; i++) top = fmax(top, fabs(logits[i]));
        const int32_t target = target_of(c, r);
        terms[0][r] = target < 0 ? 0 : 1 + 2 * top;
        if (c->dims[2] != 2 || target < 0) continue;
        for (int64_t i = 0; i < V; i++) terms[1][r * V + i] *= 1 + top;
        terms[1][r * V + target] = loss_scale + (after[1][r * V + target] + loss_scale) * (1 + top);
    }
}

static void check_cross_entropy(int64_t R, int64_t V)
{
    for (int64_t gradient = 1; gradient <= 2; gradient++) {
        const op_case c = {.name = "cross_entropy",
                           .dims = {R, V, gradient},
                           .operands = {{OP_OUT, R, 1}, {gradient == 2 ? OP_ADD : OP_IN, R * V, 3}},
                           .run = run_cross_entropy,
                           .terms = terms_cross_entropy,
                           .c = 8};
        op_check(&c);
    }
}

/* ---- sum_squares: sum, x ---- */

static void run_sum_squares(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    put(b, x[0], 0, ttt_sum_squares(b, x[1], c->dims[0]));
}

/* ---- adamw: p, m, v, g ---- */

static const ttt_adamw options = {
    .rate = 3e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-2, .decay = 0.1, .scale = 0.5, .step = 7};

/* Second moments must not be negative: the run squares what it is given, the same in both backends. */
static void run_adamw(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    for (int64_t i = 0; i < c->dims[0]; i++) {
        double v;
        b->ops->to(b, &v, TTT_F64, ttt_at(b, x[2], i), 1);
        put(b, x[2], i, fabs(v));
    }
    b->ops->adamw(b, x[0], x[1], x[2], x[3], c->dims[0], &options);
}

static void terms_adamw(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    for (int64_t i = 0; i < c->dims[0]; i++) {
        const double g = fabs(options.scale * before[3][i]), m = fabs(before[1][i]) * 0.9 + 0.1 * g;
        const double v = after[2][i] / (1 - pow(0.95, 7));
        terms[1][i] = m;
        terms[0][i] = fabs(before[0][i]) + options.rate * m / (1 - pow(0.9, 7)) / (sqrt(v) + options.eps);
    }
}

void op_optim_tests(void)
{
    check_cross_entropy(1, 2);
    check_cross_entropy(5, 17);
    check_cross_entropy(9, 256);
    check_cross_entropy(4, 3001);
    const int64_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 1000, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int64_t n = sizes[i];
        const op_case squares = {.name = "sum_squares",
                                 .dims = {n},
                                 .operands = {{OP_OUT, 1, 1}, {OP_IN, n, 1}},
                                 .run = run_sum_squares,
                                 .c = 1};
        op_check(&squares);
        const op_case adamw = {.name = "adamw",
                               .dims = {n},
                               .operands = {{OP_ADD, n, 1}, {OP_ADD, n, 1}, {OP_ADD, n, 1}, {OP_IN, n, 1}},
                               .run = run_adamw,
                               .terms = terms_adamw,
                               .c = 8};
        op_check(&adamw);
    }
}
