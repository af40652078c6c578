/* SPDX-License-Identifier: MIT
 *
 * The ways of bytes through the ranks, made of transfers between two. Everything here runs on the comm's thread. Sums
 * are halved: at each distance two ranks that lie so far apart cut what they both have in two, and each adds up one
 * half; so what a rank ends with is its share of the sum over all, and it has sent and received no more than there is.
 */
#include <sched.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "dist/comm_own.h"

/* ---- one transfer ---- */

bool ttt_exchange_start(ttt_comm *comm, int slot, int tag, int to, const void *out, size_t out_bytes, int from,
                        void *in, size_t in_bytes)
{
    ttt_transport *t = comm->transport;
    if (t->start(t, slot, tag, to, out, out_bytes, from, in, in_bytes)) return true;
    const int rank = to != TTT_NOBODY ? to : from;
    return ttt_comm_break(comm, "cannot reach rank %d on host %s (%s)", rank, comm->ranks[rank].host, t->fault);
}

/* At first only others are let before: what comes is a moment away. Then a processor is better used otherwise. */
void ttt_exchange_rest(int looks)
{
    enum { YIELDS = 2000, SHORT = 50000, LONG = 500000 }; /* nanoseconds */
    const struct timespec nap = {.tv_nsec = looks < TTT_RESTS ? SHORT : LONG};
    if (looks < YIELDS)
        sched_yield();
    else
        nanosleep(&nap, NULL);
}

bool ttt_exchange_await(ttt_comm *comm, int slot)
{
    ttt_transport *t = comm->transport;
    for (int looks = 0;; looks += looks < TTT_RESTS) {
        const ttt_transfer state = t->poll(t, slot);
        if (state == TTT_TRANSFER_DONE) return true;
        if (state == TTT_TRANSFER_FAILED)
            return ttt_comm_break(comm, "the ranks cannot exchange any more (%s)", t->fault);
        if (!ttt_life_look(comm)) return false;
        ttt_exchange_rest(looks);
    }
}

/* ---- any number of bytes between two ranks ---- */

static void add(char *sum, const char *more, size_t bytes, ttt_dtype dtype)
{
    if (dtype == TTT_F32) {
        float *y = (float *)(void *)sum;
        const float *x = (const float *)(const void *)more;
        for (size_t i = 0; i < bytes / sizeof *y; i++) y[i] += x[i];
    } else {
        double *y = (double *)(void *)sum;
        const double *x = (const double *)(const void *)more;
        for (size_t i = 0; i < bytes / sizeof *y; i++) y[i] += x[i];
    }
}

/* To and from a peer at once. With `sum` what comes is added to `in`, else it replaces it. */
typedef struct swap {
    int peer;
    const char *out;
    size_t out_bytes;
    char *in;
    size_t in_bytes;
    bool sum;
    ttt_dtype dtype;
} swap;

static size_t most_at_once(const swap *s) { return s->sum ? TTT_COMM_CHUNK : TTT_COMM_CHUNK_AS_IS; }

static size_t piece(size_t bytes, size_t at, size_t most)
{
    return bytes > at ? bytes - at < most ? bytes - at : most : 0;
}

static bool start_piece(ttt_comm *comm, const swap *s, size_t at, int slot)
{
    const size_t out = piece(s->out_bytes, at, most_at_once(s)), in = piece(s->in_bytes, at, most_at_once(s));
    return ttt_exchange_start(comm, TTT_SLOT_DATA + slot, TTT_TAG_DATA, out ? s->peer : TTT_NOBODY,
                              out ? s->out + at : NULL, out, in ? s->peer : TTT_NOBODY,
                              s->sum ? comm->staging[slot]
                              : in   ? s->in + at
                                     : NULL,
                              in);
}

/* In pieces, of which the next is on its way while one is added. */
static bool exchange(ttt_comm *comm, const swap *s)
{
    const size_t bytes = s->out_bytes > s->in_bytes ? s->out_bytes : s->in_bytes, most = most_at_once(s);
    int slot = 0;
    if (bytes && !start_piece(comm, s, 0, slot)) return false;
    for (size_t at = 0; at < bytes; at += most, slot = !slot) {
        if (bytes - at > most && !start_piece(comm, s, at + most, !slot)) return false;
        if (!ttt_exchange_await(comm, TTT_SLOT_DATA + slot)) return false;
        if (s->sum && s->in_bytes > at) add(s->in + at, comm->staging[slot], piece(s->in_bytes, at, most), s->dtype);
    }
    comm->use.bytes += (double)s->out_bytes;
    return true;
}

/* ---- shares ---- */

typedef struct range {
    int64_t first, end;
} range;

/* Of two ranks at a distance the one with the lower number has the first half, and more of an odd number. */
static range half(range all, bool upper)
{
    const int64_t middle = all.first + (all.end - all.first + 1) / 2;
    return upper ? (range){middle, all.end} : (range){all.first, middle};
}

void ttt_comm_share(int rank, int size, int64_t *first, int64_t *end)
{
    range own = {*first, *end};
    for (int distance = 1; distance < size; distance *= 2) own = half(own, rank & distance);
    *first = own.first;
    *end = own.end;
}

static char *part_at(const ttt_comm_job *job, int64_t part)
{
    const size_t at = (size_t)part * job->part;
    return job->block + (at < job->bytes ? at : job->bytes);
}

static size_t range_bytes(const ttt_comm_job *job, range r)
{
    return (size_t)(part_at(job, r.end) - part_at(job, r.first));
}

static swap swap_of(const ttt_comm_job *job, int peer, range out, range in, bool sum)
{
    return (swap){.peer = peer,
                  .out = part_at(job, out.first),
                  .out_bytes = range_bytes(job, out),
                  .in = part_at(job, in.first),
                  .in_bytes = range_bytes(job, in),
                  .sum = sum,
                  .dtype = job->dtype};
}

