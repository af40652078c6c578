/* SPDX-License-Identifier: MIT
 *
 * Log-probabilities of ids from a row of logits: what the model itself says, before any penalty or temperature.
 */
#ifndef TTT_INFER_LOGPROB_H
#define TTT_INFER_LOGPROB_H

#include <ttt/generate.h>

#include "backend/backend.h"
#include "base/error.h"

/* The log-probability of `id` among logits [V], and the `top` most likely of the first `allowed` ids. `reals` [V] is
 * scratch of the backend's element type. The loss is the one that ttt_eval has of this row on this backend; a row
 * without one, because a logit is NaN or +infinity, is TTT_ERR_NUMERIC. */
TTT_NODISCARD ttt_status ttt_logprob_of(ttt_token_logprob *result, const ttt_backend *backend, void *reals,
                                        const float *logits, int64_t vocabulary, int64_t allowed, int32_t id, int top);

#endif
