/* SPDX-License-Identifier: MIT */
#include "reply.h"

#include <inttypes.h>

typedef struct sums {
    int64_t prompt, cached, read, written;
    double prompt_seconds, new_seconds; /* of the job that took longest: they ran side by side */
} sums;

static sums sum(const ttt_work *work)
{
    sums s = {0};
    for (int64_t i = 0; i < work->count; i++) {
        const ttt_job *job = &work->jobs[i];
        const ttt_generate_stats *t = &job->stats;
        s.written += t->new_tokens;
        if (t->new_seconds > s.new_seconds) s.new_seconds = t->new_seconds;
        if (job->leader) continue;
        s.prompt += (int64_t)job->prompt.count;
        s.cached += job->cached;
        s.read += t->prompt_tokens;
        if (t->prompt_seconds > s.prompt_seconds) s.prompt_seconds = t->prompt_seconds;
    }
    return s;
}

json_t *ttt_reply_usage(const ttt_work *work)
{
    const sums s = sum(work);
    return json_pack("{s:I,s:I,s:I,s:{s:I}}", "prompt_tokens", (json_int_t)s.prompt, "completion_tokens",
                     (json_int_t)s.written, "total_tokens", (json_int_t)(s.prompt + s.written), "prompt_tokens_details",
                     "cached_tokens", (json_int_t)s.cached);
}

static double per_second(int64_t count, double seconds) { return seconds > 0 ? (double)count / seconds : 0; }

json_t *ttt_reply_timings(const ttt_work *work)
{
    const sums s = sum(work);
    return json_pack("{s:I,s:I,s:f,s:I,s:f,s:f,s:f}", "cache_n", (json_int_t)s.cached, "prompt_n", (json_int_t)s.read,
                     "prompt_ms", 1e3 * s.prompt_seconds, "predicted_n", (json_int_t)s.written, "predicted_ms",
                     1e3 * s.new_seconds, "prompt_per_second", per_second(s.read, s.prompt_seconds),
                     "predicted_per_second", per_second(s.written, s.new_seconds));
}

void ttt_reply_note(const ttt_work *work)
{
    const sums s = sum(work);
    ttt_request_note(work->request, "prompt %" PRId64 " (%" PRId64 " known), written %" PRId64, s.prompt, s.cached,
                     s.written);
}

const char *ttt_reply_finish(const ttt_job *job)
{
    switch (job->stats.finish) {
    case TTT_FINISH_EOS:
    case TTT_FINISH_STOP: return "stop";
    case TTT_FINISH_LENGTH: return "length";
    default: return "cancelled";
    }
}

void ttt_sse_data(ttt_bytes *out, json_t *value)
{
    ttt_bytes_add_text(out, "data: ");
    ttt_bytes_add_json(out, value);
    ttt_bytes_add_text(out, "\n\n");
}

void ttt_sse_done(ttt_bytes *out) { ttt_bytes_add_text(out, "data: [DONE]\n\n"); }

ttt_stand ttt_sse_stand(ttt_work *work, ttt_bytes *out)
{
    pthread_mutex_lock(&work->lock);
    const ttt_refusal refusal = work->refusal;
    const bool over = work->over;
    pthread_mutex_unlock(&work->lock);
    if (!refusal.status) return over ? TTT_OVER : TTT_STANDS;
    ttt_sse_data(out, ttt_refusal_json(&refusal));
    return TTT_FAILED;
}
