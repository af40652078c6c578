/* SPDX-License-Identifier: MIT
 *
 * bf16: rounding matrices to tiles, and products of tiles by fmas in f32, which lose nothing of a bf16 times a bf16.
 * Every output is one chain over the inner dimension, as in body_product.h, and so a function of its row alone. An
 * instruction of AVX512_BF16 is two links of this chain. Where the machine multiplies tiles itself, isa_amx.c takes the
 * product's place.
 */
#ifndef TTT_CPU_BODY_TILES_H
#define TTT_CPU_BODY_TILES_H

#include "cpu/kernels.h"

static inline vf tile_load(const float *x, int64_t n)
{
    return n >= VF ? vf_load(x) : n > 0 ? vf_load_n(x, n) : vf_zero();
}

/* [outer, pair] of x [outer, inner]: pairs lie side by side. */
static inline void tile_of_rows(float *tile, const float *x, int64_t stride, int64_t outer, int64_t inner)
{
    for (int64_t j = 0; j < outer; j++) {
        const float *row = x + j * stride;
        for (int64_t i = 0; i < TTT_BF16_TILE_PAIRS; i += VF) {
            const int64_t left = inner - 2 * i;
            vf even = vf_zero(), odd = vf_zero();
            if (left > 0) even = tile_load(row + 2 * i, left);
            if (left > VF) odd = tile_load(row + 2 * i + VF, left - VF);
            vf_split(&even, &odd);
            vf_store(tile + j * TTT_BF16_TILE_PAIRS + i, vf_pairs(even, odd));
        }
    }
    for (int64_t i = outer * TTT_BF16_TILE_PAIRS; i < TTT_BF16_TILE_WORDS; i += VF) vf_store(tile + i, vf_zero());
}

/* [pair, outer] of x [inner, outer]: the halves of a word lie one below the other. */
static inline void tile_of_columns(float *tile, const float *x, int64_t stride, int64_t outer, int64_t inner)
{
    for (int64_t i = 0; i < TTT_BF16_TILE_PAIRS; i++) {
        const float *row = x + 2 * i * stride;
        for (int64_t j = 0; j < TTT_BF16_TILE_OUTER; j += VF) {
            vf even = vf_zero(), odd = vf_zero();
            if (2 * i < inner && j < outer) even = tile_load(row + j, outer - j);
            if (2 * i + 1 < inner && j < outer) odd = tile_load(row + stride + j, outer - j);
            vf_store(tile + i * TTT_BF16_TILE_OUTER + j, vf_pairs(even, odd));
        }
    }
}

static inline void tile_transpose(float *to, const float *from)
{
    for (int64_t i = 0; i < TTT_BF16_TILE_OUTER; i += VF) {
        for (int64_t j = 0; j < TTT_BF16_TILE_OUTER; j += VF) {
            vf square[VF];
            for (int64_t k = 0; k < VF; k++) square[k] = vf_load(from + (i + k) * TTT_BF16_TILE_OUTER + j);
            vf_transpose(square);
            for (int64_t k = 0; k < VF; k++) vf_store(to + (j + k) * TTT_BF16_TILE_OUTER + i, square[k]);
        }
    }
}

static inline void tiles(const ttt_tiling *t)
{
    float other[TTT_BF16_TILE_WORDS];
    for (int64_t j = 0; j < t->outer; j += TTT_BF16_TILE_OUTER) {
        const int64_t outer = t->outer - j < TTT_BF16_TILE_OUTER ? t->outer - j : TTT_BF16_TILE_OUTER;
        for (int64_t i = 0; i < t->inner; i += TTT_BF16_TILE_INNER) {
            const int64_t inner = t->inner - i < TTT_BF16_TILE_INNER ? t->inner - i : TTT_BF16_TILE_INNER;
            float *tile = t->tiles + j / TTT_BF16_TILE_OUTER * t->block_stride +
                          i / TTT_BF16_TILE_INNER * t->step_stride;
            float *made = t->turned == t->outputs ? tile : other;
            if (t->turned)
                tile_of_columns(made, t->x + i * t->stride + j, t->stride, outer, inner);
            else
                tile_of_rows(made, t->x + j * t->stride + i, t->stride, outer, inner);
            if (made != tile) tile_transpose(tile, made);
        }
    }
}

