/* SPDX-License-Identifier: MIT
 *
 * Detection: CPUID says what the processor has, XGETBV which registers the operating system keeps from one process to
 * the next. Those of AMX are large, so Linux gives them only to a process that asks.
 */
#include "cpu/isa.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef TTT_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "cpu/kernels.h"

static const char *const names[TTT_ISA_COUNT] = {"scalar", "neon", "avx2", "avx512", "vnni", "avx512bf16", "amx"};

const char *ttt_isa_name(ttt_isa isa) { return names[isa]; }

#ifdef TTT_X86
/* What each needs beside what those before it do: bits of CPUID's leaves 1, 7 and 7.1, and of the register XCR0. */
typedef struct need {
    unsigned leaf1_c, leaf7_b, leaf7_c, leaf7_d, leaf71_a, saved;
    bool permission;
} need;

static const need needs[TTT_ISA_COUNT] = {
    [TTT_ISA_AVX2] = {.leaf1_c = bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C, .leaf7_b = bit_AVX2, .saved = 0x6},
    [TTT_ISA_AVX512] = {.leaf7_b = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL, .saved = 0xe0},
    [TTT_ISA_VNNI] = {.leaf7_c = bit_AVX512VNNI},
    [TTT_ISA_AVX512BF16] = {.leaf71_a = bit_AVX512BF16},
    [TTT_ISA_AMX] = {.leaf7_d = 1u << 24 | 1u << 22, .saved = 0x60000, .permission = true}, /* tiles, their bf16 */
};

static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* For all threads of this process; asking again is harmless. */
static bool amx_permitted(void)
{
#ifdef SYS_arch_prctl
    const long request = 0x1023, tile_data = 18; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

static const char *machine_lacks(ttt_isa isa)
{
    unsigned a, b, c, d, leaf1_c = 0, leaf7_b = 0, leaf7_c = 0, leaf7_d = 0, leaf71_a = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) leaf1_c = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) leaf7_b = b, leaf7_c = c, leaf7_d = d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) leaf71_a = a;
    for (int i = 0; i <= (int)isa; i++) {
        const need *n = &needs[i];
        if (n->leaf1_c & ~leaf1_c || n->leaf7_b & ~leaf7_b || n->leaf7_c & ~leaf7_c || n->leaf7_d & ~leaf7_d ||
            n->leaf71_a & ~leaf71_a)
            return "the processor has not all of its instructions (CPUID)";
        if (n->saved && n->saved & ~saved_registers())
            return "the operating system does not keep its registers (XGETBV)";
        if (n->permission && !amx_permitted()) return "Linux refuses this process its registers (arch_prctl)";
    }
    return NULL;
}
#else
static const char *machine_lacks(ttt_isa isa)
{
    (void)isa;
    return NULL; /* every 64-bit ARM has NEON */
}
#endif

const char *ttt_isa_lacks(ttt_isa isa)
{
    return ttt_kernels_of(isa) ? machine_lacks(isa) : "this build is for another processor";
}

/* TTT_ISA names none that can be used: says why, and what there is. */
static ttt_status fail_wanted(const char *wanted, const char *why, ttt_status status)
{
    char have[8 * TTT_ISA_COUNT] = "";
    size_t length = 0;
    for (int i = 0; i < TTT_ISA_COUNT; i++)
        if (!ttt_isa_lacks((ttt_isa)i))
            length += (size_t)snprintf(have + length, sizeof have - length, " %s", names[i]);
    return ttt_fail(status, "TTT_ISA=%s: %s; unset it or choose from:%s", wanted, why, have);
}

ttt_status ttt_isa_choose(ttt_isa *isa)
{
    const char *wanted = getenv("TTT_ISA");
    if (wanted && !*wanted) wanted = NULL;
    for (int i = TTT_ISA_COUNT - 1; i >= 0; i--) {
        if (wanted && strcmp(wanted, names[i]) != 0) continue;
        const char *lacks = ttt_isa_lacks((ttt_isa)i);
        if (!lacks) {
            *isa = (ttt_isa)i;
            return TTT_OK;
        }
        if (wanted) return fail_wanted(wanted, lacks, TTT_ERR_UNSUPPORTED);
    }
    return fail_wanted(wanted ? wanted : "", "no such instruction set is known", TTT_ERR_ARGUMENT);
}
