/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "engine_inside.h"

static bool append_ids(ttt_ids *to, const int32_t *ids, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (ttt_ids_append(to, ids[i]) != TTT_OK) return false;
    return true;
}

void ttt_engine_remember(ttt_engine *e, int64_t slot, const ttt_job *job)
{
    ttt_last_text *text = &e->texts[slot];
    pthread_mutex_lock(&e->lock);
    snprintf(text->owner, sizeof text->owner, "%s", ttt_request_owner(job->work->request));
    text->ids.count = 0;
    if (!append_ids(&text->ids, job->prompt.data, (int64_t)job->prompt.count) ||
        !append_ids(&text->ids, job->ids.data, (int64_t)job->ids.count))
        text->ids.count = 0;
    pthread_mutex_unlock(&e->lock);
}

void ttt_engine_slots(ttt_engine *e, ttt_slot *slots)
{
    pthread_mutex_lock(&e->lock);
    memcpy(slots, e->slots, (size_t)e->parallel * sizeof *slots);
    pthread_mutex_unlock(&e->lock);
}

bool ttt_engine_slot_ids(ttt_engine *e, int64_t slot, const char *owner, ttt_ids *ids)
{
    const ttt_last_text *text = &e->texts[slot];
    pthread_mutex_lock(&e->lock);
    const bool own = strcmp(text->owner, owner) == 0;
    const bool done = append_ids(ids, text->ids.data, own ? (int64_t)text->ids.count : 0);
    pthread_mutex_unlock(&e->lock);
    return done;
}

bool ttt_engine_set_slot_ids(ttt_engine *e, int64_t slot, const char *owner, const int32_t *ids, int64_t count)
{
    ttt_last_text *text = &e->texts[slot];
    pthread_mutex_lock(&e->lock);
    snprintf(text->owner, sizeof text->owner, "%s", owner);
    text->ids.count = 0;
    const bool done = append_ids(&text->ids, ids, count);
    if (!done) text->ids.count = 0;
    pthread_mutex_unlock(&e->lock);
    return done;
}
