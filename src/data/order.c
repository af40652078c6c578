/* SPDX-License-Identifier: MIT
 * A Feistel network permutes the numbers of 2k bits, whatever its round function; walking along its cycles until one
 * falls below `count` restricts it to [0, count) (Black and Rogaway 2002). At least about one number in four is
 * in range, so the walk is short. With 12 rounds no place of the smallest networks prefers an item measurably. */
#include "data/order.h"

#include "base/rng.h"

enum { ROUNDS = 12 };

static uint64_t feistel(ttt_rng rng, int bits, uint64_t number)
{
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    uint64_t left = number >> bits, right = number & mask;
    for (uint64_t round = 0; round < ROUNDS; round++) {
        const uint64_t mixed = left ^ (ttt_rng_u64(rng, round << 32 | right) & mask);
        left = right;
        right = mixed;
    }
    return left << bits | right;
}

int64_t ttt_order(uint64_t seed, int64_t epoch, int64_t count, int64_t place)
{
    int bits = 1; /* of each half */
    while (UINT64_C(1) << 2 * bits < (uint64_t)count) bits++;
    const ttt_rng epochs = {.seed = seed, .stream = TTT_RNG_ORDER};
    const ttt_rng rng = {.seed = ttt_rng_u64(epochs, (uint64_t)epoch), .stream = TTT_RNG_ORDER};
    uint64_t number = (uint64_t)place;
    do number = feistel(rng, bits, number);
    while (number >= (uint64_t)count);
    return (int64_t)number;
}
