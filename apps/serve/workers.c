/* SPDX-License-Identifier: MIT
 *
 * Worker threads: they read bodies, make prompts of texts and write files, so that neither the network threads nor the
 * engine ever wait for that.
 */
#include <stdlib.h>

#include "request.h"

struct ttt_workers {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    ttt_request *first, *last; /* by request->queued */
    bool stop;
    int count;
    pthread_t threads[];
};

static ttt_request *take(ttt_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (!workers->first && !workers->stop) pthread_cond_wait(&workers->filled, &workers->lock);
    ttt_request *request = workers->first;
    if (request) {
        workers->first = request->queued;
        if (!workers->first) workers->last = NULL;
        request->queued = NULL;
    }
    pthread_mutex_unlock(&workers->lock);
    return request;
}

static void *work(void *argument)
{
    ttt_workers *workers = argument;
    ttt_request *request;
    while ((request = take(workers))) {
        request->run(request);
        ttt_request_release(request);
    }
    return NULL;
}

void ttt_workers_add(ttt_workers *workers, ttt_request *request, bool front)
{
    pthread_mutex_lock(&workers->lock);
    const bool late = workers->stop;
    if (late) {
        /* nobody would run it */
    } else if (front || !workers->first) {
        request->queued = workers->first;
        workers->first = request;
        if (!workers->last) workers->last = request;
    } else {
        workers->last->queued = request;
        workers->last = request;
    }
    pthread_cond_signal(&workers->filled);
    pthread_mutex_unlock(&workers->lock);
    if (late) ttt_request_release(request);
}

ttt_workers *ttt_workers_new(int threads)
{
    ttt_workers *workers = calloc(1, sizeof *workers + (size_t)threads * sizeof *workers->threads);
    if (!workers) return NULL;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->filled, NULL);
    while (workers->count < threads && pthread_create(&workers->threads[workers->count], NULL, work, workers) == 0)
        workers->count++;
    if (workers->count == threads) return workers;
    ttt_workers_stop(workers);
    ttt_workers_free(workers);
    return NULL;
}

void ttt_workers_stop(ttt_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    workers->stop = true;
    pthread_cond_broadcast(&workers->filled);
    pthread_mutex_unlock(&workers->lock);
    for (int i = 0; i < workers->count; i++) pthread_join(workers->threads[i], NULL);
    workers->count = 0;
}

void ttt_workers_free(ttt_workers *workers)
{
    if (!workers) return;
    pthread_cond_destroy(&workers->filled);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
