/* SPDX-License-Identifier: MIT
 *
 * The cpu backend: its table of operations, its memory operations, and how work is cut for threads.
 */
#include "cpu/cpu.h"

#include <string.h>

#include "base/threads.h"

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
    ttt_parallel(b->pool, (items + size - 1) / size, run_part, &p);
}

typedef struct conversion {
    char *target;
    const char *source;
    ttt_dtype target_dtype, source_dtype;
} conversion;

/* The usual case of loading, in a loop that is vectorised: a bf16 is the upper half of a float. */
static void widen_bf16(float *y, const char *source, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, source + 2 * i, sizeof half);
        const uint32_t bits = (uint32_t)half << 16;
        memcpy(y + i, &bits, sizeof bits);
    }
}

static void convert_part(void *context, int64_t begin, int64_t end)
{
    const conversion *c = context;
    if (c->target_dtype == TTT_F32 && c->source_dtype == TTT_BF16) {
        widen_bf16((float *)(void *)c->target + begin, c->source + 2 * begin, end - begin);
        return;
    }
    ttt_dtype_convert(c->target + (size_t)begin * ttt_dtype_bytes(c->target_dtype), c->target_dtype,
                      c->source + (size_t)begin * ttt_dtype_bytes(c->source_dtype), c->source_dtype,
                      (size_t)(end - begin));
}

static void from(const ttt_backend *b, void *reals, const void *source, ttt_dtype dtype, int64_t n)
{
    conversion c = {.target = reals, .source = source, .target_dtype = TTT_F32, .source_dtype = dtype};
    ttt_cpu_split(b, n, 1, convert_part, &c);
}

static void to(const ttt_backend *b, void *target, ttt_dtype dtype, const void *reals, int64_t n)
{
    conversion c = {.target = target, .source = reals, .target_dtype = dtype, .source_dtype = TTT_F32};
    ttt_cpu_split(b, n, 1, convert_part, &c);
}

typedef struct vectors {
    const ttt_kernels *kernels;
    float *y;
    const float *x;
} vectors;

static void zero_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    memset(v->y + begin, 0, (size_t)(end - begin) * sizeof(float));
}

static void copy_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    memcpy(v->y + begin, v->x + begin, (size_t)(end - begin) * sizeof(float));
}

static void add_part(void *context, int64_t begin, int64_t end)
{
    const vectors *v = context;
    v->kernels->add(v->y + begin, v->x + begin, end - begin);
}

static void zero(const ttt_backend *b, void *x, int64_t n)
{
    vectors v = {.y = x};
    ttt_cpu_split(b, n, 1, zero_part, &v);
}

static void copy(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    vectors v = {.y = y, .x = x};
    ttt_cpu_split(b, n, 1, copy_part, &v);
}

static void add(const ttt_backend *b, void *y, const void *x, int64_t n)
{
    vectors v = {.kernels = ttt_cpu_kernels(b), .y = y, .x = x};
    ttt_cpu_split(b, n, 1, add_part, &v);
}

ttt_status ttt_backend_init_cpu(ttt_backend *backend)
{
    ttt_isa isa;
    TTT_TRY(ttt_isa_choose(&isa));
    TTT_TRY(ttt_backend_reserve(backend, 2 * TTT_NORM_ROWS * sizeof(float)));
    TTT_TRY(ttt_multiply_init(backend, isa));
    ttt_ops *ops = &backend->table;
    *ops = (ttt_ops){.from = from,
                     .to = to,
                     .zero = zero,
                     .copy = copy,
                     .add = add,
                     .learner_linear = &ttt_cpu_learner_linear,
                     .learner_mlp = &ttt_cpu_learner_mlp};
    ttt_cpu_ops_product(ops);
    ttt_cpu_ops_norm(ops);
    ttt_cpu_ops_pointwise(ops);
    ttt_cpu_ops_sequence(ops);
    ttt_cpu_ops_optim(ops);
    backend->name = "cpu";
    backend->isa = ttt_isa_name(isa);
    backend->dtype = TTT_F32;
    backend->real = sizeof(float);
    backend->ops = ops;
    backend->isa = ttt_isa_name(isa);
    backend->kernels = ttt_kernels_of(isa);
    return TTT_OK;
}
