/* SPDX-License-Identifier: MIT
 *
 * All kernels of one instruction set: included by isa_*.c after the vector vocabulary it compiles them for.
 */
#ifndef TTT_CPU_BODIES_H
#define TTT_CPU_BODIES_H

#include <math.h>

#include "cpu/kernels.h"

#include "cpu/body_math.h"
#include "cpu/body_sum.h"

#include "cpu/body_attention.h"
#include "cpu/body_blocks.h"
#include "cpu/body_delta.h"
#include "cpu/body_delta_inputs.h"
#include "cpu/body_learner_linear.h"
#include "cpu/body_learner_mlp.h"
#include "cpu/body_learner_primal.h"
#include "cpu/body_limits.h"
#include "cpu/body_loss.h"
#include "cpu/body_norm.h"
#include "cpu/body_optim.h"
#include "cpu/body_pointwise.h"
#include "cpu/body_product.h"
#include "cpu/body_scan.h"
#include "cpu/body_sequence.h"
#include "cpu/body_strips.h"
#include "cpu/body_tiles.h"

/* widening, tile_multiply, tile_speed, block_multiply and dots: `widen`, `tile_product`, NULL, `block_product` and
 * `dot_loop`, or the machine's own; a machine that multiplies bf16 itself widens none. */
#define TTT_KERNELS(widening, tile_multiply, tile_speed, block_multiply, dots)                                         \
    {                                                                                                                  \
        .fma_loop = fma_loop, .dot_loop = dots, .tile_loop = tile_speed, .strip_width = STRIP, .product = product,     \
        .strips = lay_strips, .rows = lay_rows, .widen = widening, .tiles = tiles, .tile_product = tile_multiply,      \
        .quantize_row = quantize_row, .block_product = block_multiply, .add = add, .swiglu = swiglu,                   \
        .swiglu_backward = swiglu_backward, .silu = silu, .silu_backward = silu_backward, .rmsnorm = rmsnorm,          \
        .rmsnorm_backward = rmsnorm_backward, .norm_gate = norm_gate, .norm_gate_backward = norm_gate_backward,        \
        .rotate = rotate, .rotate_pairs = rotate_pairs, .conv = conv, .conv_backward = conv_backward, .rate = rate,    \
        .scan_rates = scan_rates, .scan = scan, .scan_backward = scan_backward, .cross_entropy = cross_entropy,        \
        .sum_squares = sum_squares, .adamw = adamw,                                                                    \
        .attention = {attention_span, attention_merge, attention_delta, attention_keys_backward},                      \
        .learner = {[TTT_LINEAR_LEARNER] = {learner_linear_forward, learner_linear_backward, learner_linear_primal},   \
                    [TTT_MLP_LEARNER] = {learner_mlp_forward, learner_mlp_backward, learner_mlp_primal}},              \
        .delta = {[TTT_DELTA_LINEAR] = {delta_linear_forward, delta_linear_backward},                                  \
                  [TTT_DELTA_NORMALISED] = {delta_normalised_forward, delta_normalised_backward},                      \
                  [TTT_DELTA_RULE] = {delta_rule_forward, delta_rule_backward},                                        \
                  [TTT_DELTA_GATED] = {delta_gated_forward, delta_gated_backward}},                                    \
        .elu1 = elu1, .elu1_backward = elu1_backward, .silu_l2 = silu_l2, .silu_l2_backward = silu_l2_backward,        \
        .decay = decay, .decay_backward = decay_backward,                                                              \
    }

#endif
