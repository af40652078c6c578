/* SPDX-License-Identifier: MIT
 *
 * Products with a packed panel: PANEL outputs side by side for every step of the inner dimension, padded with zeros.
 * Every output is one chain of fmas over the inner dimension, in its order, from 0 or from what y holds. So neither the
 * number of rows, nor the block that a row is computed in, nor a cut of the inner dimension changes a bit.
 */
#ifndef TTT_CPU_BODY_PRODUCT_H
#define TTT_CPU_BODY_PRODUCT_H

#include "cpu/kernels.h"

/* One block that stays in registers: `rows` x `vectors`, both constants where this is inlined. */
static inline __attribute__((always_inline)) void product_block(const ttt_product *p, int64_t row, int64_t column,
                                                                const int rows, const int vectors)
{
    enum { MOST = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8, AHEAD = 512 }; /* floats of the panel asked for ahead */
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
    const float *x = p->x + row * p->x_stride, *w = p->panel + column;
    for (int64_t k = 0; k < p->depth; k++, x += p->x_step, w += TTT_PANEL) {
        vf weight[MOST];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) {
            weight[v] = vf_load(w + v * VF);
            if (rows == 1) __builtin_prefetch(w + v * VF + AHEAD);
        }
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vf value = vf_set(x[r * p->x_stride]);
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

/* All columns of up to VF_BLOCK_ROWS rows. A single row takes more vectors at once: it is bound by memory, which likes
 * to be read in order. */
static void product_rows(const ttt_product *p, int64_t row, int64_t rows)
{
    enum { ALONE = TTT_PANEL / VF < 8 ? TTT_PANEL / VF : 8, STEP = VF_BLOCK_VECTORS * VF };
    if (rows == 1) {
        for (int64_t c = 0; c < p->columns; c += ALONE * VF) product_block(p, row, c, 1, ALONE);
        return;
    }
    for (int64_t c = 0; c < p->columns; c += STEP) {
        switch (rows) {
        case 2: product_block(p, row, c, 2, VF_BLOCK_VECTORS); break;
        case 3: product_block(p, row, c, 3, VF_BLOCK_VECTORS); break;
        case 4: product_block(p, row, c, 4, VF_BLOCK_VECTORS); break;
        case 5: product_block(p, row, c, 5 < VF_BLOCK_ROWS ? 5 : VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
        default: product_block(p, row, c, VF_BLOCK_ROWS, VF_BLOCK_VECTORS); break;
        }
    }
}

static void product(const ttt_product *p)
{
    for (int64_t row = 0; row < p->rows; row += VF_BLOCK_ROWS) {
        product_rows(p, row, p->rows - row < VF_BLOCK_ROWS ? p->rows - row : VF_BLOCK_ROWS);
    }
}

#endif
