/* SPDX-License-Identifier: MIT
 *
 * The matrices of a model written in another precision: from floating values to codes and scales, back, and from one
 * kind of code to the other. Each tensor is made when its turn to be written comes, so memory holds one at a time.
 */
#ifndef TTT_STORE_CONVERT_WEIGHTS_H
#define TTT_STORE_CONVERT_WEIGHTS_H

#include "base/threads.h"
#include "store/param_match.h"
#include "store/safetensors.h"

typedef struct ttt_weights_job {
    ttt_matrix matrix; /* what is read */
    ttt_precision precision;
    ttt_pool *pool;
    char scales_name[TTT_PARAM_NAME + sizeof TTT_SCALES];
} ttt_weights_job;

/* Fills outs[0], and with codes also outs[1], for the matrix of job; returns how many. `tensor` names it and gives its
 * shape. What is already in this precision is written as it is. job must outlive the writing. */
int64_t ttt_weights_outs(ttt_tensor_out *outs, ttt_weights_job *job, const ttt_param_spec *spec,
                         const ttt_param_found *found);

#endif
