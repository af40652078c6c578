/* SPDX-License-Identifier: MIT
 *
 * Verification of inference: everything that reading tokens gives, computed in one call and in calls of a few tokens.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "eval/verify.h"

static const int64_t splits[] = {0, 1, 2, 3, 7, 16, 17}; /* tokens a call; 0: all in one */
enum { SPLIT_COUNT = sizeof splits / sizeof *splits };

/* What one way of reading the sequences gave. */
typedef struct reading {
    ttt_context *context;
    const ttt_lm *lm;
    int64_t B, T;
    const int32_t *tokens; /* [B,T] */
    ttt_state **states;    /* [B] */
    ttt_feed *feeds;       /* [B] */
    double *logits;        /* [B,T,V] */
    double *hidden;        /* [L+1,B,T,C]: after each block, and the final norm */
    double *part;          /* [B, T, V]: logits of one call */
    void **parts;          /* [B]: those of each sequence */
} reading;

static int64_t layer_count(const reading *r) { return r->lm->config.num_hidden_layers; }

static void reading_deinit(reading *r)
{
    for (int64_t b = 0; r->states && b < r->B; b++) ttt_state_free(r->states[b]);
    ttt_free(r->states);
    ttt_free(r->feeds);
    ttt_free(r->logits);
    ttt_free(r->hidden);
    ttt_free(r->part);
    ttt_free(r->parts);
}

static ttt_status reading_init(reading *r, ttt_context *context, const int32_t *tokens, int64_t B, int64_t T)
{
    const ttt_lm *lm = &context->model->lm;
    const int64_t V = lm->config.vocab_size, C = lm->config.hidden_size;
    *r = (reading){.context = context, .lm = lm, .B = B, .T = T, .tokens = tokens};
    r->states = ttt_alloc((size_t)B, sizeof(ttt_state *));
    r->feeds = ttt_alloc((size_t)B, sizeof *r->feeds);
    r->logits = ttt_alloc((size_t)(B * T * V), sizeof *r->logits);
    r->part = ttt_alloc((size_t)(B * T * V), sizeof *r->part);
    r->parts = ttt_alloc((size_t)B, sizeof *r->parts);
    r->hidden = ttt_alloc((size_t)((layer_count(r) + 1) * B * T * C), sizeof *r->hidden);
    ttt_status status = r->states && r->feeds && r->logits && r->part && r->parts && r->hidden ? TTT_OK
                                                                                               : TTT_ERR_MEMORY;
    for (int64_t b = 0; b < B && status == TTT_OK; b++) status = ttt_state_new(&r->states[b], context->model);
    if (status != TTT_OK) reading_deinit(r);
    return status;
}

/* Puts the rows of a pass where they belong in hidden[block]. */
static void keep_rows(void *context, const ttt_pass *pass, int64_t block, const void *h)
{
    const reading *r = context;
    const ttt_backend *b = pass->backend;
    const int64_t C = r->lm->config.hidden_size;
    for (int64_t n = 0; n < pass->run_count; n++) {
        const ttt_run *run = &pass->runs[n];
        for (int64_t s = 0; s < r->B; s++) {
            if (r->states[s]->fixed != run->state) continue;
            double *target = r->hidden + ((block * r->B + s) * r->T + run->position) * C;
            b->ops->to(b, target, TTT_F64, ttt_at(b, h, run->row * C), run->count * C);
        }
    }
}

/* Reads tokens [first, last) of every sequence in one call. */
static ttt_status read_part(reading *r, int64_t first, int64_t last)
{
    const int64_t V = r->lm->config.vocab_size, n = last - first;
    for (int64_t b = 0; b < r->B; b++) {
        r->parts[b] = r->part + b * n * V;
        r->feeds[b] = (ttt_feed){
            .state = r->states[b], .tokens = r->tokens + b * r->T + first, .count = n, .which = TTT_LOGITS_ALL};
    }
    const ttt_trace trace = {.rows = keep_rows, .context = r};
    const ttt_advance_options options = {.dtype = TTT_F64, .logits = r->parts, .trace = &trace};
    TTT_TRY(ttt_context_advance_as(r->context, r->feeds, r->B, &options));
    for (int64_t b = 0; b < r->B; b++)
        memcpy(r->logits + (b * r->T + first) * V, r->part + b * n * V, (size_t)(n * V) * sizeof *r->logits);
    return TTT_OK;
}

