/* SPDX-License-Identifier: MIT
 *
 * The learners' small dense products, in registers block by block: C = init + alpha A B. Every element of A B is one
 * chain of fmas from 0 over the inner dimension, in its order; so neither the number of rows and columns nor the block
 * that an element is computed in changes a bit of it.
 */
#ifndef TTT_CPU_BODY_SMALLMM_H
#define TTT_CPU_BODY_SMALLMM_H

#include <stddef.h>

#include "cpu/kernels.h"

/* A matrix in memory: element (i, j) is at x[i * row + j * column]. One of the two is 1, and in all but the first
 * factor of a product it is `column`. */
typedef struct view {
    const float *x;
    int64_t row, column;
} view;

static inline view rows_of(const float *x, int64_t stride) { return (view){x, stride, 1}; }
static inline view columns_of(const float *x, int64_t stride) { return (view){x, 1, stride}; }
static inline view same_row(const float *x) { return (view){x, 0, 1}; }
static inline view none(void) { return (view){NULL, 0, 1}; }

typedef struct mm_product {
    int64_t m, n, k; /* C [m, n], A [m, k], B [k, n] */
    float alpha;
    view a, b, init; /* init.x NULL: zero */
    float *c;
    int64_t c_row;
} mm_product;

#define MM_INLINE static inline __attribute__((always_inline))

/* Rows of a block that is `vectors` wide: as many as the registers hold. */
MM_INLINE int mm_height(const int vectors)
{
    const int rows = VF_BLOCK_ROWS * VF_BLOCK_VECTORS / vectors;
    return rows < 8 ? rows : 8;
}

/* What is written of a block whose sums are complete. The product's fields are copied: the compiler must believe that a
 * store changes them. */
MM_INLINE void mm_finish(const mm_product *p, int64_t i, int64_t j, vf sum[8][4], const int rows, const int vectors,
                         const bool partial, int64_t lanes, const bool has_init)
{
    const vf alpha = vf_set(p->alpha);
    const int64_t from_row = p->init.row, to_row = p->c_row;
    const float *from = has_init ? p->init.x + i * from_row + j : NULL;
    float *to = p->c + i * to_row + j;
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) {
            vf y = vf_mul(alpha, sum[r][c]);
            if (has_init) {
                const float *at = from + r * from_row + c * VF;
                y = vf_fma(alpha, sum[r][c], partial ? vf_load_n(at, lanes) : vf_load(at));
            }
            if (partial)
                vf_store_n(to + r * to_row + c * VF, y, lanes);
            else
                vf_store(to + r * to_row + c * VF, y);
        }
    }
}

/* The block at (i, j). Constants where this is inlined: its size, whether the last vector has but `lanes` lanes, and
 * whether A lies by rows (a.column is 1) or by columns (a.row is 1). */
MM_INLINE void mm_block(const mm_product *p, int64_t i, int64_t j, const int rows, const int vectors,
                        const bool partial, int64_t lanes, const bool by_rows)
{
    vf sum[8][4];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) sum[r][c] = vf_zero();
    }
    const int64_t row = by_rows ? p->a.row : 1, column = by_rows ? 1 : p->a.column, depth = p->k, b_row = p->b.row;
    const float *a = p->a.x + i * row, *b = p->b.x + j;
    for (int64_t l = 0; l < depth; l++, a += column, b += b_row) {
        vf values[4];
#pragma GCC unroll 4
        for (int c = 0; c < vectors; c++) values[c] = partial ? vf_load_n(b + c * VF, lanes) : vf_load(b + c * VF);
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const vf factor = vf_set(a[r * row]);
#pragma GCC unroll 4
            for (int c = 0; c < vectors; c++) sum[r][c] = vf_fma(factor, values[c], sum[r][c]);
        }
    }
    if (p->init.x)
        mm_finish(p, i, j, sum, rows, vectors, partial, lanes, true);
    else
        mm_finish(p, i, j, sum, rows, vectors, partial, lanes, false);
}

/* The columns [j, j + vectors * VF) of all rows. */
MM_INLINE void mm_columns(const mm_product *p, int64_t j, const int vectors, const bool partial, int64_t lanes,
                          const bool by_rows)
{
    int64_t i = 0;
    for (; i + mm_height(vectors) <= p->m; i += mm_height(vectors)) {
        mm_block(p, i, j, mm_height(vectors), vectors, partial, lanes, by_rows);
    }
    for (; i + 4 <= p->m; i += 4) mm_block(p, i, j, 4, vectors, partial, lanes, by_rows);
    for (; i + 2 <= p->m; i += 2) mm_block(p, i, j, 2, vectors, partial, lanes, by_rows);
    for (; i < p->m; i++) mm_block(p, i, j, 1, vectors, partial, lanes, by_rows);
}

