/* SPDX-License-Identifier: MIT
 *
 * What this build and this machine offer: which backends there are, which instruction set computes, and why; and what
 * the machine can do at most.
 */
#ifndef TTT_MACHINE_H
#define TTT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TTT_MACHINE_ISAS = 8 };

typedef struct ttt_machine {
    int processors;                     /* this process may run on */
    int64_t memory;                     /* bytes of main memory; 0: not known */
    const char *isa;                    /* in use by the backend "cpu": "scalar", "neon", "avx2" ... "amx" */
    bool isa_asked;                     /* because TTT_ISA says so; else it is the best of those below */
    const char *isas[TTT_MACHINE_ISAS]; /* this build and this machine have, ascending; NULL ends */
    struct {
        const char *name, *why; /* such as "avx512", "the processor has not all of its instructions (CPUID)" */
    } lacks[TTT_MACHINE_ISAS];  /* this build has, but the machine or its system has not; a NULL name ends */
} ttt_machine;

/* Strings are static. TTT_ISA naming what cannot be used is an error, as it is when a model is opened. */
TTT_API TTT_NODISCARD ttt_status ttt_machine_read(ttt_machine *machine);

/* Measured with `threads` threads at once, the best of several tries each. */
typedef struct ttt_limits {
    const char *isa; /* that the FMAs are of: the one in use by the backend "cpu"; static */
    int threads;
    double fma;   /* f32 operations per second of FMAs that stay in registers */
    double bf16;  /* operations per second of the machine's own products of bf16 (AMX, AVX512_BF16); 0: not in use */
    double bytes; /* operations per second of products of 8-bit integers, which q8 and q4 are made of */
    double read;  /* bytes per second of reading memory */
} ttt_limits;

/* Takes about a second and, while it lasts, 512 MB. threads 0: TTT_THREADS if set, else one per processor. */
TTT_API TTT_NODISCARD ttt_status ttt_limits_measure(ttt_limits *limits, int threads);

#ifdef __cplusplus
}
#endif
#endif
