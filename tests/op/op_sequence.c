/* SPDX-License-Identifier: MIT
 *
 * Operations along a sequence. Two sequences share a call: of the rows, the first `first` belong to sequence 0. When
 * rows are cut into calls, each sequence goes on where the call before left it. dims: rows, first, width, taps, 1
 * without bias.
 */
#include <math.h>
#include <stdlib.h>

#include "op.h"

enum { POSITION0 = 5, POSITION1 = 38, RUNS = 2 };

/* The runs of rows [begin, end) of the case: at most one of each sequence. States are [RUNS, stride] reals each. */
static int64_t make_runs(ttt_run *runs, const ttt_backend *b, int64_t rows, int64_t first, void *state, void *dstate,
                         int64_t stride, int64_t begin, int64_t end)
{
    int64_t count = 0;
    for (int64_t s = 0; s < RUNS; s++) {
        const int64_t start = s == 0 ? 0 : first, stop = s == 0 ? first : rows;
        const int64_t from = begin > start ? begin : start, to = end < stop ? end : stop;
        if (from >= to) continue;
        runs[count++] = (ttt_run){.row = from - begin,
                                  .count = to - from,
                                  .position = (s == 0 ? POSITION0 : POSITION1) + from - start,
                                  .state = state ? ttt_at(b, state, s * stride) : NULL,
                                  .dstate = dstate ? ttt_at(b, dstate, s * stride) : NULL};
    }
    return count;
}

/* ---- rotate: x, table. dims: rows, first, heads, head size, mini-batch, 1 or 2 for the inverse ---- */

static void run_rotate(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t H = c->dims[2], D = c->dims[3];
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], NULL, NULL, 0, begin, end);
    b->ops->rotate(b, ttt_at(b, x[0], begin * H * D), x[1], runs, count, H, D, c->dims[4], c->dims[5] == 2);
}

/* Both terms of each element; the table holds any numbers here. */
static void terms_rotate(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], first = c->dims[1], H = c->dims[2], D = c->dims[3], K = c->dims[4];
    for (int64_t r = 0; r < R; r++) {
        const int64_t i = (r < first ? POSITION0 + r : POSITION1 + r - first) % K;
        for (int64_t k = 0; k < H * D; k++) {
            const double *table = before[1] + i * D + k % D / 2 * 2;
            terms[0][r * H * D + k] = fabs(before[0][r * H * D + k] * table[0]) +
                                      fabs(before[0][r * H * D + (k ^ 1)] * table[1]);
        }
    }
}

/* ---- rotate_at: x. dims: rows, first, heads, head size, 2 for halves, 2 for the inverse, a power of two that is added
 * to positions; frequencies are those of any theta, the last of them large ---- */

enum { MOST_PAIRS = 96 };

/* By products alone, which are the same on every processor. */
static double frequency(int64_t i)
{
    double frequency = 1;
    for (; i > 0; i--) frequency *= 0.74;
    return frequency;
}

/* Far on in a sequence of 2^31 tokens, angles are those of its positions still. */
static int64_t far(const op_case *c) { return c->dims[6] ? (INT64_C(1) << c->dims[6]) - POSITION1 : 0; }

static void run_rotate_at(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t H = c->dims[2], D = c->dims[3];
    double frequencies[MOST_PAIRS];
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], NULL, NULL, 0, begin, end);
    for (int64_t n = 0; n < count; n++) runs[n].position += far(c);
    for (int64_t i = 0; i < D / 2; i++) frequencies[i] = frequency(i);
    b->ops->rotate_at(b, ttt_at(b, x[0], begin * H * D), frequencies, runs, count, H, D, c->dims[4] == 2,
                      c->dims[5] == 2);
}

static void terms_rotate_at(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], first = c->dims[1], H = c->dims[2], D = c->dims[3];
    for (int64_t k = 0; k < R * H * D; k++) {
        const int64_t r = k / (H * D), d = k % D, i = c->dims[4] == 2 ? d % (D / 2) : d / 2;
        const int64_t other = c->dims[4] == 2 ? (d + D / 2) % D - d : d % 2 ? -1 : 1;
        const double angle = (double)(far(c) + (r < first ? POSITION0 + r : POSITION1 + r - first)) * frequency(i);
        terms[0][k] = fabs(before[0][k] * cos(angle)) + fabs(before[0][k + other] * sin(angle));
    }
}

/* ---- conv and conv_tail: y, x, w, bias, state [RUNS, 3 + (W-1) C] with the tail at 3 ---- */

enum { TAIL = 3 };

static bool without_bias(const op_case *c) { return c->dims[4] == 1; }

static int64_t state_size(const op_case *c) { return TAIL + (c->dims[3] - 1) * c->dims[2]; }

static void run_conv(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t C = c->dims[2], W = c->dims[3];
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], x[4], NULL, state_size(c), begin, end);
    b->ops->conv(b, ttt_at(b, x[0], begin * C), ttt_at(b, x[1], begin * C), x[2], without_bias(c) ? NULL : x[3], runs,
                 count, TAIL, C, W);
    b->ops->conv_tail(b, ttt_at(b, x[1], begin * C), runs, count, TAIL, C, W);
}

/* ---- backward: dx, dw, dbias, dstate, dy, x, x_tail, w ---- */

static void run_conv_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], NULL, x[3], state_size(c), 0, c->dims[0]);
    b->ops->conv_tail_backward(b, x[0], runs, count, TAIL, c->dims[2], c->dims[3]);
    b->ops->conv_backward(b, x[0], x[1], without_bias(c) ? NULL : x[2], x[4], x[5], x[6], x[7], runs, count, TAIL,
                          c->dims[2], c->dims[3]);
}

