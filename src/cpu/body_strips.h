/* SPDX-License-Identifier: MIT
 *
 * How the operands of body_product.h's products are laid out, and rounded to bf16 on the way if that is wanted: the
 * outputs in strips, rows either as they are, one behind the other, or block by block of TTT_ROWS_TOGETHER with a
 * block's rows side by side.
 */
#ifndef TTT_CPU_BODY_STRIPS_H
#define TTT_CPU_BODY_STRIPS_H

#include "cpu/body_product.h"

/* The nearest bf16s, as floats. */
static inline vf strips_round(vf x) { return vf_odd(vf_pairs(x, x)); }

static inline vf strips_load(const float *x, int64_t n, const bool round)
{
    const vf values = n >= VF ? vf_load(x) : n > 0 ? vf_load_n(x, n) : vf_zero();
    return round ? strips_round(values) : values;
}

/* A strip of w [depth, columns]. */
static inline __attribute__((always_inline)) void strip_of_steps(float *strip, const ttt_strips *s, int64_t column,
                                                                 const bool round)
{
    for (int64_t k = 0; k < s->depth; k++, strip += STRIP) {
        const float *w = s->w + k * s->stride + column;
#pragma GCC unroll 4
        for (int64_t j = 0; j < STRIP; j += VF) vf_store(strip + j, strips_load(w + j, s->columns - column - j, round));
    }
}

/* A strip of w [columns, depth]: squares turned over. */
static inline __attribute__((always_inline)) void strip_of_outputs(float *strip, const ttt_strips *s, int64_t column,
                                                                   const bool round)
{
    for (int64_t k = 0; k < s->depth; k += VF, strip += VF * STRIP) {
        const int64_t steps = s->depth - k < VF ? s->depth - k : VF;
        for (int64_t j = 0; j < STRIP; j += VF) {
            vf square[VF];
#pragma GCC unroll 16
            for (int64_t i = 0; i < VF; i++) {
                const int64_t output = column + j + i;
                square[i] = output < s->columns ? strips_load(s->w + output * s->stride + k, steps, round) : vf_zero();
            }
            vf_transpose(square);
            if (steps == VF) {
#pragma GCC unroll 16
                for (int64_t i = 0; i < VF; i++) vf_store(strip + i * STRIP + j, square[i]);
            } else {
                for (int64_t i = 0; i < steps; i++) vf_store(strip + i * STRIP + j, square[i]);
            }
        }
    }
}

static void lay_strips(const ttt_strips *s)
{
    float *strip = s->strips;
    for (int64_t column = 0; column < s->columns; column += STRIP, strip += s->strip_stride) {
        switch (2 * s->turned + s->round) {
        case 0: strip_of_outputs(strip, s, column, false); break;
        case 1: strip_of_outputs(strip, s, column, true); break;
        case 2: strip_of_steps(strip, s, column, false); break;
        default: strip_of_steps(strip, s, column, true); break;
        }
    }
}

/* Strips of a panel of bf16 tiles: TTT_PANEL outputs, `steps` steps of 32 inner indices. */
static void widen(float *strips, int64_t strip_stride, const float *panel, int64_t steps)
{
    for (int64_t step = 0; step < steps; step++) {
        for (int64_t pair = 0; pair < TTT_BF16_TILE_PAIRS; pair++) {
            float *to = strips + (step * TTT_BF16_TILE_INNER + 2 * pair) * STRIP;
            const float *from = panel + (step * TTT_PANEL + pair) * TTT_BF16_TILE_OUTER;
#pragma GCC unroll 16
            for (int64_t c = 0; c < TTT_PANEL; c += VF) {
                const vf words = vf_load(from + c / TTT_BF16_TILE_OUTER * TTT_BF16_TILE_WORDS +
                                         c % TTT_BF16_TILE_OUTER);
                float *at = to + c / STRIP * strip_stride + c % STRIP;
                vf_store(at, vf_even(words));
                vf_store(at + STRIP, vf_odd(words));
            }
        }
    }
}

/* Rows of a [rows, depth], one behind the other. */
static inline __attribute__((always_inline)) void rows_plain(const ttt_rows *r, const bool round)
{
    for (int64_t row = 0; row < r->rows; row++) {
        const float *from = r->a + row * r->stride;
        float *to = r->to + row * r->to_stride;
        int64_t k = 0;
        for (; k + VF <= r->depth; k += VF) vf_store(to + k, strips_load(from + k, VF, round));
        if (k < r->depth) vf_store_n(to + k, strips_load(from + k, r->depth - k, round), r->depth - k);
    }
}

/* Rows of a [depth, rows]. What a vector has too many is written over by what comes later; behind the last block there
 * is room. */
static inline __attribute__((always_inline)) void rows_turned(const ttt_rows *r, const bool round)
{
    enum { WIDE = TTT_ROWS_TOGETHER, WHOLE = (WIDE + VF - 1) / VF * VF };
    const int64_t rows = r->rows, to_stride = r->to_stride;
    for (int64_t k = 0; k < r->depth; k++) {
        const float *from = r->a + k * r->stride;
        float *to = r->to + k * WIDE;
        int64_t row = 0;
        for (; row + WHOLE <= rows; row += WIDE, to += to_stride) {
#pragma GCC unroll 8
            for (int64_t j = 0; j < WHOLE; j += VF) vf_store(to + j, strips_load(from + row + j, VF, round));
        }
        for (; row < rows; row += WIDE, to += to_stride) {
            for (int64_t j = 0; j < WHOLE; j += VF)
                vf_store(to + j, strips_load(from + row + j, rows - row - j, round));
        }
    }
}

static void lay_rows(const ttt_rows *r)
{
    switch (2 * r->turned + r->round) {
    case 0: rows_plain(r, false); break;
    case 1: rows_plain(r, true); break;
    case 2: rows_turned(r, false); break;
    default: rows_turned(r, true); break;
    }
}

#endif
