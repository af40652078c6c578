/* SPDX-License-Identifier: MIT
 *
 * The kernels that AVX-512 with AVX512_BF16 has of its own.
 */
#ifndef TTT_CPU_ISA_AVX512BF16_H
#define TTT_CPU_ISA_AVX512BF16_H

#include "cpu/kernels.h"

void ttt_avx512bf16_tile_product(const ttt_tile_product *p);
double ttt_avx512bf16_tile_loop(float *sink, int64_t steps);

#endif
