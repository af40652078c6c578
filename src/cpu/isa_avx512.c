/* SPDX-License-Identifier: MIT
 *
 * The kernels on AVX-512.
 */
#include "cpu/vec_avx512.h"

#include "cpu/bodies.h"

const ttt_kernels ttt_kernels_avx512 = TTT_KERNELS;
