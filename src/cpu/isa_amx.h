/* SPDX-License-Identifier: MIT
 *
 * The kernels that AMX has of its own.
 */
#ifndef TTT_CPU_ISA_AMX_H
#define TTT_CPU_ISA_AMX_H

#include "cpu/kernels.h"

void ttt_amx_tile_product(const ttt_tile_product *p);
double ttt_amx_tile_loop(float *sink, int64_t steps); /* limits_amx.c */

#endif
