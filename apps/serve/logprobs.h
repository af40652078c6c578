/* SPDX-License-Identifier: MIT
 *
 * Log-probabilities on their way from the engine to an answer: packed one behind another, and as JSON in the forms of
 * completions and of chat. Both print a number from the same double wherever it stands, so that the chosen id can be
 * compared with the best one.
 */
#ifndef TTT_SERVE_LOGPROBS_H
#define TTT_SERVE_LOGPROBS_H

#include "work.h"

void ttt_logprobs_pack(ttt_bytes *packed, const ttt_token_logprob *list, int64_t count);

/* The mean over packed ones of new ids; -infinity if there are none. */
double ttt_logprobs_mean(const ttt_bytes *packed);

/* Where the tokens of a job stand in the text of its choice. */
typedef struct ttt_offsets {
    ttt_detokenizer *detokenizer;
    ttt_text text;
    int64_t offset; /* characters before the next token */
} ttt_offsets;

/* `echo`: the text begins with the prompt, of which the job has read what is not cached. False: memory was short. */
bool ttt_offsets_init(ttt_offsets *offsets, const ttt_job *job, bool echo);
void ttt_offsets_free(ttt_offsets *offsets);

/* {tokens, token_logprobs, top_logprobs, text_offset}. NULL: memory was short. */
json_t *ttt_logprobs_completion(const ttt_server *server, const ttt_bytes *packed, ttt_offsets *offsets);
/* {content: [{token, logprob, bytes, top_logprobs}, ...]} */
json_t *ttt_logprobs_chat(const ttt_server *server, const ttt_bytes *packed);

#endif
