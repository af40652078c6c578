/* SPDX-License-Identifier: MIT
 *
 * A job is opened by the caller, who works on it too, and closed when no item is left. Workers that arrive count
 * themselves in before they look whether it is open, so once it is closed and nobody is inside, every item is done and
 * nobody can touch the job.
 */
#include "base/threads.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/float_env.h"
#include "base/processors.h"
#include "base/system.h"

/* How long a thread looks before it sleeps: more than lies between two lists of one token, so that nobody sleeps while
 * a token is decoded; being woken costs as much as reading a small matrix. */
static const double spin_seconds = 150e-6;

typedef struct worker {
    ttt_pool *pool;
    pthread_t thread;
    int number;
} worker;

enum { CACHE_LINE = 64 };

struct ttt_pool {
    int threads;
    bool spins;      /* there is a processor for each thread */
    pid_t process;   /* whose threads these are */
    worker *workers; /* [threads - 1] */
    int started;
    /* What goes to and fro between the threads is one cache line, and nothing else is in it: a job of a few
     * microseconds is made of its journeys. */
    alignas(CACHE_LINE) void (*task)(void *context, int64_t item, int thread);
    void *context;
    atomic_llong items, next; /* of the open job */
    atomic_bool open, stop;
    atomic_int inside;                     /* workers at the job */
    alignas(CACHE_LINE) atomic_bool taken; /* a call of ttt_parallel runs */
    alignas(CACHE_LINE) pthread_mutex_t mutex;
    pthread_cond_t wake, left; /* a job was opened; the last worker left */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Looks until it is `done`, or the time for looking is over; returns whether it is. */
static bool look(ttt_pool *pool, bool (*done)(ttt_pool *pool))
{
    enum { LOOKS = 32 }; /* from one glance at the clock to the next */
    if (!pool->spins) return done(pool);
    double end = 0;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (done(pool)) return true;
            relax();
        }
        const double now = ttt_clock();
        if (end == 0) end = now + spin_seconds;
        if (now >= end) return false;
    } while (true);
}

static bool has_work(ttt_pool *pool)
{
    return atomic_load(&pool->stop) ||
           (atomic_load(&pool->open) && atomic_load(&pool->next) < atomic_load(&pool->items));
}

static bool is_left(ttt_pool *pool) { return atomic_load(&pool->inside) == 0; }

static void work(ttt_pool *pool, int thread)
{
    for (int64_t item; (item = atomic_fetch_add(&pool->next, 1)) < atomic_load(&pool->items);)
        pool->task(pool->context, item, thread);
}

static void wait_for_work(ttt_pool *pool)
{
    if (look(pool, has_work)) return;
    pthread_mutex_lock(&pool->mutex);
    while (!has_work(pool)) pthread_cond_wait(&pool->wake, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

static void *run_worker(void *argument)
{
    const worker *self = argument;
    ttt_pool *pool = self->pool;
    (void)ttt_float_begin(); /* a thread begins with what its creator has */
    for (;;) {
        wait_for_work(pool);
        if (atomic_load(&pool->stop)) return NULL;
        atomic_fetch_add(&pool->inside, 1);
        if (atomic_load(&pool->open)) work(pool, self->number);
        if (atomic_fetch_sub(&pool->inside, 1) == 1 && !atomic_load(&pool->open)) {
            pthread_mutex_lock(&pool->mutex);
            pthread_cond_signal(&pool->left);
            pthread_mutex_unlock(&pool->mutex);
        }
    }
}

/* The job is closed; waits until no worker is at it. */
static void wait_until_left(ttt_pool *pool)
{
    if (look(pool, is_left)) return;
    pthread_mutex_lock(&pool->mutex);
    while (!is_left(pool)) pthread_cond_wait(&pool->left, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

static void run_job(ttt_pool *pool, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context)
{
    assert(pool->process == getpid());
    if (atomic_exchange(&pool->taken, true)) {
        fputs("ttt: two calls at once use the threads of one pool\n", stderr);
        abort();
    }
    pool->task = task;
    pool->context = context;
    atomic_store(&pool->next, 0);
    atomic_store(&pool->items, items);
    pthread_mutex_lock(&pool->mutex); /* so that no worker falls asleep between its look and the signal */
    atomic_store(&pool->open, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    work(pool, 0);
    atomic_store(&pool->open, false);
    wait_until_left(pool);
    atomic_store(&pool->taken, false);
}

void ttt_parallel(ttt_pool *pool, int64_t items, void (*task)(void *context, int64_t item, int thread), void *context)
{
    const uint64_t host = ttt_float_begin();
    if (!pool || pool->threads == 1 || items <= 1) {
        for (int64_t item = 0; item < items; item++) task(context, item, 0);
    } else {
        run_job(pool, items, task, context);
    }
    ttt_float_end(host);
}

/* Signals are the host program's threads' affair: workers are created with all of them blocked. */
static ttt_status start_workers(ttt_pool *pool)
{
    ttt_status status = TTT_OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    while (status == TTT_OK && pool->started < pool->threads - 1) {
        worker *next = &pool->workers[pool->started];
        *next = (worker){.pool = pool, .number = pool->started + 1};
        if (!ttt_call_fails(TTT_CALL_THREAD) && pthread_create(&next->thread, NULL, run_worker, next) == 0)
            pool->started++;
        else
            status = ttt_fail(TTT_ERR_MEMORY, "cannot start thread %d of %d: use fewer threads", pool->started + 2,
                              pool->threads);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

ttt_status ttt_pool_new(ttt_pool **out, int threads)
{
    *out = NULL;
    ttt_pool *pool = ttt_alloc(1, sizeof *pool);
    if (!pool) return TTT_ERR_MEMORY;
    pool->threads = threads;
    pool->process = getpid();
    pool->spins = threads <= ttt_processor_count();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->left, NULL);
    pool->workers = ttt_alloc((size_t)threads, sizeof *pool->workers);
    const ttt_status status = pool->workers ? start_workers(pool) : TTT_ERR_MEMORY;
    if (status != TTT_OK) {
        ttt_pool_free(pool);
        return status;
    }
    *out = pool;
    return TTT_OK;
}

void ttt_pool_free(ttt_pool *pool)
{
    if (!pool) return;
    if (pool->process == getpid()) {
        pthread_mutex_lock(&pool->mutex);
        atomic_store(&pool->stop, true);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
        for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
        pthread_cond_destroy(&pool->left);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->mutex);
    }
    ttt_free(pool->workers);
    ttt_free(pool);
}
