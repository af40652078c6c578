/* SPDX-License-Identifier: MIT
 *
 * Checkpoints of ttt-lm-jax: a stream of msgpack records, one per tensor, without header or index (docs/FORMATS.md).
 * The parameters appear under ttt-lm-pytorch's names and shapes; moments and counters of a train state are skipped.
 * Hostile until checked: after a successful open every name, shape and byte range is sound.
 */
#ifndef TTT_STORE_JAX_STREAM_H
#define TTT_STORE_JAX_STREAM_H

#include <stdbool.h>

#include "tensor/tensor.h"

typedef struct ttt_jax_stream ttt_jax_stream;

/* Opens a file. Close with ttt_jax_stream_close. */
TTT_NODISCARD ttt_status ttt_jax_stream_open(ttt_jax_stream **stream, const char *path);

/* The same for the bytes of a stream at hand, which must outlive the result; `where` names them in sentences. */
TTT_NODISCARD ttt_status ttt_jax_stream_parse(ttt_jax_stream **stream, const void *bytes, size_t size,
                                              const char *where);

/* NULL is allowed. */
void ttt_jax_stream_close(ttt_jax_stream *stream);

/* The parameters in ascending order (strcmp) of their names, as one array; at least one. */
int64_t ttt_jax_stream_count(const ttt_jax_stream *stream);
const ttt_tensor *ttt_jax_stream_tensors(const ttt_jax_stream *stream);

/* Whether the bytes of tensor `index` are the matrix [shape[0], last of shape] column by column, as ttt_tensor_out has
 * it; else they are in the order of the shape. */
bool ttt_jax_stream_transposed(const ttt_jax_stream *stream, int64_t index);

#endif
