/* SPDX-License-Identifier: MIT
 *
 * Training's products through oneDNN, versions 2 and 3. With several threads oneDNN cuts some products along the inner
 * dimension, so that the result depends on their number. Here the product is cut by shape alone, into panels of rows or
 * columns, and each panel is one call on one thread.
 */
#include <dnnl.h>
#include <omp.h>
#include <pthread.h>
#include <signal.h>

#include "base/threads.h"
#include "cpu/cpu.h"

#define TEXT(x)    #x
#define TEXT_OF(x) TEXT(x)
#define VERSION    TEXT_OF(DNNL_VERSION_MAJOR) "." TEXT_OF(DNNL_VERSION_MINOR) "." TEXT_OF(DNNL_VERSION_PATCH)

/* oneDNN takes this once, before it first chooses its code: a backend made later under another TTT_ISA keeps the first
 * choice for these products. */
static dnnl_status_t limit(ttt_isa isa)
{
    const dnnl_cpu_isa_t most[TTT_ISA_COUNT] = {[TTT_ISA_SCALAR] = dnnl_cpu_isa_sse41,
                                                [TTT_ISA_AVX2] = dnnl_cpu_isa_avx2,
                                                [TTT_ISA_AVX512] = dnnl_cpu_isa_avx512_core,
                                                [TTT_ISA_VNNI] = dnnl_cpu_isa_avx512_core,
                                                [TTT_ISA_AMX] = dnnl_cpu_isa_avx512_core};
    return dnnl_set_max_cpu_isa(most[isa]);
}

static ttt_status init(ttt_backend *backend, ttt_isa isa)
{
    (void)backend;
    const dnnl_status_t status = limit(isa);
    if (status == dnnl_success || status == dnnl_invalid_arguments || status == dnnl_unimplemented) return TTT_OK;
    return ttt_fail(TTT_ERR_UNSUPPORTED, "oneDNN refuses the instruction set %s (status %d)", ttt_isa_name(isa),
                    (int)status);
}

static const char *effective_isa(ttt_isa isa)
{
    (void)limit(isa);
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "sse41";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx512_core: return "avx512_core";
    default: return "as it finds best";
    }
}

typedef struct panels {
    const ttt_multiply *m;
    bool by_rows;
    int64_t size; /* rows or columns of a panel */
} panels;

static void multiply_panel(void *context, int64_t panel, int thread)
{
    (void)thread;
    const panels *p = context;
    const ttt_multiply *m = p->m;
    const int64_t start = panel * p->size, left = (p->by_rows ? m->rows : m->columns) - start;
    const int64_t size = left < p->size ? left : p->size;
    const int64_t row = p->by_rows ? start : 0, column = p->by_rows ? 0 : start;
    const float *a = m->a + (m->a_transposed ? row : row * m->depth);
    const float *w = m->w + (m->w_transposed ? column * m->depth : column);
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1); /* of this thread's later regions, oneDNN's; put back below */
    dnnl_sgemm(m->a_transposed ? 'T' : 'N', m->w_transposed ? 'T' : 'N', p->by_rows ? size : m->rows,
               p->by_rows ? m->columns : size, m->depth, 1, a, m->a_transposed ? m->rows : m->depth, w,
               m->w_transposed ? m->depth : m->columns, m->accumulate ? 1 : 0, m->y + row * m->columns + column,
               m->columns);
    omp_set_num_threads(threads);
}

static void multiply(const ttt_backend *b, const ttt_multiply *m)
{
    enum { MOST = 16, LEAST = 192 }; /* panels: so many serve enough threads; a narrower one is less efficient */
    panels p = {.m = m, .by_rows = m->rows > m->columns};
    const int64_t length = p.by_rows ? m->rows : m->columns;
    int64_t count = 1; /* a power of two, so that two or four threads have the same to do */
    while (count < MOST && length / count >= 2 * LEAST) count *= 2;
    p.size = (length + count - 1) / count;
    const int64_t worth = 1 << 16;
    ttt_parallel(m->rows * m->columns * m->depth < worth ? NULL : ttt_pool_of(b), (length + p.size - 1) / p.size,
                 multiply_panel, &p);
}

/* With AVX-512 and a transposed first operand, dnnl_sgemm of oneDNN 2.6 keeps values below the stack pointer, beyond
 * the 128 bytes that a signal handler of the host program leaves alone: after it, wrong addresses are written to. The
 * pool's threads take no signals; this one takes them later. */
static void run(const ttt_backend *b, const ttt_multiply *m)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    multiply(b, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

const ttt_products ttt_products_onednn = {.name = "oneDNN " VERSION, .isa = effective_isa, .init = init, .run = run};
