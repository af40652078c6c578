/* SPDX-License-Identifier: MIT
 *
 * Products and embedding. dims: rows, outputs N, inputs M, accumulate (1 or 2: 0 would end the list).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_env.h"
#include "bits.h"
#include "cpu/cpu.h"
#include "op.h"
#include "test.h"

enum { Y, X, W };

/* The matrix [rows, columns] at `values`, or its transpose, as products in this precision want it; release with free.
 */
static void *packed(const ttt_backend *b, ttt_precision precision, const void *values, int64_t rows, int64_t columns,
                    bool transposed)
{
    const ttt_matrix matrix = {.dtype = b->dtype,
                               .values = values,
                               .rows = transposed ? columns : rows,
                               .columns = transposed ? rows : columns,
                               .transposed = transposed};
    const size_t size = b->ops->packed_size(precision, matrix.rows, matrix.columns);
    char *memory = aligned_alloc(64, (size + 63) / 64 * 64 + 64);
    memset(memory, 0xab, size + 1);
    bool finite = true;
    b->ops->pack(b, memory, precision, &matrix, transposed ? NULL : &finite);
    CHECK(finite && memory[size] == (char)0xab);
    return memory;
}

/* y, x and w as the operation's operands; packed on the fly for the [row] case. */
static void run_packed(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t N = c->dims[1], M = c->dims[2];
    const ttt_precision precision = (ttt_precision)c->dims[4];
    const ttt_param w = {
        .rows = N, .columns = M, .precision = precision, .packed = packed(b, precision, x[W], N, M, false)};
    b->ops->linear(b, ttt_at(b, x[Y], begin * N), ttt_at(b, x[X], begin * M), &w, end - begin, c->dims[3] == 2);
    free(w.packed);
}

static void run_values(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const ttt_param w = {.rows = c->dims[1], .columns = c->dims[2], .values = x[W]};
    b->ops->linear(b, x[Y], x[X], &w, c->dims[0], c->dims[3] == 2);
}

static void run_backward_input(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const ttt_param w = {.rows = c->dims[1], .columns = c->dims[2], .values = x[W]};
    b->ops->linear_backward_input(b, x[X], x[Y], &w, c->dims[0], c->dims[3] == 2);
}

static void run_turned(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const int64_t N = c->dims[1], M = c->dims[2];
    const ttt_precision precision = (ttt_precision)c->dims[4];
    const ttt_param w = {
        .rows = N, .columns = M, .precision = precision, .turned = packed(b, precision, x[W], N, M, true)};
    b->ops->linear_backward_input(b, x[X], x[Y], &w, c->dims[0], c->dims[3] == 2);
    free(w.turned);
}

static void run_backward_weight(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    const ttt_param w = {
        .rows = c->dims[1], .columns = c->dims[2], .values = x[W], .precision = (ttt_precision)c->dims[4]};
    b->ops->linear_backward_weight(b, &w, x[Y], x[X], c->dims[0]);
}

/* A sum of n terms rounded n times: sqrt(n) / 2 eps of the sum of magnitudes is what random errors make of it; twice
 * that, and a little for the short sums. */
static double sum_bound(int64_t n) { return 2 + sqrt((double)n); }

static void check_products(int64_t R, int64_t N, int64_t M)
{
    for (int64_t accumulate = 1; accumulate <= 2; accumulate++) {
        const op_role out = accumulate == 2 ? OP_ADD : OP_OUT;
        op_case c = {.name = "linear, packed",
                     .dims = {R, N, M, accumulate},
                     .operands = {{out, R * N, 1}, {OP_IN, R * M, 1}, {OP_IN, N * M, 1}},
                     .rows = R,
                     .run = run_packed,
                     .c = sum_bound(M)};
        op_check(&c);
        c.name = "linear, values", c.rows = 0, c.run = run_values;
        op_check(&c);
        op_case input = {.name = "linear_backward_input",
                         .dims = {R, N, M, accumulate},
                         .operands = {{OP_IN, R * N, 1}, {out, R * M, 1}, {OP_IN, N * M, 1}},
                         .run = run_backward_input,
                         .c = sum_bound(N)};
        op_check(&input);
    }
    op_case weight = {.name = "linear_backward_weight",
                      .dims = {R, N, M},
                      .operands = {{OP_IN, R * N, 1}, {OP_IN, R * M, 1}, {OP_ADD, N * M, 1}},
                      .run = run_backward_weight,
                      .c = sum_bound(R)};
    op_check(&weight);
}

