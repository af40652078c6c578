/* SPDX-License-Identifier: MIT
 *
 * What a product with a matrix computes in: how the matrix is kept, and what becomes of the rows multiplied by it.
 * Everything else (sums, norms, learners, master weights, optimizer) is never rounded. docs/MATH.md, "Precisions".
 */
#ifndef TTT_TENSOR_PRECISION_H
#define TTT_TENSOR_PRECISION_H

#include "base/error.h"

typedef enum ttt_precision {
    TTT_PRECISION_F32,  /* the backend's reals, as they are (in ref: double) */
    TTT_PRECISION_BF16, /* matrix and rows rounded to bf16 */
    TTT_PRECISION_Q8,   /* blocks of 8-bit integers with a scale each; rows likewise */
    TTT_PRECISION_Q4,   /* blocks of 4-bit integers with a scale each; rows as for q8 */
    TTT_PRECISION_COUNT
} ttt_precision;

const char *ttt_precision_name(ttt_precision precision); /* "f32", "bf16", "q8", "q4" */

/* The precision called `name`; NULL and "auto" give `preferred`. */
TTT_NODISCARD ttt_status ttt_precision_read(ttt_precision *precision, const char *name, ttt_precision preferred);

#endif
