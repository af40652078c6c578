/* SPDX-License-Identifier: MIT
 *
 * The reference backend: every operation as plain loops in double, one equation after another as in docs/MATH.md. It
 * defines the mathematics and is the oracle of every test; it is never optimised and never threaded.
 */
#ifndef TTT_REF_REF_H
#define TTT_REF_REF_H

#include "backend/host.h"

void ttt_ref_ops_product(ttt_ops *ops);
void ttt_ref_ops_delta(ttt_ops *ops);
void ttt_ref_ops_delta_inputs(ttt_ops *ops);
void ttt_ref_ops_norm(ttt_ops *ops);
void ttt_ref_ops_pointwise(ttt_ops *ops);
void ttt_ref_ops_scan(ttt_ops *ops);
void ttt_ref_ops_sequence(ttt_ops *ops);
void ttt_ref_ops_attention(ttt_ops *ops);
void ttt_ref_ops_optim(ttt_ops *ops);

extern const ttt_learner_ops ttt_ref_learner_linear;
extern const ttt_learner_ops ttt_ref_learner_mlp;

#endif
