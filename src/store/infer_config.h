/* SPDX-License-Identifier: MIT
 *
 * What the names and shapes of a model's tensors say about its configuration.
 */
#ifndef TTT_STORE_INFER_CONFIG_H
#define TTT_STORE_INFER_CONFIG_H

#include "config/config.h"
#include "tensor/tensor.h"

/* Sets every size and flag of `config` that names and shapes tell: vocabulary, widths, heads, mini-batch, gate, shared
 * q and k, convolutions and their width, tied head, and what each block is made of, unless `config` has a list of them.
 * `tensors` is in ascending order of names, `where` stands in front of sentences. */
TTT_NODISCARD ttt_status ttt_config_infer(ttt_config *config, const ttt_tensor *tensors, int64_t count,
                                          const char *where);

/* Takes what `config`'s sizes do not tell from the standard configuration that has them (the usual defaults where none
 * fits); the base rate is the paper's for the kind of learner. */
TTT_NODISCARD ttt_status ttt_config_complete(ttt_config *config);

#endif
