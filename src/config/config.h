/* SPDX-License-Identifier: MIT
 *
 * What a model is: the values of its config.json. A plain value: copy it freely, nothing is owned. What can be said of
 * it without knowing the layers is here; that every part of a block exists, and how many parameters that makes, says
 * the model layer (ttt_config_check, ttt_config_parameters).
 */
#ifndef TTT_CONFIG_CONFIG_H
#define TTT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/config.h>

#include "base/buffer.h"

/* Reads the text of a config.json and checks all of it but the names of parts; `where` names it in sentences. */
TTT_NODISCARD ttt_status ttt_config_parse(ttt_config *config, const char *text, size_t size, const char *where);

/* Appends the text that ttt_config_save writes. */
TTT_NODISCARD ttt_status ttt_config_print(const ttt_config *config, const char *base, const char *dtype,
                                          ttt_buffer *out);

/* Every key by itself, how they fit together, and the list of blocks, but for the names of parts. */
TTT_NODISCARD ttt_status ttt_config_check_keys(const ttt_config *config, const char *where);

/* ---- blocks (layers.c) ---- */

/* Appends a block to a list, written as in config.json: parts joined by "+". What is no such text is TTT_ERR_FORMAT,
 * `where` in front, and names the block, counted from 0, and the part. */
TTT_NODISCARD ttt_status ttt_layers_add(ttt_layers *layers, const char *text, size_t length, const char *where);

/* Appends the blocks of a command line, "3*ttt_linear,mamba": each N*BLOCK or BLOCK. A BLOCK with "+", or in double
 * quotes, is written as in config.json; a bare name is its usual block: NAME+ffn, "conv+" before a TTT layer if
 * `conv`, mamba alone. */
TTT_NODISCARD ttt_status ttt_layers_parse(ttt_layers *layers, const char *text, bool conv);

/* The text that ttt_layers_parse reads as these blocks. */
TTT_NODISCARD ttt_status ttt_layers_print(const ttt_layers *layers, ttt_buffer *out);

/* Makes these the blocks of a configuration, at least one: by ttt_layer_type and pre_conv where these can say it, else
 * by `layers`, and then model_type is ttt_ext. num_hidden_layers follows. */
void ttt_config_set_layers(ttt_config *config, const ttt_layers *layers);

#endif
