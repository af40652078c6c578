/* SPDX-License-Identifier: MIT
 *
 * Detection by CPUID. __builtin_cpu_supports also asks XGETBV whether the operating system saves the registers.
 */
#include "cpu/isa.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/kernels.h"

static const char *const names[TTT_ISA_COUNT] = {"scalar", "avx2", "avx512"};

const char *ttt_isa_name(ttt_isa isa) { return names[isa]; }

#ifdef TTT_X86
static bool machine_has(ttt_isa isa)
{
    if (isa == TTT_ISA_SCALAR) return true;
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
    return isa == TTT_ISA_AVX2 || (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                   __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"));
}
#else
static bool machine_has(ttt_isa isa) { return isa == TTT_ISA_SCALAR; }
#endif

bool ttt_isa_supported(ttt_isa isa) { return ttt_kernels_of(isa) && machine_has(isa); }

ttt_status ttt_isa_choose(ttt_isa *isa)
{
    const char *wanted = getenv("TTT_ISA");
    if (wanted && !*wanted) wanted = NULL;
    for (int i = TTT_ISA_COUNT - 1; i >= 0; i--) {
        if (wanted && strcmp(wanted, names[i]) != 0) continue;
        if (ttt_isa_supported((ttt_isa)i)) {
            *isa = (ttt_isa)i;
            return TTT_OK;
        }
        if (wanted) {
            return ttt_fail(TTT_ERR_UNSUPPORTED, "TTT_ISA=%s: this machine or build does not have it; unset TTT_ISA",
                            wanted);
        }
    }
    return ttt_fail(TTT_ERR_ARGUMENT, "TTT_ISA=%s: unknown; use scalar, avx2 or avx512", wanted ? wanted : "");
}
