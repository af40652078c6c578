/* SPDX-License-Identifier: MIT
 *
 * How the cpu backend cuts work for threads: by what it costs, never by how many threads there are.
 */
#include "base/threads.h"
#include "cpu/cpu.h"

typedef struct parts {
    int64_t items, size;
    void (*task)(void *context, int64_t begin, int64_t end);
    void *context;
} parts;

static void run_part(void *context, int64_t part, int thread)
{
    (void)thread;
    const parts *p = context;
    const int64_t begin = part * p->size, end = begin + p->size;
    p->task(p->context, begin, end < p->items ? end : p->items);
}

void ttt_cpu_split(const ttt_backend *b, int64_t items, int64_t cost,
                   void (*task)(void *context, int64_t begin, int64_t end), void *context)
{
    enum { WORTH = 16384 }; /* elementary operations that outweigh handing a part to a thread */
    if (items <= 0) return;
    const int64_t size = cost >= WORTH ? 1 : (WORTH + cost - 1) / cost;
    parts p = {.items = items, .size = size, .task = task, .context = context};
    ttt_parallel(ttt_pool_of(b), (items + size - 1) / size, run_part, &p);
}