/* The same in bf16: a product of two bf16 is exact in f32, so the bounds stay. */
static void check_products_bf16(int64_t R, int64_t N, int64_t M)
{
    for (int64_t accumulate = 1; accumulate <= 2; accumulate++) {
        const op_role out = accumulate == 2 ? OP_ADD : OP_OUT;
        const op_case c = {.name = "linear, bf16",
                           .dims = {R, N, M, accumulate, TTT_PRECISION_BF16},
                           .operands = {{out, R * N, 1}, {OP_IN, R * M, 1}, {OP_IN, N * M, 1}},
                           .rows = R,
                           .run = run_packed,
                           .c = sum_bound(M),
                           .narrow = true,
                           .amx = true};
        op_check(&c);
        const op_case input = {.name = "linear_backward_input, bf16",
                               .dims = {R, N, M, accumulate, TTT_PRECISION_BF16},
                               .operands = {{OP_IN, R * N, 1}, {out, R * M, 1}, {OP_IN, N * M, 1}},
                               .run = run_turned,
                               .c = sum_bound(N),
                               .narrow = true,
                               .amx = true};
        op_check(&input);
    }
    const op_case weight = {.name = "linear_backward_weight, bf16",
                            .dims = {R, N, M, 1, TTT_PRECISION_BF16},
                            .operands = {{OP_IN, R * N, 1}, {OP_IN, R * M, 1}, {OP_ADD, N * M, 1}},
                            .run = run_backward_weight,
                            .c = sum_bound(R),
                            .narrow = true,
                            .amx = true};
    op_check(&weight);
}

/* MATH (bf16): subnormal operands and subnormal sums count as zero, in every product. */
static void check_flushed(const ttt_backend *b, int rows, float x_value, float w_value)
{
    enum { R = 40, N = 5, M = 33 };
    if (!bits_count() || (int)TTT_FLOAT_FLUSH == (int)TTT_FLOAT_ENV) return;
    float x[R * M], w[N * M], y[R * N], dy[R * N], dw[N * M];
    for (int i = 0; i < R * M; i++) x[i] = x_value;
    for (int i = 0; i < N * M; i++) w[i] = w_value, dw[i] = 0x1p-130f;
    for (int i = 0; i < R * N; i++) dy[i] = w_value, y[i] = 0x1p-130f;
    ttt_param p = {.rows = N, .columns = M, .precision = TTT_PRECISION_BF16, .values = dw};
    p.packed = packed(b, TTT_PRECISION_BF16, w, N, M, false);
    b->ops->linear(b, y, x, &p, rows, true);
    free(p.packed);
    b->ops->linear_backward_weight(b, &p, dy, x, rows);
    for (int i = 0; i < rows * N; i++) CHECK(y[i] == 0);
    for (int i = 0; i < N * M; i++) CHECK(dw[i] == 0);
    CHECK_EQ(ttt_float_get(), TTT_FLOAT_ENV);
}

/* q8 and q4: the integers are exact, so the terms of a sum are its blocks' sums, scaled. */
static void block_terms(const op_case *c, double *const *before, double *const *after, double *const *terms)
{
    (void)after;
    const int64_t R = c->dims[0], N = c->dims[1], M = c->dims[2];
    const ttt_matrix w = {.dtype = TTT_F64, .values = before[W], .rows = N, .columns = M};
    for (int64_t i = 0; i < R * N; i++) terms[Y][i] = c->dims[3] == 2 ? fabs(before[Y][i]) : 0;
    for (int64_t n = 0; n < N; n++) {
        for (int64_t b = 0; b < ttt_blocks(M); b++) {
            const int64_t first = b * TTT_QUANT_BLOCK,
                          count = M - first < TTT_QUANT_BLOCK ? M - first : TTT_QUANT_BLOCK;
            int8_t weights[TTT_QUANT_BLOCK], codes[TTT_QUANT_BLOCK];
            uint16_t scale;
            CHECK(ttt_matrix_block(&w, (ttt_precision)c->dims[4], n, b, weights, &scale));
            for (int64_t r = 0; r < R; r++) {
                float values[TTT_QUANT_BLOCK];
                for (int64_t i = 0; i < count; i++) values[i] = (float)before[X][r * M + first + i];
                const float row_scale = ttt_quantize_row(codes, values, count);
                int sum = 0;
                for (int64_t i = 0; i < count; i++) sum += codes[i] * weights[i];
                terms[Y][r * N + n] += fabs((double)row_scale * (double)ttt_bf16_value(scale) * sum);
            }
        }
    }
}

