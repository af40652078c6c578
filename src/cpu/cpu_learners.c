/* SPDX-License-Identifier: MIT
 *
 * The tables of the cpu backend's learners.
 */
#include "cpu/cpu.h"
#include "cpu/cpu_learner.h"

static const ttt_learner_index linear = TTT_LINEAR_LEARNER, mlp = TTT_MLP_LEARNER;

const ttt_learner_ops ttt_cpu_learner_linear = {.name = "linear",
                                                .maps = &ttt_linear_maps,
                                                .own = &linear,
                                                .supports = ttt_learner_supports,
                                                .state_size = ttt_cpu_learner_state_size,
                                                .saved_size = ttt_cpu_learner_saved_size,
                                                .partial_size = ttt_cpu_learner_partial_size,
                                                .scratch_bytes = ttt_cpu_learner_scratch_bytes,
                                                .work = ttt_learner_work_of,
                                                .reset = ttt_cpu_learner_reset,
                                                .reset_backward = ttt_cpu_learner_reset_backward,
                                                .forward = ttt_cpu_learner_forward,
                                                .primal = ttt_cpu_learner_primal,
                                                .backward = ttt_cpu_learner_backward,
                                                .part_count = ttt_learner_part_count,
                                                .part = ttt_learner_part_at,
                                                .export_state = ttt_cpu_learner_export,
                                                .import_state = ttt_cpu_learner_import,
                                                .weights_size = ttt_learner_weights_size,
                                                .weights = ttt_cpu_learner_weights,
                                                .loss = ttt_cpu_learner_loss};

const ttt_learner_ops ttt_cpu_learner_mlp = {.name = "mlp",
                                             .maps = &ttt_mlp_maps,
                                             .own = &mlp,
                                             .supports = ttt_learner_supports,
                                             .state_size = ttt_cpu_learner_state_size,
                                             .saved_size = ttt_cpu_learner_saved_size,
                                             .partial_size = ttt_cpu_learner_partial_size,
                                             .scratch_bytes = ttt_cpu_learner_scratch_bytes,
                                             .work = ttt_learner_work_of,
                                             .reset = ttt_cpu_learner_reset,
                                             .reset_backward = ttt_cpu_learner_reset_backward,
                                             .forward = ttt_cpu_learner_forward,
                                             .primal = ttt_cpu_learner_primal,
                                             .backward = ttt_cpu_learner_backward,
                                             .part_count = ttt_learner_part_count,
                                             .part = ttt_learner_part_at,
                                             .export_state = ttt_cpu_learner_export,
                                             .import_state = ttt_cpu_learner_import,
                                             .weights_size = ttt_learner_weights_size,
                                             .weights = ttt_cpu_learner_weights,
                                             .loss = ttt_cpu_learner_loss};
