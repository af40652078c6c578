/* SPDX-License-Identifier: MIT
 * src/data/order: a permutation of every size, another one for every seed and epoch, and no visible pattern. */
#include "base/alloc.h"
#include "data/order.h"
#include "test.h"

static void every_size_is_a_permutation(void)
{
    unsigned char seen[2000];
    const int64_t most = test_small() ? 200 : 2000;
    for (int64_t count = 1; count <= most; count++) {
        memset(seen, 0, sizeof seen);
        int64_t distinct = 0;
        for (int64_t place = 0; place < count; place++) {
            const int64_t item = ttt_order(7, count % 5, count, place);
            if (item >= 0 && item < count && !seen[item]) {
                seen[item] = 1;
                distinct++;
            }
        }
        CHECK_EQ(distinct, count);
    }
}

static void seeds_and_epochs_differ(void)
{
    int same_epoch = 0, same_seed = 0;
    for (int64_t place = 0; place < 1000; place++) {
        const int64_t item = ttt_order(1, 0, 1000, place);
        CHECK_EQ(item, ttt_order(1, 0, 1000, place));
        same_epoch += item == ttt_order(1, 1, 1000, place);
        same_seed += item == ttt_order(2, 0, 1000, place);
    }
    /* Two independent permutations agree at one place on average (Poisson): more than 10 is one in 10^8. */
    CHECK(same_epoch <= 10);
    CHECK(same_seed <= 10);
    CHECK(ttt_order(1, 0, INT64_C(1) << 40, 5) != ttt_order(1, 1, INT64_C(1) << 40, 5));
}

/* Where each of six items goes, over many epochs: 36 counts that should be equal; chi-square with 25 degrees of freedom
 * is above 60.1 once in 10,000. And all 720 permutations occur. */
static void uniform(void)
{
    enum { EPOCHS = 36000 };
    double counts[6][6] = {0};
    unsigned char *seen = ttt_alloc(46656, 1);
    int distinct = 0;
    for (int64_t epoch = 0; epoch < EPOCHS; epoch++) {
        int64_t code = 0;
        for (int64_t place = 0; place < 6; place++) {
            const int64_t item = ttt_order(11, epoch, 6, place);
            counts[place][item]++;
            code = code * 6 + item;
        }
        distinct += !seen[code];
        seen[code] = 1;
    }
    double chi_square = 0;
    for (int i = 0; i < 36; i++) {
        const double difference = counts[i / 6][i % 6] - EPOCHS / 6.0;
        chi_square += difference * difference / (EPOCHS / 6.0);
    }
    CHECK(chi_square < 60.1);
    CHECK_EQ(distinct, 720);
    ttt_free(seen);
}

int main(void)
{
    every_size_is_a_permutation();
    seeds_and_epochs_differ();
    uniform();
    return test_end();
}
