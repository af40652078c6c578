/* SPDX-License-Identifier: MIT
 *
 * A model for inference: weights that nothing changes once it is open, so any number of threads and contexts share it.
 */
#ifndef TTT_MODEL_MODEL_H
#define TTT_MODEL_MODEL_H

#include <ttt/model.h>

#include "base/digest.h"
#include "model/lm.h"
#include "model/weights.h"

struct ttt_model {
    ttt_backend *backend; /* of one thread, without mutable state: what operations on states use */
    ttt_lm lm;
    ttt_precision precision;
    char *memory;       /* parameters: those of products packed, the rest as values */
    ttt_param *weights; /* [slots] */
    char fingerprint[TTT_DIGEST_TEXT];
};

/* Gives parameter `index` of the table; what it pointed to for the one before is no longer needed. */
typedef ttt_status (*ttt_param_source)(void *context, const ttt_params *params, int64_t index, ttt_matrix *matrix);

/* A model whose parameters come from `source` one by one, are checked to be finite, and packed. */
TTT_NODISCARD ttt_status ttt_model_build(ttt_model **model, const ttt_config *config, const ttt_model_options *options,
                                         ttt_param_source source, void *context);

#endif
