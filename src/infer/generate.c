/* SPDX-License-Identifier: MIT
 *
 * Generation: one session, advanced until its text has ended, with what it writes given to a sink.
 */
#include <ttt/generate.h>
#include <ttt/session.h>

#include "base/error.h"

enum { PROMPT_BLOCK = 256 }; /* tokens of the prompt between two calls of progress */

/* Gives the sink what is certain of the text; an id of -1 is the end. */
static ttt_status show(ttt_session *session, int32_t id, const ttt_generate_sink *sink)
{
    const char *text;
    size_t size;
    ttt_session_text(session, &text, &size);
    return sink->piece ? sink->piece(sink->context, id, text, size) : TTT_OK;
}

/* What nobody takes would be kept: so it is asked for in any case. */
static ttt_status show_logprobs(ttt_session *session, const ttt_generate_sink *sink)
{
    int64_t count;
    const ttt_token_logprob *list = ttt_session_logprobs(session, &count);
    return count > 0 && sink->logprobs ? sink->logprobs(sink->context, list, count) : TTT_OK;
}

/* One step; a sink that ends the text sets *ended. */
static ttt_status step(ttt_context *context, ttt_session *session, const ttt_feed *feed, int64_t total,
                       const ttt_generate_sink *sink, ttt_status *ended)
{
    const int64_t before = ttt_session_stats(session)->prompt_tokens;
    int32_t id;
    TTT_TRY(ttt_context_advance(context, feed, 1));
    TTT_TRY(ttt_session_took(session, &id));
    const int64_t done = ttt_session_stats(session)->prompt_tokens;
    ttt_status status = TTT_OK;
    if (done > before && sink->progress) status = sink->progress(sink->context, done, total);
    const ttt_status told = show_logprobs(session, sink);
    if (status == TTT_OK) status = told;
    if (id >= 0) {
        const ttt_status shown = show(session, id, sink);
        if (status == TTT_OK) status = shown;
    }
    if (status == TTT_OK) return TTT_OK;
    *ended = status;
    ttt_session_cancel(session);
    return TTT_OK;
}

static ttt_status run(ttt_context *context, ttt_session *session, int64_t total, const ttt_generate_sink *sink)
{
    ttt_status ended = TTT_OK;
    ttt_feed feed;
    while (ttt_session_want(session, PROMPT_BLOCK, &feed), feed.count > 0)
        TTT_TRY(step(context, session, &feed, total, sink, &ended));
    TTT_TRY(ended);
    return show(session, -1, sink);
}

ttt_status ttt_generate(ttt_context *context, const ttt_tokenizer *tokenizer, ttt_state *state, const int32_t *prompt,
                        int64_t count, const ttt_generate_options *options, const ttt_generate_sink *sink,
                        ttt_generate_stats *stats)
{
    static const ttt_generate_sink nowhere = {0};
    if (stats) *stats = (ttt_generate_stats){0};
    ttt_session *session;
    TTT_TRY(ttt_session_new(&session, ttt_context_model(context), tokenizer, state, options));
    ttt_status status = ttt_session_push(session, prompt, count);
    if (status == TTT_OK) status = run(context, session, count, sink ? sink : &nowhere);
    if (stats) *stats = *ttt_session_stats(session);
    ttt_session_free(session);
    return status;
}
