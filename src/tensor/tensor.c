/* SPDX-License-Identifier: MIT
 *
 * Small questions about shapes; see tensor.h.
 */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>

int64_t ttt_tensor_count(const ttt_tensor *tensor)
{
    int64_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
    return count;
}

const char *ttt_shape_print(char *text, const int64_t *shape, int rank)
{
    int used = snprintf(text, TTT_SHAPE_TEXT, "[");
    for (int i = 0; i < rank; i++)
        used += snprintf(text + used, (size_t)(TTT_SHAPE_TEXT - used), "%s%" PRId64, i ? ", " : "", shape[i]);
    snprintf(text + used, (size_t)(TTT_SHAPE_TEXT - used), "]");
    return text;
}

bool ttt_shape_equal(const int64_t *a, int a_rank, const int64_t *b, int b_rank)
{
    if (a_rank != b_rank) return false;
    for (int i = 0; i < a_rank; i++)
        if (a[i] != b[i]) return false;
    return true;
}
