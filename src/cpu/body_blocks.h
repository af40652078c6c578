/* SPDX-License-Identifier: MIT
 *
 * MATH (quantised): rows in blocks of small integers times a panel of weights in such blocks. The sum over a block is
 * exact in 32 bits; the blocks' sums, scaled, make one chain of fmas per output, in the order of the blocks. So neither
 * the number of rows nor the instructions that multiply bytes change a bit.
 *
 * A panel is block after block of the inner dimension, for TTT_PANEL outputs: their bf16 scales, then groups of four
 * inner indices, each [output, 4] bytes. Bytes are codes + 128 for q8; for q4 two groups, codes + 8, share the low and
 * the high halves of one. What is too much is in `start` of a row's block, with which the sum begins.
 */
#ifndef TTT_CPU_BODY_BLOCKS_H
#define TTT_CPU_BODY_BLOCKS_H

#include "cpu/kernels.h"

/* A single row asks for its panel AHEAD bytes before it needs it: the processor itself does not look far enough for so
 * little work on every byte. */
static inline __attribute__((always_inline)) void blocks_ahead(const uint8_t *group, const int vector)
{
    enum { AHEAD = 4096, LINE = 64 };
    if (4 * vector * VF % LINE == 0) __builtin_prefetch(group + 4 * vector * VF + AHEAD);
}

/* What blocks_product multiplies: some blocks of some rows. Where the vocabulary wants q8's codes widened, they lie in
 * `wide`: PART blocks of a row, then the next row's. */
enum { PART = 32 };

typedef struct blocks_part {
    const ttt_row_block *x;
    int64_t x_stride;
    const int8_t *wide;
    const uint8_t *panel;
    int64_t count;
    bool accumulate;
} blocks_part;

static inline __attribute__((always_inline)) const int8_t *blocks_codes(const blocks_part *part, int64_t block,
                                                                        const int row, const bool widened)
{
    return widened ? part->wide + (row * PART + block) * VB_WIDE : part->x[row * part->x_stride + block].codes;
}

/* The whole numbers of block b: q8. */
static inline __attribute__((always_inline)) void blocks_bytes(vi whole[VB_ROWS][TTT_PANEL / VF],
                                                               const blocks_part *part, int64_t b, const uint8_t *group,
                                                               const int rows, const int vectors)
{
    enum { GROUP = 4 * TTT_PANEL, GROUPS = TTT_QUANT_BLOCK / 4 };
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        const vi start = vi_set(part->x[r * part->x_stride + b].start);
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) whole[r][v] = start;
    }
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; g++, group += GROUP) {
        vb bytes[TTT_PANEL / VF];
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) {
            if (rows == 1) blocks_ahead(group, v);
            bytes[v] = vb_load(group + 4 * v * VF);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vx factor = vx_load(blocks_codes(part, b, r, VB_WIDE != 0), g);
#pragma GCC unroll 64
            for (int v = 0; v < vectors; v++) whole[r][v] = vi_dot(whole[r][v], bytes[v], factor);
        }
    }
}

/* Those of q4: sums of so small numbers may have halves of a lane. */
static inline __attribute__((always_inline)) void blocks_halves(vi whole[VB_ROWS][TTT_PANEL / VF],
                                                                const blocks_part *part, int64_t b,
                                                                const uint8_t *group, const int rows, const int vectors)
{
    enum { GROUP = 4 * TTT_PANEL, GROUPS = TTT_QUANT_BLOCK / 4 };
    vn sum[VB_ROWS][TTT_PANEL / VF];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
        const vn start = vn_set(part->x[r * part->x_stride + b].start);
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) sum[r][v] = start;
    }
#pragma GCC unroll 8
    for (int g = 0; g < GROUPS; g += 2, group += GROUP) {
        vb low[TTT_PANEL / VF], high[TTT_PANEL / VF];
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) {
            if (rows == 1) blocks_ahead(group, v);
            const vb bytes = vb_load(group + 4 * v * VF);
            low[v] = vb_low(bytes);
            high[v] = vb_high(bytes);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const int8_t *codes = blocks_codes(part, b, r, false) + 4 * g;
            const vq first = vq_load(codes), second = vq_load(codes + 4);
#pragma GCC unroll 64
            for (int v = 0; v < vectors; v++) sum[r][v] = vn_dot(vn_dot(sum[r][v], low[v], first), high[v], second);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) whole[r][v] = vn_whole(sum[r][v], part->x[r * part->x_stride + b].start);
    }
}

/* One block of outputs that stays in registers, as in body_product.h; `halves` tells q4. */
static inline __attribute__((always_inline)) void blocks_product(const ttt_block_product *p, const blocks_part *part,
                                                                 int64_t row, int64_t column, const int rows,
                                                                 const int vectors, const bool halves)
{
    enum { SCALES = 2 * TTT_PANEL };
    vf sum[VB_ROWS][TTT_PANEL / VF];
    float *y = p->y + row * p->y_stride + column;
    const int64_t columns = p->columns - column, size = ttt_panel_block(halves ? TTT_PRECISION_Q4 : TTT_PRECISION_Q8);
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) {
            const int64_t n = columns - v * VF;
            const float *from = y + r * p->y_stride + v * VF;
            sum[r][v] = part->accumulate && n > 0 ? vf_load_n(from, n < VF ? n : VF) : vf_zero();
        }
    }
    const uint8_t *panel = part->panel;
    for (int64_t b = 0; b < part->count; b++, panel += size) {
        vi whole[VB_ROWS][TTT_PANEL / VF];
        const uint8_t *group = panel + SCALES + 4 * column;
        if (halves)
            blocks_halves(whole, part, b, group, rows, vectors);
        else
            blocks_bytes(whole, part, b, group, rows, vectors);
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) {
            const vf scale = vf_scales(panel + 2 * (column + v * VF));
#pragma GCC unroll 8
            for (int r = 0; r < rows; r++)
                sum[r][v] = vf_fma(vf_whole(whole[r][v]), vf_mul(vf_set(part->x[r * part->x_stride + b].scale), scale),
                                   sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 64
        for (int v = 0; v < vectors; v++) {
            const int64_t n = columns - v * VF;
            if (n > 0) vf_store_n(y + r * p->y_stride + v * VF, sum[r][v], n < VF ? n : VF);
        }
    }
}

