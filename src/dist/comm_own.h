/* SPDX-License-Identifier: MIT
 *
 * A comm, inside: what comm.c (the thread and its jobs), life.c (who is still there) and exchange.c (the ways through
 * the ranks) share. All but the fields behind the mutex are the thread's alone while it runs.
 */
#ifndef TTT_DIST_COMM_OWN_H
#define TTT_DIST_COMM_OWN_H

#include <pthread.h>

#include "dist/comm.h"

enum { TTT_COMM_NAME = 64, TTT_COMM_SENTENCE = 512 };

/* Bytes that are on their way at once, twice. What is added should still be in the cache; what is not should seldom
 * wait for the other side, but leave a network of 50 Mbit/s to the signs of life behind it within five seconds. */
enum { TTT_COMM_CHUNK = 2 << 20, TTT_COMM_CHUNK_AS_IS = 16 << 20 };

typedef struct ttt_rank {
    char version[16], host[TTT_COMM_NAME], processors[TTT_COMM_NAME];
    int32_t processor_count;
} ttt_rank;

/* Each rank tells the next one of its life, and hears of the one before. */
typedef struct ttt_life {
    double silence;             /* seconds */
    double looked, said, heard; /* times of ttt_clock */
    char word_said, word_heard;
    bool watching; /* the one before has not taken leave */
    bool leaving;  /* this one has, or is about to */
} ttt_life;

struct ttt_comm {
    int rank, size;
    ttt_rank *ranks; /* [size] */
    ttt_transport *transport;
    ttt_life life;
    char *staging[2]; /* [TTT_COMM_CHUNK] what came and is still to be added */
    ttt_comm_lost on_lost;
    void *context;
    ttt_comm_use use;
    bool agreed;

    ttt_transport_opener opener; /* while it is opened */
    void *opener_context;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t posted, done;
    /* behind the mutex: */
    ttt_comm_job *jobs, *last;
    bool opened, closing;
    bool broken;
    char sentence[TTT_COMM_SENTENCE]; /* why */
};

/* On the comm's thread: it is of no more use. Returns false; the first reason stays. */
bool ttt_comm_break(ttt_comm *comm, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool ttt_comm_broken(ttt_comm *comm);

/* Hands a job to the thread. */
void ttt_comm_post(ttt_comm *comm, ttt_comm_job *job, bool (*work)(ttt_comm *comm, ttt_comm_job *job));

/* life.c: begins; says and hears what is due, and tells whether all are there; takes leave. */
bool ttt_life_begin(ttt_comm *comm, double silence);
bool ttt_life_look(ttt_comm *comm);
bool ttt_life_leave(ttt_comm *comm);

/* exchange.c: waits for a slot's transfer. Who has looked often rests longer. */
bool ttt_exchange_await(ttt_comm *comm, int slot);
enum { TTT_RESTS = 4000 };
void ttt_exchange_rest(int looks);
bool ttt_exchange_start(ttt_comm *comm, int slot, int tag, int to, const void *out, size_t out_bytes, int from,
                        void *in, size_t in_bytes);

#endif
