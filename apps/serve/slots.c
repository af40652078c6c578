/* SPDX-License-Identifier: MIT
 *
 * /slots, as llama-server has it: what each slot does, and what its last text has read as a session, to keep it, to
 * have it again, or to forget it. A restored state is found by the next prompt that begins with what it has read,
 * whatever slot that comes to.
 */
#include <stdlib.h>
#include <string.h>

#include "fields.h"
#include "handlers.h"
#include "keep.h"
#include "server.h"

void ttt_handle_slots(ttt_request *request)
{
    const ttt_server *server = ttt_request_server(request);
    const int64_t count = server->options->parallel;
    ttt_slot *slots = calloc((size_t)count, sizeof *slots);
    if (slots) ttt_engine_slots(server->engine, slots);
    json_t *list = slots ? json_array() : NULL;
    for (int64_t i = 0; list && i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:I,s:I,s:b,s:I,s:I,s:I}", "id", (json_int_t)i, "id_task",
                                        (json_int_t)slots[i].work, "is_processing", slots[i].busy, "n_prompt_tokens",
                                        (json_int_t)slots[i].prompt, "n_prompt_tokens_processed",
                                        (json_int_t)slots[i].read, "n_decoded", (json_int_t)slots[i].written));
    free(slots);
    ttt_answer_json(request, 200, list);
}

/* A state of just these ids: what was read lately is in the store. NULL: refused. */
static ttt_state *find_state(ttt_request *request, ttt_ids *ids, ttt_refusal *refusal)
{
    char why[256];
    const int64_t count = (int64_t)ids->count;
    if (count == 0) {
        ttt_refuse(refusal, 400, NULL, "the slot has read nothing for this key");
        return NULL;
    }
    if (ttt_ids_append(ids, 0) != TTT_OK) { /* the store looks for what stands before the last one */
        ttt_refuse(refusal, 503, NULL, "the server is out of memory");
        return NULL;
    }
    ttt_state *state = ttt_store_prefix(ttt_request_server(request)->store, ttt_request_owner(request), ids->data,
                                        count + 1, why);
    if (state && ttt_state_position(state) == count) return state;
    ttt_state_free(state);
    ttt_refuse(refusal, 404, NULL, "what the slot has read is not in memory any more: read it again");
    return NULL;
}

/* The handler is run anew where the session has to be waited for; false then. */
static bool save(ttt_request *request, int64_t slot, const char *name, ttt_refusal *refusal)
{
    ttt_server *server = ttt_request_server(request);
    ttt_ids ids = {0};
    ttt_store_about about;
    const ttt_store_condition any = {.position = -1};
    if (!ttt_engine_slot_ids(server->engine, slot, ttt_request_owner(request), &ids))
        ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    ttt_state *state = refusal->status ? NULL : find_state(request, &ids, refusal);
    ttt_ids_deinit(&ids);
    ttt_claim *claim = state ? ttt_request_claim(request, name, &any, refusal) : NULL;
    if (!claim) {
        ttt_state_free(state);
        return refusal->status != 0;
    }
    const int64_t position = ttt_state_position(state);
    if (ttt_claim_put(claim, state, NULL, &about, refusal))
        ttt_answer_json(request, 200,
                        json_pack("{s:I,s:s,s:I,s:I}", "id_slot", (json_int_t)slot, "filename", name, "n_saved",
                                  (json_int_t)position, "n_written", (json_int_t)about.bytes));
    return true;
}

static void restore(ttt_request *request, int64_t slot, const char *name, ttt_refusal *refusal)
{
    ttt_server *server = ttt_request_server(request);
    const char *owner = ttt_request_owner(request);
    ttt_store_about about;
    ttt_state *state = NULL;
    if (ttt_store_find(server->store, owner, TTT_KEPT_SESSION, name, &about, refusal))
        state = ttt_store_copy(server->store, owner, TTT_KEPT_SESSION, name, refusal);
    if (!state) return;
    int64_t count;
    const int32_t *ids = ttt_state_tokens(state, &count);
    if (!ids)
        ttt_refuse(refusal, 422, "filename", "the state %.128s does not have the tokens that it read", name);
    else if (!ttt_engine_set_slot_ids(server->engine, slot, owner, ids, count))
        ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    if (refusal->status) {
        ttt_state_free(state);
        return;
    }
    ttt_store_keep(server->store, owner, state);
    ttt_answer_json(request, 200,
                    json_pack("{s:I,s:s,s:I,s:I}", "id_slot", (json_int_t)slot, "filename", name, "n_restored",
                              (json_int_t)count, "n_read", (json_int_t)about.bytes));
}

static void erase(ttt_request *request, int64_t slot, ttt_refusal *refusal)
{
    ttt_engine *engine = ttt_request_server(request)->engine;
    const char *owner = ttt_request_owner(request);
    ttt_ids ids = {0};
    if (!ttt_engine_slot_ids(engine, slot, owner, &ids)) ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    if (!refusal->status && ids.count > 0) (void)ttt_engine_set_slot_ids(engine, slot, owner, NULL, 0);
    if (!refusal->status)
        ttt_answer_json(request, 200,
                        json_pack("{s:I,s:I}", "id_slot", (json_int_t)slot, "n_erased", (json_int_t)ids.count));
    ttt_ids_deinit(&ids);
}

/* The number in the path; -1: refused. */
static int64_t read_slot(const ttt_request *request, ttt_refusal *refusal)
{
    char *end;
    const char *name = ttt_request_name(request);
    const int64_t count = ttt_request_server(request)->options->parallel;
    const long long slot = strtoll(name, &end, 10);
    if (*name >= '0' && *name <= '9' && !*end && slot < count) return slot;
    ttt_refuse(refusal, 404, NULL, "there is no slot \"%.20s\": they are 0 to %lld", name, (long long)count - 1);
    return -1;
}

void ttt_handle_slot_action(ttt_request *request)
{
    ttt_fields f = {0};
    const char *action = ttt_request_argument(request, "action");
    const int64_t slot = read_slot(request, &f.refusal);
    const bool erases = action && strcmp(action, "erase") == 0, saves = action && strcmp(action, "save") == 0;
    if (!erases && !saves && (!action || strcmp(action, "restore") != 0))
        ttt_refuse(&f.refusal, 400, "action", "action is %.20s; it can be save, restore or erase",
                   action ? action : "missing");
    const char *name = NULL;
    if (!f.refusal.status && !erases) {
        ttt_fields_open(&f, request);
        name = ttt_field_string(&f, "filename");
        if (!name) ttt_refuse(&f.refusal, 400, "filename", "filename is missing: give the name of a session");
        if (name) ttt_store_name(name, &f.refusal);
    }
    bool answers = true;
    if (!f.refusal.status && saves) answers = save(request, slot, name, &f.refusal);
    if (!f.refusal.status && !saves && !erases) restore(request, slot, name, &f.refusal);
    if (!f.refusal.status && erases) erase(request, slot, &f.refusal);
    if (answers) ttt_fields_failed(&f, request);
    ttt_fields_close(&f);
}
