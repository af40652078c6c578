/* SPDX-License-Identifier: MIT
 *
 * Verification of training: the loss and every gradient, and some steps of AdamW with the golden file's learning rates.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/verify.h"
#include "train/trainer.h"

static ttt_status compare_params(ttt_verifier *v, const ttt_lm *lm, const char *block, const char *prefix)
{
    for (int64_t i = 0; i < lm->stack.params.count; i++) {
        const ttt_param_spec *spec = &lm->stack.params.specs[i];
        const int64_t n = ttt_param_elements(spec);
        char name[TTT_PARAM_NAME + 16];
        snprintf(name, sizeof name, "%s%s", prefix, spec->name);
        if (!ttt_safetensors_find(v->golden, name)) continue;
        double *values = ttt_alloc((size_t)n, sizeof *values);
        if (!values) return TTT_ERR_MEMORY;
        lm->backend->ops->to(lm->backend, values, TTT_F64, ttt_at(lm->backend, block, spec->offset), n);
        const ttt_status status = ttt_verifier_compare(v, name, name, values, n, NULL, TTT_VERIFY_BACKWARD);
        ttt_free(values);
        TTT_TRY(status);
    }
    return TTT_OK;
}

static ttt_status verify_gradients(ttt_verifier *v, ttt_trainer *trainer, const int32_t *tokens)
{
    double loss, norm;
    TTT_TRY(ttt_trainer_gradients(trainer, tokens, &loss, &norm));
    if (ttt_safetensors_find(v->golden, "loss"))
        TTT_TRY(ttt_verifier_compare(v, "loss", "loss", &loss, 1, NULL, TTT_VERIFY_FORWARD));
    return compare_params(v, &trainer->lm, trainer->optimizer.grads, "grad.");
}

static ttt_status train_steps(ttt_verifier *v, ttt_trainer *trainer, const int32_t *tokens, int64_t steps,
                              const double *rates, double *losses, double *norms)
{
    const ttt_train_options *o = &trainer->options;
    for (int64_t s = 0; s < steps; s++) {
        TTT_TRY(ttt_trainer_gradients(trainer, tokens + s * o->batch * (o->context + 1), &losses[s], &norms[s]));
        TTT_TRY(ttt_trainer_update(trainer, rates[s], norms[s]));
    }
    if (ttt_safetensors_find(v->golden, "train.loss"))
        TTT_TRY(ttt_verifier_compare(v, "train.loss", "train.loss", losses, steps, NULL, TTT_VERIFY_TRAIN_LOSS));
    if (ttt_safetensors_find(v->golden, "train.grad_norm"))
        TTT_TRY(ttt_verifier_compare(v, "train.grad_norm", "train.grad_norm", norms, steps, NULL, TTT_VERIFY_BACKWARD));
    return compare_params(v, &trainer->lm, trainer->optimizer.values, "train.final.");
}

static ttt_status verify_steps(ttt_verifier *v, ttt_trainer *trainer, const int32_t *tokens, int64_t steps)
{
    double *rates = ttt_verifier_read(v, "train.lr", steps);
    double *losses = ttt_alloc((size_t)steps, sizeof *losses), *norms = ttt_alloc((size_t)steps, sizeof *norms);
    const ttt_status status = !rates              ? TTT_ERR_FORMAT
                              : !losses || !norms ? TTT_ERR_MEMORY
                                                  : train_steps(v, trainer, tokens, steps, rates, losses, norms);
    ttt_free(rates);
    ttt_free(losses);
    ttt_free(norms);
    return status;
}

/* A trainer for sequences of `length` tokens with the folder's weights. */
static ttt_status open_trainer(const ttt_verifier *v, ttt_trainer **trainer, int64_t batch, int64_t length)
{
    ttt_model *model;
    TTT_TRY(ttt_model_open(&model, v->folder, v->options)); /* its configuration, and the checks of opening */
    const ttt_config config = model->lm.config;
    ttt_train_options options;
    ttt_train_options_init(&options);
    options.backend = model->backend->name;
    options.precision = model->precision == TTT_PRECISION_BF16 ? "bf16" : "f32";
    options.threads = v->options->threads;
    options.steps = 1;
    options.batch = batch;
    options.context = length - 1;
    ttt_status status = ttt_trainer_new_empty(trainer, &config, &options);
    ttt_model_free(model);
    if (status != TTT_OK) return status;
    status = ttt_trainer_load_model(*trainer, v->folder);
    if (status != TTT_OK) ttt_trainer_free(*trainer);
    return status;
}

ttt_status ttt_verify_training(ttt_verifier *v)
{
    int64_t shape[3];
    int32_t *tokens;
    ttt_trainer *trainer;
    TTT_TRY(ttt_verifier_tokens(v, "tokens", 2, shape, &tokens));
    ttt_status status = shape[1] < 2
                            ? ttt_fail(TTT_ERR_FORMAT, "the golden file's tokens are fewer than two a sequence")
                            : open_trainer(v, &trainer, shape[0], shape[1]);
    if (status == TTT_OK) {
        status = verify_gradients(v, trainer, tokens);
        ttt_trainer_free(trainer);
    }
    ttt_free(tokens);
    if (status != TTT_OK || !ttt_safetensors_find(v->golden, "train.tokens")) return status;

    TTT_TRY(ttt_verifier_tokens(v, "train.tokens", 3, shape, &tokens));
    status = shape[2] < 2 ? ttt_fail(TTT_ERR_FORMAT, "the golden file's train.tokens are fewer than two a sequence")
                          : open_trainer(v, &trainer, shape[1], shape[2]);
    if (status == TTT_OK) {
        status = verify_steps(v, trainer, tokens, shape[0]);
        ttt_trainer_free(trainer);
    }
    ttt_free(tokens);
    return status;
}
