/* SPDX-License-Identifier: MIT
 *
 * From a configuration to the layers of a model: its blocks, each a list of parts, and the table of all parameters.
 */
#ifndef TTT_LAYER_STACK_H
#define TTT_LAYER_STACK_H

#include "layer/layer.h"

typedef struct ttt_stack {
    ttt_block *blocks; /* [L] */
    int64_t block_count;
    ttt_layer *layers; /* [layer_count]: the parts of all blocks, in order */
    int64_t layer_count;
    const struct ttt_form *form; /* what parameters are called; NULL: one layer by itself */
    ttt_params params;
    int64_t embedding, norm, head; /* slots of the model's own parameters; a tied head is the embedding */
    ttt_rotations rotations;
    int64_t state_size; /* reals of a sequence's fixed state, once attached */
} ttt_stack;

/* What follows from the configuration alone. TTT_ERR_UNSUPPORTED, naming block and part, for a part that is no layer;
 * TTT_ERR_FORMAT for sizes beyond 4 x 10^12 parameters. Release with ttt_stack_deinit. */
TTT_NODISCARD ttt_status ttt_stack_init(ttt_stack *stack, const ttt_config *config);

/* One layer by itself, without norm, embedding and head: its parameters have no prefix. */
TTT_NODISCARD ttt_status ttt_stack_init_layer(ttt_stack *stack, const char *name, const ttt_config *config);

/* What the layers need of a backend, and where each has its part of a state; then ttt_stack_reserve gives any backend
 * of the same kind the scratch that they need. */
TTT_NODISCARD ttt_status ttt_stack_attach(ttt_stack *stack, const ttt_backend *backend, int64_t group);
TTT_NODISCARD ttt_status ttt_stack_reserve(const ttt_stack *stack, ttt_backend *backend);

void ttt_stack_deinit(ttt_stack *stack, const ttt_backend *backend); /* NULL: it was never attached */

#endif
