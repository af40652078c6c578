/* SPDX-License-Identifier: MIT
 *
 * Generation: reads the prompt, then chooses, shows and reads one token after another. All that is kept beside the
 * state is the logits of the last token and the text that is held back.
 */
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "infer/sampler.h"
#include "infer/stop.h"

enum {
    PROMPT_BLOCK = 512, /* tokens of the prompt between two calls of progress */
    PRIME_IDS = 16      /* the last ids of the prompt that the detokenizer sees: enough for any half character */
};

typedef struct generation {
    ttt_context *context;
    ttt_state *state;
    const ttt_generate_options *options;
    const ttt_generate_sink *sink;
    ttt_sampler *sampler, *own_sampler;
    ttt_detokenizer *detokenizer; /* NULL: no text */
    ttt_text text;                /* not shown yet */
    float *logits;                /* [V] of the last token read */
    int64_t allowed;              /* ids that may be chosen */
    ttt_generate_stats stats;
} generation;

static double seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static ttt_status check(const ttt_tokenizer *tokenizer, int64_t count, const ttt_generate_options *o)
{
    if (count < 1) return ttt_fail(TTT_ERR_ARGUMENT, "the prompt is empty: give at least one token");
    if (o->max_new_tokens < -1)
        return ttt_fail(TTT_ERR_ARGUMENT, "max_new_tokens is %lld: give a number of tokens, or -1 for no limit",
                        (long long)o->max_new_tokens);
    if (o->eos_count < 0 || o->eos_count > TTT_EOS_IDS)
        return ttt_fail(TTT_ERR_ARGUMENT, "%lld end-of-text ids: at most %d are possible", (long long)o->eos_count,
                        TTT_EOS_IDS);
    if (o->stop_count > 0 && !tokenizer)
        return ttt_fail(TTT_ERR_ARGUMENT, "stop strings need a tokenizer: without one there is no text");
    for (size_t i = 0; i < o->stop_count; i++)
        if (!*o->stops[i]) return ttt_fail(TTT_ERR_ARGUMENT, "a stop string is empty: it would end every text at once");
    return TTT_OK;
}

/* The text of a token can depend on those before it (a blank at the start of a text, half a character), so the
 * detokenizer sees the end of the prompt; what it says of that is not part of the text. */
static ttt_status prime(generation *g, const ttt_tokenizer *tokenizer, const int32_t *prompt, int64_t count)
{
    TTT_TRY(ttt_detokenizer_new(&g->detokenizer, tokenizer, !g->options->ignore_eos));
    for (int64_t i = count > PRIME_IDS ? count - PRIME_IDS : 0; i < count; i++)
        if (prompt[i] < g->allowed) TTT_TRY(ttt_detokenizer_push(g->detokenizer, prompt[i], &g->text));
    g->text.size = 0;
    return TTT_OK;
}

static ttt_status init(generation *g, const ttt_tokenizer *tokenizer, const int32_t *prompt, int64_t count)
{
    const int64_t vocabulary = ttt_model_vocabulary(ttt_context_model(g->context));
    for (int64_t i = 0; i < count; i++)
        if (prompt[i] < 0 || prompt[i] >= vocabulary)
            return ttt_fail(TTT_ERR_ARGUMENT, "token %lld of the prompt has id %d, but the model knows ids 0 to %lld",
                            (long long)i, prompt[i], (long long)vocabulary - 1);
    g->allowed = vocabulary;
    if (tokenizer) {
        TTT_TRY(ttt_model_check_tokenizer(ttt_context_model(g->context), tokenizer));
        g->allowed = ttt_tokenizer_vocabulary(tokenizer);
        TTT_TRY(prime(g, tokenizer, prompt, count));
    }
    g->sampler = g->options->sampler;
    if (!g->sampler) {
        TTT_TRY(ttt_sampler_new(&g->own_sampler, &g->options->sampling, vocabulary));
        g->sampler = g->own_sampler;
    }
    g->logits = ttt_alloc((size_t)vocabulary, sizeof *g->logits);
    return g->logits ? TTT_OK : TTT_ERR_MEMORY;
}

static ttt_status advance(generation *g, const int32_t *ids, int64_t count, ttt_logits which)
{
    const ttt_feed feed = {.state = g->state, .tokens = ids, .count = count, .which = which, .logits = g->logits};
    return ttt_context_advance(g->context, &feed, 1);
}

