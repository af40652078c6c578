/* SPDX-License-Identifier: MIT
 *
 * Normalisations. dims: rows, width, and for the gated one 1 without and 2 with the gate.
 */
#include <math.h>
#include <stdlib.h>

#include "op.h"

static const double rms_eps = 1e-6;

static double norm_bound(int64_t n) { return 6 + sqrt((double)n); }

/* ---- rmsnorm: y, x, w ---- */

static void run_rmsnorm(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t C = c->dims[1];
    b->ops->rmsnorm(b, ttt_at(b, x[0], begin * C), ttt_at(b, x[1], begin * C), x[2], end - begin, C, rms_eps);
}

/* Nothing cancels: the result's own magnitude. */
static void terms_result(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)c, (void)before, (void)after, (void)terms;
}

/* ---- its backward: dx, dw, dy, x, w ---- */

static void run_rmsnorm_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->rmsnorm_backward(b, x[0], x[1], x[2], x[3], x[4], c->dims[0], c->dims[1], rms_eps);
}

static void terms_rmsnorm_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], C = c->dims[1];
    const double *dy = before[2], *w = before[4];
    for (int64_t i = 0; i < C; i++) terms[1][i] = fabs(before[1][i]);
    for (int64_t r = 0; r < R; r++) {
        const double *x = before[3] + r * C;
        double squares = 0, along = 0;
        for (int64_t i = 0; i < C; i++) {
            squares += x[i] * x[i] / (double)C;
            along += fabs(dy[r * C + i] * w[i] * x[i]) / (double)C;
        }
        const double s = 1 / sqrt(squares + rms_eps);
        for (int64_t i = 0; i < C; i++) {
            terms[0][r * C + i] = fabs(before[0][r * C + i]) +
                                  s * (fabs(dy[r * C + i] * w[i]) + fabs(x[i]) * s * s * along);
            terms[1][i] += fabs(dy[r * C + i] * x[i]) * s;
        }
    }
}

/* ---- norm_gate: y, x, w, bias, gate; backward: dx, dgate, dw, dbias, dy (then y), x, w, bias, gate ---- */

static void run_norm_gate(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t C = c->dims[1];
    const void *gate = c->dims[2] == 2 ? ttt_at(b, x[4], begin * C) : NULL;
    b->ops->norm_gate(b, ttt_at(b, x[0], begin * C), ttt_at(b, x[1], begin * C), x[2], x[3], gate, end - begin, C);
}

static void run_norm_gate_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const bool gated = c->dims[2] == 2;
    b->ops->norm_gate_backward(b, x[0], gated ? x[1] : NULL, x[2], x[3], x[4], x[5], x[6], x[7], gated ? x[8] : NULL,
                               c->dims[0], c->dims[1]);
}

static double gelu_sigmoid(double x) { return 1 / (1 + exp(-1.5957691216057308 * x * (1 + 0.044715 * x * x))); }

/* sum|terms| of gelu, with the error of its sigmoid's argument; and of its derivative. ref computes 1 + tanh, which
 * cancels far below 0: its error in double, as a fraction of the float's, is added to the sigmoid. */
static const double ref_cancels = 4e-9;

static double gelu_terms(double x)
{
    const double u = 1.6 * x * (1 + 0.044715 * x * x), s = gelu_sigmoid(x) + ref_cancels;
    return fabs(x * s) * (1 + fabs(u) / 4);
}

static double slope_terms(double x)
{
    const double u = 1.6 * x * (1 + 0.044715 * x * x), s = gelu_sigmoid(x) + ref_cancels;
    return s * (1 + fabs(u) / 4) * (1 + fabs(x) * 1.6 * (1 + 0.134145 * x * x));
}

/* sum|terms| of the normalised row, and 1 / sigma */
static double standard_terms(double *normal, const double *x, int64_t C)
{
    double mean = 0, magnitude = 0, variance = 0;
    for (int64_t i = 0; i < C; i++) mean += x[i] / (double)C, magnitude += fabs(x[i]) / (double)C;
    for (int64_t i = 0; i < C; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)C;
    const double scale = 1 / sqrt(variance + 1e-6);
    for (int64_t i = 0; i < C; i++) normal[i] = (fabs(x[i]) + magnitude) * scale;
    return scale;
}

