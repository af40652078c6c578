/* SPDX-License-Identifier: MIT
 *
 * The table of a model's parameters beside the tensors of a file.
 */
#ifndef TTT_STORE_PARAM_MATCH_H
#define TTT_STORE_PARAM_MATCH_H

#include "layer/params.h"
#include "tensor/quantize.h"
#include "tensor/tensor.h"

/* A parameter as found in a file: its tensor, and with it the scales if the tensor holds codes, else NULL. */
typedef struct ttt_param_found {
    const ttt_tensor *tensor, *scales;
} ttt_param_found;

/* The parameter as rows of its last dimension. */
ttt_matrix ttt_param_matrix(const ttt_param_spec *spec, const ttt_param_found *found);

/* Matches tensors from a file with a list: *found (release with ttt_free) has one entry per spec. A parameter that is
 * missing or has another shape or no floating type, and a tensor that is no parameter, are TTT_ERR_FORMAT and named,
 * `where` in front. All matrices may instead be codes of one precision with sound scales beside them, which *precision
 * then tells. A tied model may hold "lm_head.weight" if it equals the embedding byte for byte. `tensors` is in
 * ascending order of names. */
TTT_NODISCARD ttt_status ttt_param_match(const ttt_param_spec *specs, int64_t count, const ttt_tensor *tensors,
                                         int64_t tensor_count, const char *where, ttt_param_found **found,
                                         ttt_precision *precision);

/* For a tensor that was looked for in vain: "; there is X", another whose name ends like it, or any; with what to do
 * where torch.compile or DataParallel put something before every name. Returns `text`. */
enum { TTT_NAME_HINT = 512 };
const char *ttt_name_hint(char text[TTT_NAME_HINT], const ttt_tensor *tensors, int64_t count, const char *name);

#endif
