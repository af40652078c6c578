/* SPDX-License-Identifier: MIT
 *
 * What makes the operands of a matrix state. dims: vectors, their size; or rows, heads.
 */
#include <math.h>

#include "op.h"
#include "test.h"

static const double scale = 0.3;

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double silu(double x) { return x * sigmoid(x); }
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

/* Nothing cancels: the result's own magnitude. */
static void terms_result(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)c, (void)before, (void)after, (void)terms;
}

/* ---- silu_l2: y, x; backward: dy (then dx), x ---- */

static void run_silu_l2(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t n = c->dims[1];
    b->ops->silu_l2(b, ttt_at(b, x[0], begin * n), ttt_at(b, x[1], begin * n), end - begin, n, scale);
}

static void run_silu_l2_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->silu_l2_backward(b, x[0], x[1], c->dims[0], c->dims[1], scale);
}

static void terms_silu_l2_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t n = c->dims[1];
    for (int64_t v = 0; v < c->dims[0]; v++) {
        const double *dy = before[0] + v * n, *x = before[1] + v * n;
        double squares = 1e-6, along = 0;
        for (int64_t i = 0; i < n; i++) {
            squares += silu(x[i]) * silu(x[i]);
            along += fabs(dy[i] * silu(x[i]));
        }
        for (int64_t i = 0; i < n; i++)
            terms[0][v * n + i] = scale / sqrt(squares) * (fabs(dy[i]) + fabs(silu(x[i])) * along / squares) *
                                  sigmoid(x[i]) * (1 + fabs(x[i]));
    }
}

/* ---- elu1: x; backward: dy (then dx), y ---- */

static void run_elu1(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    b->ops->elu1(b, ttt_at(b, x[0], begin * c->dims[1]), (end - begin) * c->dims[1]);
}

static void run_elu1_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->elu1_backward(b, x[0], x[1], c->dims[0] * c->dims[1]);
}

/* ---- decay: logits (then log_a), their copy, a_log, bias; backward: dlog_a (then dlogits), da_log, dbias, logits,
 * a_log, bias ---- */

static void run_decay(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t H = c->dims[1];
    b->ops->decay(b, ttt_at(b, x[0], begin * H), ttt_at(b, x[1], begin * H), x[2], x[3], end - begin, H);
}

/* The logit's rounding error enters an exponential. */
static void terms_decay(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    const int64_t H = c->dims[1];
    for (int64_t i = 0; i < c->dims[0] * H; i++)
        terms[0][i] = fabs(after[0][i]) * (1 + fabs(before[0][i]) + fabs(before[3][i % H]));
}

static void run_decay_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->decay_backward(b, x[0], x[1], x[2], x[3], x[4], x[5], c->dims[0], c->dims[1]);
}

static void terms_decay_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t H = c->dims[1];
    for (int64_t h = 0; h < H; h++) {
        terms[1][h] = fabs(before[1][h]);
        terms[2][h] = fabs(before[2][h]);
    }
    for (int64_t i = 0; i < c->dims[0] * H; i++) {
        const double logit = before[3][i], bias = before[5][i % H], x = logit + bias,
                     along = fabs(before[0][i]) * exp(before[4][i % H]) * (1 + fabs(logit) + fabs(bias));
        terms[0][i] = along * sigmoid(x);
        terms[1][i % H] += along * softplus(x);
        terms[2][i % H] += terms[0][i];
    }
}

/* ---- rate without bias: r; backward: dr, r ---- */

static void run_rate(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    b->ops->rate(b, ttt_at(b, x[0], begin * c->dims[1]), NULL, end - begin, c->dims[1], 1);
}

static void run_rate_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    b->ops->rate_backward(b, x[0], NULL, x[1], c->dims[0], c->dims[1], 1);
}

static void check_vectors(int64_t R, int64_t n)
{
    const op_case cases[] = {
        {.name = "silu_l2",
         .operands = {{OP_OUT, R * n, 1}, {OP_IN, R * n, 2}},
         .rows = R,
         .run = run_silu_l2,
         .terms = terms_result,
         .c = 10 + sqrt((double)n)},
        {.name = "silu_l2_backward",
         .operands = {{OP_ADD, R * n, 1}, {OP_IN, R * n, 2}},
         .run = run_silu_l2_backward,
         .terms = terms_silu_l2_backward,
         .c = 16 + 2 * sqrt((double)n)},
        {.name = "elu1", .operands = {{OP_ADD, R * n, 3}}, .rows = R, .run = run_elu1, .terms = terms_result, .c = 3},
        {.name = "elu1_backward",
         .operands = {{OP_ADD, R * n, 1}, {OP_IN, R * n, 2}},
         .run = run_elu1_backward,
         .terms = terms_result,
         .c = 1},
        {.name = "decay",
         .operands = {{OP_ADD, R * n, 3}, {OP_OUT, R * n, 1}, {OP_IN, n, 1}, {OP_IN, n, 3}},
         .rows = R,
         .run = run_decay,
         .terms = terms_decay,
         .c = 9},
        {.name = "decay_backward",
         .operands =
             {{OP_ADD, R * n, 1}, {OP_ADD, n, 1}, {OP_ADD, n, 1}, {OP_IN, R * n, 3}, {OP_IN, n, 1}, {OP_IN, n, 3}},
         .run = run_decay_backward,
         .terms = terms_decay_backward,
         .c = 10 + sqrt((double)R)},
        {.name = "rate, no bias",
         .operands = {{OP_ADD, R * n, 2}},
         .rows = R,
         .run = run_rate,
         .terms = terms_result,
         .c = 5},
        {.name = "rate_backward, no bias",
         .operands = {{OP_ADD, R * n, 1}, {OP_IN, R * n, 0.1}},
         .run = run_rate_backward,
         .terms = terms_result,
         .c = 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c = cases[i];
        c.dims[0] = R;
        c.dims[1] = n;
        op_check(&c);
    }
}

/* softplus over its range, through decay with a_log = bias = 0. */
static void check_softplus(const ttt_backend *b)
{
    enum { POINTS = 4000 };
    static float x[POINTS], zero[POINTS];
    double worst = 0;
    for (int i = 0; i < POINTS; i++) x[i] = -80 + (float)i * (160.0f / POINTS);
    b->ops->decay(b, x, NULL, zero, zero, 1, POINTS);
    for (int i = 0; i < POINTS; i++) {
        const double expected = softplus((double)(-80 + (float)i * (160.0f / POINTS)));
        worst = fmax(worst, fabs((double)-x[i] / expected - 1));
    }
    CHECK(worst <= 5 * 0x1p-23 && worst > 0);
    x[0] = NAN;
    b->ops->decay(b, x, NULL, zero, zero, 1, 1);
    CHECK(isnan(x[0]));
}

void op_delta_inputs_tests(void)
{
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++)
        if (op_backend((ttt_isa)isa)) check_softplus(op_backend((ttt_isa)isa));
    static const int64_t sizes[] = {1, 2, 3, 7, 8, 12, 16, 17, 33, 64, 130};
    for (int64_t i = 0; i < (int64_t)(sizeof sizes / sizeof *sizes); i++) check_vectors(1 + i * 7 % 19, sizes[i]);
    check_vectors(600, 64);
}