static void check_products_blocks(int64_t R, int64_t N, int64_t M)
{
    for (int64_t precision = TTT_PRECISION_Q8; precision <= TTT_PRECISION_Q4; precision++) {
        const int64_t accumulate = 1 + (R + precision) % 2;
        const op_role out = accumulate == 2 ? OP_ADD : OP_OUT;
        const op_case c = {.name = "linear, blocks",
                           .dims = {R, N, M, accumulate, precision},
                           .operands = {{out, R * N, 1}, {OP_IN, R * M, 1}, {OP_IN, N * M, 1}},
                           .rows = R,
                           .run = run_packed,
                           .terms = block_terms,
                           .c = sum_bound(ttt_blocks(M)),
                           .narrow = true};
        op_check(&c);
    }
}

/* The largest codes on both sides, rows of zeros and rows that are not finite: no sum of bytes may wrap or saturate. */
static void check_extremes(const ttt_backend *b, ttt_precision precision)
{
    enum { N = 70, M = 70 };
    static float w[N * M], x[4 * M], y[4 * N];
    const float largest = precision == TTT_PRECISION_Q8 ? 127 : 7;
    for (int i = 0; i < N * M; i++) w[i] = i / M % 2 ? largest : -largest;
    for (int i = 0; i < M; i++) {
        x[i] = 127;
        x[M + i] = -127;
        x[2 * M + i] = 0;
        x[3 * M + i] = i == 40 ? NAN : 1;
    }
    const ttt_param p = {
        .rows = N, .columns = M, .precision = precision, .packed = packed(b, precision, w, N, M, false)};
    b->ops->linear(b, y, x, &p, 4, false);
    for (int n = 0; n < N; n++) {
        const float expected = (n % 2 ? 127 : -127) * largest * M;
        CHECK(y[n] == expected && y[N + n] == -expected && y[2 * N + n] == 0 && isnan(y[3 * N + n]));
    }
    free(p.packed);
}

/* A row that alone is more than the scratch holds: the same bits as from two narrower matrices, one after the other. */
static void check_wide(const ttt_backend *b, ttt_precision precision)
{
    const int64_t bytes = (int64_t)ttt_host_of(b)->scratch_bytes * b->threads; /* a number takes more than a byte */
    const int64_t M = bytes + 72, halfway = bytes / 64 * 32;
    float *w = malloc((size_t)M * sizeof *w), *x = malloc((size_t)M * sizeof *x), y = 0.5f, parts = 0.5f;
    for (int64_t i = 0; i < M; i++) {
        w[i] = (float)(i % 97) - 48;
        x[i] = (float)(i % 89) / 100 - 0.3f;
    }
    ttt_param p = {.rows = 1, .columns = M, .precision = precision, .packed = packed(b, precision, w, 1, M, false)};
    b->ops->linear(b, &y, x, &p, 1, false);
    free(p.packed);
    for (int i = 0; i < 2; i++) {
        const int64_t from = i * halfway;
        p.columns = i ? M - halfway : halfway;
        p.packed = packed(b, precision, w + from, 1, p.columns, false);
        b->ops->linear(b, &parts, x + from, &p, 1, i > 0);
        free(p.packed);
    }
    CHECK(y == parts && fabsf(y) > 1);
    free(w);
    free(x);
}

/* dims: rows, vocabulary, width, precision */
static int32_t *make_ids(const op_case *c)
{
    int32_t *ids = malloc((size_t)c->dims[0] * sizeof *ids);
    for (int64_t r = 0; r < c->dims[0]; r++) ids[r] = op_random(r, c->dims[1]);
    return ids;
}

