/* SPDX-License-Identifier: MIT
 *
 * Two layers that the library does not have, each written as docs/ADDING-A-LAYER.md says, for the backend ref.
 */
#ifndef TTT_TEST_NEW_LAYERS_H
#define TTT_TEST_NEW_LAYERS_H

#include "layer/layer.h"

extern const ttt_layer_ops new_delta;   /* "delta": a learner with a decay for every token and head */
extern const ttt_layer_ops new_history; /* "history": keeps something of every token */

#endif
