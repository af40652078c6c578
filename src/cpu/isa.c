/* SPDX-License-Identifier: MIT
 *
 * Detection by CPUID. __builtin_cpu_supports also asks XGETBV whether the operating system saves the registers; the
 * registers of AMX are large, so Linux gives them only to a process that asks.
 */
#include "cpu/isa.h"

#include <stdlib.h>
#include <string.h>

#ifdef TTT_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "cpu/kernels.h"

static const char *const names[TTT_ISA_COUNT] = {"scalar", "neon", "avx2", "avx512", "amx"};

const char *ttt_isa_name(ttt_isa isa) { return names[isa]; }

#ifdef TTT_X86
static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/* CPUID leaf 7: AMX's tiles and its bf16 products. */
static bool has_amx(void)
{
    unsigned a, b, c, d;
    const unsigned wanted = 1u << 24 | 1u << 22;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & wanted) == wanted;
}

/* Asks Linux for the tile registers, for all threads of this process; asking again is harmless. */
static bool amx_permitted(void)
{
#ifdef SYS_arch_prctl
    const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

static bool machine_has(ttt_isa isa)
{
    switch (isa) {
    case TTT_ISA_SCALAR: return true;
    case TTT_ISA_NEON: return false;
    case TTT_ISA_AVX2: return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case TTT_ISA_AVX512: return machine_has(TTT_ISA_AVX2) && has_avx512();
    case TTT_ISA_AMX: return machine_has(TTT_ISA_AVX512) && has_amx() && amx_permitted();
    case TTT_ISA_COUNT: break;
    }
    return false;
}
#else
/* Each 64-bit ARM has NEON. */
static bool machine_has(ttt_isa isa) { return isa == TTT_ISA_SCALAR || isa == TTT_ISA_NEON; }
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
    return ttt_fail(TTT_ERR_ARGUMENT, "TTT_ISA=%s: unknown; use scalar, avx2, avx512 or amx", wanted ? wanted : "");
}
