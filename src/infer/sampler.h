/* SPDX-License-Identifier: MIT
 *
 * What generation needs of the sampler beyond the public header.
 */
#ifndef TTT_INFER_SAMPLER_H
#define TTT_INFER_SAMPLER_H

#include <ttt/generate.h>

#include "base/error.h"

/* Whether every option is in its range; the sentence names the first that is not. */
TTT_NODISCARD ttt_status ttt_sampling_check(const ttt_sampling *sampling);

int64_t ttt_sampler_vocabulary(const ttt_sampler *sampler); /* logits it chooses from */

#endif