MM_INLINE void mm_all(const mm_product *p, const bool by_rows)
{
    enum { WIDE = VF_BLOCK_VECTORS };
    int64_t j = 0;
    for (; j + WIDE * VF <= p->n; j += WIDE * VF) mm_columns(p, j, WIDE, false, VF, by_rows);
    for (; WIDE > 2 && j + 2 * VF <= p->n; j += 2 * VF) mm_columns(p, j, 2, false, VF, by_rows);
    for (; j + VF <= p->n; j += VF) mm_columns(p, j, 1, false, VF, by_rows);
    if (j < p->n) mm_columns(p, j, 1, true, p->n - j, by_rows);
}

static __attribute__((noinline)) void mm_by_rows(const mm_product *p) { mm_all(p, true); }
static __attribute__((noinline)) void mm_by_columns(const mm_product *p) { mm_all(p, false); }

/* c [m, n] = init + alpha a [m, k] b [k, n]; rows of c are c_row apart. c may be init. */
static void mm(int64_t m, int64_t n, int64_t k, float alpha, view a, view b, view init, float *c, int64_t c_row)
{
    const mm_product p = {m, n, k, alpha, a, b, init, c, c_row};
    if (a.column == 1)
        mm_by_rows(&p);
    else
        mm_by_columns(&p);
}

/* Columns of a matrix turned at a time: as many as a block is wide. */
enum { MM_TURN = VF * VF_BLOCK_VECTORS < TTT_TURN ? VF * VF_BLOCK_VECTORS : TTT_TURN };

/* panel [depth, MM_TURN] = rows [count, depth], count <= MM_TURN, transposed; what is left of whole vectors is zero. */
static void turn(float *panel, view rows, int64_t count, int64_t depth)
{
    for (int64_t r = 0; r < count; r += VF) {
        for (int64_t l = 0; l < depth; l += VF) {
            const int64_t lanes = depth - l < VF ? depth - l : VF;
            const float *from = rows.x + r * rows.row + l;
            vf square[VF];
#pragma GCC unroll 16
            for (int i = 0; i < VF; i++) square[i] = r + i < count ? vf_load_n(from + i * rows.row, lanes) : vf_zero();
            vf_transpose(square);
#pragma GCC unroll 16
            for (int i = 0; i < VF; i++) vf_store(panel + (l + i) * MM_TURN + r, square[i]);
        }
    }
}

/* Reals of a panel of `depth`. */
static inline int64_t panel_size(int64_t depth) { return (depth + VF - 1) / VF * VF * MM_TURN; }

/* b [n, k], by rows, turned into panels for mm_panels */
static void turn_all(float *panels, view b, int64_t n, int64_t k)
{
    for (int64_t j = 0; j < n; j += MM_TURN, panels += panel_size(k)) {
        turn(panels, rows_of(b.x + j * b.row, b.row), n - j < MM_TURN ? n - j : MM_TURN, k);
    }
}

/* c [m, n] = init + alpha a [m, k] b^T, b [n, k] in panels */
static void mm_panels(int64_t m, int64_t n, int64_t k, float alpha, view a, const float *panels, view init, float *c,
                      int64_t c_row)
{
    for (int64_t j = 0; j < n; j += MM_TURN, panels += panel_size(k)) {
        const view from = {init.x ? init.x + j : NULL, init.row, 1};
        mm(m, n - j < MM_TURN ? n - j : MM_TURN, k, alpha, a, rows_of(panels, MM_TURN), from, c + j, c_row);
    }
}

/* The same with b by rows; `panel` is scratch for one panel. */
static void mm_turned(int64_t m, int64_t n, int64_t k, float alpha, view a, view b, view init, float *c, int64_t c_row,
                      float *panel)
{
    for (int64_t j = 0; j < n; j += MM_TURN) {
        const int64_t width = n - j < MM_TURN ? n - j : MM_TURN;
        const view from = {init.x ? init.x + j : NULL, init.row, 1};
        turn(panel, rows_of(b.x + j * b.row, b.row), width, k);
        mm(m, width, k, alpha, a, rows_of(panel, MM_TURN), from, c + j, c_row);
    }
}

#endif
