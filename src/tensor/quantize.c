/* SPDX-License-Identifier: MIT
 *
 * See quantize.h. Plain loops over fixed lanes, which compilers turn into vectors without being allowed to reorder
 * sums.
 */
#include "tensor/quantize.h"

#include <math.h>
#include <string.h>

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
    for (int64_t i = 0; i < count; i++) {
        const int pair = from[(column + i) / 2];
        codes[i] = (int8_t)((i % 2 ? pair >> 4 : pair & 15) - 8);
    }
}

static void read_blocks(const ttt_matrix *m, int64_t row, int64_t column, int64_t count, float *values)
{
    for (int64_t done = 0; done < count;) {
        const int64_t block = (column + done) / TTT_BLOCK, skip = (column + done) % TTT_BLOCK;
        const int64_t left = m->columns - block * TTT_BLOCK, size = left < TTT_BLOCK ? left : TTT_BLOCK;
        const int64_t n = count - done < size - skip ? count - done : size - skip;
        const float scale = ttt_bf16_value(scale_bits(m, row, block));
        int8_t codes[TTT_BLOCK];
        read_codes(m, row, block * TTT_BLOCK, size, codes);
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

bool ttt_matrix_block(const ttt_matrix *m, ttt_precision precision, int64_t row, int64_t block, int8_t codes[TTT_BLOCK],
                      uint16_t *scale)
{
    const int64_t column = block * TTT_BLOCK;
    const int64_t count = m->columns - column < TTT_BLOCK ? m->columns - column : TTT_BLOCK;
    if (m->precision == precision) {
        memset(codes, 0, TTT_BLOCK);
        read_codes(m, row, column, count, codes);
        *scale = scale_bits(m, row, block);
        return true;
    }
    float values[TTT_BLOCK] = {0}, zeros = 0;
    ttt_matrix_read(m, row, column, count, values);
    for (int i = 0; i < TTT_BLOCK; i++) zeros += 0 * values[i]; /* NaN if one of them is not finite */
    *scale = ttt_quantize_weights(precision, codes, values);
    return zeros == 0 && ttt_scales_sound(scale, 1);
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

static float clamped(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

static float sum_lanes(const float *lanes)
{
    float sum = 0;
    for (int l = 0; l < LANES; l++) sum += lanes[l];
    return sum;
}

/* The codes nearest to values / scale as floats, and *error, the squared error; returns the best scale for the codes.
 */
static float fit(const float *values, float scale, float low, float high, float *codes, float *error)
{
    float squares[LANES] = {0}, products[LANES] = {0}, errors[LANES] = {0};
    const float inverse = 1 / scale;
    for (int i = 0; i < TTT_BLOCK; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            const float code = nearest(clamped(values[i + l] * inverse, low, high));
            const float rest = values[i + l] - scale * code;
            codes[i + l] = code;
            squares[l] += code * code;
            products[l] += values[i + l] * code;
            errors[l] += rest * rest;
        }
    }
    *error = sum_lanes(errors);
    const float sum = sum_lanes(squares);
    return sum > 0 ? sum_lanes(products) / sum : scale;
}

static uint16_t to_bf16(float x)
{
    uint16_t bits;
    ttt_dtype_convert(&bits, TTT_BF16, &x, TTT_F32, 1);
    return bits;
}

typedef struct candidate {
    uint16_t scale;
    float error;
    float codes[TTT_BLOCK];
} candidate;

/* Keeps `scale` if it is better than the best so far; returns what least squares makes of its codes. */
static float consider(candidate *best, const float *values, float scale, float low, float high)
{
    candidate c = {.scale = to_bf16(scale)};
    const float rounded = ttt_bf16_value(c.scale);
    if (!(fabsf(rounded) >= 0x1p-100f)) return 0;
    scale = fit(values, rounded, low, high, c.codes, &c.error);
    if (c.error < best->error) *best = c;
    return c.error < 2 * best->error ? scale : 0;
}

/* The largest magnitude gets each code in turn, on the side of 7 and on that of -8, and some beyond the last, which
 * cut it off; the codes of each ask for a scale of their own. The small ones are there for what was quantised before.
 */
static void search(candidate *best, const float *values, float largest)
{
    enum { LOW = -8, HIGH = 7, LAST = 10 };
    for (int halves = 2; halves <= 2 * LAST; halves++) {
        if (halves < 10 && halves % 2) continue;
        for (int sign = -1; sign <= 1; sign += 2) {
            const float scale = largest * 2 / (float)(sign * halves);
            const float better = consider(best, values, scale, LOW, HIGH);
            if (halves >= 10) (void)consider(best, values, better, LOW, HIGH);
            if (best->error <= 0) return;
        }
    }
}

uint16_t ttt_quantize_weights(ttt_precision precision, int8_t codes[TTT_BLOCK], const float values[TTT_BLOCK])
{
    float largest = 0;
    candidate best = {.error = INFINITY};
    for (int i = 0; i < TTT_BLOCK; i++)
        if (fabsf(values[i]) > fabsf(largest)) largest = values[i];
    /* Scaled so that no square leaves the range of floats; a power of two changes no rounding. */
    int exponent;
    frexpf(largest, &exponent);
    float scaled[TTT_BLOCK];
    for (int i = 0; i < TTT_BLOCK; i++) scaled[i] = ldexpf(values[i], -exponent);
    largest = ldexpf(largest, -exponent);
    if (precision == TTT_PRECISION_Q8)
        (void)consider(&best, scaled, fabsf(largest) / 127, -127, 127);
    else
        search(&best, scaled, largest);
    for (int i = 0; i < TTT_BLOCK; i++) codes[i] = best.error < INFINITY ? (int8_t)best.codes[i] : 0;
    return best.error < INFINITY ? to_bf16(ldexpf(ttt_bf16_value(best.scale), exponent)) : 0;
}

/* ---- quantising rows ---- */

float ttt_quantize_row(int8_t codes[TTT_BLOCK], const float *x, int64_t count)
{
    float largest = 0, zeros = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        zeros += 0 * x[i]; /* NaN if one of them is not finite */
    }
    memset(codes, 0, TTT_BLOCK);
    if (!(zeros == 0)) return NAN;
    if (largest < 0x1p-100f) return 0;
    const float inverse = 127 / largest;
    for (int64_t i = 0; i < count; i++) codes[i] = (int8_t)nearest(x[i] * inverse);
    return largest / 127;
}