/* Words as operands, and c + the products of their even halves, then of their odd ones. */
#ifndef __AVX512BF16__
typedef struct vw {
    vf even, odd;
} vw;
static inline vw vw_of(vf words) { return (vw){vf_even(words), vf_odd(words)}; }
static inline vf vw_fma(vw a, vw b, vf c) { return vf_fma(a.odd, b.odd, vf_fma(a.even, b.even, c)); }
#endif

/* One block that stays in registers: `rows` x `vectors`, both constants where this is inlined. */
static inline __attribute__((always_inline)) void tile_block(const ttt_tile_product *p, int64_t row, int64_t column,
                                                             const int rows, const int vectors)
{
    enum {
        MOST = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8,
        AHEAD = TTT_PANEL * TTT_BF16_TILE_PAIRS
    }; /* words asked for */
    vf sum[VF_BLOCK_ROWS][MOST];
    const float *x[VF_BLOCK_ROWS];
    float *y = p->y + row * p->y_stride + column;
    const int64_t columns = p->columns - column, y_stride = p->y_stride;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        const int64_t at = row + r;
        x[r] = p->x + at / TTT_BF16_TILE_OUTER * p->x_stride + at % TTT_BF16_TILE_OUTER * TTT_BF16_TILE_PAIRS;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[r][v] = p->accumulate && columns > v * VF ? tile_load(y + r * y_stride + v * VF, columns - v * VF)
                                                          : vf_zero();
    }
    const float *panel = p->panel;
    for (int64_t step = 0; step < p->steps; step++, panel += TTT_PANEL * TTT_BF16_TILE_PAIRS) {
        for (int64_t i = 0; i < TTT_BF16_TILE_PAIRS; i++) {
            vw row_words[VF_BLOCK_ROWS];
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++) row_words[r] = vw_of(vf_set(x[r][step * TTT_BF16_TILE_WORDS + i]));
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) {
                const int64_t at = column + v * VF;
                const float *words = panel + at / TTT_BF16_TILE_OUTER * TTT_BF16_TILE_WORDS + at % TTT_BF16_TILE_OUTER +
                                     i * TTT_BF16_TILE_OUTER;
                const vw output_words = vw_of(vf_load(words));
                if (rows == 1 && at % TTT_BF16_TILE_OUTER == 0) __builtin_prefetch(words + AHEAD);
#pragma GCC unroll 8
                for (int r = 0; r < rows; r++) sum[r][v] = vw_fma(row_words[r], output_words, sum[r][v]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const int64_t n = columns - v * VF;
            float *to = y + r * y_stride + v * VF;
            if (n >= VF)
                vf_store(to, sum[r][v]);
            else if (n > 0)
                vf_store_n(to, sum[r][v], n);
        }
    }
}

/* All columns of up to VF_BLOCK_ROWS rows; a single row takes more vectors at once. */
static void tile_rows(const ttt_tile_product *p, int64_t row, int64_t rows)
{
    enum { ALONE = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8, STEP = VF_BLOCK_VECTORS * VF };
    if (rows == 1) {
        for (int64_t c = 0; c < p->columns; c += ALONE * VF) tile_block(p, row, c, 1, ALONE);
        return;
    }
    for (int64_t c = 0; c < p->columns; c += STEP) {
        switch (rows) {
        case 2: tile_block(p, row, c, 2, VF_BLOCK_VECTORS); break;
        case 3: tile_block(p, row, c, 3, VF_BLOCK_VECTORS); break;
        case 4: tile_block(p, row, c, 4, VF_BLOCK_VECTORS); break;
        case 5: tile_block(p, row, c, 5 < VF_BLOCK_ROWS ? 5 : VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
        default: tile_block(p, row, c, VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
        }
    }
}

static void tile_product(const ttt_tile_product *p)
{
    for (int64_t row = 0; row < p->rows; row += VF_BLOCK_ROWS)
        tile_rows(p, row, p->rows - row < VF_BLOCK_ROWS ? p->rows - row : VF_BLOCK_ROWS);
}

#endif
