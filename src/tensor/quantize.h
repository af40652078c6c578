/* SPDX-License-Identifier: MIT
 *
 * Numbers in blocks of 32: small integers (codes) and one scale, value = scale x code. Weights keep a bf16 scale per
 * block of a row; the rows multiplied by them get 8-bit codes and an f32 scale. This file defines both, bit by bit:
 * every backend multiplies the same integers. docs/FORMATS.md has the form in files, docs/MATH.md (quantised) the
 * equations.
 */
#ifndef TTT_TENSOR_QUANTIZE_H
#define TTT_TENSOR_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"
#include "tensor/precision.h"

enum { TTT_QUANT_BLOCK = 32 };

/* What the name of a matrix is followed by in the name of its scales. */
#define TTT_SCALES ".scales"

/* Blocks of a row of `columns` numbers; the last may be short. */
static inline int64_t ttt_blocks(int64_t columns) { return (columns + TTT_QUANT_BLOCK - 1) / TTT_QUANT_BLOCK; }

static inline bool ttt_precision_is_blocks(ttt_precision precision)
{
    return precision == TTT_PRECISION_Q8 || precision == TTT_PRECISION_Q4;
}

/* A matrix [rows, columns] in memory or in a mapped file, at any alignment: floating values of a type, or with
 * `precision` q8 or q4 codes (q8: I8 [rows, columns]; q4: U8 [rows, (columns + 1) / 2], code + 8, low half first) and
 * bf16 scales [rows, blocks]. */
typedef struct ttt_matrix {
    ttt_precision precision;
    ttt_dtype dtype;
    const void *values, *scales;
    int64_t rows, columns;
    bool transposed; /* floating only: lies column by column */
} ttt_matrix;

/* Bytes of a row of codes. */
static inline int64_t ttt_code_bytes(ttt_precision precision, int64_t columns)
{
    return precision == TTT_PRECISION_Q4 ? (columns + 1) / 2 : columns;
}

static inline float ttt_bf16_value(uint16_t bits)
{
    const union {
        uint32_t bits;
        float value;
    } pun = {.bits = (uint32_t)bits << 16};
    return pun.value;
}

/* `count` values of a row from `column` on, as floats. */
void ttt_matrix_read(const ttt_matrix *matrix, int64_t row, int64_t column, int64_t count, float *values);

/* Codes and scale of one block of a row, filled up with zeros: as they are if the matrix has this precision, else
 * quantised. False if a value is not finite or too large for a sound scale; the codes are then anything. */
bool ttt_matrix_block(const ttt_matrix *matrix, ttt_precision precision, int64_t row, int64_t block,
                      int8_t codes[TTT_QUANT_BLOCK], uint16_t *scale);

/* A whole row of codes, laid out as in a matrix, and of scales; either may be NULL. False as above. */
bool ttt_matrix_quantize(const ttt_matrix *matrix, ttt_precision precision, int64_t row, unsigned char *codes,
                         uint16_t *scales);

/* Whether all scales are usable: finite, and no code times a scale is infinite. */
bool ttt_scales_sound(const void *scales, int64_t count);

/* A block of weights, the rest of which is 0: the bf16 scale, and the nearest codes to it; q4 searches the scale with
 * the least squared error. Quantising what these codes stand for changes no value. */
uint16_t ttt_quantize_weights(ttt_precision precision, int8_t codes[TTT_QUANT_BLOCK],
                              const float values[TTT_QUANT_BLOCK]);

/* A block of a row to be multiplied, `count` numbers: codes round(x 127 / largest), to even, and the scale largest /
 * 127; all zero if none reaches 2^-100; a scale of NaN if a number is not finite. Every step is one f32 operation. */
float ttt_quantize_row(int8_t codes[TTT_QUANT_BLOCK], const float *x, int64_t count);

#endif
