/* SPDX-License-Identifier: MIT
 *
 * What the answers of completions, chat and responses share.
 */
#ifndef TTT_SERVE_REPLY_H
#define TTT_SERVE_REPLY_H

#include <jansson.h>

#include "work.h"

/* {prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details: {cached_tokens}} of all jobs, each prompt
 * once. Of a work whose jobs have ended, as the next two. */
json_t *ttt_reply_usage(const ttt_work *work);
json_t *ttt_reply_timings(const ttt_work *work);
void ttt_reply_note(const ttt_work *work); /* the same for the log */

/* "stop" or "length"; "cancelled" if neither. */
const char *ttt_reply_finish(const ttt_job *job);

/* "data: VALUE\n\n"; the value is released. */
void ttt_sse_data(ttt_bytes *out, json_t *value);
void ttt_sse_done(ttt_bytes *out);

/* How the work of a stream stands: goes on; is over; has failed, and then the error has been added as an event. */
typedef enum ttt_stand { TTT_STANDS, TTT_OVER, TTT_FAILED } ttt_stand;
ttt_stand ttt_sse_stand(ttt_work *work, ttt_bytes *out);

#endif
