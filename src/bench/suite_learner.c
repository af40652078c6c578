/* SPDX-License-Identifier: MIT
 *
 * The learners of the configuration: as inference calls it, with many tokens and with one, and as training does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/suite.h"
#include "layer/ttt.h"

static void reset(ttt_suite *s) { s->learner->reset(s->learner, s->b, &s->call); }
static void forward(ttt_suite *s) { s->learner->forward(s->learner, s->b, &s->call); }
static void primal(ttt_suite *s) { s->learner->primal(s->learner, s->b, &s->call); }
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

enum { PARAMS = 2 * TTT_LEARNER_MAPS + 2 };

/* Parameters and their gradients: W and b of each map, then the norm's; 0 for those that the flags leave out. */
static void make_params(ttt_suite *s, const ttt_learner_dims *dims, ttt_param params[PARAMS], ttt_param dparams[PARAMS])
{
    const ttt_learner_maps *maps = s->learner->maps;
    const int64_t D = dims->key_size;
    const bool start = !(dims->flags & TTT_LEARNER_ZERO_START), bias = !(dims->flags & TTT_LEARNER_NO_BIAS);
    int count = 0;
    int64_t sizes[PARAMS];
    for (int m = 0; m < maps->count; m++) {
        sizes[count++] = start ? s->H * maps->in[m] * D * maps->out[m] * D : 0;
        sizes[count++] = start && bias ? s->H * maps->out[m] * D : 0;
    }
    for (int norm = 0; norm < 2; norm++) sizes[count++] = dims->flags & TTT_LEARNER_NO_NORM ? 0 : s->H * D;
    for (int i = 0; i < count; i++) {
        if (!sizes[i]) continue;
        params[i].values = ttt_suite_reals(s, sizes[i]);
        dparams[i].values = ttt_suite_reals(s, sizes[i]);
    }
}

static void make_call(ttt_suite *s, ttt_learner_dims dims, ttt_param params[PARAMS], ttt_param dparams[PARAMS])
{
    dims.group = TTT_SUITE_GROUP;
    const int64_t n = s->R * s->C, rates = s->R * s->H, H = s->H;
    make_params(s, &dims, params, dparams);
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

static void time_part(ttt_suite *s, const char *part, void (*prepare)(ttt_suite *), void (*run)(ttt_suite *))
{
    char name[48], shape[64];
    snprintf(name, sizeof name, "learner_%s.%s", s->learner->name, part);
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " heads of %" PRId64, s->sequence.count, s->H,
             s->call.dims.key_size);
    s->prepare = prepare;
    s->run = run;
    ttt_suite_time(s, name, shape, TTT_PRECISION_F32, false);
}

static void time_learner(ttt_suite *s, const ttt_learner_dims *dims)
{
    ttt_param params[PARAMS] = {0}, dparams[PARAMS] = {0};
    make_call(s, *dims, params, dparams);
    if (!s->failed && ttt_backend_reserve(s->b, s->learner->scratch_bytes(s->learner, &s->call.dims)) != TTT_OK)
        s->failed = true;
    if (!s->failed) {
        time_part(s, "forward, training", reset, forward);
        time_part(s, "backward", reset_forward, backward);
        s->call.saved = NULL;
        time_part(s, "forward, prefill", reset, forward);
        s->primal = s->learner->primal != NULL;
        if (s->primal) time_part(s, "forward, primal", reset, primal);
        s->primal = false;
        s->sequence.count = 1;
        s->sequence.position = s->K / 2;
        reset(s);
        time_part(s, "forward, decode", NULL, forward);
    }
    ttt_suite_release(s);
}

/* The layer of the configuration that has the learner; NULL: it has none. */
static const ttt_layer *layer_with(const ttt_stack *stack, const ttt_learner_ops *learner)
{
    char name[48];
    snprintf(name, sizeof name, "ttt_%s", learner->name);
    for (int64_t i = 0; i < stack->layer_count; i++)
        if (strcmp(stack->layers[i].ops->name, name) == 0) return &stack->layers[i];
    return NULL;
}

void ttt_suite_learners(ttt_suite *s)
{
    for (int i = 0; i < TTT_LEARNER_COUNT && !s->failed; i++) {
        s->learner = s->b->ops->learner[i];
        const ttt_layer *layer = layer_with(&s->lm.stack, s->learner);
        if (layer) time_learner(s, &ttt_shape_of(layer)->dims);
    }
}
