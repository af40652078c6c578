/* SPDX-License-Identifier: MIT
 *
 * The parameters of a model as its operations read them: an array of ttt_param, one for every slot of the table. Their
 * values lie in one flat block (training: gradients and moments are laid out alike), or packed as products want them.
 */
#ifndef TTT_MODEL_WEIGHTS_H
#define TTT_MODEL_WEIGHTS_H

#include "backend/backend.h"
#include "layer/params.h"

/* An array [slots] with the rows and columns of every parameter, and no memory yet. Free with ttt_free. */
TTT_NODISCARD ttt_status ttt_weights_new(ttt_param **weights, const ttt_params *params);

/* All values in a flat block [params->size]. */
void ttt_weights_bind(ttt_param *weights, const ttt_params *params, const ttt_backend *backend, void *values);

typedef enum ttt_weights_use {
    TTT_WEIGHTS_INFERENCE, /* whatever rows are multiplied by is packed, and only packed; where values are not bound,
                              they have a place too */
    TTT_WEIGHTS_TRAINING   /* where matrices are not in f32, they and their transposes are packed beside their values */
} ttt_weights_use;

/* Gives everything its place in `memory`, and matrices their precision; with NULL only tells how many bytes that is. */
size_t ttt_weights_layout(ttt_param *weights, const ttt_params *params, const ttt_backend *backend,
                          ttt_precision precision, ttt_weights_use use, char *memory);

/* Packs what has a place for it, from a flat block of values. */
void ttt_weights_pack(const ttt_param *weights, const ttt_params *params, const ttt_backend *backend,
                      const void *values);

/* The first values of training of parameter `index` of the table, as `dtype`, in the caller's memory: a pure function
 * of the seed, computed on the backend's threads. */
void ttt_first_values(const ttt_params *params, int64_t index, uint64_t seed, const ttt_backend *backend, void *values,
                      ttt_dtype dtype);

#endif
