/* SPDX-License-Identifier: MIT */
#include "keep.h"

#include "prompt.h"
#include "server.h"

static void wake(void *context)
{
    ttt_request *request = context;
    ttt_request_again(request);
    ttt_request_release(request);
}

ttt_claim *ttt_request_claim(ttt_request *request, const char *name, const ttt_store_condition *condition,
                             ttt_refusal *refusal)
{
    ttt_server *server = ttt_request_server(request);
    ttt_request_hold(request); /* until it is woken, if it has to wait */
    ttt_claim *claim = ttt_store_claim(server->store, ttt_request_owner(request), name, condition, wake, request,
                                       refusal);
    if (claim || refusal->status) ttt_request_release(request);
    if (refusal->status) ttt_store_refused(server->store, refusal->status);
    return claim;
}

bool ttt_keep_open(ttt_keep *keep, ttt_request *request, ttt_fields *f)
{
    *keep = (ttt_keep){.cache = ttt_field_bool(f, "cache_prompt", true)};
    const char *name = ttt_field_string(f, "session");
    const ttt_store_condition condition = {.position = ttt_field_integer(f, "position", -1, 0, INT64_MAX)};
    if (!name && condition.position >= 0)
        ttt_refuse(&f->refusal, 400, "position", "position is that of a session, and no session is named");
    if (f->refusal.status || !name) return true;
    keep->claim = ttt_request_claim(request, name, &condition, &f->refusal);
    if (!keep->claim) return f->refusal.status != 0;
    keep->state = ttt_claim_state(keep->claim, &f->refusal);
    return true;
}

void ttt_keep_free(ttt_keep *keep)
{
    ttt_state_free(keep->state);
    ttt_claim_drop(keep->claim);
    *keep = (ttt_keep){0};
}

int64_t ttt_keep_position(const ttt_keep *keep) { return keep->state ? ttt_state_position(keep->state) : 0; }

/* ids [count] stand before the job's prompt. */
static bool put_before(ttt_job *job, const int32_t *ids, int64_t count)
{
    ttt_ids all = {0};
    bool done = true;
    for (int64_t i = 0; done && i < count; i++) done = ttt_ids_append(&all, ids[i]) == TTT_OK;
    done = done && ttt_ids_copy(&all, &job->prompt);
    ttt_ids_deinit(done ? &job->prompt : &all);
    if (done) job->prompt = all;
    return done;
}

/* Behind a state: its last token is read again where there is nothing new to read, for what comes next follows from it.
 */
static void go_on(ttt_keep *keep, ttt_job *job, ttt_refusal *refusal)
{
    int64_t count, again_count;
    const int32_t *again, *tokens = ttt_state_tokens(keep->state, &count);
    job->state = keep->state;
    keep->state = NULL;
    if (tokens && !put_before(job, tokens, count)) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    if (job->prompt.count == 0) {
        ttt_refuse(refusal, 400, "prompt", "prompt has nothing to read, and the session has not read anything");
    } else if ((int64_t)job->prompt.count == count) {
        const ttt_status status = ttt_state_rewind(job->state, count - 1, &again, &again_count);
        if (status != TTT_OK) ttt_refuse(refusal, status == TTT_ERR_MEMORY ? 503 : 500, NULL, "%s", ttt_error_detail());
    }
    job->cached = tokens ? ttt_state_position(job->state) : 0;
}

static void begin_anew(ttt_job *job, ttt_refusal *refusal)
{
    char why[256];
    const ttt_server *server = job->work->server;
    job->state = ttt_store_prefix(server->store, ttt_request_owner(job->work->request), job->prompt.data,
                                  (int64_t)job->prompt.count, why);
    if (*why) ttt_log("%s", why);
    if (job->state) {
        job->cached = ttt_state_position(job->state);
        return;
    }
    ttt_status status = ttt_state_new(&job->state, server->model);
    if (status == TTT_OK) status = ttt_state_remember(job->state);
    if (status != TTT_OK) ttt_refuse(refusal, status == TTT_ERR_MEMORY ? 503 : 500, NULL, "%s", ttt_error_detail());
}

void ttt_keep_begin(ttt_keep *keep, ttt_job *job, ttt_refusal *refusal)
{
    if (keep->state)
        go_on(keep, job, refusal);
    else if (keep->cache)
        begin_anew(job, refusal);
    if (job->state)
        ttt_state_expect(job->state, ttt_state_position(job->state) - job->cached + (int64_t)job->prompt.count);
}

void ttt_keep_end(ttt_keep *keep, ttt_job *job, ttt_refusal *refusal)
{
    ttt_server *server = job->work->server;
    ttt_state *state = job->state;
    ttt_claim *claim = keep->claim;
    if (!state || (!claim && !keep->cache)) return;
    job->state = NULL;
    keep->claim = NULL;
    if (!claim)
        ttt_store_keep(server->store, ttt_request_owner(job->work->request), state);
    else if (!ttt_claim_put(claim, state, NULL, NULL, refusal))
        ttt_store_refused(server->store, refusal->status);
}
