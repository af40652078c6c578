/* SPDX-License-Identifier: MIT
 *
 * Which instruction sets this build has kernels for, which of them the machine can run, and which one to use.
 */
#ifndef TTT_CPU_ISA_H
#define TTT_CPU_ISA_H

#include <stdbool.h>

#include "base/error.h"

/* In ascending order: of those that a machine has, the last is the best. */
typedef enum ttt_isa {
    TTT_ISA_SCALAR,
    TTT_ISA_NEON,
    TTT_ISA_AVX2,
    TTT_ISA_AVX512,
    TTT_ISA_VNNI,       /* AVX-512 and its products of bytes */
    TTT_ISA_AVX512BF16, /* and of bf16 */
    TTT_ISA_AMX,
    TTT_ISA_COUNT
} ttt_isa;

/* "scalar", "neon", "avx2", "avx512", "vnni", "avx512bf16", "amx": what TTT_ISA may say */
const char *ttt_isa_name(ttt_isa isa);

/* Why it cannot be used here: the build, the processor or the operating system. NULL: it can. */
const char *ttt_isa_lacks(ttt_isa isa);

/* The one TTT_ISA names (an error if it cannot be), or the best. */
ttt_status ttt_isa_choose(ttt_isa *isa);

#endif
