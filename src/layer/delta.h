/* SPDX-License-Identifier: MIT
 *
 * What linear attention and the delta family share as layers: the state of a matrix S, by names. MATH (matrix pieces).
 */
#ifndef TTT_LAYER_DELTA_H
#define TTT_LAYER_DELTA_H

#include "layer/layer.h"

static inline int64_t ttt_delta_reals(const ttt_delta_dims *dims) { return dims->heads * ttt_delta_state_size(dims); }

/* `state`: of all heads. Both lists return how many pieces they have; values[i] is piece i. */
int ttt_delta_pieces(const ttt_delta_dims *dims, int64_t position, ttt_state_piece list[TTT_STATE_PIECES]);
void ttt_delta_export(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, const void *state,
                      void *const values[]);
void ttt_delta_import(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position, void *state,
                      const void *const values[]);

/* S and z with the open tile's rows added; `values` has one after the other. */
int ttt_delta_view_pieces(const ttt_delta_dims *dims, ttt_state_piece list[TTT_STATE_PIECES]);
TTT_NODISCARD ttt_status ttt_delta_view(const ttt_delta_dims *dims, const ttt_backend *b, int64_t position,
                                        const void *state, void *values);

#endif