/* All columns of some rows; widened codes serve all of them. */
static inline __attribute__((always_inline)) void blocks_rows(const ttt_block_product *p, int64_t row, const int rows,
                                                              const int vectors, const bool halves)
{
    const bool widens = VB_WIDE > 0 && !halves;
    const int64_t part_size = widens ? PART : p->blocks,
                  panel_size = ttt_panel_block(halves ? TTT_PRECISION_Q4 : TTT_PRECISION_Q8);
    _Alignas(64) int8_t wide[VB_WIDE > 0 ? VB_ROWS * PART * VB_WIDE : 1];
    for (int64_t first = 0; first < p->blocks; first += part_size) {
        const blocks_part part = {.x = p->x + row * p->blocks + first,
                                  .x_stride = p->blocks,
                                  .wide = wide,
                                  .panel = p->panel + first * panel_size,
                                  .count = p->blocks - first < part_size ? p->blocks - first : part_size,
                                  .accumulate = p->accumulate || first > 0};
        for (int r = 0; r < rows && widens; r++)
            for (int64_t b = 0; b < part.count; b++)
                vx_widen(wide + (r * PART + b) * VB_WIDE, part.x[r * p->blocks + b].codes);
        for (int64_t c = 0; c < p->columns; c += vectors * VF) blocks_product(p, &part, row, c, rows, vectors, halves);
    }
}

/* A single row takes the panel in order, as memory likes to be read; several share what is loaded of it. */
static inline __attribute__((always_inline)) void blocks_all(const ttt_block_product *p, const bool halves)
{
    enum { ALONE = TTT_PANEL / VF < 4 ? TTT_PANEL / VF : 4 };
    int64_t row = 0;
    for (; p->rows - row >= VB_ROWS && VB_ROWS > 1; row += VB_ROWS) blocks_rows(p, row, VB_ROWS, VB_VECTORS, halves);
    for (; p->rows - row >= 2 && VB_ROWS > 2; row += 2) blocks_rows(p, row, 2, VB_VECTORS, halves);
    for (; row < p->rows; row++) blocks_rows(p, row, 1, ALONE, halves);
}

static void block_product(const ttt_block_product *p)
{
    if (p->halves)
        blocks_all(p, true);
    else
        blocks_all(p, false);
}

/* ttt_quantize_row, block after block; `offset` is what the weights' bytes have too much. */
static inline void quantize_row(ttt_row_block *blocks, const float *x, int64_t columns, int32_t offset)
{
    for (; columns > 0; columns -= TTT_QUANT_BLOCK, x += TTT_QUANT_BLOCK, blocks++) {
        vf values[TTT_QUANT_BLOCK / VF], top = vf_zero(), zeros = vf_zero(), sum = vf_zero();
#pragma GCC unroll 4
        for (int v = 0; v < TTT_QUANT_BLOCK / VF; v++) {
            const int64_t n = columns - v * VF;
            values[v] = n >= VF ? vf_load(x + v * VF) : n > 0 ? vf_load_n(x + v * VF, n) : vf_zero();
            top = vf_max(top, vf_max(values[v], vf_sub(vf_zero(), values[v])));
            zeros = vf_fma(values[v], vf_zero(), zeros); /* NaN if one is not finite */
        }
        const float largest = vf_top(top);
        *blocks = (ttt_row_block){.scale = vf_sum(zeros)};
        if (!(blocks->scale == 0) || largest < 0x1p-100f) continue;
        const vf inverse = vf_set(127 / largest);
#pragma GCC unroll 4
        for (int v = 0; v < TTT_QUANT_BLOCK / VF; v++) {
            const vf codes = vf_round(vf_mul(values[v], inverse));
            vf_store_codes(blocks->codes + v * VF, codes);
            sum = vf_add(sum, codes);
        }
        blocks->scale = largest / 127;
        blocks->start = -offset * (int32_t)vf_sum(sum);
    }
}

/* The most that products of bytes can do, q4's, as fma_loop (body_limits.h) is for floats. The bytes come from a little
 * memory, at a place that changes, so that no product is taken out of the loop. */
static double dot_loop(float *sink, int64_t steps)
{
    enum { CHAINS = 12, BYTES = 4 * VF, PLACES = 8 };
    _Alignas(64) uint8_t bytes[(CHAINS + PLACES) * BYTES];
    const int8_t four[4] = {1, -2, 3, -4};
    const vq x = vq_load(four);
    vn sums[CHAINS];
    for (int i = 0; i < (CHAINS + PLACES) * BYTES; i++) bytes[i] = (uint8_t)((i + steps) & 127);
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) sums[c] = vn_set(c);
    for (int64_t i = 0; i < steps; i++) {
        const uint8_t *at = bytes + i % PLACES * BYTES;
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) sums[c] = vn_dot(sums[c], vb_load(at + c * BYTES), x);
    }
    vf total = vf_zero();
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++) total = vf_add(total, vf_whole(vn_whole(sums[c], c)));
    *sink = vf_sum(total);
    return 2.0 * 4 * CHAINS * VF * (double)steps;
}

#endif
