/* SPDX-License-Identifier: MIT
 *
 * The cpu backend: its table of operations, for the instruction set chosen.
 */
#include "cpu/cpu.h"

ttt_status ttt_backend_init_cpu(ttt_backend *backend)
{
    ttt_isa isa;
    TTT_TRY(ttt_isa_choose(&isa));
    TTT_TRY(ttt_multiply_init(backend));
    TTT_TRY(ttt_bf16_init(backend));
    ttt_ops *ops = &backend->table;
    *ops = (ttt_ops){
        .learner = {[TTT_LINEAR_LEARNER] = &ttt_cpu_learner_linear, [TTT_MLP_LEARNER] = &ttt_cpu_learner_mlp}};
    ttt_host_ops(ops);
    ttt_cpu_ops_memory(ops);
    ttt_cpu_ops_product(ops);
    ttt_cpu_ops_delta(ops);
    ttt_cpu_ops_delta_inputs(ops);
    ttt_cpu_ops_norm(ops);
    ttt_cpu_ops_pointwise(ops);
    ttt_cpu_ops_scan(ops);
    ttt_cpu_ops_sequence(ops);
    ttt_cpu_ops_attention(ops);
    ttt_cpu_ops_optim(ops);
    backend->name = "cpu";
    backend->isa = ttt_isa_name(isa);
    backend->dtype = TTT_F32;
    backend->least_sum = 16384;
    backend->real = sizeof(float);
    backend->preferred = ttt_kernels_of(isa)->tile_loop ? TTT_PRECISION_BF16 : TTT_PRECISION_F32;
    backend->ops = ops;
    ((ttt_host *)backend->own)->kernels = ttt_kernels_of(isa);
    return TTT_OK;
}
