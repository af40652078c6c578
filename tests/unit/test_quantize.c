/* SPDX-License-Identifier: MIT
 *
 * The quantiser: errors within what the formats allow, its own output kept, short blocks and odd rows, and values that
 * are no weights.
 */
#include "tensor/quantize.h"

#include <math.h>

#include "base/rng.h"
#include "test.h"

enum { BLOCKS = 2000 };
static const ttt_precision precisions[] = {TTT_PRECISION_Q8, TTT_PRECISION_Q4};
static const ttt_rng rng = {.seed = 4, .stream = TTT_RNG_TEST};

/* Normal numbers of very different sizes, some blocks with one that is far larger. */
static void fill(float values[TTT_QUANT_BLOCK], int block)
{
    const double size = exp2((double)(block % 120 - 60));
    for (int i = 0; i < TTT_QUANT_BLOCK; i++)
        values[i] = (float)(size * ttt_rng_normal(rng, (uint64_t)(block * TTT_QUANT_BLOCK + i)));
    if (block % 7 == 0) values[block % TTT_QUANT_BLOCK] *= 20;
}

static double squared_error(const float *values, double scale, const double *codes)
{
    double sum = 0;
    for (int i = 0; i < TTT_QUANT_BLOCK; i++)
        sum += ((double)values[i] - scale * codes[i]) * ((double)values[i] - scale * codes[i]);
    return sum;
}

/* What the plainest quantiser makes of it: the largest magnitude becomes -8. */
static double plain_error(const float *values)
{
    double largest = 0, codes[TTT_QUANT_BLOCK];
    for (int i = 0; i < TTT_QUANT_BLOCK; i++)
        if (fabs((double)values[i]) > fabs(largest)) largest = (double)values[i];
    const double scale = largest / -8;
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) codes[i] = fmin(nearbyint((double)values[i] / scale), 7);
    return squared_error(values, scale, codes);
}

static void check_weights(ttt_precision precision, const float *values)
{
    int8_t codes[TTT_QUANT_BLOCK], again[TTT_QUANT_BLOCK];
    const uint16_t bits = ttt_quantize_weights(precision, codes, values);
    const double scale = (double)ttt_bf16_value(bits);
    const int low = precision == TTT_PRECISION_Q8 ? -127 : -8, high = precision == TTT_PRECISION_Q8 ? 127 : 7;
    double whole[TTT_QUANT_BLOCK], squares = 0;
    float back[TTT_QUANT_BLOCK];
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) {
        CHECK(codes[i] >= low && codes[i] <= high);
        whole[i] = codes[i];
        squares += whole[i] * whole[i];
        back[i] = (float)(scale * whole[i]);
        /* Half a step; a hair more where the division fell on the other side of a tie. */
        if (precision == TTT_PRECISION_Q8) CHECK(fabs((double)values[i] - scale * whole[i]) <= 0.5001 * fabs(scale));
    }
    /* Least squares is no worse than the plain way, but its scale is rounded to 8 bits. */
    if (precision == TTT_PRECISION_Q4)
        CHECK(squared_error(values, scale, whole) <=
              plain_error(values) * 1.0001 + 1.01 * exp2(-16) * scale * scale * squares);
    const double second = (double)ttt_bf16_value(ttt_quantize_weights(precision, again, back));
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) CHECK(scale * codes[i] == second * again[i]);
}

/* Quantising lessens the error of normal numbers to what their blocks allow: steps of 2 largest / 254, and for q4 a few
 * per cent better than the plain way (0.0885 of the deviation). */
static void check_quality(ttt_precision precision, double bound)
{
    double error = 0, total = 0;
    for (int b = 0; b < BLOCKS; b++) {
        float values[TTT_QUANT_BLOCK];
        int8_t codes[TTT_QUANT_BLOCK];
        for (int i = 0; i < TTT_QUANT_BLOCK; i++)
            values[i] = (float)ttt_rng_normal(rng, (uint64_t)(b * TTT_QUANT_BLOCK + i));
        const double scale = (double)ttt_bf16_value(ttt_quantize_weights(precision, codes, values));
        for (int i = 0; i < TTT_QUANT_BLOCK; i++) {
            const double rest = (double)values[i] - scale * codes[i];
            error += rest * rest;
            total += (double)values[i] * (double)values[i];
        }
    }
    CHECK(sqrt(error / total) < bound);
}

static void test_weights(void)
{
    for (size_t p = 0; p < 2; p++) {
        float values[TTT_QUANT_BLOCK] = {0};
        int8_t codes[TTT_QUANT_BLOCK];
        CHECK_EQ(ttt_quantize_weights(precisions[p], codes, values), 0);
        for (int i = 0; i < TTT_QUANT_BLOCK; i++) CHECK_EQ(codes[i], 0);
        for (int b = 0; b < BLOCKS; b++) {
            fill(values, b);
            check_weights(precisions[p], values);
        }
        for (int n = 1; n < TTT_QUANT_BLOCK; n++) { /* the last block of a row */
            fill(values, n);
            for (int i = n; i < TTT_QUANT_BLOCK; i++) values[i] = 0;
            check_weights(precisions[p], values);
            ttt_quantize_weights(precisions[p], codes, values);
            for (int i = n; i < TTT_QUANT_BLOCK; i++) CHECK_EQ(codes[i], 0);
        }
    }
    check_quality(TTT_PRECISION_Q8, 0.006);
    check_quality(TTT_PRECISION_Q4, 0.082);
}

