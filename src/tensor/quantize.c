/* SPDX-License-Identifier: MIT
 *
 * See quantize.h. Plain loops over fixed lanes, which compilers turn into vectors without being allowed to reorder
 * sums.
 */
#include "tensor/quantize.h"

#include <math.h>
#include <string.h>

#include "base/float_env.h" /* `nearest` wants floats computed as floats */

enum { LANES = 8 };

/* ---- reading a matrix ---- */

static const unsigned char *row_codes(const ttt_matrix *m, int64_t row)
{
    return (const unsigned char *)m->values + row * ttt_code_bytes(m->precision, m->columns);
}

static uint16_t scale_bits(const ttt_matrix *m, int64_t row, int64_t block)
{
    uint16_t bits;
    memcpy(&bits, (const unsigned char *)m->scales + 2 * (row * ttt_blocks(m->columns) + block), sizeof bits);
    return bits;
}

/* `count` codes of a row from the even `column` on. */
static void read_codes(const ttt_matrix *m, int64_t row, int64_t column, int64_t count, int8_t *codes)
{
    const unsigned char *from = row_codes(m, row);
    if (m->precision == TTT_PRECISION_Q8) {
        memcpy(codes, from + column, (size_t)count);
        return;
    }
    from += column / 2;
    for (int64_t i = 0; i < count / 2; i++) {
        codes[2 * i] = (int8_t)((from[i] & 15) - 8);
        codes[2 * i + 1] = (int8_t)((from[i] >> 4) - 8);
    }
    if (count % 2) codes[count - 1] = (int8_t)((from[count / 2] & 15) - 8);
}

static void read_blocks(const ttt_matrix *m, int64_t row, int64_t column, int64_t count, float *values)
{
    for (int64_t done = 0; done < count;) {
        const int64_t block = (column + done) / TTT_QUANT_BLOCK, skip = (column + done) % TTT_QUANT_BLOCK;
        const int64_t left = m->columns - block * TTT_QUANT_BLOCK,
                      size = left < TTT_QUANT_BLOCK ? left : TTT_QUANT_BLOCK;
        const int64_t n = count - done < size - skip ? count - done : size - skip;
        const float scale = ttt_bf16_value(scale_bits(m, row, block));
        int8_t codes[TTT_QUANT_BLOCK];
        read_codes(m, row, block * TTT_QUANT_BLOCK, size, codes);
        for (int64_t i = 0; i < n; i++) values[done + i] = scale * (float)codes[skip + i];
        done += n;
    }
}

void ttt_matrix_read(const ttt_matrix *m, int64_t row, int64_t column, int64_t count, float *values)
{
    if (ttt_precision_is_blocks(m->precision)) {
        read_blocks(m, row, column, count, values);
        return;
    }
    const size_t size = ttt_dtype_bytes(m->dtype);
    const unsigned char *from = m->values;
    if (m->transposed) {
        for (int64_t i = 0; i < count; i++)
            ttt_dtype_convert(values + i, TTT_F32, from + (size_t)((column + i) * m->rows + row) * size, m->dtype, 1);
        return;
    }
    from += (size_t)(row * m->columns + column) * size;
    if (m->dtype != TTT_BF16) {
        ttt_dtype_convert(values, TTT_F32, from, m->dtype, (size_t)count);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, from + 2 * i, sizeof bits);
        values[i] = ttt_bf16_value(bits);
    }
}

bool ttt_matrix_block(const ttt_matrix *m, ttt_precision precision, int64_t row, int64_t block,
                      int8_t codes[TTT_QUANT_BLOCK], uint16_t *scale)
{
    const int64_t column = block * TTT_QUANT_BLOCK;
    const int64_t count = m->columns - column < TTT_QUANT_BLOCK ? m->columns - column : TTT_QUANT_BLOCK;
    if (m->precision == precision) {
        memset(codes, 0, TTT_QUANT_BLOCK);
        read_codes(m, row, column, count, codes);
        *scale = scale_bits(m, row, block);
        return true;
    }
    float values[TTT_QUANT_BLOCK] = {0}, zeros = 0;
    ttt_matrix_read(m, row, column, count, values);
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) zeros += 0 * values[i]; /* NaN if one of them is not finite */
    *scale = ttt_quantize_weights(precision, codes, values);
    return zeros == 0 && ttt_scales_sound(scale, 1);
}

bool ttt_matrix_quantize(const ttt_matrix *m, ttt_precision precision, int64_t row, unsigned char *codes,
                         uint16_t *scales)
{
    bool finite = true;
    for (int64_t block = 0; block < ttt_blocks(m->columns); block++) {
        int8_t c[TTT_QUANT_BLOCK];
        uint16_t scale;
        finite = ttt_matrix_block(m, precision, row, block, c, &scale) && finite;
        if (scales) scales[block] = scale;
        const int64_t column = block * TTT_QUANT_BLOCK;
        const int64_t count = m->columns - column < TTT_QUANT_BLOCK ? m->columns - column : TTT_QUANT_BLOCK;
        if (codes && precision == TTT_PRECISION_Q8) memcpy(codes + column, c, (size_t)count);
        for (int64_t i = 0; codes && precision == TTT_PRECISION_Q4 && i < count; i += 2)
            codes[(column + i) / 2] = (unsigned char)((c[i] + 8) | (c[i + 1] + 8) << 4);
    }
    return finite;
}

