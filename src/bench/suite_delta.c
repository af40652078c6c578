/* SPDX-License-Identifier: MIT
 *
 * The scans of matrix states of the configuration: as training calls them, and as inference with many tokens and with
 * one. And what makes their operands.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench/suite.h"

static void forward(ttt_suite *s) { s->b->ops->delta(s->b, &s->delta); }
static void backward(ttt_suite *s) { s->b->ops->delta_backward(s->b, &s->delta); }
static void silu_l2(ttt_suite *s) { s->b->ops->silu_l2(s->b, s->x[0], s->x[1], s->R * s->H, s->C / s->H, 1); }
static void silu_l2_backward(ttt_suite *s)
{
    s->b->ops->silu_l2_backward(s->b, s->x[0], s->x[1], s->R * s->H, s->C / s->H, 1);
}

static void reset(ttt_suite *s)
{
    const int64_t size = s->H * ttt_delta_state_size(&s->delta.dims);
    s->b->ops->zero(s->b, s->sequence.state, size);
    s->b->ops->zero(s->b, s->sequence.dstate, size);
}

static void reset_forward(ttt_suite *s)
{
    reset(s);
    forward(s);
}

/* Queries and keys of unit length, beta and log a as layers make them. */
static void make_call(ttt_suite *s, const ttt_delta_dims *dims)
{
    const int64_t rates = s->R * dims->heads, keys = rates * dims->key_size, values = rates * dims->value_size;
    void *x[] = {ttt_suite_reals(s, keys), ttt_suite_reals(s, keys)}, *beta = ttt_suite_reals(s, rates),
         *log_a = ttt_suite_reals(s, rates), *zeros = ttt_suite_reals(s, dims->heads);
    s->delta = (ttt_delta_call){.dims = *dims,
                                .runs = &s->sequence,
                                .run_count = 1,
                                .q = x[0],
                                .k = x[1],
                                .v = ttt_suite_reals(s, values),
                                .out = ttt_suite_reals(s, values),
                                .saved_stride = s->b->ops->delta_saved_size(dims, s->R),
                                .dout = ttt_suite_reals(s, values),
                                .dq = ttt_suite_reals(s, keys),
                                .dk = ttt_suite_reals(s, keys),
                                .dv = ttt_suite_reals(s, values),
                                .dbeta = ttt_suite_reals(s, rates),
                                .dlog_a = ttt_suite_reals(s, rates)};
    s->delta.saved = ttt_suite_reals(s, dims->heads * s->delta.saved_stride);
    s->sequence = (ttt_run){.count = s->R,
                            .state = ttt_suite_reals(s, dims->heads * ttt_delta_state_size(dims)),
                            .dstate = ttt_suite_reals(s, dims->heads * ttt_delta_state_size(dims))};
    if (ttt_backend_reserve(s->b, s->b->ops->delta_scratch_bytes(dims)) != TTT_OK) s->failed = true;
    if (s->failed) return;
    for (int i = 0; i < 2; i++) s->b->ops->silu_l2(s->b, x[i], x[i], rates, dims->key_size, 1);
    s->b->ops->zero(s->b, zeros, dims->heads);
    s->b->ops->rate(s->b, beta, NULL, s->R, dims->heads, 1);
    s->b->ops->decay(s->b, log_a, NULL, zeros, zeros, s->R, dims->heads);
    if (ttt_delta_corrects(dims->kind)) s->delta.beta = beta;
    if (dims->kind == TTT_DELTA_GATED) s->delta.log_a = log_a;
}

static void time_part(ttt_suite *s, const char *layer, const char *part, void (*prepare)(ttt_suite *),
                      void (*run)(ttt_suite *))
{
    const ttt_delta_dims *dims = &s->delta.dims;
    char name[64], shape[64];
    snprintf(name, sizeof name, "delta.%s, %s", part, layer);
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " heads of %" PRId64 " x %" PRId64, s->sequence.count,
             dims->heads, dims->key_size, dims->value_size);
    s->prepare = prepare;
    s->run = run;
    ttt_suite_time(s, name, shape, TTT_PRECISION_F32, false);
}

static void time_scan(ttt_suite *s, const char *layer, const ttt_delta_dims *dims)
{
    make_call(s, dims);
    if (!s->failed) {
        time_part(s, layer, "forward", reset, forward);
        time_part(s, layer, "backward", reset_forward, backward);
        s->delta.saved = NULL;
        time_part(s, layer, "prefill", reset, forward);
        s->sequence.count = 1;
        s->sequence.position = TTT_LEARNER_TILE / 2;
        time_part(s, layer, "decode", NULL, forward);
    }
    ttt_suite_release(s);
}

static void time_inputs(ttt_suite *s)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64, s->R, s->C);
    for (int i = 0; i < 2; i++) s->x[i] = ttt_suite_reals(s, s->R * s->C);
    s->run = silu_l2;
    if (!s->failed) ttt_suite_time(s, "silu_l2", shape, TTT_PRECISION_F32, false);
    s->run = silu_l2_backward;
    if (!s->failed) ttt_suite_time(s, "silu_l2_backward", shape, TTT_PRECISION_F32, false);
    ttt_suite_release(s);
}

/* Whether a block of the configuration has the layer. */
static bool is_used(const ttt_config *config, const char *layer)
{
    for (int64_t i = 0; i < config->num_hidden_layers; i++)
        if (strstr(ttt_config_block(config, i), layer)) return true;
    return false;
}

void ttt_suite_delta(ttt_suite *s, const ttt_config *config)
{
    const int64_t D = s->C / s->H, I = config->head_dim ? config->head_dim : D;
    const struct {
        const char *layer;
        ttt_delta_kind kind;
        int64_t I, O;
    } scans[] = {
        {"linear_attention", config->linear_attention_normalise ? TTT_DELTA_NORMALISED : TTT_DELTA_LINEAR, D, D},
        {"delta_net", TTT_DELTA_RULE, I, ttt_config_product(I, config->expand_v)},
        {"gated_deltanet", TTT_DELTA_GATED, I, ttt_config_product(I, config->expand_v)}};
    bool inputs = false;
    for (size_t i = 0; i < sizeof scans / sizeof *scans && !s->failed; i++) {
        if (!is_used(config, scans[i].layer)) continue;
        const ttt_delta_dims dims = {.kind = scans[i].kind,
                                     .heads = s->H,
                                     .key_size = scans[i].I,
                                     .value_size = scans[i].O,
                                     .group = TTT_SUITE_GROUP};
        time_scan(s, scans[i].layer, &dims);
        inputs |= ttt_delta_corrects(dims.kind);
    }
    if (inputs && !s->failed) time_inputs(s);
}
