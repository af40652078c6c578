/* SPDX-License-Identifier: MIT
 *
 * The learner of the configuration: as inference calls it, with many tokens and with one, and as training does.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench/suite.h"

static void reset(ttt_suite *s) { s->learner->reset(s->learner, s->b, &s->call); }
static void forward(ttt_suite *s) { s->learner->forward(s->learner, s->b, &s->call); }
static void backward(ttt_suite *s) { s->learner->backward(s->learner, s->b, &s->call); }

static void reset_forward(ttt_suite *s)
{
    reset(s);
    s->b->ops->zero(s->b, s->sequence.dstate, s->H * s->learner->state_size(s->learner, &s->call.dims));
    forward(s);
}

/* Read factors 1 / (i + 1) and rates as a trained model has them. */
static void fill_factors(ttt_suite *s, void *read, void *write)
{
    const int64_t head_size = s->C / s->H;
    double one = 0.5 / (double)head_size;
    for (int64_t i = 0; i < s->R * s->H; i++) s->b->ops->from(s->b, ttt_at(s->b, write, i), &one, TTT_F64, 1);
    for (int64_t i = 0; i < s->R; i++) {
        one = 1 / (double)(i % s->K + 1);
        s->b->ops->from(s->b, ttt_at(s->b, read, i), &one, TTT_F64, 1);
    }
}

static void make_call(ttt_suite *s, bool mlp, ttt_param params[6], ttt_param dparams[6])
{
    const ttt_learner_dims dims = {.heads = s->H,
                                   .key_size = s->C / s->H,
                                   .value_size = s->C / s->H,
                                   .mini_batch = s->K,
                                   .group = TTT_SUITE_GROUP};
    const int64_t n = s->R * s->C, rates = s->R * s->H, D = dims.key_size, hidden = mlp ? 4 * D : D, H = s->H;
    const int64_t linear_sizes[6] = {H * D * D, H * D, H * D, H * D, 0, 0};
    const int64_t mlp_sizes[6] = {H * D * hidden, H * hidden, H * hidden * D, H * D, H * D, H * D};
    for (int i = 0; i < 6; i++) {
        const int64_t size = mlp ? mlp_sizes[i] : linear_sizes[i];
        if (size) params[i].values = ttt_suite_reals(s, size);
        if (size) dparams[i].values = ttt_suite_reals(s, size);
    }
    s->sequence = (ttt_run){.count = s->R};
    s->sequence.state = ttt_suite_reals(s, H * s->learner->state_size(s->learner, &dims));
    s->sequence.dstate = ttt_suite_reals(s, H * s->learner->state_size(s->learner, &dims));
    void *read = ttt_suite_reals(s, s->R), *write = ttt_suite_reals(s, rates);
    if (!s->failed) fill_factors(s, read, write);
    s->call = (ttt_learner_call){.dims = dims, .runs = &s->sequence, .run_count = 1, .params = params};
    ttt_learner_call *c = &s->call;
    c->dparams = dparams;
    c->write = write;
    c->read = read;
    c->q = ttt_suite_reals(s, n);
    c->k = ttt_suite_reals(s, n);
    c->v = ttt_suite_reals(s, n);
    c->out = ttt_suite_reals(s, n);
    c->dout = ttt_suite_reals(s, n);
    c->dq = ttt_suite_reals(s, n);
    c->dk = ttt_suite_reals(s, n);
    c->dv = ttt_suite_reals(s, n);
    c->dwrite = ttt_suite_reals(s, rates);
    c->dread = ttt_suite_reals(s, rates);
    c->partial = ttt_suite_reals(s, H * s->learner->partial_size(s->learner, &dims));
    c->saved_stride = s->learner->saved_size(s->learner, &dims, s->R);
    c->saved = ttt_suite_reals(s, H * c->saved_stride);
}

static void time_part(ttt_suite *s, bool mlp, const char *part, void (*prepare)(ttt_suite *), void (*run)(ttt_suite *))
{
    char name[48], shape[64];
    snprintf(name, sizeof name, "%s.%s", mlp ? "learner_mlp" : "learner_linear", part);
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " heads of %" PRId64, s->sequence.count, s->H,
             s->call.dims.key_size);
    s->prepare = prepare;
    s->run = run;
    ttt_suite_time(s, name, shape, TTT_PRECISION_F32, false);
}

void ttt_suite_learner(ttt_suite *s, bool mlp)
{
    ttt_param params[6] = {0}, dparams[6] = {0};
    if (s->failed) return;
    s->learner = mlp ? s->b->ops->learner[TTT_MLP_LEARNER] : s->b->ops->learner[TTT_LINEAR_LEARNER];
    make_call(s, mlp, params, dparams);
    if (!s->failed && ttt_backend_reserve(s->b, s->learner->scratch_bytes(s->learner, &s->call.dims)) != TTT_OK)
        s->failed = true;
    if (!s->failed) {
        time_part(s, mlp, "forward, training", reset, forward);
        time_part(s, mlp, "backward", reset_forward, backward);
        s->call.saved = NULL;
        time_part(s, mlp, "forward, prefill", reset, forward);
        s->sequence.count = 1;
        s->sequence.position = s->K / 2;
        reset(s);
        time_part(s, mlp, "forward, decode", NULL, forward);
    }
    ttt_suite_release(s);
}