static ttt_status read_prompt(generation *g, const int32_t *prompt, int64_t count)
{
    ttt_sampler_see(g->sampler, prompt, count);
    for (int64_t done = 0; done < count;) {
        const int64_t left = count - done, n = left < PROMPT_BLOCK ? left : PROMPT_BLOCK;
        TTT_TRY(advance(g, prompt + done, n, n == left ? TTT_LOGITS_LAST : TTT_LOGITS_NONE));
        done += n;
        g->stats.prompt_tokens = done;
        if (g->sink->progress) TTT_TRY(g->sink->progress(g->sink->context, done, count));
    }
    return TTT_OK;
}

static bool is_eos(const generation *g, int32_t id)
{
    for (int64_t i = 0; i < g->options->eos_count && !g->options->ignore_eos; i++)
        if (g->options->eos[i] == id) return true;
    return false;
}

/* Shows what is certain of the text (all of it at the end, which is id -1); *found: a stop string is complete. */
static ttt_status show(generation *g, int32_t id, bool *found)
{
    size_t certain = ttt_stop_scan(g->text.data, g->text.size, g->options->stops, g->options->stop_count, found);
    if (id < 0 && !*found) certain = g->text.size;
    const ttt_status status = g->sink->piece(g->sink->context, id, certain ? g->text.data : "", certain);
    if (g->text.data) memmove(g->text.data, g->text.data + certain, g->text.size - certain);
    g->text.size -= certain;
    return status;
}

/* One new token: *last tells whether the text ends with it. */
static ttt_status step(generation *g, bool *last)
{
    const double start = seconds();
    int32_t id;
    TTT_TRY(ttt_sampler_choose(g->sampler, g->logits, g->allowed, ttt_state_position(g->state), &id));
    ttt_sampler_see(g->sampler, &id, 1);
    g->stats.sampling_seconds += seconds() - start;

    bool found = false;
    const bool eos = is_eos(g, id);
    if (g->detokenizer && !eos) TTT_TRY(ttt_detokenizer_push(g->detokenizer, id, &g->text));
    const ttt_status shown = show(g, id, &found);
    g->stats.new_tokens++;
    *last = eos || found || g->stats.new_tokens == g->options->max_new_tokens;
    if (*last) g->stats.finish = eos ? TTT_FINISH_EOS : found ? TTT_FINISH_STOP : TTT_FINISH_LENGTH;
    TTT_TRY(advance(g, &id, 1, *last || shown != TTT_OK ? TTT_LOGITS_NONE : TTT_LOGITS_LAST));
    return shown;
}

static ttt_status run(generation *g, const int32_t *prompt, int64_t count)
{
    const double start = seconds();
    TTT_TRY(read_prompt(g, prompt, count));
    const double written = seconds();
    g->stats.prompt_seconds = written - start;
    ttt_status status = TTT_OK;
    for (bool last = g->options->max_new_tokens == 0; status == TTT_OK && !last;) status = step(g, &last);
    g->stats.new_seconds = seconds() - written - g->stats.sampling_seconds;
    TTT_TRY(status);
    bool found;
    if (g->stats.finish != TTT_FINISH_STOP) {
        if (g->detokenizer) TTT_TRY(ttt_detokenizer_finish(g->detokenizer, &g->text));
    } else {
        g->text.size = 0;
    }
    return show(g, -1, &found);
}

ttt_status ttt_generate(ttt_context *context, const ttt_tokenizer *tokenizer, ttt_state *state, const int32_t *prompt,
                        int64_t count, const ttt_generate_options *options, const ttt_generate_sink *sink,
                        ttt_generate_stats *stats)
{
    generation g = {.context = context, .state = state, .options = options, .sink = sink};
    ttt_status status = check(tokenizer, count, options);
    if (status == TTT_OK) status = init(&g, tokenizer, prompt, count);
    if (status == TTT_OK) status = run(&g, prompt, count);
    if (stats) *stats = g.stats;
    ttt_free(g.logits);
    ttt_text_deinit(&g.text);
    ttt_detokenizer_free(g.detokenizer);
    ttt_sampler_free(g.own_sampler);
    return status;
}
