/* SPDX-License-Identifier: MIT
 *
 * The layers that a configuration can name.
 */
#include "layer/layer.h"

const ttt_layer_ops *const ttt_layer_table[] = {&ttt_layer_conv,
                                                &ttt_layer_ffn,
                                                &ttt_layer_ttt_linear,
                                                &ttt_layer_ttt_mlp,
                                                &ttt_layer_linear_attention,
                                                &ttt_layer_delta_net,
                                                &ttt_layer_gated_deltanet,
                                                &ttt_layer_mamba,
                                                &ttt_layer_attention,
                                                NULL};
