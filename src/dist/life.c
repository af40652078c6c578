/* SPDX-License-Identifier: MIT
 *
 * Whether the others are still there. Each rank says a word to the next one every second, and the last one to the
 * first; a rank that was not heard of for too long is stopped or cut off. A rank that was itself stopped forgives the
 * silence, as where a batch system halts and wakes a whole job.
 */
#include "base/clock.h"
#include "dist/comm_own.h"

enum { ALIVE = 1, LEAVE = 2 };
static const double pause = 1, own_pause = 3; /* seconds between words; between own looks, that tell of a halt */

static int before(const ttt_comm *comm) { return (comm->rank + comm->size - 1) % comm->size; }
static int after(const ttt_comm *comm) { return (comm->rank + 1) % comm->size; }

static bool hear(ttt_comm *comm)
{
    return ttt_exchange_start(comm, TTT_SLOT_HEAR, TTT_TAG_LIFE, TTT_NOBODY, NULL, 0, before(comm),
                              &comm->life.word_heard, 1);
}

static bool say(ttt_comm *comm, char word)
{
    comm->life.word_said = word;
    comm->life.said = comm->life.looked;
    return ttt_exchange_start(comm, TTT_SLOT_SAY, TTT_TAG_LIFE, after(comm), &comm->life.word_said, 1, TTT_NOBODY, NULL,
                              0);
}

bool ttt_life_begin(ttt_comm *comm, double silence)
{
    const double now = ttt_clock();
    comm->life = (ttt_life){.silence = silence, .looked = now, .heard = now, .watching = true};
    return hear(comm) && say(comm, ALIVE);
}

static bool lost(ttt_comm *comm, double seconds)
{
    const int rank = before(comm);
    return ttt_comm_break(comm, "rank %d on host %s was not heard of for %.0f seconds: it is stopped or cut off", rank,
                          comm->ranks[rank].host, seconds);
}

static bool gone(ttt_comm *comm, int rank)
{
    return ttt_comm_break(comm, "rank %d on host %s cannot be reached any more (%s)", rank, comm->ranks[rank].host,
                          comm->transport->fault);
}

static bool take_word(ttt_comm *comm, double now)
{
    ttt_life *life = &comm->life;
    const ttt_transfer heard = comm->transport->poll(comm->transport, TTT_SLOT_HEAR);
    if (heard == TTT_TRANSFER_FAILED) return gone(comm, before(comm));
    if (heard == TTT_TRANSFER_GOING) return now - life->heard <= life->silence || lost(comm, now - life->heard);
    life->heard = now;
    life->watching = life->word_heard != LEAVE;
    return !life->watching || hear(comm);
}

bool ttt_life_look(ttt_comm *comm)
{
    ttt_life *life = &comm->life;
    const double now = ttt_clock();
    if (now - life->looked < pause / 16) return true;
    if (now - life->looked > own_pause) life->heard = now;
    life->looked = now;
    if (ttt_comm_broken(comm)) return false; /* by ttt_comm_abort */
    if (life->watching && !take_word(comm, now)) return false;
    if (life->leaving || now - life->said < pause) return true;
    const ttt_transfer said = comm->transport->poll(comm->transport, TTT_SLOT_SAY);
    if (said == TTT_TRANSFER_FAILED) return gone(comm, after(comm));
    return said == TTT_TRANSFER_GOING || say(comm, ALIVE);
}

bool ttt_life_leave(ttt_comm *comm)
{
    comm->life.leaving = true;
    if (!ttt_exchange_await(comm, TTT_SLOT_SAY) || !say(comm, LEAVE) || !ttt_exchange_await(comm, TTT_SLOT_SAY))
        return false;
    while (comm->life.watching) {
        if (!ttt_life_look(comm)) return false;
        ttt_exchange_rest(TTT_RESTS);
    }
    return true;
}
