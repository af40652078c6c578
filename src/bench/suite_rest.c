/* SPDX-License-Identifier: MIT
 *
 * The operations that are neither products nor learners, with the rows of a training step: how each is called, and
 * below, one line each, how many reals its operands have.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench/suite.h"

static const double eps = 1e-6, rate_scale = 0.01;
static const ttt_adamw optimizer = {
    .rate = 1e-3, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .decay = 0.1, .scale = 1, .step = 1000};

/* RUN(operation, arguments after the backend): a function that calls it with the operands s->x. */
#define RUN(name, ...)                                                                                                 \
    static void name(ttt_suite *s) { s->b->ops->name(s->b, __VA_ARGS__); }
#define X(number) s->x[number]
#define SEQUENCE  &s->sequence, 1

RUN(add, X(0), X(1), s->R * s->C)
RUN(embed, X(0), s->ids, &s->w, s->R)
RUN(embed_backward, &s->w, s->ids, X(0), s->R)
RUN(rmsnorm, X(0), X(1), X(2), s->R, s->C, eps)
RUN(rmsnorm_backward, X(0), X(1), X(2), X(3), X(4), s->R, s->C, eps)
RUN(norm_gate, X(0), X(1), X(2), X(3), X(4), s->R, s->C)
RUN(norm_gate_backward, X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), s->R, s->C)
RUN(swiglu, X(0), X(1), X(2), s->R * s->F)
RUN(swiglu_backward, X(0), X(1), X(2), s->R * s->F)
RUN(silu, X(0), X(1), s->R * s->F)
RUN(silu_backward, X(0), X(1), s->R * s->F)
RUN(rotate, X(0), X(1), SEQUENCE, s->H, s->C / s->H, s->K, false)
RUN(rotate_at, X(0), s->frequencies, SEQUENCE, s->H, s->C / s->H, true, false)
RUN(conv, X(0), X(1), X(2), X(3), SEQUENCE, 0, s->C, s->W)
RUN(conv_backward, X(0), X(1), X(2), X(3), X(4), X(5), X(6), SEQUENCE, 0, s->C, s->W)
RUN(rate, X(0), X(1), s->R, s->H, rate_scale)
RUN(rate_backward, X(0), X(1), X(2), s->R, s->H, rate_scale)
RUN(position_factor, X(0), X(1), SEQUENCE, s->K)
RUN(cross_entropy, X(0), X(1), s->ids, s->rows, s->V, 1.0)
RUN(adamw, X(0), X(1), X(2), X(3), s->parameters, &optimizer)

static void sum_squares(ttt_suite *s) { (void)ttt_sum_squares(s->b, X(0), s->parameters); }

typedef struct call {
    const char *name;
    void (*run)(ttt_suite *s);
    const char *shape;
    int64_t sizes[TTT_SUITE_OPERANDS]; /* reals of the operands */
} call;

static void time_call(ttt_suite *s, const call *c)
{
    for (int i = 0; i < TTT_SUITE_OPERANDS && c->sizes[i]; i++) s->x[i] = ttt_suite_reals(s, c->sizes[i]);
    s->sequence = (ttt_run){.count = s->R};
    s->sequence.state = ttt_suite_reals(s, (s->W - 1) * s->C);
    s->sequence.dstate = ttt_suite_reals(s, (s->W - 1) * s->C);
    s->w = (ttt_param){.values = X(1), .rows = s->V, .columns = s->C};
    if (!s->failed && c->run == adamw) s->b->ops->zero(s->b, X(2), s->parameters); /* means of squares */
    s->run = c->run;
    if (!s->failed) ttt_suite_time(s, c->name, c->shape, TTT_PRECISION_F32, false);
    ttt_suite_release(s);
}

void ttt_suite_rest(ttt_suite *s)
{
    enum { LOSS_ROWS = 256 };
    s->rows = s->R < LOSS_ROWS ? s->R : LOSS_ROWS;
    const int64_t R = s->R, C = s->C, H = s->H, V = s->V, K = s->K, P = s->parameters;
    const int64_t RC = R * C, RF = R * s->F, RH = R * H, CW = C * s->W, tail = (s->W - 1) * C;
    char wide[64], hidden[64], heads[64], loss[64], flat[64];
    snprintf(wide, sizeof wide, "%" PRId64 " x %" PRId64, R, C);
    snprintf(hidden, sizeof hidden, "%" PRId64 " x %" PRId64, R, s->F);
    snprintf(heads, sizeof heads, "%" PRId64 " x %" PRId64, R, H);
    snprintf(loss, sizeof loss, "%" PRId64 " x %" PRId64, s->rows, V);
    snprintf(flat, sizeof flat, "%" PRId64, P);
    const call calls[] = {
        {"add", add, wide, {RC, RC}},
        {"embed", embed, wide, {RC, V * C}},
        {"embed_backward", embed_backward, wide, {RC, V * C}},
        {"rmsnorm", rmsnorm, wide, {RC, RC, C}},
        {"rmsnorm_backward", rmsnorm_backward, wide, {RC, C, RC, RC, C}},
        {"norm_gate", norm_gate, wide, {RC, RC, C, C, RC}},
        {"norm_gate_backward", norm_gate_backward, wide, {RC, RC, C, C, RC, RC, C, C, RC}},
        {"swiglu", swiglu, hidden, {RF, RF, RF}},
        {"swiglu_backward", swiglu_backward, hidden, {RF, RF, RF}},
        {"silu", silu, hidden, {RF, RF}},
        {"silu_backward", silu_backward, hidden, {RF, RF}},
        {"rotate", rotate, wide, {RC, K * (C / H)}},
        {"rotate_at", rotate_at, wide, {RC}},
        {"conv", conv, wide, {RC, RC, CW, C}},
        {"conv_backward", conv_backward, wide, {RC, CW, C, RC, RC, tail, CW}},
        {"rate", rate, heads, {RH, H}},
        {"rate_backward", rate_backward, heads, {RH, H, RH}},
        {"position_factor", position_factor, heads, {R, K}},
        {"cross_entropy", cross_entropy, loss, {2 * s->rows, s->rows * V}},
        {"sum_squares", sum_squares, flat, {P}},
        {"adamw", adamw, flat, {P, P, P, P}},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls && !s->failed; i++) time_call(s, &calls[i]);
}
