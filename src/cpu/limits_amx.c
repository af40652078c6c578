/* SPDX-License-Identifier: MIT
 *
 * The most that AMX can do: a loop of bf16 products between tiles, four sums of 16 x 16 from two and two operands of
 * 16 x 32, as a product of matrices would have them.
 */
#include <immintrin.h>

#include "cpu/isa_amx.h"

typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

enum { TILE_ROWS = 16, TILE_BYTES = 64 };

/* Static: what a compiler builds on the stack just before, GCC 12 believes to be read in its first bytes only. */
static const tile_shapes shapes = {
    .palette = 1,
    .row_bytes = {TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES},
    .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS}};

double ttt_amx_tile_loop(float *sink, int64_t steps)
{
    *sink = 0;
    _tile_loadconfig(&shapes); /* all tiles are zero then */
    for (int64_t i = 0; i < steps; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    const int64_t operations = 4 * 2 * TILE_ROWS * TILE_ROWS * (TILE_BYTES / 2);
    return (double)(operations * steps);
}
