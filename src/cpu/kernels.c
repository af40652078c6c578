/* SPDX-License-Identifier: MIT
 *
 * The tables of this build. Each is complete, so choosing one is all there is to do at start.
 */
#include "cpu/kernels.h"

#include <stddef.h>

static const ttt_kernels *const tables[TTT_ISA_COUNT] = {
    [TTT_ISA_SCALAR] = &ttt_kernels_scalar,
#if defined TTT_X86
    [TTT_ISA_AVX2] = &ttt_kernels_avx2,     [TTT_ISA_AVX512] = &ttt_kernels_avx512,
    [TTT_ISA_VNNI] = &ttt_kernels_vnni,     [TTT_ISA_AVX512BF16] = &ttt_kernels_avx512bf16,
    [TTT_ISA_AMX] = &ttt_kernels_amx,
#elif defined TTT_ARM64
    [TTT_ISA_NEON] = &ttt_kernels_neon,
#endif
};

const ttt_kernels *ttt_kernels_of(ttt_isa isa) { return tables[isa]; }
