/* SPDX-License-Identifier: MIT
 *
 * The selective scan of the Mamba layer, at the sizes that a configuration gives it: with many tokens, with one, and as
 * training does.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench/suite.h"
#include "config/config.h"

static void forward(ttt_suite *s) { s->b->ops->scan(s->b, s->x[0], &s->scan); }
static void backward(ttt_suite *s) { s->b->ops->scan_backward(s->b, &s->dscan, &s->scan); }
static void make_scan(ttt_suite *s, int64_t E, int64_t N)
{
    const int64_t R = s->R, RE = R * E, EN = E * N;
    s->sequence = (ttt_run){.count = R, .state = ttt_suite_reals(s, EN), .dstate = ttt_suite_reals(s, EN)};
    s->x[0] = ttt_suite_reals(s, RE);
    s->scan = (ttt_scan){.runs = &s->sequence,
                         .run_count = 1,
                         .channels = E,
                         .states = N,
                         .stride = N,
                         .u = ttt_suite_reals(s, RE),
                         .l = ttt_suite_reals(s, RE),
                         .b = ttt_suite_reals(s, R * N),
                         .c = ttt_suite_reals(s, R * N),
                         .a_log = ttt_suite_reals(s, EN),
                         .bias = ttt_suite_reals(s, E),
                         .skip = ttt_suite_reals(s, E),
                         .kept = ttt_suite_reals(s, ttt_scan_kept(R, E, N))};
    s->dscan = (ttt_scan_gradients){.dout = ttt_suite_reals(s, RE),
                                    .du = ttt_suite_reals(s, RE),
                                    .dl = ttt_suite_reals(s, RE),
                                    .db = ttt_suite_reals(s, R * N),
                                    .dc = ttt_suite_reals(s, R * N),
                                    .da_log = ttt_suite_reals(s, EN),
                                    .dbias = ttt_suite_reals(s, E),
                                    .dskip = ttt_suite_reals(s, E),
                                    .partial = ttt_suite_reals(s, ttt_scan_partial(R, E, N))};
}

void ttt_suite_scan(ttt_suite *s, const ttt_config *config)
{
    const int64_t E = ttt_config_product(s->C, config->expand), N = config->state_size;
    char shape[64], one[64];
    if (E == 0 || s->failed) return;
    snprintf(shape, sizeof shape, "%" PRId64 " x %" PRId64 " x %" PRId64, s->R, E, N);
    snprintf(one, sizeof one, "1 x %" PRId64 " x %" PRId64, E, N);
    make_scan(s, E, N);
    if (ttt_backend_reserve(s->b, s->b->ops->scan_scratch_bytes(N)) != TTT_OK) s->failed = true;
    if (!s->failed) {
        s->run = forward;
        ttt_suite_time(s, "scan, training", shape, TTT_PRECISION_F32, false);
        s->run = backward;
        ttt_suite_time(s, "scan_backward", shape, TTT_PRECISION_F32, false);
        s->run = forward;
        s->scan.kept = NULL;
        ttt_suite_time(s, "scan", shape, TTT_PRECISION_F32, false);
        s->sequence.count = 1;
        ttt_suite_time(s, "scan", one, TTT_PRECISION_F32, false);
    }
    ttt_suite_release(s);
}
