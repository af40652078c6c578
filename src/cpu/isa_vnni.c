/* SPDX-License-Identifier: MIT
 *
 * Products of bytes with AVX-512 and VNNI, which multiplies and adds four of them at once.
 */
#include "cpu/isa_vnni.h"

#include "cpu/vec_avx512.h"

#include "cpu/body_blocks.h"

void ttt_vnni_block_product(const ttt_block_product *p) { block_product(p); }

double ttt_vnni_dot_loop(float *sink, int64_t steps) { return dot_loop(sink, steps); }
