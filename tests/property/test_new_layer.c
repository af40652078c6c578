/* SPDX-License-Identifier: MIT
 *
 * Layers from outside: a table with two more of them is all that it takes for a configuration to name them, beside the
 * library's own, and for trainer, states and contexts to work with them. Their gradients are those of the loss, by
 * central differences and in segments; they learn; and any split of a sequence gives the same bits.
 */
#include "layer_checks.h"
#include "new_layers.h"

/* The program's table in place of the library's. */
const ttt_layer_ops *const ttt_layer_table[] = {&ttt_layer_conv, &ttt_layer_ffn, &ttt_layer_ttt_linear,
                                                &new_delta,      &new_history,   NULL};

int main(void)
{
    static const char *const models[] = {"delta+ffn", "history+ffn", "conv+ttt_linear+ffn,history,ffn+delta"};
    for (int i = 0; i < 3; i++) {
        const ttt_config config = config_of(models[i]);
        check_layers(&config, 18, "test_new_layer");
    }
    const ttt_config config = config_of("delta+ffn");
    ttt_model *model;
    CHECK_FAILS(ttt_model_new(&model, &config, 1, &(ttt_model_options){.backend = "cpu"}), TTT_ERR_UNSUPPORTED,
                "by ref alone");
    const ttt_config unknown = config_of("nosuch+ffn");
    CHECK_FAILS(ttt_model_new(&model, &unknown, 1, NULL), TTT_ERR_UNSUPPORTED, "nosuch");
    return test_end();
}
