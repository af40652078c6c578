/* SPDX-License-Identifier: MIT
 *
 * Names of precisions.
 */
#include "tensor/precision.h"

#include <string.h>

static const char *const names[TTT_PRECISION_COUNT] = {"f32", "bf16", "q8", "q4"};

const char *ttt_precision_name(ttt_precision precision) { return names[precision]; }

ttt_status ttt_precision_read(ttt_precision *precision, const char *name, ttt_precision preferred)
{
    *precision = preferred;
    if (!name || strcmp(name, "auto") == 0) return TTT_OK;
    for (int i = 0; i < TTT_PRECISION_COUNT; i++) {
        *precision = (ttt_precision)i;
        if (strcmp(names[i], name) == 0) return TTT_OK;
    }
    return ttt_fail(TTT_ERR_ARGUMENT, "precision \"%s\" is not known; there are auto, f32, bf16, q8 and q4", name);
}