static bool reduce(ttt_comm *comm, ttt_comm_job *job)
{
    range all = {job->first, job->end};
    for (int distance = 1; distance < comm->size; distance *= 2) {
        const bool upper = comm->rank & distance;
        const swap s = swap_of(job, comm->rank ^ distance, half(all, !upper), half(all, upper), true);
        if (!exchange(comm, &s)) return false;
        all = half(all, upper);
    }
    return true;
}

/* Back through the same halves, the smallest first. */
static bool spread_from(ttt_comm *comm, const ttt_comm_job *job, range all, int distance)
{
    if (distance >= comm->size) return true;
    const bool upper = comm->rank & distance;
    if (!spread_from(comm, job, half(all, upper), 2 * distance)) return false;
    const swap s = swap_of(job, comm->rank ^ distance, half(all, upper), half(all, !upper), false);
    return exchange(comm, &s);
}

static bool spread(ttt_comm *comm, ttt_comm_job *job)
{
    return spread_from(comm, job, (range){job->first, job->end}, 1);
}

/* Between rank 0 and each other one the other's share. */
static bool to_or_from_first(ttt_comm *comm, const ttt_comm_job *job, bool to_first)
{
    for (int rank = comm->rank ? comm->rank : 1; rank < (comm->rank ? comm->rank + 1 : comm->size); rank++) {
        range share = {job->first, job->end};
        ttt_comm_share(rank, comm->size, &share.first, &share.end);
        const bool sends = (comm->rank == 0) != to_first;
        const range none = {0, 0};
        const swap s = swap_of(job, comm->rank ? 0 : rank, sends ? share : none, sends ? none : share, false);
        if (!exchange(comm, &s)) return false;
    }
    return true;
}

static bool collect(ttt_comm *comm, ttt_comm_job *job) { return to_or_from_first(comm, job, true); }
static bool deal(ttt_comm *comm, ttt_comm_job *job) { return to_or_from_first(comm, job, false); }

/* ---- small things: the block is all of it ---- */

static bool sum(ttt_comm *comm, ttt_comm_job *job)
{
    for (int distance = 1; distance < comm->size; distance *= 2) {
        const swap s = {.peer = comm->rank ^ distance,
                        .out = job->block,
                        .out_bytes = job->bytes,
                        .in = job->block,
                        .in_bytes = job->bytes,
                        .sum = true,
                        .dtype = job->dtype};
        if (!exchange(comm, &s)) return false;
    }
    return true;
}

/* Who has it doubles: ranks below a distance give it to those that lie as far above them. */
static bool broadcast(ttt_comm *comm, ttt_comm_job *job)
{
    for (int distance = 1; distance < comm->size; distance *= 2) {
        const bool gives = comm->rank < distance && comm->rank + distance < comm->size;
        const bool takes = comm->rank >= distance && comm->rank < 2 * distance;
        const swap s = {.peer = gives ? comm->rank + distance : comm->rank - distance,
                        .out = job->block,
                        .out_bytes = gives ? job->bytes : 0,
                        .in = job->block,
                        .in_bytes = takes ? job->bytes : 0};
        if ((gives || takes) && !exchange(comm, &s)) return false;
    }
    return true;
}

/* The block [ranks, part], of which a rank has its own part at first. */
static bool gather(ttt_comm *comm, ttt_comm_job *job)
{
    for (int rank = comm->rank ? comm->rank : 1; rank < (comm->rank ? comm->rank + 1 : comm->size); rank++) {
        char *const at = job->block + (size_t)rank * job->part;
        const swap s = {.peer = comm->rank ? 0 : rank,
                        .out = at,
                        .out_bytes = comm->rank ? job->part : 0,
                        .in = at,
                        .in_bytes = comm->rank ? 0 : job->part};
        if (!exchange(comm, &s)) return false;
    }
    return broadcast(comm, job);
}

/* ---- jobs ---- */

void ttt_comm_reduce(ttt_comm *comm, ttt_comm_job *job) { ttt_comm_post(comm, job, reduce); }
void ttt_comm_spread(ttt_comm *comm, ttt_comm_job *job) { ttt_comm_post(comm, job, spread); }
void ttt_comm_collect(ttt_comm *comm, ttt_comm_job *job) { ttt_comm_post(comm, job, collect); }
void ttt_comm_deal(ttt_comm *comm, ttt_comm_job *job) { ttt_comm_post(comm, job, deal); }

static ttt_status at_once(ttt_comm *comm, ttt_comm_job *job, bool (*work)(ttt_comm *, ttt_comm_job *))
{
    ttt_comm_post(comm, job, work);
    return ttt_comm_wait(comm, job);
}

ttt_status ttt_comm_sum(ttt_comm *comm, double *x, size_t count)
{
    ttt_comm_job job = {.block = (char *)x, .bytes = count * sizeof *x, .dtype = TTT_F64};
    return comm ? at_once(comm, &job, sum) : TTT_OK;
}

ttt_status ttt_comm_broadcast(ttt_comm *comm, void *bytes, size_t size)
{
    ttt_comm_job job = {.block = bytes, .bytes = size};
    return comm ? at_once(comm, &job, broadcast) : TTT_OK;
}

ttt_status ttt_comm_gather(ttt_comm *comm, const void *own, size_t size, void *all)
{
    memcpy((char *)all + (size_t)ttt_comm_rank(comm) * size, own, size);
    ttt_comm_job job = {.block = all, .bytes = (size_t)ttt_comm_size(comm) * size, .part = size};
    return comm ? at_once(comm, &job, gather) : TTT_OK;
}
