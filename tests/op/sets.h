/* SPDX-License-Identifier: MIT
 *
 * The instruction sets that a test of kernels goes through.
 */
#ifndef TTT_TESTS_OP_SETS_H
#define TTT_TESTS_OP_SETS_H

#include <string.h>

#include "cpu/isa.h"
#include "cpu/kernels.h"
#include "test.h"

/* Whether this build has kernels for it and this machine runs them; where it does not, a skip. */
static inline bool set_runs(ttt_isa isa)
{
    if (!ttt_kernels_of(isa)) return false;
    if (!ttt_isa_lacks(isa)) return true;
    SKIP("no %s on this machine", ttt_isa_name(isa));
    return false;
}

/* Whether it has the very functions of a set before it in all but products, so that there is nothing else of it to
 * test: VNNI, AVX512_BF16 and AMX are AVX-512 in the rest. */
static inline bool set_only_multiplies(ttt_isa isa)
{
    for (int i = 0; i < (int)isa; i++) {
        if (!ttt_kernels_of((ttt_isa)i) || ttt_isa_lacks((ttt_isa)i)) continue;
        ttt_kernels its, before;
        memcpy(&its, ttt_kernels_of(isa), sizeof its);
        memcpy(&before, ttt_kernels_of((ttt_isa)i), sizeof before);
        its.widen = before.widen;
        its.tile_product = before.tile_product;
        its.tile_loop = before.tile_loop;
        its.block_product = before.block_product;
        its.dot_loop = before.dot_loop;
        if (memcmp(&its, &before, sizeof its) == 0) return true;
    }
    return false;
}

#endif
