/* SPDX-License-Identifier: MIT */
#include "layer/params.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

enum { ALIGNMENT = 16 }; /* reals */

int64_t ttt_param_elements(const ttt_param_spec *spec)
{
    int64_t elements = 1;
    for (int i = 0; i < spec->rank; i++) elements *= spec->shape[i];
    return elements;
}

static bool grow(ttt_params *params)
{
    if (params->count < params->capacity) return true;
    const int64_t capacity = params->capacity ? 2 * params->capacity : 64;
    ttt_param_spec *specs = ttt_realloc(params->specs, (size_t)capacity, sizeof *specs);
    if (!specs) {
        params->status = TTT_ERR_MEMORY;
        return false;
    }
    params->specs = specs;
    params->capacity = capacity;
    return true;
}

/* Adds to the sums, which stay at INT64_MAX once they would pass it. */
static void count(ttt_params *params, const ttt_param_spec *spec)
{
    int64_t elements = 1, size;
    bool overflow = false;
    for (int i = 0; i < spec->rank; i++) overflow |= __builtin_mul_overflow(elements, spec->shape[i], &elements);
    overflow |= elements > INT64_MAX - ALIGNMENT;
    size = overflow ? INT64_MAX : (elements + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (overflow || __builtin_add_overflow(params->elements, elements, &params->elements)) params->elements = INT64_MAX;
    if (__builtin_add_overflow(params->size, size, &params->size)) params->size = INT64_MAX;
}

void ttt_params_add(ttt_params *params, int64_t slot, const char *name, ttt_role role, ttt_first first,
                    const int64_t *shape)
{
    if (params->status != TTT_OK || !grow(params)) return;
    ttt_param_spec *spec = &params->specs[params->count++];
    *spec = (ttt_param_spec){.role = role, .first = first, .slot = params->first_slot + slot, .offset = params->size};
    snprintf(spec->name, sizeof spec->name, "%s%s", params->prefix, name);
    for (; shape[spec->rank]; spec->rank++) spec->shape[spec->rank] = shape[spec->rank];
    count(params, spec);
}

void ttt_params_deinit(ttt_params *params)
{
    ttt_free(params->specs);
    *params = (ttt_params){0};
}
