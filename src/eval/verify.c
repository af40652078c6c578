/* SPDX-License-Identifier: MIT
 *
 * A verification as a whole.
 */
#include "eval/verify.h"

#include <math.h>
#include <ttt/tokenizer.h>

#include "base/alloc.h"
#include "base/file.h"

/* Nats per token of a plain sentence: near log V for a model that knows nothing, far below for one that was read right.
 */
static ttt_status sentence_loss(ttt_verifier *v, ttt_model *model)
{
    static const char sentence[] = "It was the best of times, it was the worst of times, and all that we could do was "
                                   "to wait for the end of the day.";
    v->verification->sentence_loss = -1;
    ttt_tokenizer *tokenizer;
    if (ttt_tokenizer_open(&tokenizer, v->folder) != TTT_OK) return TTT_OK; /* a folder need not have one */
    const int64_t V = model->lm.config.vocab_size;
    ttt_ids ids = {0};
    ttt_state *state = NULL;
    float *logits = NULL;
    double *losses = NULL;
    ttt_status status = ttt_tokenizer_encode(tokenizer, sentence, sizeof sentence - 1, false, &ids);
    const int64_t count = (int64_t)ids.count;
    if (status == TTT_OK) status = ttt_state_new(&state, model);
    if (status == TTT_OK) {
        logits = ttt_alloc((size_t)(count * V), sizeof *logits);
        losses = ttt_alloc((size_t)count, sizeof *losses);
        if (!logits || !losses) status = TTT_ERR_MEMORY;
    }
    if (status == TTT_OK)
        status = ttt_model_advance(
            model,
            &(ttt_feed){.state = state, .tokens = ids.data, .count = count, .which = TTT_LOGITS_ALL, .logits = logits},
            1);
    if (status == TTT_OK && count > 1) {
        double sum = 0;
        for (int64_t t = 0; t + 1 < count; t++) {
            const float *row = logits + t * V;
            double largest = (double)row[0], total = 0;
            for (int64_t i = 1; i < V; i++) largest = fmax(largest, (double)row[i]);
            for (int64_t i = 0; i < V; i++) total += exp((double)row[i] - largest);
            sum += largest + log(total) - (double)row[ids.data[t + 1]];
        }
        v->verification->sentence_loss = sum / (double)(count - 1);
    }
    ttt_free(losses);
    ttt_free(logits);
    ttt_state_free(state);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    return status;
}

static ttt_status verify_all(ttt_verifier *v)
{
    ttt_model *model;
    TTT_TRY(ttt_model_open(&model, v->folder, v->options));
    v->exact = model->lm.backend->dtype == TTT_F64;
    const int64_t products = 4 * model->lm.config.num_hidden_layers + 1; /* one after another, up to the logits */
    if (model->weights.head.precision == TTT_PRECISION_BF16) v->rounding = 0x1p-8 * sqrt((double)products);
    v->verification->uniform_loss = log((double)model->lm.config.vocab_size);
    ttt_status status = TTT_OK;
    if (v->golden && ttt_precision_is_blocks(model->weights.head.precision))
        status = ttt_fail(
            TTT_ERR_UNSUPPORTED,
            "golden values are of weights that were not quantised, and nothing bounds their distance in %s: "
            "verify against them in f32, and in %s without a golden file",
            ttt_model_precision(model), ttt_model_precision(model));
    if (status == TTT_OK) status = sentence_loss(v, model);
    if (status == TTT_OK && v->golden) status = ttt_verify_inference(v, model);
    if (status == TTT_OK) status = ttt_verify_bits(v, model);
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
