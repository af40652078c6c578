/* SPDX-License-Identifier: MIT
 *
 * In which order the sequences of a text are trained on: a permutation per epoch that is a pure function of seed and
 * epoch. Nothing is stored, so a resume needs only the number of sequences already taken.
 */
#ifndef TTT_DATA_ORDER_H
#define TTT_DATA_ORDER_H

#include <stdint.h>

/* The item in [0, count) that comes at `place` in [0, count) of the epoch; for each seed and epoch, a permutation. */
int64_t ttt_order(uint64_t seed, int64_t epoch, int64_t count, int64_t place);

#endif
