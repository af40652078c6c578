/* SPDX-License-Identifier: MIT
 *
 * The memory operations: conversion, zero, fill, copy, transpose, add.
 */
#include <string.h>

#include "cpu/cpu.h"

typedef struct conversion {
    char *target;
    const char *source;
    ttt_dtype target_dtype, source_dtype;
} conversion;

/* The usual case of loading, in a loop that is vectorised: a bf16 is the upper half of a float. */
static void widen_bf16(float *y, const char *source, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, source + 2 * i, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}

static void convert_part(void *context, int64_t begin, int64_t end)
{
    const conversion *c = context;
    if (c->target_dtype == TTT_F32 && c->source_dtype == TTT_BF16) {
        widen_bf16((float *)(void *)c->target + begin, c->source + 2 * begin, end - begin);
        return;
    }
    ttt_dtype_convert(c->target + (size_t)begin * ttt_dtype_bytes(c->target_dtype), c->target_dtype,
                      c->source + (size_t)begin * ttt_dtype_bytes(c->source_dtype), c->source_dtype,
                      (size_t)(end - begin));
}

static void from(const ttt_backend *b, void *reals, const void *source, ttt_dtype dtype, int64_t n)
{
    conversion c = {.target = reals, .source = source, .target_dtype = TTT_F32, .source_dtype = dtype};
    ttt_cpu_split(b, n, 1, convert_part, &c);
}

static void to(const ttt_backend *b, void *target, ttt_dtype dtype, const void *reals, int64_t n)
{
    conversion c = {.target = target, .source = reals, .target_dtype = dtype, .source_dtype = TTT_F32};
    ttt_cpu_split(b, n, 1, convert_part, &c);
}

typedef struct vectors {
    const ttt_kernels *kernels;
    float *y;
    const float *x;
} vectors;

static void zero_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    memset(v->y + begin, 0, (size_t)(end - begin) * sizeof(float));
}

static void copy_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    memcpy(v->y + begin, v->x + begin, (size_t)(end - begin) * sizeof(float));
}

static void add_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    v->kernels->add(v->y + begin, v->x + begin, end - begin);
}

static void fill(const ttt_backend *b, void *xv, double value, int64_t n)
{
    float *x = xv; /* few numbers: a rate for each row and head */
    (void)b;
    for (int64_t i = 0; i < n; i++) x[i] = (float)value;
}

static void zero(const ttt_backend *b, void *x, int64_t n)
{
    vectors v = {.y = x};
    ttt_cpu_split(b, n, 1, zero_part, &v);
}

static void copy(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    vectors v = {.y = y, .x = x};
    ttt_cpu_split(b, n, 1, copy_part, &v);
}

typedef struct matrix {
    float *y;
    const float *x;
    int64_t y_stride, x_stride, rows, columns;
} matrix;

static void copy_part_rows(void *context, int64_t begin, int64_t end)
{
    const matrix *m = context;
    for (int64_t r = begin; r < end; r++)
        memcpy(m->y + r * m->y_stride, m->x + r * m->x_stride, (size_t)m->columns * sizeof(float));
}

static void copy_rows(const ttt_backend *b, void *y, int64_t y_stride, const void *x, int64_t x_stride, int64_t rows,
                      int64_t width)
{
    matrix m = {.y = y, .x = x, .y_stride = y_stride, .x_stride = x_stride, .columns = width};
    ttt_cpu_split(b, rows, width, copy_part_rows, &m);
}

static void transpose_part(void *context, int64_t begin, int64_t end)
{
    const matrix *m = context;
    for (int64_t r = begin; r < end; r++)
        for (int64_t c = 0; c < m->rows; c++) m->y[r * m->rows + c] = m->x[c * m->columns + r];
}

static void transpose(const ttt_backend *b, void *y, const void *x, int64_t rows, int64_t columns)
{
    matrix m = {.y = y, .x = x, .rows = rows, .columns = columns};
    ttt_cpu_split(b, columns, rows, transpose_part, &m);
}

static void add(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    vectors v = {.kernels = ttt_cpu_kernels(b), .y = y, .x = x};
    ttt_cpu_split(b, n, 1, add_part, &v);
}

void ttt_cpu_ops_memory(ttt_ops *ops)
{
    ops->from = from;
    ops->to = to;
    ops->zero = zero;
    ops->fill = fill;
    ops->copy = copy;
    ops->copy_rows = copy_rows;
    ops->transpose = transpose;
    ops->add = add;
}
