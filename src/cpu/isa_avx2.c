/* SPDX-License-Identifier: MIT
 *
 * The kernels on AVX2 and FMA.
 */
#include "cpu/vec_avx2.h"

#include "cpu/bodies.h"

const ttt_kernels ttt_kernels_avx2 = TTT_KERNELS(widen, tile_product, NULL, block_product, dot_loop);
