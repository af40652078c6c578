/* SPDX-License-Identifier: MIT
 *
 * Random numbers as a pure function of (seed, stream, index): Philox 4x32-10 (Salmon et al. 2011, via
 * Random123). No state to save: results depend neither on the order of calls nor on threads.
 */
#ifndef TTT_BASE_RNG_H
#define TTT_BASE_RNG_H

#include <stdint.h>

/* Streams in use, so that no two purposes share numbers. */
enum { TTT_RNG_INIT = 1, TTT_RNG_ORDER = 2, TTT_RNG_SAMPLE = 3, TTT_RNG_TEST = 4, TTT_RNG_NAME = 5 };

typedef struct ttt_rng {
    uint64_t seed;
    uint64_t stream;
} ttt_rng;

uint64_t ttt_rng_u64(ttt_rng rng, uint64_t index);
double ttt_rng_uniform(ttt_rng rng, uint64_t index); /* in [0, 1), 53 bits */
double ttt_rng_normal(ttt_rng rng, uint64_t index);  /* N(0, 1), Box-Muller; indices 2i and 2i + 1 come from one draw */
/* Indices 2 pair and 2 pair + 1, for the price of one. */
void ttt_rng_normal_pair(ttt_rng rng, uint64_t pair, double normals[2]);

#endif
