/* SPDX-License-Identifier: MIT
 *
 * The model that a test needs when any will do.
 */
#ifndef TTT_TEST_SMALL_CONFIG_H
#define TTT_TEST_SMALL_CONFIG_H

#include "config/config.h"

static inline ttt_config small_config(int64_t vocab_size, int64_t hidden_size, int64_t heads, int64_t layers)
{
    ttt_config config;
    ttt_config_init(&config);
    config.vocab_size = vocab_size;
    config.hidden_size = hidden_size;
    config.intermediate_size = hidden_size * 3 / 2;
    config.num_hidden_layers = layers;
    config.num_attention_heads = heads;
    return config;
}

#endif
