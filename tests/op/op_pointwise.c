/* SPDX-License-Identifier: MIT
 *
 * Memory operations, SwiGLU, silu and the rates of the inner loop; and the functions that kernels compute element by
 * element, over their whole range.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"
#include "test.h"

/* ---- add, copy, zero, fill: y, x, copy of x, zeros, a number ---- */

static void run_memory(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->add(b, x[0], x[1], c->dims[0]);
    b->ops->copy(b, x[2], x[1], c->dims[0]);
    b->ops->zero(b, x[3], c->dims[0]);
    b->ops->fill(b, x[4], 0.3, c->dims[0]);
}

/* from and to by way of F16 and of BF16, and back: x, y, z */
static void run_convert(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    char *halves = malloc((size_t)c->dims[0] * 2 + 1);
    b->ops->to(b, halves, TTT_F16, x[0], c->dims[0]);
    b->ops->from(b, x[1], halves, TTT_F16, c->dims[0]);
    b->ops->to(b, halves, TTT_BF16, x[0], c->dims[0]);
    b->ops->from(b, x[2], halves, TTT_BF16, c->dims[0]);
    free(halves);
}

/* ---- swiglu: y, gate, up; backward: dy (then y), gate, up (then their gradients) ---- */

static void run_swiglu(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t F = c->dims[1];
    b->ops->swiglu(b, ttt_at(b, x[0], begin * F), ttt_at(b, x[1], begin * F), ttt_at(b, x[2], begin * F),
                   (end - begin) * F);
}

static void run_swiglu_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->swiglu_backward(b, x[0], x[1], x[2], c->dims[0]);
}

static void terms_swiglu(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)c, (void)before, (void)after, (void)terms;
}

static void terms_swiglu_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    for (int64_t i = 0; i < c->dims[0]; i++) {
        const double gate = before[1][i], s = 1 / (1 + exp(-gate)), slope = s * (1 + fabs(gate));
        terms[1][i] = fabs(before[0][i] * before[2][i]) * slope;
    }
}

/* ---- silu: y, x; backward: dy, x ---- */

static void run_silu(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t C = c->dims[1];
    b->ops->silu(b, ttt_at(b, x[0], begin * C), ttt_at(b, x[1], begin * C), (end - begin) * C);
}

static void run_silu_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->silu_backward(b, x[0], x[1], c->dims[0] * c->dims[1]);
}

static void terms_silu_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    for (int64_t i = 0; i < c->dims[0] * c->dims[1]; i++) {
        const double x = before[1][i];
        terms[0][i] = fabs(before[0][i]) * (1 + fabs(x)) / (1 + exp(-x));
    }
}

/* ---- copy_rows and transpose of columns 1 to C - 2 of [R,C]: y [R,C], its transpose, x ---- */

static void run_shapes(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t R = c->dims[0], C = c->dims[1], width = C > 2 ? C - 2 : C;
    (void)begin, (void)end;
    b->ops->copy_rows(b, x[0], width, ttt_at(b, x[2], C > 2), C, R, width);
    b->ops->copy_rows(b, ttt_at(b, x[3], C > 2), C, x[0], width, R, width);
    b->ops->transpose(b, x[1], x[0], R, width);
}

/* ---- rate: r, bias; backward: dr, dbias, r ---- */

static const double rate_scale = 0.015625;

static void run_rate(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    b->ops->rate(b, ttt_at(b, x[0], begin * c->dims[1]), x[1], end - begin, c->dims[1], rate_scale);
}

/* The logit's error enters the exponential. */
static void terms_rate(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    const int64_t H = c->dims[1];
    for (int64_t i = 0; i < c->dims[0] * H; i++)
        terms[0][i] = after[0][i] * (1 + fabs(before[0][i]) + fabs(before[1][i % H]));
}

static void run_rate_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->rate_backward(b, x[0], x[1], x[2], c->dims[0], c->dims[1], 5 * rate_scale);
}

/* r (1 - r / scale) for operands of any size, so with the magnitudes of both terms */
static void terms_rate_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t H = c->dims[1];
    for (int64_t h = 0; h < H; h++) terms[1][h] = fabs(before[1][h]);
    for (int64_t i = 0; i < c->dims[0] * H; i++) {
        const double r = fabs(before[2][i]);
        terms[0][i] = fabs(before[0][i]) * r * (1 + r / (5 * rate_scale));
        terms[1][i % H] += terms[0][i];
    }
}

static void check_sizes(int64_t n)
{
    const op_case memory = {.name = "add, copy, zero, fill",
                            .dims = {n},
                            .operands = {{OP_ADD, n, 1}, {OP_IN, n, 1}, {OP_OUT, n, 1}, {OP_OUT, n, 1}, {OP_OUT, n, 1}},
                            .run = run_memory,
                            .c = 1};
    op_check(&memory);
    const op_case convert = {.name = "from, to",
                             .dims = {n},
                             .operands = {{OP_IN, n, 1}, {OP_OUT, n, 1}, {OP_OUT, n, 1}},
                             .run = run_convert};
    op_check(&convert);
    const op_case backward = {.name = "swiglu_backward",
                              .dims = {n},
                              .operands = {{OP_ADD, n, 1}, {OP_ADD, n, 3}, {OP_ADD, n, 1}},
                              .run = run_swiglu_backward,
                              .terms = terms_swiglu_backward,
                              .c = 8};
    op_check(&backward);
}

