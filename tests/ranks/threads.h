/* SPDX-License-Identifier: MIT
 *
 * Ranks that are threads of the test: a transport by copies in memory, and a way to run all ranks of a world. A rank
 * can be made silent, as one that was stopped or cut off.
 */
#ifndef TTT_TEST_RANKS_H
#define TTT_TEST_RANKS_H

#include <pthread.h>
#include <stdatomic.h>

#include "dist/comm.h"
#include "test.h"

enum { RANKS_MOST = 8 };

typedef struct message {
    struct message *next;
    int from, to, tag;
    size_t size;
    char bytes[];
} message;

typedef struct world {
    int size;
    pthread_mutex_t mutex;
    message *first, **last;
    bool ended;                     /* a rank closed without the others */
    atomic_bool silent[RANKS_MOST]; /* nothing of it arrives */
    double silence;                 /* 0: ten seconds */
    ttt_comm_lost lost;
    int aborts; /* the rank that ends with ttt_comm_abort; 0: none */
} world;

typedef struct seat {
    ttt_transport base;
    world *world;
    struct {
        bool waits;
        int from, tag;
        void *in;
        size_t size;
    } slots[TTT_SLOTS];
} seat;

typedef struct place {
    world *world;
    int rank;
} place;

static bool seat_start(ttt_transport *t, int slot, int tag, int to, const void *out, size_t out_bytes, int from,
                       void *in, size_t in_bytes)
{
    seat *s = (seat *)(void *)t;
    if (from != TTT_NOBODY) {
        s->slots[slot].waits = true;
        s->slots[slot].from = from;
        s->slots[slot].tag = tag;
        s->slots[slot].in = in;
        s->slots[slot].size = in_bytes;
    }
    if (to == TTT_NOBODY || atomic_load(&s->world->silent[t->rank])) return true;
    message *m = malloc(sizeof *m + out_bytes);
    if (!m) return false;
    *m = (message){.from = t->rank, .to = to, .tag = tag, .size = out_bytes};
    memcpy(m->bytes, out, out_bytes);
    pthread_mutex_lock(&s->world->mutex);
    *s->world->last = m;
    s->world->last = &m->next;
    pthread_mutex_unlock(&s->world->mutex);
    return true;
}

static ttt_transfer seat_poll(ttt_transport *t, int slot)
{
    seat *s = (seat *)(void *)t;
    world *w = s->world;
    ttt_transfer state = s->slots[slot].waits ? TTT_TRANSFER_GOING : TTT_TRANSFER_DONE;
    pthread_mutex_lock(&w->mutex);
    for (message **at = &w->first; *at && state == TTT_TRANSFER_GOING; at = &(*at)->next) {
        message *m = *at;
        if (m->to != t->rank || m->from != s->slots[slot].from || m->tag != s->slots[slot].tag) continue;
        CHECK_EQ(m->size, s->slots[slot].size);
        memcpy(s->slots[slot].in, m->bytes, m->size);
        s->slots[slot].waits = false;
        state = TTT_TRANSFER_DONE;
        *at = m->next;
        if (!m->next) w->last = at;
        free(m);
        break;
    }
    if (w->ended && state == TTT_TRANSFER_GOING) {
        state = TTT_TRANSFER_FAILED;
        snprintf(t->fault, sizeof t->fault, "the world has ended");
    }
    pthread_mutex_unlock(&w->mutex);
    return state;
}

static void seat_close(ttt_transport *t, bool in_order)
{
    seat *s = (seat *)(void *)t;
    pthread_mutex_lock(&s->world->mutex);
    if (!in_order) s->world->ended = true;
    pthread_mutex_unlock(&s->world->mutex);
    free(s);
}

static ttt_transport *seat_open(void *context, char *fault, size_t size)
{
    const place *p = context;
    seat *s = calloc(1, sizeof *s);
    (void)fault, (void)size;
    if (!s) return NULL;
    s->world = p->world;
    s->base = (ttt_transport){
        .rank = p->rank, .size = p->world->size, .start = seat_start, .poll = seat_poll, .close = seat_close};
    return &s->base;
}

typedef struct member_thread {
    place place;
    void (*work)(ttt_comm *comm, int rank, void *context);
    void *context;
    pthread_t thread;
} member_thread;

static void *member_run(void *argument)
{
    member_thread *m = argument;
    ttt_comm *comm;
    CHECK_OK(ttt_comm_open_by(&comm, seat_open, &m->place, m->place.world->silence > 0 ? m->place.world->silence : 10,
                              m->place.world->lost, &m->place));
    m->work(comm, m->place.rank, m->context);
    if (m->place.rank > 0 && m->place.rank == m->place.world->aborts)
        ttt_comm_abort(comm);
    else
        ttt_comm_close(comm);
    return NULL;
}

/* Every rank of a world of `size` does the work in a thread of its own. */
static void ranks_run(world *w, int size, void (*work)(ttt_comm *comm, int rank, void *context), void *context)
{
    member_thread members[RANKS_MOST];
    w->size = size;
    w->last = &w->first;
    pthread_mutex_init(&w->mutex, NULL);
    for (int rank = 0; rank < size; rank++) {
        members[rank] = (member_thread){{w, rank}, work, context, 0};
        CHECK_EQ(pthread_create(&members[rank].thread, NULL, member_run, &members[rank]), 0);
    }
    for (int rank = 0; rank < size; rank++) pthread_join(members[rank].thread, NULL);
    for (message *m = w->first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    pthread_mutex_destroy(&w->mutex);
}

#endif