static void terms_norm_gate(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], C = c->dims[1];
    for (int64_t r = 0; r < R; r++) {
        double *y = terms[0] + r * C;
        standard_terms(y, before[1] + r * C, C);
        for (int64_t i = 0; i < C; i++) {
            y[i] = y[i] * fabs(before[2][i]) + fabs(before[3][i]);
            if (c->dims[2] == 2) y[i] *= gelu_terms(before[4][r * C + i]);
        }
    }
}

static void terms_norm_gate_backward(const op_case *c, double *const *before, double *const *after,
                                     double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], C = c->dims[1];
    const double *w = before[6], *bias = before[7];
    double *normal = malloc((size_t)C * sizeof *normal);
    for (int64_t i = 0; i < C; i++) terms[2][i] = fabs(before[2][i]), terms[3][i] = fabs(before[3][i]);
    for (int64_t r = 0; r < R; r++) {
        const double scale = standard_terms(normal, before[5] + r * C, C);
        double mean = 0, along = 0;
        for (int pass = 0; pass < 2; pass++) {
            for (int64_t i = 0; i < C; i++) {
                const double dy = fabs(before[4][r * C + i]), gate = c->dims[2] == 2 ? before[8][r * C + i] : 0;
                const double d = c->dims[2] == 2 ? dy * gelu_terms(gate) : dy, g = d * fabs(w[i]);
                if (pass == 0) {
                    mean += g / (double)C;
                    along += g * normal[i] / (double)C;
                    terms[2][i] += d * normal[i];
                    terms[3][i] += d;
                    if (c->dims[2] == 2)
                        terms[1][r * C + i] = dy * (normal[i] * fabs(w[i]) + fabs(bias[i])) * slope_terms(gate);
                    terms[4][r * C + i] = (normal[i] * fabs(w[i]) + fabs(bias[i])) *
                                          (c->dims[2] == 2 ? gelu_terms(gate) : 1);
                } else {
                    terms[0][r * C + i] = scale * (g + mean + normal[i] * along);
                }
            }
        }
    }
    free(normal);
}

static void check_norms(int64_t R, int64_t C)
{
    const op_case forward = {.name = "rmsnorm",
                             .dims = {R, C},
                             .operands = {{OP_OUT, R * C, 1}, {OP_IN, R * C, 0.01}, {OP_IN, C, 1}},
                             .rows = R,
                             .run = run_rmsnorm,
                             .terms = terms_result,
                             .c = norm_bound(C)};
    op_check(&forward);
    const op_case backward = {
        .name = "rmsnorm_backward",
        .dims = {R, C},
        .operands = {{OP_ADD, R * C, 1}, {OP_ADD, C, 1}, {OP_IN, R * C, 1}, {OP_IN, R * C, 0.01}, {OP_IN, C, 1}},
        .run = run_rmsnorm_backward,
        .terms = terms_rmsnorm_backward,
        .c = norm_bound(C > R ? C : R)};
    op_check(&backward);
    for (int64_t gated = 1; gated <= 2; gated++) {
        const op_case gate = {.name = "norm_gate",
                              .dims = {R, C, gated},
                              .operands = {{OP_OUT, R * C, 1},
                                           {OP_IN, R * C, 1},
                                           {OP_IN, C, 1},
                                           {OP_IN, C, 1},
                                           {OP_IN, gated == 2 ? R * C : 0, 3}},
                              .rows = R,
                              .run = run_norm_gate,
                              .terms = terms_norm_gate,
                              .c = 6 + norm_bound(C)};
        op_check(&gate);
        const op_case gate_backward = {.name = "norm_gate_backward",
                                       .dims = {R, C, gated},
                                       .operands = {{OP_OUT, R * C, 1},
                                                    {OP_OUT, gated == 2 ? R * C : 0, 1},
                                                    {OP_ADD, C, 1},
                                                    {OP_ADD, C, 1},
                                                    {OP_ADD, R * C, 1},
                                                    {OP_IN, R * C, 1},
                                                    {OP_IN, C, 1},
                                                    {OP_IN, C, 1},
                                                    {OP_IN, gated == 2 ? R * C : 0, 3}},
                                       .run = run_norm_gate_backward,
                                       .terms = terms_norm_gate_backward,
                                       .c = 6 + norm_bound(C > R ? C : R)};
        op_check(&gate_backward);
    }
}

void op_norm_tests(void)
{
    const int64_t widths[] = {2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 130};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) check_norms(1 + (int64_t)(i * 5 % 11), widths[i]);
    check_norms(1100, 20); /* more rows than one pass of the backward takes */
    check_norms(40, 768);
}