static void check_rows(int64_t R, int64_t C)
{
    const op_case swiglu = {.name = "swiglu",
                            .dims = {R, C},
                            .operands = {{OP_OUT, R * C, 1}, {OP_IN, R * C, 3}, {OP_IN, R * C, 1}},
                            .rows = R,
                            .run = run_swiglu,
                            .terms = terms_swiglu,
                            .c = 6};
    op_check(&swiglu);
    const op_case silu = {.name = "silu",
                          .dims = {R, C},
                          .operands = {{OP_OUT, R * C, 1}, {OP_IN, R * C, 3}},
                          .rows = R,
                          .run = run_silu,
                          .terms = terms_swiglu,
                          .c = 6};
    op_check(&silu);
    const op_case silu_backward = {.name = "silu_backward",
                                   .dims = {R, C},
                                   .operands = {{OP_ADD, R * C, 1}, {OP_IN, R * C, 3}},
                                   .run = run_silu_backward,
                                   .terms = terms_silu_backward,
                                   .c = 8};
    op_check(&silu_backward);
    const int64_t inner = R * (C > 2 ? C - 2 : C);
    const op_case shapes = {.name = "copy_rows, transpose",
                            .dims = {R, C},
                            .operands = {{OP_OUT, inner, 1}, {OP_OUT, inner, 1}, {OP_IN, R * C, 1}, {OP_ADD, R * C, 1}},
                            .run = run_shapes};
    op_check(&shapes);
    const op_case rate = {.name = "rate",
                          .dims = {R, C},
                          .operands = {{OP_ADD, R * C, 2}, {OP_IN, C, 1}},
                          .rows = R,
                          .run = run_rate,
                          .terms = terms_rate,
                          .c = 5};
    op_check(&rate);
    const op_case rate_backward = {.name = "rate_backward",
                                   .dims = {R, C},
                                   .operands = {{OP_ADD, R * C, 1}, {OP_ADD, C, 1}, {OP_IN, R * C, rate_scale}},
                                   .run = run_rate_backward,
                                   .terms = terms_rate_backward,
                                   .c = 4 + sqrt((double)R)};
    op_check(&rate_backward);
}

/* ---- functions over their range, each through an operation that shows it ---- */

enum { POINTS = 4000 };

static double gelu_argument(double x) { return 1.5957691216057308 * (x + 0.044715 * x * x * x); }

static double slope(double x)
{
    const double s = 1 / (1 + exp(-gelu_argument(x)));
    return s + x * s * (1 - s) * 1.5957691216057308 * (1 + 0.134145 * x * x);
}

static void check_functions(const ttt_backend *b)
{
    static float x[POINTS], zero[POINTS], one[POINTS], sigmoid[POINTS], silu[POINTS], gelu[POINTS], dgate[POINTS],
        dx[POINTS], dw[POINTS], dbias[POINTS], dy[POINTS];
    const double eps = 1.1920928955078125e-7;
    for (int i = 0; i < POINTS; i++) x[i] = -80 + (float)i * (160.0f / POINTS), one[i] = dy[i] = 1;
    memcpy(sigmoid, x, sizeof x);
    b->ops->rate(b, sigmoid, zero, 1, POINTS, 1);
    b->ops->swiglu(b, silu, x, one, POINTS);
    for (int i = 0; i < POINTS; i++) x[i] /= 16; /* gelu: beyond 5 it is x or 0 */
    b->ops->norm_gate(b, gelu, one, zero, one, x, 1, POINTS);
    b->ops->norm_gate_backward(b, dx, dgate, dw, dbias, dy, one, zero, one, x, 1, POINTS);
    double worst[4] = {0};
    for (int i = 0; i < POINTS; i++) {
        const double gate = (double)x[i], wide = 16 * gate, s = 1 / (1 + exp(-wide)), u = gelu_argument(gate);
        const double factor = 1 / (1 + exp(-u)), size = factor * (1 + fabs(gate) * 1.6 * (1 + 0.134145 * gate * gate));
        const double errors[4] = {fabs((double)sigmoid[i] / s - 1) / 4,
                                  fabs((double)silu[i] - wide * s) / fabs(wide * s) / 4,
                                  fabs((double)gelu[i] - gate * factor) / fabs(gate * factor) / (6 + 2 * fabs(u)),
                                  fabs((double)dgate[i] - slope(gate)) / size / (6 + fabs(u))};
        for (int f = 0; f < 4; f++)
            if (errors[f] / eps > worst[f]) worst[f] = errors[f] / eps; /* 0 / 0 at x = 0 compares false */
    }
    for (int f = 0; f < 4; f++) CHECK(worst[f] <= 1 && worst[f] > 0);
    x[0] = NAN;
    b->ops->swiglu(b, silu, x, one, 1);
    CHECK(isnan(silu[0]));
}

void op_pointwise_tests(void)
{
    const int64_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 1000, 40000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_sizes(sizes[i]);
    const int64_t widths[] = {1, 2, 3, 8, 12, 16, 17, 32, 344};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) check_rows(1 + (int64_t)(i * 7 % 19), widths[i]);
    check_rows(400, 130);
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++)
        if (op_backend((ttt_isa)isa)) check_functions(op_backend((ttt_isa)isa));
}
