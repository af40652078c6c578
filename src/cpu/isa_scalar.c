/* SPDX-License-Identifier: MIT
 *
 * The kernels on plain C, for every machine.
 */
#include "cpu/vec_scalar.h"

#include "cpu/bodies.h"

const ttt_kernels ttt_kernels_scalar = TTT_KERNELS(widen, tile_product, NULL, block_product, dot_loop);
