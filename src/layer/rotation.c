/* SPDX-License-Identifier: MIT */
#include "layer/rotation.h"

#include "base/alloc.h"
#include "base/elementary.h"
#include "base/float_env.h"

/* The angle of position t mod K, pair i, is (t mod K) theta^(-2i/D). */
static void fill(double *table, const ttt_rotation *r)
{
    const int64_t D = r->head_size;
    for (int64_t t = 0; t < r->period; t++) {
        for (int64_t i = 0; i < D / 2; i++) {
            const double angle = (double)t * ttt_pow(r->theta, -2 * (double)i / (double)D);
            ttt_sincos(angle, &table[t * D + 2 * i + 1], &table[t * D + 2 * i]);
        }
    }
}

void ttt_rotation_frequencies(double *frequencies, int64_t head_size, double theta)
{
    const uint64_t host = ttt_float_begin();
    for (int64_t i = 0; i < head_size / 2; i++) frequencies[i] = ttt_pow(theta, -2 * (double)i / (double)head_size);
    ttt_float_end(host);
}

static ttt_status make(ttt_rotation *r, const ttt_backend *backend)
{
    const int64_t count = r->period * r->head_size;
    double *table = ttt_alloc((size_t)count, sizeof *table);
    r->table = backend->ops->alloc(backend, count, backend->real);
    const ttt_status status = table && r->table ? TTT_OK : TTT_ERR_MEMORY;
    if (status == TTT_OK) {
        const uint64_t host = ttt_float_begin();
        fill(table, r);
        ttt_float_end(host);
        backend->ops->from(backend, r->table, table, TTT_F64, count);
    } else {
        backend->ops->free(backend, r->table);
    }
    ttt_free(table);
    return status;
}

ttt_status ttt_rotations_find(ttt_rotations *rotations, const ttt_backend *backend, int64_t period, int64_t head_size,
                              double theta, const void **table)
{
    for (int64_t i = 0; i < rotations->count; i++) {
        const ttt_rotation *r = &rotations->list[i];
        if (r->period != period || r->head_size != head_size || r->theta != theta) continue;
        *table = r->table;
        return TTT_OK;
    }
    ttt_rotation *list = ttt_realloc(rotations->list, (size_t)rotations->count + 1, sizeof *list);
    if (!list) return TTT_ERR_MEMORY;
    rotations->list = list;
    ttt_rotation *made = &list[rotations->count];
    *made = (ttt_rotation){.period = period, .head_size = head_size, .theta = theta};
    TTT_TRY(make(made, backend));
    rotations->count++;
    *table = made->table;
    return TTT_OK;
}

void ttt_rotations_deinit(ttt_rotations *rotations, const ttt_backend *backend)
{
    for (int64_t i = 0; i < rotations->count; i++) backend->ops->free(backend, rotations->list[i].table);
    ttt_free(rotations->list);
    *rotations = (ttt_rotations){0};
}