/* Every part of every row of a matrix of codes is that of the whole row. */
static void check_matrix(ttt_precision precision, int64_t rows, int64_t columns)
{
    float values[3 * 100], back[100], part[100];
    unsigned char codes[3 * 100];
    unsigned char scale_bytes[3 * 4 * 2 + 1]; /* at an odd address, as a file may have them */
    uint16_t scales[4];
    for (int64_t i = 0; i < rows * columns; i++) values[i] = (float)ttt_rng_normal(rng, (uint64_t)i);
    const ttt_matrix source = {.dtype = TTT_F32, .values = values, .rows = rows, .columns = columns};
    const ttt_matrix matrix = {
        .precision = precision, .values = codes, .scales = scale_bytes + 1, .rows = rows, .columns = columns};
    const int64_t bytes = ttt_code_bytes(precision, columns), blocks = ttt_blocks(columns);
    for (int64_t r = 0; r < rows; r++) {
        CHECK(ttt_matrix_quantize(&source, precision, r, codes + r * bytes, scales));
        memcpy(scale_bytes + 1 + 2 * r * blocks, scales, 2 * (size_t)blocks);
    }
    for (int64_t r = 0; r < rows; r++) {
        ttt_matrix_read(&matrix, r, 0, columns, back);
        for (int64_t b = 0; b < blocks; b++) {
            int8_t c[TTT_QUANT_BLOCK], d[TTT_QUANT_BLOCK];
            uint16_t scale, other;
            CHECK(ttt_matrix_block(&matrix, precision, r, b, c, &scale));
            CHECK(ttt_matrix_block(&source, precision, r, b, d, &other));
            CHECK(memcmp(c, d, TTT_QUANT_BLOCK) == 0 && scale == other);
            for (int64_t i = 0; i < TTT_QUANT_BLOCK; i++) {
                const int64_t at = b * TTT_QUANT_BLOCK + i;
                if (at >= columns)
                    CHECK_EQ(c[i], 0);
                else
                    CHECK(back[at] == ttt_bf16_value(scale) * (float)c[i]);
            }
        }
        for (int64_t first = 0; first < columns; first += 5) {
            const int64_t count = columns - first < 43 ? columns - first : 43;
            ttt_matrix_read(&matrix, r, first, count, part);
            CHECK(memcmp(part, back + first, (size_t)count * sizeof *part) == 0);
        }
    }
}

static void test_damaged(void)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f};
    int8_t codes[TTT_QUANT_BLOCK];
    uint16_t scale;
    for (size_t p = 0; p < 2; p++) {
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            float values[40];
            for (int k = 0; k < 40; k++) values[k] = 1;
            values[35] = bad[i];
            const ttt_matrix m = {.dtype = TTT_F32, .values = values, .rows = 1, .columns = 40};
            CHECK(ttt_matrix_block(&m, precisions[p], 0, 0, codes, &scale));
            CHECK(!ttt_matrix_block(&m, precisions[p], 0, 1, codes, &scale));
        }
    }
    const uint16_t scales[] = {0, 0x8000, 0x3f80, 0xbf80, 0x0001, (127 + 120) << 7, 0xff80, 0x7fc0};
    CHECK(ttt_scales_sound(scales, 6));
    CHECK(!ttt_scales_sound(scales, 7));
    CHECK(!ttt_scales_sound(scales + 7, 1));
    const uint16_t above = (127 + 120) << 7 | 1;
    CHECK(!ttt_scales_sound(&above, 1));
}

static void test_rows(void)
{
    float x[TTT_QUANT_BLOCK] = {0};
    int8_t codes[TTT_QUANT_BLOCK];
    CHECK(ttt_quantize_row(codes, x, TTT_QUANT_BLOCK) == 0);
    for (int b = 0; b < BLOCKS; b++) {
        const int64_t count = b % TTT_QUANT_BLOCK + 1;
        fill(x, b);
        const float scale = ttt_quantize_row(codes, x, count);
        int largest = 0;
        for (int i = 0; i < TTT_QUANT_BLOCK; i++) {
            largest = abs(codes[i]) > largest ? abs(codes[i]) : largest;
            if (i >= count) CHECK_EQ(codes[i], 0);
            if (i < count) CHECK(fabs((double)x[i] - (double)scale * codes[i]) <= 0.50001 * (double)scale);
        }
        CHECK_EQ(largest, 127);
    }
    x[3] = NAN;
    CHECK(isnan(ttt_quantize_row(codes, x, TTT_QUANT_BLOCK)));
    CHECK(!isnan(ttt_quantize_row(codes, x, 3)));
    x[3] = -INFINITY;
    CHECK(isnan(ttt_quantize_row(codes, x, TTT_QUANT_BLOCK)));
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) x[i] = 0x1p-101f;
    CHECK(ttt_quantize_row(codes, x, TTT_QUANT_BLOCK) == 0 && codes[0] == 0);
    for (int i = 0; i < TTT_QUANT_BLOCK; i++)
        x[i] = (float)(2 * i - TTT_QUANT_BLOCK) * 0.5f; /* codes at exact halves: to even */
    x[0] = 254;
    CHECK(ttt_quantize_row(codes, x, TTT_QUANT_BLOCK) == 2);
    CHECK(codes[17] == 0 && codes[19] == 2 && codes[21] == 2);
}

int main(void)
{
    test_weights();
    test_rows();
    test_damaged();
    for (size_t p = 0; p < 2; p++)
        for (int64_t columns = 1; columns <= 100; columns++) check_matrix(precisions[p], 3, columns);
    return test_end();
}
