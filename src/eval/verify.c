/* SPDX-License-Identifier: MIT
 *
 * A verification as a whole.
 */
#include "eval/verify.h"

#include <math.h>
#include <ttt/eval.h>
#include <ttt/tokenizer.h>

#include "base/alloc.h"
#include "base/elementary.h"
#include "base/file.h"

/* Nats per token of a plain sentence: near log V for a model that knows nothing, far below for one that was read right.
 */
static ttt_status sentence_loss(ttt_verifier *v, ttt_context *context)
{
    static const char sentence[] = "It was the best of times, it was the worst of times, and all that we could do was "
                                   "to wait for the end of the day.";
    v->verification->sentence_loss = -1;
    ttt_tokenizer *tokenizer;
    if (ttt_tokenizer_open(&tokenizer, v->folder) != TTT_OK) return TTT_OK; /* a folder need not have one */
    ttt_ids ids = {0};
    ttt_status status = ttt_tokenizer_encode(tokenizer, sentence, sizeof sentence - 1, false, &ids);
    ttt_eval_options options;
    ttt_eval_options_init(&options);
    ttt_eval_result result = {0};
    if (status == TTT_OK && ids.count > 1) {
        status = ttt_eval(context, ids.data, (int64_t)ids.count, &options, &result);
        v->verification->sentence_loss = result.adapting.all.mean;
    }
    ttt_eval_result_deinit(&result);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    return status;
}

static ttt_status verify_model(ttt_verifier *v, const ttt_model *model)
{
    const int64_t products = 4 * model->lm.config.num_hidden_layers + 1; /* one after another, up to the logits */
    v->exact = model->backend->dtype == TTT_F64;
    if (model->precision == TTT_PRECISION_BF16) v->rounding = 0x1p-8 * sqrt((double)products);
    v->verification->uniform_loss = ttt_ln((double)model->lm.config.vocab_size);
    if (v->golden && ttt_precision_is_blocks(model->precision))
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "golden values are of weights that were not quantised, and nothing bounds their distance in "
                        "%s: verify against them in f32, and in %s without a golden file",
                        ttt_model_precision(model), ttt_model_precision(model));
    ttt_context *context;
    TTT_TRY(ttt_context_new(&context, model, v->options->threads));
    ttt_status status = sentence_loss(v, context);
    if (status == TTT_OK && v->golden) status = ttt_verify_inference(v, context);
    if (status == TTT_OK) status = ttt_verify_bits(v, context);
    ttt_context_free(context);
    return status;
}

static ttt_status verify_all(ttt_verifier *v)
{
    ttt_model *model;
    TTT_TRY(ttt_model_open(&model, v->folder, v->options));
    ttt_status status = verify_model(v, model);
    ttt_model_free(model);
    if (status == TTT_OK && v->golden) status = ttt_verify_training(v);
    return status;
}

ttt_status ttt_verify(ttt_verification **out, const char *folder, const char *golden, const ttt_model_options *options)
{
    *out = NULL;
    ttt_safetensors *file = NULL;
    if (golden) TTT_TRY(ttt_safetensors_open(&file, golden));
    ttt_model_options f32 = options ? *options : (ttt_model_options){0};
    if (golden && !f32.precision) f32.precision = "f32"; /* golden values know no other */
    ttt_verifier verifier = {
        .verification = ttt_alloc(1, sizeof(ttt_verification)), .folder = folder, .golden = file, .options = &f32};
    ttt_status status = TTT_ERR_MEMORY;
    if (verifier.verification) {
        verifier.verification->ok = true;
        status = verify_all(&verifier);
    }
    ttt_safetensors_close(file);
    if (status != TTT_OK) {
        ttt_verification_free(verifier.verification);
        return status;
    }
    *out = verifier.verification;
    return TTT_OK;
}

void ttt_verification_free(ttt_verification *verification)
{
    if (!verification) return;
    ttt_free(verification->quantities);
    ttt_free(verification);
}
