/* SPDX-License-Identifier: MIT */
#include "train/shares.h"

#include <math.h>

#include "base/alloc.h"

/* The first element of a block's parameters. */
static int64_t block_start(const ttt_stack *stack, int64_t block)
{
    const int64_t slot = stack->blocks[block].parts[0].norm_slot;
    const int64_t end = block + 1 < stack->block_count ? stack->blocks[block + 1].parts[0].norm_slot : stack->embedding;
    int64_t first = stack->params.size;
    for (int64_t i = 0; i < stack->params.count; i++) {
        const ttt_param_spec *spec = &stack->params.specs[i];
        if (spec->slot >= slot && spec->slot < end && spec->offset < first) first = spec->offset;
    }
    return first;
}

/* Cuts parts [first, end) off. */
static void add_bucket(ttt_shares *s, int64_t block, int64_t first, int64_t end)
{
    const ttt_backend *b = s->optimizer->lm->backend;
    const int64_t size = s->optimizer->params->size;
    int64_t own_first = first, own_end = end;
    if (first >= end) return;
    ttt_comm_share(ttt_comm_rank(s->comm), ttt_comm_size(s->comm), &own_first, &own_end);
    ttt_bucket *bucket = &s->buckets[s->count++];
    *bucket = (ttt_bucket){.block = block,
                           .first = first * s->part,
                           .end = end < s->part_count ? end * s->part : size,
                           .own_first = own_first * s->part,
                           .job = {.bytes = (size_t)size * b->real,
                                   .part = (size_t)s->part * b->real,
                                   .first = first,
                                   .end = end,
                                   .dtype = b->dtype}};
    bucket->own = own_first < own_end ? (own_end < s->part_count ? own_end * s->part : size) - bucket->own_first : 0;
}

ttt_status ttt_shares_init(ttt_shares *s, ttt_comm *comm, ttt_optimizer *optimizer, ttt_leaves *leaves)
{
    const ttt_stack *stack = &optimizer->lm->stack;
    *s = (ttt_shares){.comm = comm, .optimizer = optimizer, .leaves = leaves};
    s->part = ttt_sum_part(optimizer->lm->backend, stack->params.size);
    s->part_count = (stack->params.size + s->part - 1) / s->part;
    s->sums = ttt_alloc(1 + (size_t)s->part_count, sizeof *s->sums);
    s->buckets = ttt_alloc(1 + (size_t)stack->block_count, sizeof *s->buckets);
    if (!s->sums || !s->buckets) {
        ttt_shares_deinit(s);
        return TTT_ERR_MEMORY;
    }
    int64_t end = s->part_count;
    for (int64_t i = stack->block_count - 1; i >= 0 && comm; i--) {
        const int64_t first = (block_start(stack, i) + s->part - 1) / s->part;
        add_bucket(s, i, first, end);
        if (first < end) end = first;
    }
    add_bucket(s, -1, 0, end);
    return TTT_OK;
}

void ttt_shares_deinit(ttt_shares *s)
{
    ttt_free(s->sums);
    ttt_free(s->buckets);
    *s = (ttt_shares){0};
}

void ttt_shares_reach(ttt_shares *s, int64_t block)
{
    for (; s->begun < s->count && s->buckets[s->begun].block >= block; s->begun++) {
        ttt_bucket *bucket = &s->buckets[s->begun];
        ttt_leaves_join(s->leaves, bucket->first, bucket->end);
        bucket->job.block = s->leaves->blocks[0];
        if (s->comm) ttt_comm_reduce(s->comm, &bucket->job);
    }
}

/* All jobs are waited for, whether they fail or not: their memory is ours. */
static ttt_status wait_for_all(const ttt_shares *s)
{
    ttt_status status = TTT_OK;
    for (int64_t i = 0; i < s->count && s->comm; i++) {
        const ttt_status ended = ttt_comm_wait(s->comm, &s->buckets[i].job);
        if (status == TTT_OK) status = ended;
    }
    return status;
}

ttt_status ttt_shares_finish(ttt_shares *s, double *loss, double *norm)
{
    const ttt_optimizer *o = s->optimizer;
    const ttt_backend *b = o->lm->backend;
    s->begun = 0;
    TTT_TRY(wait_for_all(s));
    for (int64_t i = 0; i <= s->part_count; i++) s->sums[i] = 0;
    s->sums[0] = *loss;
    for (int64_t i = 0; i < s->count; i++) {
        const ttt_bucket *own = &s->buckets[i];
        if (own->own > 0)
            b->ops->sum_squares(b, s->sums + 1 + own->own_first / s->part, ttt_at(b, o->grads, own->own_first),
                                own->own, s->part);
    }
    TTT_TRY(ttt_comm_sum(s->comm, s->sums, 1 + (size_t)s->part_count)); /* of each part all but one rank have 0 */
    double total = 0;
    for (int64_t i = 1; i <= s->part_count; i++) total += s->sums[i];
    *loss = s->sums[0];
    *norm = sqrt(total);
    return TTT_OK;
}

/* One job for each bucket of a block. */
static ttt_status for_all(const ttt_shares *s, char *block, void (*begin)(ttt_comm *comm, ttt_comm_job *job))
{
    for (int64_t i = 0; i < s->count && s->comm; i++) {
        s->buckets[i].job.block = block;
        begin(s->comm, &s->buckets[i].job);
    }
    return wait_for_all(s);
}

ttt_status ttt_shares_update(ttt_shares *s, ttt_adamw options, double norm, double clip)
{
    for (int64_t i = 0; i < s->count; i++) {
        const ttt_bucket *own = &s->buckets[i];
        if (own->own > 0)
            ttt_optimizer_update(s->optimizer, options, norm, clip, own->own_first, own->own_first + own->own);
    }
    s->optimizer->stale = true;
    return for_all(s, s->optimizer->values, ttt_comm_spread);
}

ttt_status ttt_shares_collect(const ttt_shares *s)
{
    TTT_TRY(for_all(s, s->optimizer->m, ttt_comm_collect));
    return for_all(s, s->optimizer->v, ttt_comm_collect);
}

ttt_status ttt_shares_deal(const ttt_shares *s)
{
    ttt_optimizer *o = s->optimizer;
    o->stale = true;
    TTT_TRY(ttt_comm_broadcast(s->comm, o->values, (size_t)o->params->size * o->lm->backend->real));
    TTT_TRY(for_all(s, o->m, ttt_comm_deal));
    return for_all(s, o->v, ttt_comm_deal);
}