bool ttt_scales_sound(const void *scales, int64_t count)
{
    const uint16_t limit = (127 + 120) << 7; /* 2^120: times a code of 8 bits it is still finite */
    for (int64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, (const unsigned char *)scales + 2 * i, sizeof bits);
        if ((bits & 0x7fff) > limit) return false;
    }
    return true;
}

/* ---- quantising weights ---- */

/* To the nearest integer, ties to even, for |x| < 2^22: as vectors without SSE4. */
static float nearest(float x)
{
    const float shift = 12582912; /* 1.5 * 2^23 */
    return (x + shift) - shift;
}

typedef struct range {
    float low, high;
} range;

/* The nearest codes to values / scale, as floats. The difference of distances clamps without a branch. */
static void find_codes(float codes[TTT_QUANT_BLOCK], const float *values, float scale, range r)
{
    const float inverse = 1 / scale, sum = r.low + r.high;
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) {
        const float x = values[i] * inverse;
        codes[i] = nearest((fabsf(x - r.low) - fabsf(x - r.high) + sum) * 0.5f);
    }
}

/* The scale with the least squared error for these codes, and by how much it lessens the sum of squares. */
static float best_scale(const float *codes, const float *values, float *gain)
{
    float squares[LANES] = {0}, products[LANES] = {0}, square = 0, product = 0;
    for (int i = 0; i < TTT_QUANT_BLOCK; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            squares[l] += codes[i + l] * codes[i + l];
            products[l] += codes[i + l] * values[i + l];
        }
    }
    for (int l = 0; l < LANES; l++) {
        square += squares[l];
        product += products[l];
    }
    const float scale = square > 0 ? product / square : 0;
    *gain = scale * product;
    return scale;
}

static uint16_t to_bf16(float x)
{
    uint16_t bits;
    ttt_dtype_convert(&bits, TTT_BF16, &x, TTT_F32, 1);
    return bits;
}

static float squared_error(const float *values, float scale, range r)
{
    float codes[TTT_QUANT_BLOCK], sum = 0;
    find_codes(codes, values, scale, r);
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) sum += (values[i] - scale * codes[i]) * (values[i] - scale * codes[i]);
    return sum;
}

/* The largest magnitude gets each code in turn, on the side of 7 and on that of -8, and some beyond the last, which
 * cut it off; the codes of each ask for a scale of their own. The small ones are there for what was quantised before.
 * Of scales whose gains are as good as equal the one with the smaller error counts, after it is rounded. */
static float search(const float *values, float largest, range r)
{
    enum { LAST = 10 };
    const float hair = 0x1p-16f;
    float most = 0, scale = 0, least = INFINITY;
    for (int halves = 2; halves <= 2 * LAST; halves++) {
        if (halves < 10 && halves % 2) continue;
        for (int sign = -1; sign <= 1; sign += 2) {
            float codes[TTT_QUANT_BLOCK], gain;
            find_codes(codes, values, largest * 2 / (float)(sign * halves), r);
            const float best = ttt_bf16_value(to_bf16(best_scale(codes, values, &gain)));
            if (gain < most * (1 - hair)) continue;
            if (gain > most) most = gain;
            const float error = squared_error(values, best, r);
            if (error < least) {
                least = error;
                scale = best;
            }
        }
    }
    return scale;
}

uint16_t ttt_quantize_weights(ttt_precision precision, int8_t codes[TTT_QUANT_BLOCK],
                              const float values[TTT_QUANT_BLOCK])
{
    const range r = precision == TTT_PRECISION_Q8 ? (range){-127, 127} : (range){-8, 7};
    float largest = 0, scaled[TTT_QUANT_BLOCK], found[TTT_QUANT_BLOCK];
    for (int i = 0; i < TTT_QUANT_BLOCK; i++)
        if (fabsf(values[i]) > fabsf(largest)) largest = values[i];
    memset(codes, 0, TTT_QUANT_BLOCK);
    if (!(fabsf(largest) >= 0x1p-100f && fabsf(largest) < INFINITY)) return 0;
    /* A power of two changes no rounding, and no square leaves the range of floats. */
    int exponent;
    largest = frexpf(largest, &exponent);
    const float down = ldexpf(1, -exponent / 2), rest = ldexpf(1, -exponent - -exponent / 2);
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) scaled[i] = values[i] * down * rest;
    const uint16_t bits = to_bf16(precision == TTT_PRECISION_Q8 ? fabsf(largest) / 127 : search(scaled, largest, r));
    const float scale = ttt_bf16_value(bits);
    find_codes(found, scaled, scale, r);
    for (int i = 0; i < TTT_QUANT_BLOCK; i++) codes[i] = found[i] >= r.low && found[i] <= r.high ? (int8_t)found[i] : 0;
    return to_bf16(ldexpf(scale, exponent));
}

/* ---- quantising rows ---- */

float ttt_quantize_row(int8_t codes[TTT_QUANT_BLOCK], const float *x, int64_t count)
{
    float largest = 0, zeros = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        zeros += 0 * x[i]; /* NaN if one of them is not finite */
    }
    memset(codes, 0, TTT_QUANT_BLOCK);
    if (!(zeros == 0)) return NAN;
    if (largest < 0x1p-100f) return 0;
    const float inverse = 127 / largest;
    for (int64_t i = 0; i < count; i++) codes[i] = (int8_t)nearest(x[i] * inverse);
    return largest / 127;
}
