/* SPDX-License-Identifier: MIT
 *
 * Choice of a backend by name, and its scratch memory.
 */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#include "backend/host.h"
#include "base/alloc.h"
#include "base/processors.h"

static const struct {
    const char *name;
    ttt_status (*init)(ttt_backend *backend);
} backends[] = {{"cpu", ttt_backend_init_cpu}, {"ref", ttt_backend_init_ref}};

/* What the caller said, else TTT_THREADS, else one per processor. */
static ttt_status choose_threads(int *threads, int asked)
{
    enum { THREADS_MAX = 1024 };
    const char *variable = getenv("TTT_THREADS");
    *threads = asked > 0 ? asked : ttt_processor_count();
    if (asked == 0 && variable && *variable) {
        char *end;
        const long value = strtol(variable, &end, 10);
        if (*end != '\0' || value < 1 || value > THREADS_MAX)
            return ttt_fail(TTT_ERR_ARGUMENT, "TTT_THREADS is \"%s\": give a number from 1 to %d", variable,
                            THREADS_MAX);
        *threads = (int)value;
    }
    if (asked < 0 || *threads > THREADS_MAX)
        return ttt_fail(TTT_ERR_ARGUMENT, "%d threads: give a number from 1 to %d", asked, THREADS_MAX);
    return TTT_OK;
}

static ttt_status init(ttt_backend *backend, ttt_status (*init_own)(ttt_backend *backend), int threads)
{
    ttt_host *host = backend->own = ttt_alloc(1, sizeof *host);
    if (!host) return TTT_ERR_MEMORY;
    TTT_TRY(choose_threads(&backend->threads, threads));
    TTT_TRY(init_own(backend));
    if (backend->threads > 1) TTT_TRY(ttt_pool_new(&host->pool, backend->threads));
    return ttt_backend_reserve(backend, 1);
}

ttt_status ttt_backend_new(ttt_backend **out, const char *name, int threads)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0) name = backends[0].name;
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (strcmp(name, backends[i].name) != 0) continue;
        ttt_backend *backend = ttt_alloc(1, sizeof *backend);
        if (!backend) return TTT_ERR_MEMORY;
        ttt_status status = init(backend, backends[i].init, threads);
        if (status != TTT_OK) {
            ttt_backend_free(backend);
            return status;
        }
        *out = backend;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_UNSUPPORTED, "backend \"%s\" is not part of this build; it has cpu and ref", name);
}

const char *ttt_bits_of(const char *isa, const char *precision)
{
    return strcmp(isa, "amx") == 0 && strcmp(precision, "bf16") == 0 ? "amx" : "any";
}

ttt_status ttt_backend_reserve(ttt_backend *backend, size_t bytes)
{
    ttt_host *host = backend->own;
    bytes = (bytes + 63) / 64 * 64;
    if (bytes <= host->scratch_bytes) return TTT_OK;
    char *scratch = ttt_alloc((size_t)backend->threads, bytes);
    if (!scratch) return TTT_ERR_MEMORY;
    ttt_free(host->scratch);
    host->scratch = scratch;
    host->scratch_bytes = bytes;
    return TTT_OK;
}

int64_t ttt_sum_part(const ttt_backend *backend, int64_t n)
{
    const int64_t part = (n + TTT_SUM_PARTS - 1) / TTT_SUM_PARTS;
    const int64_t least = backend->least_sum < n ? backend->least_sum : n;
    return part > least ? part : least > 1 ? least : 1;
}

double ttt_sum_squares(const ttt_backend *backend, const void *x, int64_t n)
{
    double sums[TTT_SUM_PARTS], total = 0;
    const int64_t part = ttt_sum_part(backend, n);
    backend->ops->sum_squares(backend, sums, x, n, part);
    for (int64_t i = 0; i * part < n; i++) total += sums[i];
    return total;
}

void ttt_backend_parallel(const ttt_backend *backend, int64_t items,
                          void (*task)(void *context, int64_t item, int thread), void *context)
{
    ttt_parallel(ttt_pool_of(backend), items, task, context);
}

void ttt_backend_free(ttt_backend *backend)
{
    if (!backend) return;
    ttt_host *host = backend->own;
    if (host) {
        ttt_pool_free(host->pool);
        ttt_free(host->scratch);
    }
    ttt_free(host);
    ttt_free(backend->timed);
    ttt_free(backend);
}

/* ---- memory of the process ---- */

static void *host_alloc(const ttt_backend *b, int64_t count, size_t size)
{
    (void)b;
    return ttt_alloc((size_t)count, size);
}

static void host_free(const ttt_backend *b, void *block)
{
    (void)b;
    ttt_free(block);
}

static void host_sync(const ttt_backend *b) { (void)b; }

void ttt_host_ops(ttt_ops *ops)
{
    ops->alloc = host_alloc;
    ops->free = host_free;
    ops->sync = host_sync;
}
