/* SPDX-License-Identifier: MIT
 *
 * The learners of the configuration: as inference calls it, with many tokens and with one, and as training does.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

enum { PARAMS = 2 * TTT_LEARNER_MAPS + 2 };

/* Parameters and their gradients: W and b of each map, then the norm's. */
static void make_params(ttt_suite *s, int64_t D, ttt_param params[PARAMS], ttt_param dparams[PARAMS])
{
    const ttt_learner_maps *maps = s->learner->maps;
    int count = 0;
    int64_t sizes[PARAMS];
    for (int m = 0; m < maps->count; m++) {
        sizes[count++] = s->H * maps->in[m] * D * maps->out[m] * D;
        sizes[count++] = s->H * maps->out[m] * D;
    }
    for (int norm = 0; norm < 2; norm++) sizes[count++] = s->H * D;
    for (int i = 0; i < count; i++) {
        params[i].values = ttt_suite_reals(s, sizes[i]);
        dparams[i].values = ttt_suite_reals(s, sizes[i]);
    }
}

static void make_call(ttt_suite *s, ttt_param params[PARAMS], ttt_param dparams[PARAMS])
{
    const ttt_learner_dims dims = {.heads = s->H,
                                   .key_size = s->C / s->H,
                                   .value_size = s->C / s->H,
                                   .mini_batch = s->K,
                                   .group = TTT_SUITE_GROUP};
    const int64_t n = s->R * s->C, rates = s->R * s->H, H = s->H;
    make_params(s, dims.key_size, params, dparams);
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

static void time_learner(ttt_suite *s)
{
    ttt_param params[PARAMS] = {0}, dparams[PARAMS] = {0};
    make_call(s, params, dparams);
    if (!s->failed && ttt_backend_reserve(s->b, s->learner->scratch_bytes(s->learner, &s->call.dims)) != TTT_OK)
        s->failed = true;
    if (!s->failed) {
        time_part(s, "forward, training", reset, forward);
        time_part(s, "backward", reset_forward, backward);
        s->call.saved = NULL;
        time_part(s, "forward, prefill", reset, forward);
        s->sequence.count = 1;
        s->sequence.position = s->K / 2;
        reset(s);
        time_part(s, "forward, decode", NULL, forward);
    }
    ttt_suite_release(s);
}

/* Whether a block of the configuration has the learner's layer. */
static bool is_used(const ttt_config *config, const ttt_learner_ops *learner)
{
    char layer[48];
    snprintf(layer, sizeof layer, "ttt_%s", learner->name);
    for (int64_t i = 0; i < config->num_hidden_layers; i++)
        if (strstr(ttt_config_block(config, i), layer)) return true;
    return false;
}

void ttt_suite_learners(ttt_suite *s, const ttt_config *config)
{
    for (int i = 0; i < TTT_LEARNER_COUNT && !s->failed; i++) {
        s->learner = s->b->ops->learner[i];
        if (is_used(config, s->learner)) time_learner(s);
    }
}