static ttt_status read_all(reading *r, int64_t tokens, int64_t split)
{
    for (int64_t b = 0; b < r->B; b++) ttt_state_reset(r->states[b]);
    const int64_t step = split ? split : tokens;
    for (int64_t first = 0; first < tokens; first += step)
        TTT_TRY(read_part(r, first, first + step < tokens ? first + step : tokens));
    return TTT_OK;
}

static const char *label(char text[192], const char *name, int64_t split)
{
    if (split)
        snprintf(text, 192, "%s@split=%lld", name, (long long)split);
    else
        snprintf(text, 192, "%s", name);
    return text;
}

static ttt_status compare(ttt_verifier *v, const char *name, int64_t split, const double *values, int64_t count,
                          const char *magnitude_of, ttt_verify_kind kind)
{
    char text[192];
    if (!ttt_safetensors_find(v->golden, name)) return TTT_OK;
    return ttt_verifier_compare(v, name, label(text, name, split), values, count, magnitude_of, kind);
}

/* Piece `index` of a layer's view, of all sequences one after another, as doubles. */
static void gather(double *values, const ttt_state_view *views, const reading *r, int index, int64_t offset)
{
    const ttt_backend *b = r->context->backend;
    const int64_t size = ttt_piece_elements(&views[0].pieces[index]);
    for (int64_t n = 0; n < r->B; n++)
        b->ops->to(b, values + n * size, TTT_F64, ttt_at(b, views[n].values, offset), size);
}

/* state.BLOCK.W1, state.BLOCK.W1_grad, ...: an open sum is judged by the magnitude of what it is the sum for. */
static ttt_status compare_pieces(ttt_verifier *v, const reading *r, int64_t block, const ttt_state_view *views,
                                 int64_t split)
{
    static const char sum[] = "_grad";
    double *values = ttt_alloc((size_t)(r->B * views[0].elements), sizeof *values);
    ttt_status status = values ? TTT_OK : TTT_ERR_MEMORY;
    int64_t offset = 0;
    for (int i = 0; i < views[0].count && status == TTT_OK; i++) {
        const int64_t size = ttt_piece_elements(&views[0].pieces[i]);
        char name[80], plain[80];
        snprintf(name, sizeof name, "state.%lld.%s", (long long)block, views[0].pieces[i].name);
        snprintf(plain, sizeof plain, "%s", name);
        char *end = strstr(plain, sum);
        if (end) *end = '\0';
        gather(values, views, r, i, offset);
        status = compare(v, name, split, values, r->B * size, plain, TTT_VERIFY_BACKWARD);
        offset += size;
    }
    ttt_free(values);
    return status;
}

static ttt_status compare_state(ttt_verifier *v, const reading *r, int64_t block, int64_t split)
{
    const ttt_block *parts = &r->lm->stack.blocks[block];
    for (int64_t i = 0; i < parts->count; i++) {
        if (!parts->parts[i].ops->view_pieces) continue;
        ttt_state_view *views = ttt_alloc((size_t)r->B, sizeof *views);
        ttt_status status = views ? TTT_OK : TTT_ERR_MEMORY;
        for (int64_t n = 0; n < r->B && status == TTT_OK; n++)
            status = ttt_state_view_read(&views[n], r->states[n], &parts->parts[i]);
        if (status == TTT_OK) status = compare_pieces(v, r, block, views, split);
        for (int64_t n = 0; views && n < r->B; n++) ttt_free(views[n].values);
        ttt_free(views);
        TTT_TRY(status);
    }
    return TTT_OK;
}

static ttt_status compare_reading(ttt_verifier *v, const reading *r, int64_t split)
{
    const int64_t rows = r->B * r->T, C = r->lm->config.hidden_size;
    TTT_TRY(compare(v, "logits", split, r->logits, rows * r->lm->config.vocab_size, NULL, TTT_VERIFY_FORWARD));
    for (int64_t i = 0; i < layer_count(r); i++) {
        char name[64];
        snprintf(name, sizeof name, "block.%lld", (long long)i);
        TTT_TRY(compare(v, name, split, r->hidden + i * rows * C, rows * C, NULL, TTT_VERIFY_FORWARD));
        TTT_TRY(compare_state(v, r, i, split));
    }
    return compare(v, "final", split, r->hidden + layer_count(r) * rows * C, rows * C, NULL, TTT_VERIFY_FORWARD);
}

