/* SPDX-License-Identifier: MIT
 *
 * The kernels on NEON.
 */
#include "cpu/vec_neon.h"

#include "cpu/bodies.h"

const ttt_kernels ttt_kernels_neon = TTT_KERNELS(widen, tile_product, NULL, block_product, dot_loop);
