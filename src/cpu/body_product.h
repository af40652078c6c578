/* SPDX-License-Identifier: MIT
 *
 * Products with a packed panel: strips of as many outputs as a block in registers is wide, side by side for every step
 * of the inner dimension, the last strip padded with zeros. A strip's part for some steps stays in the first cache
 * while all rows pass. Every output is one chain of fmas over the inner dimension, in its order, from 0 or from what y
 * holds. So neither the number of rows, nor the block that a row is computed in, nor a cut of the inner dimension
 * changes a bit.
 */
#ifndef TTT_CPU_BODY_PRODUCT_H
#define TTT_CPU_BODY_PRODUCT_H

#include "cpu/kernels.h"

enum { PRODUCT_LINE = 16 };             /* floats of a cache line */
enum { STRIP = VF_BLOCK_VECTORS * VF }; /* outputs; TTT_PANEL is a multiple */

/* One block that stays in registers: `rows` x `vectors`, both constants where this is inlined. */
static inline __attribute__((always_inline)) void product_block(const ttt_product *p, int64_t row, int64_t column,
                                                                const int rows, const int vectors)
{
    enum { MOST = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8, AHEAD = 32 }; /* steps of the panel asked for ahead */
    vf sum[VF_BLOCK_ROWS][MOST];
    float *y = p->y + row * p->y_stride + column;
    const int64_t columns = p->columns - column;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const int64_t n = columns - v * VF;
            const float *from = y + r * p->y_stride + v * VF;
            if (!p->accumulate || n <= 0)
                sum[r][v] = vf_zero();
            else
                sum[r][v] = n < VF ? vf_load_n(from, n) : vf_load(from);
        }
    }
    const int64_t x_stride = p->x_stride, x_step = p->x_step, strip_stride = p->strip_stride, depth = p->depth;
    const float *x = p->x + row / TTT_ROWS_TOGETHER * p->x_block + row % TTT_ROWS_TOGETHER * x_stride;
    const float *w = p->panel + column / STRIP * strip_stride;
#pragma GCC unroll 8
    for (int r = 0; r < rows && rows == VF_BLOCK_ROWS; r++) { /* the next rows' sums */
#pragma GCC unroll 8
        for (int v = 0; v < vectors * VF; v += PRODUCT_LINE) __builtin_prefetch(y + (rows + r) * p->y_stride + v, 1);
    }
    for (int64_t k = 0; k < depth; k++, x += x_step, w += STRIP) {
        vf weight[MOST];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const float *at = w + v / VF_BLOCK_VECTORS * strip_stride + v % VF_BLOCK_VECTORS * VF;
            weight[v] = vf_load(at);
            if (rows == 1) __builtin_prefetch(at + AHEAD * STRIP);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vf value = vf_set(x[r * x_stride]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) sum[r][v] = vf_fma(value, weight[v], sum[r][v]);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            const int64_t n = columns - v * VF;
            float *to = y + r * p->y_stride + v * VF;
            if (n >= VF)
                vf_store(to, sum[r][v]);
            else if (n > 0)
                vf_store_n(to, sum[r][v], n);
        }
    }
}

/* A strip's columns of up to VF_BLOCK_ROWS rows. */
static void product_strip(const ttt_product *p, int64_t row, int64_t column, int64_t rows)
{
    switch (rows) {
    case 1: product_block(p, row, column, 1, VF_BLOCK_VECTORS); break;
    case 2: product_block(p, row, column, 2, VF_BLOCK_VECTORS); break;
    case 3: product_block(p, row, column, 3, VF_BLOCK_VECTORS); break;
    case 4: product_block(p, row, column, 4, VF_BLOCK_VECTORS); break;
    case 5: product_block(p, row, column, 5 < VF_BLOCK_ROWS ? 5 : VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
    default: product_block(p, row, column, VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
    }
}

/* The part of what is asked for ahead that falls to some rows. */
static void product_ahead(const ttt_product *p, int64_t row)
{
    const int64_t end = (row + VF_BLOCK_ROWS) * p->ahead_rows / p->rows;
    for (int64_t i = row * p->ahead_rows / p->rows; i < end && i < p->ahead_rows; i++) {
        const float *at = p->ahead + i * p->ahead_stride;
        for (int64_t j = 0; j < p->ahead_columns; j += PRODUCT_LINE) __builtin_prefetch(at + j, 0, 2);
    }
}

/* A single row takes several strips at once: it is bound by memory, and by how long an fma takes. */
static void product(const ttt_product *p)
{
    enum { ALONE = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8 };
    if (p->rows == 1) {
        for (int64_t c = 0; c < p->columns; c += ALONE * VF) product_block(p, 0, c, 1, ALONE);
        return;
    }
    for (int64_t c = 0; c < p->columns; c += STRIP) {
        for (int64_t row = 0; row < p->rows; row += VF_BLOCK_ROWS) {
            if (c == 0 && p->ahead) product_ahead(p, row);
            product_strip(p, row, c, p->rows - row < VF_BLOCK_ROWS ? p->rows - row : VF_BLOCK_ROWS);
        }
    }
}

#endif
