/* SPDX-License-Identifier: MIT
 *
 * A tensor somewhere in memory or in a mapped file: name, type, shape and where the bytes are. A view; it never owns.
 */
#ifndef TTT_TENSOR_TENSOR_H
#define TTT_TENSOR_TENSOR_H

#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"

enum { TTT_RANK_MAX = 8, TTT_SHAPE_TEXT = 192 };

typedef struct ttt_tensor {
    const char *name;
    ttt_dtype dtype;
    int rank; /* 0: a scalar, one element */
    int64_t shape[TTT_RANK_MAX];
    const void *data; /* `bytes` bytes in C order, little-endian, perhaps unaligned; NULL allowed when bytes is 0 */
    size_t bytes;
} ttt_tensor;

/* Number of elements: the product of the shape. */
int64_t ttt_tensor_count(const ttt_tensor *tensor);

/* Prints "[4, 8, 8]" into `text`, which holds TTT_SHAPE_TEXT bytes; returns `text`. */
const char *ttt_shape_print(char *text, const int64_t *shape, int rank);

/* Whether two shapes are the same. */
bool ttt_shape_equal(const int64_t *a, int a_rank, const int64_t *b, int b_rank);

#endif
