/* SPDX-License-Identifier: MIT
 *
 * Choice of a backend by name, and its scratch memory.
 */
#include "backend/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/threads.h"

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

ttt_status ttt_backend_new(ttt_backend **out, const char *name, int threads)
{
    *out = NULL;
    if (strcmp(name, "auto") == 0) name = backends[0].name;
    for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
        if (strcmp(name, backends[i].name) != 0) continue;
        ttt_backend *backend = ttt_alloc(1, sizeof *backend);
        if (!backend) return TTT_ERR_MEMORY;
        ttt_status status = choose_threads(&backend->threads, threads);
        if (status == TTT_OK) status = backends[i].init(backend);
        if (status == TTT_OK) status = ttt_pool_new(&backend->pool, backend->threads);
        if (status == TTT_OK) status = ttt_backend_reserve(backend, 1);
        if (status != TTT_OK) {
            ttt_backend_free(backend);
            return status;
        }
        *out = backend;
        return TTT_OK;
    }
    return ttt_fail(TTT_ERR_UNSUPPORTED, "backend \"%s\" is not part of this build; it has cpu and ref", name);
}

ttt_status ttt_backend_reserve(ttt_backend *backend, size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    if (bytes <= backend->scratch_bytes) return TTT_OK;
    char *scratch = ttt_alloc((size_t)backend->threads, bytes);
    if (!scratch) return TTT_ERR_MEMORY;
    ttt_free(backend->scratch);
    backend->scratch = scratch;
    backend->scratch_bytes = bytes;
    return TTT_OK;
}

void ttt_backend_free(ttt_backend *backend)
{
    if (!backend) return;
    ttt_pool_free(backend->pool);
    ttt_free(backend->scratch);
    ttt_free(backend->timed);
    ttt_free(backend);
}
