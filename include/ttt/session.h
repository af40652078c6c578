/* SPDX-License-Identifier: MIT
 *
 * A text that is written step by step: what a loop over many texts is made of, such as a server's. No function here
 * computes a model; the loop advances the texts of all sessions that want something in one call:
 *
 *     for each session:   ttt_session_want(session, limit, &feeds[n]); n counts those whose count is not 0
 *     once:               ttt_context_advance(context, feeds, n)
 *     for each of the n:  ttt_session_took(session, &id); ttt_session_text(session, &text, &size)
 *
 * What a session writes is a function of its model, prompts, options, seed and request alone: neither what is advanced
 * beside it nor `limit` changes a byte.
 *
 * Threads: a session is used by one thread at a time, and so are a state and a sampler given to it; different sessions
 * are independent, and share model and tokenizer. No pointer to a session, feed or place for a result may be NULL but
 * where that is said.
 */
#ifndef TTT_SESSION_H
#define TTT_SESSION_H

#include <ttt/generate.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_session ttt_session;

/* A session that waits for a prompt. Model and tokenizer are not taken over and must outlive it. `tokenizer` NULL: ids
 * without text, and no stop strings. `state` NULL: the session has one of its own, of which nothing has been read; else
 * it goes on behind what the state has read, and the state stays the caller's and must outlive it. `options` NULL:
 * those of ttt_generate_options_init; they are copied, stop strings too, but a sampler in them stays the caller's.
 * Options out of range are TTT_ERR_ARGUMENT. Free with ttt_session_free. */
TTT_API TTT_NODISCARD ttt_status ttt_session_new(ttt_session **session, const ttt_model *model,
                                                 const ttt_tokenizer *tokenizer, ttt_state *state,
                                                 const ttt_generate_options *options);
TTT_API void ttt_session_free(ttt_session *session); /* NULL is allowed */

/* Gives ids [count >= 1] to read; they are copied. To a session that still reads its prompt they are more of it; to one
 * whose text has ended they are the prompt of another, behind all that was read and written. While it writes, and once
 * it has failed, and for an id that the model does not know, this is TTT_ERR_ARGUMENT; then, and when memory is short,
 * the session is as it was. */
TTT_API TTT_NODISCARD ttt_status ttt_session_push(ttt_session *session, const int32_t *ids, int64_t count);

/* Tells a session that has read nothing of a state's that stands behind ids [count] what these are: the penalties count
 * them, and the text goes on behind them, as though they had been pushed. Before the first ttt_session_push only, else
 * TTT_ERR_ARGUMENT; so is an id that the model does not know. */
TTT_API TTT_NODISCARD ttt_status ttt_session_recall(ttt_session *session, const int32_t *ids, int64_t count);

/* What is to be read next: at most `limit` tokens (0: none), with logits if an id is to be chosen from them.
 * feed->count is 0 when the session waits for a prompt, also because its text has ended: then it is not for
 * ttt_context_advance. The feed's memory is the session's, and until ttt_session_took neither ttt_session_push nor
 * ttt_session_cancel may be called, unless the feed is given up; asked again, the session says what it wants again. */
TTT_API void ttt_session_want(ttt_session *session, int64_t limit, ttt_feed *feed);

/* To be called once the feed was advanced: goes on behind it, and if it had logits, chooses the next id, which will be
 * read next, also when it is the last. `id` may be NULL; else it is set to the id chosen, or -1. A feed that was not
 * advanced is TTT_ERR_ARGUMENT, and changes nothing; on every other failure the session has ended for good. */
TTT_API TTT_NODISCARD ttt_status ttt_session_took(ttt_session *session, int32_t *id);

/* The text that has become certain since the last call, perhaps none: half a character, or what may become a stop
 * string, is held back until it is certain or the text has ended and all of it was read. *text [*size] has no NUL and
 * is the session's until its next call. What nobody asks for is kept. */
TTT_API void ttt_session_text(ttt_session *session, const char **text, size_t *size);

/* Log-probabilities of the ids read and chosen since the last call, in their order, where the options ask for them:
 * those of the prompt once they are read, that of a new id when it is chosen. They are the session's until its next
 * call. What nobody asks for is kept. With those of the prompt it is read at most as many tokens at a time as make
 * logits of a few megabytes, and the first id of each prompt has none, also behind what was read before. */
TTT_API const ttt_token_logprob *ttt_session_logprobs(ttt_session *session, int64_t *count);

/* Ends the text where it is (TTT_FINISH_CANCELLED): an id that was chosen is still wanted, the rest of a prompt is
 * dropped. Without a text that is being written it does nothing. */
TTT_API void ttt_session_cancel(ttt_session *session);

/* Of the text that was begun last; seconds are those between ttt_session_want and ttt_session_took, so texts that are
 * advanced together have the same ones. The session's, and up to date after every call. */
TTT_API const ttt_generate_stats *ttt_session_stats(const ttt_session *session);
TTT_API ttt_state *ttt_session_state(const ttt_session *session);

#ifdef __cplusplus
}
#endif
#endif
