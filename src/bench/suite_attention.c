/* SPDX-License-Identifier: MIT
 *
 * Attention at the sizes that a configuration gives it: all tokens of a sequence at once, as in training, and the last
 * one alone.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "bench/suite.h"
#include "config/config.h"

enum { OUT, SUMS, PARTIAL, Q, DQ, DELTA, DOUT, K, V, OPERANDS };

static void write(ttt_suite *s) { s->b->ops->keys_write(s->b, &s->attention, s->x[K], s->x[V], &s->sequence, 1); }

static void forward(ttt_suite *s)
{
    s->b->ops->attention(s->b, &s->attention, s->x[OUT], s->x[SUMS], s->x[PARTIAL], s->x[Q], &s->sequence, 1);
}

static void backward(ttt_suite *s)
{
    s->b->ops->attention_backward(s->b, &s->attention, s->x[DQ], s->x[DELTA], s->x[DOUT], s->x[OUT], s->x[SUMS],
                                  s->x[Q], &s->sequence, 1);
}

void ttt_suite_attention(ttt_suite *s, const ttt_config *config)
{
    const int64_t R = s->R, H = s->H, D = s->C / H, G = config->num_key_value_heads ? config->num_key_value_heads : H;
    s->attention = (ttt_attention){
        .heads = H, .groups = G, .head_size = D, .window = config->sliding_window, .scale = 1 / sqrt((double)D)};
    const int64_t blocks = (R + TTT_KEY_BLOCK - 1) / TTT_KEY_BLOCK, cache = blocks * ttt_key_block_reals(&s->attention);
    const int64_t sizes[OPERANDS] = {
        [OUT] = R * H * D,  [SUMS] = R * H,   [PARTIAL] = TTT_ATTENTION_PARTS * (D + TTT_ATTENTION_SUMS),
        [Q] = R * H * D,    [DQ] = R * H * D, [DELTA] = R * H,
        [DOUT] = R * H * D, [K] = R * G * D,  [V] = R * G * D};
    char shape[64], one[64];
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " x %" PRId64, R, H, D);
    snprintf(one, sizeof one, "1 of %" PRId64 " x %" PRId64 " x %" PRId64, R, H, D);
    for (int i = 0; i < OPERANDS; i++) s->x[i] = ttt_suite_reals(s, sizes[i]);
    void *grown = ttt_suite_reals(s, cache), *dgrown = ttt_suite_reals(s, cache);
    if (!s->failed && ttt_backend_reserve(s->b, s->b->ops->attention_scratch(&s->attention)) != TTT_OK)
        s->failed = true;
    s->sequence = (ttt_run){.count = R, .grown = &grown, .dgrown = &dgrown};
    if (!s->failed) {
        s->run = write;
        ttt_suite_time(s, "keys_write", shape, TTT_PRECISION_F32, false);
        s->run = forward;
        ttt_suite_time(s, "attention", shape, TTT_PRECISION_F32, false);
        s->run = backward;
        ttt_suite_time(s, "attention_backward", shape, TTT_PRECISION_F32, false);
        s->run = forward;
        s->sequence.position = R - 1;
        s->sequence.count = 1;
        ttt_suite_time(s, "attention", one, TTT_PRECISION_F32, false);
    }
    ttt_suite_release(s);
}
