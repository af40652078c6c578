/* SPDX-License-Identifier: MIT
 *
 * Stands in for the learners of the cpu backend (cpu_learner_linear.c, cpu_learner_mlp.c) where these are not built.
 */
#include "cpu/cpu.h"

const ttt_learner_ops ttt_cpu_learner_linear = {0};
const ttt_learner_ops ttt_cpu_learner_mlp = {0};
