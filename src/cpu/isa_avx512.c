/* SPDX-License-Identifier: MIT
 *
 * The kernels on AVX-512, and those of machines that have more beside it: VNNI, AVX512_BF16, AMX.
 */
#include "cpu/vec_avx512.h"

#include "cpu/bodies.h"
#include "cpu/isa_amx.h"
#include "cpu/isa_avx512bf16.h"
#include "cpu/isa_vnni.h"

const ttt_kernels ttt_kernels_avx512 = TTT_KERNELS(widen, tile_product, NULL, block_product, dot_loop);
const ttt_kernels ttt_kernels_vnni = TTT_KERNELS(widen, tile_product, NULL, ttt_vnni_block_product, ttt_vnni_dot_loop);
const ttt_kernels ttt_kernels_avx512bf16 = TTT_KERNELS(NULL, ttt_avx512bf16_tile_product, ttt_avx512bf16_tile_loop,
                                                       ttt_vnni_block_product, ttt_vnni_dot_loop);
const ttt_kernels ttt_kernels_amx = TTT_KERNELS(NULL, ttt_amx_tile_product, ttt_amx_tile_loop, ttt_vnni_block_product,
                                                ttt_vnni_dot_loop);