/* ---- position_factor: c, idx; backward: didx, dc, idx. dims: rows, first, mini-batch, heads ---- */

static void run_factor(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], NULL, NULL, 0, begin, end);
    b->ops->position_factor(b, ttt_at(b, x[0], begin), x[1], runs, count, c->dims[2]);
}

static void terms_factor(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t first = c->dims[1], K = c->dims[2];
    for (int64_t r = 0; r < c->dims[0]; r++) {
        const int64_t i = (r < first ? POSITION0 + r : POSITION1 + r - first) % K;
        terms[0][r] = 1 / (double)(i + 1) + fabs(before[1][i]);
    }
}

static void run_factor_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    ttt_run runs[RUNS];
    const int64_t count = make_runs(runs, b, c->dims[0], c->dims[1], NULL, NULL, 0, 0, c->dims[0]);
    b->ops->position_factor_backward(b, x[0], x[1], x[2], runs, count, c->dims[2], c->dims[3]);
}

/* The magnitudes of all that could be added, the clamped ones too. */
static void terms_factor_backward(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    for (int64_t i = 0; i < c->dims[2]; i++) {
        terms[0][i] = fabs(before[0][i]);
        for (int64_t k = 0; k < c->dims[0] * c->dims[3]; k++) terms[0][i] += fabs(before[1][k]) / (double)c->dims[2];
    }
}

static void check_rotate(int64_t R, int64_t first, int64_t H, int64_t D, int64_t K)
{
    for (int64_t inverse = 1; inverse <= 2; inverse++) {
        const op_case c = {.name = "rotate",
                           .dims = {R, first, H, D, K, inverse},
                           .operands = {{OP_ADD, R * H * D, 1}, {OP_IN, K * D, 1}},
                           .rows = R,
                           .run = run_rotate,
                           .terms = terms_rotate,
                           .c = 2};
        op_check(&c);
    }
}

static void check_rotate_at(int64_t R, int64_t first, int64_t H, int64_t D, int64_t power)
{
    for (int64_t kind = 0; kind < 4; kind++) {
        const op_case c = {.name = "rotate_at",
                           .dims = {R, first, H, D, 1 + kind % 2, 1 + kind / 2, power},
                           .operands = {{OP_ADD, R * H * D, 1}},
                           .rows = R,
                           .run = run_rotate_at,
                           .terms = terms_rotate_at,
                           .c = 3};
        op_check(&c);
    }
}

static void check_conv_with(int64_t R, int64_t first, int64_t C, int64_t W, int64_t no_bias)
{
    const int64_t state = RUNS * (TAIL + (W - 1) * C);
    const op_case forward = {
        .name = "conv",
        .dims = {R, first, C, W, no_bias},
        .operands = {{OP_OUT, R * C, 1}, {OP_IN, R * C, 1}, {OP_IN, C * W, 1}, {OP_IN, C, 1}, {OP_ADD, state, 1}},
        .rows = R,
        .run = run_conv,
        .c = 2 + sqrt((double)W)};
    op_check(&forward);
    const op_case backward = {.name = "conv_backward",
                              .dims = {R, first, C, W, no_bias},
                              .operands = {{OP_ADD, R * C, 1},
                                           {OP_ADD, C * W, 1},
                                           {OP_ADD, C, 1},
                                           {OP_ADD, state, 1},
                                           {OP_IN, R * C, 1},
                                           {OP_IN, R * C, 1},
                                           {OP_IN, RUNS * (W - 1) * C, 1},
                                           {OP_IN, C * W, 1}},
                              .run = run_conv_backward,
                              .c = 2 + sqrt((double)(R > W ? R : W))};
    op_check(&backward);
}

static void check_conv(int64_t R, int64_t first, int64_t C, int64_t W)
{
    check_conv_with(R, first, C, W, 0);
    check_conv_with(R, first, C, W, 1);
}

static void check_factor(int64_t R, int64_t first, int64_t K, int64_t H)
{
    const op_case forward = {.name = "position_factor",
                             .dims = {R, first, K},
                             .operands = {{OP_OUT, R, 1}, {OP_IN, K, 0.2}},
                             .rows = R,
                             .run = run_factor,
                             .terms = terms_factor,
                             .c = 2};
    op_check(&forward);
    const op_case backward = {.name = "position_factor_backward",
                              .dims = {R, first, K, H},
                              .operands = {{OP_ADD, K, 1}, {OP_IN, R * H, 1}, {OP_IN, K, 0.2}},
                              .run = run_factor_backward,
                              .terms = terms_factor_backward,
                              .c = 2 + sqrt((double)(R * H))};
    op_check(&backward);
}

void op_sequence_tests(void)
{
    check_rotate(1, 1, 1, 2, 1);
    check_rotate(9, 4, 3, 6, 5);
    check_rotate(40, 39, 2, 64, 16);
    check_rotate(300, 120, 4, 34, 16);
    check_rotate_at(1, 1, 1, 2, 0);
    check_rotate_at(9, 4, 3, 6, 31);
    check_rotate_at(40, 39, 2, 64, 0);
    check_rotate_at(100, 40, 2, 192, 30);
    const int64_t widths[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 65, 130};
    for (int64_t i = 0; i < (int64_t)(sizeof widths / sizeof *widths); i++)
        check_conv(2 + i * 5 % 13, 1 + i % 2, widths[i], 1 + i * 3 % 5);
    check_conv(300, 140, 300, 4);
    check_conv(3, 2, 20, 9);
    check_factor(1, 1, 1, 1);
    check_factor(50, 20, 16, 3);
    check_factor(17, 3, 7, 12);
}
