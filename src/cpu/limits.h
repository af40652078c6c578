/* SPDX-License-Identifier: MIT
 *
 * The loop of limits_amx.c, which is compiled with flags of its own.
 */
#ifndef TTT_CPU_LIMITS_H
#define TTT_CPU_LIMITS_H

#include <stdint.h>

/* Multiplies tiles; returns the number of operations. For processes that lack nothing of TTT_ISA_AMX (ttt_isa_lacks).
 */
double ttt_limits_amx_loop(int64_t steps);

#endif
