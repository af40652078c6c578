/* SPDX-License-Identifier: MIT
 *
 * What the backends that compute on the processor share, and nobody else knows: threads, scratch, and operands that lie
 * in the process's memory.
 */
#ifndef TTT_BACKEND_HOST_H
#define TTT_BACKEND_HOST_H

#include "backend/backend.h"
#include "base/threads.h"

typedef struct ttt_host {
    ttt_pool *pool; /* NULL with one thread */
    char *scratch;  /* [threads, scratch_bytes], for the operations' own use */
    size_t scratch_bytes;
    const void *kernels; /* cpu: its table of kernels */
} ttt_host;

static inline const ttt_host *ttt_host_of(const ttt_backend *backend) { return backend->own; }
static inline ttt_pool *ttt_pool_of(const ttt_backend *backend) { return ttt_host_of(backend)->pool; }

/* Scratch of one thread; that of the threads after it lies behind it. */
static inline void *ttt_scratch(const ttt_backend *backend, int thread)
{
    const ttt_host *host = ttt_host_of(backend);
    return host->scratch + (size_t)thread * host->scratch_bytes;
}

/* The operations alloc, free and sync. */
void ttt_host_ops(ttt_ops *ops);

#endif
