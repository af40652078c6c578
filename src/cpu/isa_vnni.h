/* SPDX-License-Identifier: MIT
 *
 * The kernels that AVX-512 with VNNI has of its own.
 */
#ifndef TTT_CPU_ISA_VNNI_H
#define TTT_CPU_ISA_VNNI_H

#include "cpu/kernels.h"

void ttt_vnni_block_product(const ttt_block_product *p);
double ttt_vnni_dot_loop(float *sink, int64_t steps);

#endif
