/* SPDX-License-Identifier: MIT
 *
 * The standard configurations: sizes, and how a training run of them begins.
 */
#ifndef TTT_CONFIG_STANDARD_H
#define TTT_CONFIG_STANDARD_H

#include "config/config.h"

typedef struct ttt_standard {
    const char *name;
    int64_t layers, hidden, heads, intermediate, vocabulary;
    int64_t context; /* tokens of a sequence */
    int64_t batch;   /* tokens of an update */
    double rate;     /* peak */
} ttt_standard;

/* By name, or by the sizes of a configuration; NULL if there is none. */
const ttt_standard *ttt_standard_find(const char *name);
const ttt_standard *ttt_standard_like(const ttt_config *config);

/* The paper's base rate for the TTT layers of a configuration: of several kinds the least, 1 where there is none. */
double ttt_config_usual_rate(const ttt_config *config);

#endif