static void run_embed(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    const int64_t V = c->dims[1], C = c->dims[2];
    int32_t *ids = make_ids(c);
    const ttt_precision precision = (ttt_precision)c->dims[3];
    ttt_param w = {.rows = V, .columns = C, .values = x[W]};
    int64_t middle = begin;
    if (precision == TTT_PRECISION_F32) { /* half from values, half packed: the same numbers */
        middle = (begin + end) / 2;
        b->ops->embed(b, ttt_at(b, x[Y], begin * C), ids + begin, &w, middle - begin);
    }
    w = (ttt_param){.rows = V, .columns = C, .precision = precision, .packed = packed(b, precision, x[W], V, C, false)};
    b->ops->embed(b, ttt_at(b, x[Y], middle * C), ids + middle, &w, end - middle);
    free(w.packed);
    free(ids);
}

static void run_embed_backward(const ttt_backend *b, const op_case *c, void *const *x, int64_t begin, int64_t end)
{
    (void)begin, (void)end;
    int32_t *ids = make_ids(c);
    const ttt_param dw = {.rows = c->dims[1], .columns = c->dims[2], .values = x[W]};
    b->ops->embed_backward(b, &dw, ids, x[Y], c->dims[0]);
    free(ids);
}

static void check_embedding(int64_t R, int64_t V, int64_t C)
{
    for (int64_t precision = TTT_PRECISION_F32; precision < TTT_PRECISION_COUNT; precision++) {
        const op_case forward = {.name = "embed",
                                 .dims = {R, V, C, precision},
                                 .operands = {[Y] = {OP_OUT, R * C, 1}, [W] = {OP_IN, V * C, 1}},
                                 .rows = R,
                                 .run = run_embed,
                                 .narrow = precision != TTT_PRECISION_F32};
        op_check(&forward);
    }
    const op_case backward = {.name = "embed_backward",
                              .dims = {R, V, C},
                              .operands = {[Y] = {OP_IN, R * C, 1}, [W] = {OP_ADD, V * C, 1}},
                              .run = run_embed_backward,
                              .c = sum_bound(R)};
    op_check(&backward);
}

void op_product_tests(void)
{
    const int64_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 63, 64, 65, 130};
    const int64_t count = (int64_t)(sizeof sizes / sizeof *sizes);
    for (int64_t i = 0; i < count; i++) { /* every size of each dimension, with unrelated others */
        const int64_t R = sizes[i] % 23, N = sizes[(i * 5 + 3) % count], M = sizes[(i * 7 + 1) % count];
        check_products(R, N, M);
        check_products_bf16(R, N, M);
        check_products_blocks(R, N, M);
    }
    const ttt_backend *best = NULL;
    for (int isa = 0; isa < TTT_ISA_COUNT; isa++) {
        if (!op_backend((ttt_isa)isa)) continue;
        best = op_backend((ttt_isa)isa);
        check_extremes(op_backend((ttt_isa)isa), TTT_PRECISION_Q8);
        check_extremes(op_backend((ttt_isa)isa), TTT_PRECISION_Q4);
        for (int rows = 1; rows <= 40; rows += 39) { /* a few, and many, have ways of their own */
            check_flushed(op_backend((ttt_isa)isa), rows, 0x1p-70f, 0x1p-70f);
            check_flushed(op_backend((ttt_isa)isa), rows, 0x1p-130f, 0x1p100f);
        }
    }
    if (!test_small()) { /* millions of columns, whose parts are cut alike under every instruction set */
        check_wide(best, TTT_PRECISION_Q8);
        check_wide(best, TTT_PRECISION_Q4);
    }
    check_products_blocks(100, 70, 300);
    check_products_blocks(14, 5, 700);
    check_products_blocks(7, 70, 1100); /* more than one part of widened blocks */
    check_products(200, 70, 300);       /* more than one block of rows, and of the inner dimension */
    check_products(14, 12, 700);
    check_products(530, 300, 40);
    check_products(40, 1100, 70);
    check_products(14, 1100, 1060); /* more than one slab, by columns and by steps */
    check_products(2070, 5, 30);
    check_products(30, 20, 1024);      /* rows that are pages apart */
    check_products_bf16(300, 70, 100); /* more than one block of rows, part of the inner dimension, or of x */
    check_products_bf16(3, 33, 2100);
    check_products_bf16(5, 2070, 10);
    check_products_bf16(600, 140, 35);
    check_products_bf16(37, 3, 1050);
    check_products_bf16(14, 1100, 1060);
    check_products_bf16(40, 70, 2070);
    check_embedding(5, 3, 1);
    check_embedding(40, 7, 130);
    check_embedding(300, 200, 65);
}