static int32_t largest(const double *logits, int64_t V)
{
    int64_t best = 0;
    for (int64_t i = 1; i < V; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

/* Whether `id` cannot be the next token: in bf16 it need not have the largest logit, but may lose to the best one by at
 * most the sum of both tolerances. */
static bool out_of_reach(const ttt_verifier *v, const double *logits, int64_t V, int32_t id)
{
    const double best = logits[largest(logits, V)];
    double magnitude = 0;
    for (int64_t i = 0; i < V; i++) magnitude = fmax(magnitude, fabs(logits[i]));
    const double margin = v->rounding > 0 ? 2 * ttt_verifier_tolerance(v, TTT_VERIFY_FORWARD) * magnitude : 0;
    return margin > 0 ? !(logits[id] >= best - margin) : largest(logits, V) != id;
}

/* Continues the first `prompt` tokens with the golden ones and counts those that would not have been chosen. */
static ttt_status compare_greedy(ttt_verifier *v, reading *r, int64_t split)
{
    const char *metadata = ttt_safetensors_metadata(v->golden, "prompt");
    const long long prompt = metadata ? strtoll(metadata, NULL, 10) : 0;
    if (!ttt_safetensors_find(v->golden, "greedy")) return TTT_OK;
    if (prompt < 1 || prompt > r->T)
        return ttt_fail(TTT_ERR_FORMAT, "the golden file's \"prompt\" is not a number of tokens from 1 to %lld",
                        (long long)r->T);
    int64_t shape[3];
    int32_t *golden;
    TTT_TRY(ttt_verifier_tokens(v, "greedy", 2, shape, &golden));
    const int64_t V = r->lm->config.vocab_size;
    double differ = 0;
    ttt_status status = shape[0] == r->B ? read_all(r, prompt, split)
                                         : ttt_fail(TTT_ERR_FORMAT, "the golden file's greedy has another batch");
    for (int64_t b = 0; b < r->B && status == TTT_OK; b++) {
        const double *logits = r->logits + (b * r->T + prompt - 1) * V;
        for (int64_t i = 0; i < shape[1] && status == TTT_OK; i++) {
            const int32_t id = golden[b * shape[1] + i];
            if (id < 0 || id >= V) status = ttt_fail(TTT_ERR_FORMAT, "the golden file's greedy holds the id %d", id);
            if (status != TTT_OK) break;
            differ += out_of_reach(v, logits, V, id);
            const ttt_feed feed = {.state = r->states[b], .tokens = &id, .count = 1, .which = TTT_LOGITS_ALL};
            const ttt_advance_options options = {.dtype = TTT_F64, .logits = r->parts};
            r->parts[0] = r->part;
            status = ttt_context_advance_as(r->context, &feed, 1, &options);
            logits = r->part;
        }
    }
    ttt_free(golden);
    char text[192];
    return status == TTT_OK ? ttt_verifier_add(v, label(text, "greedy", split), differ, 1, TTT_VERIFY_SAME) : status;
}

ttt_status ttt_verify_inference(ttt_verifier *v, ttt_context *context)
{
    int64_t shape[3];
    int32_t *tokens;
    TTT_TRY(ttt_verifier_tokens(v, "tokens", 2, shape, &tokens));
    reading r;
    ttt_status status = reading_init(&r, context, tokens, shape[0], shape[1]);
    if (status == TTT_OK) {
        for (int s = 0; s < SPLIT_COUNT && status == TTT_OK; s++) {
            status = read_all(&r, r.T, splits[s]);
            if (status == TTT_OK) status = compare_reading(v, &r, splits[s]);
            if (status == TTT_OK) status = compare_greedy(v, &r, splits[s]);
        }
        reading_deinit(&r);
    }
    ttt_free(tokens);
    return status;
}
