/* SPDX-License-Identifier: MIT
 *
 * What one thread computes with: a backend with its threads, and the memory of a pass.
 */
#ifndef TTT_MODEL_CONTEXT_H
#define TTT_MODEL_CONTEXT_H

#include <stdatomic.h>
#include <sys/types.h>

#include "model/state.h"

struct ttt_context {
    const ttt_model *model;
    ttt_backend *backend;
    ttt_workspace workspace;
    atomic_bool busy; /* a call is in it */
    pid_t process;    /* that made it, and has the backend's threads */
};

enum { TTT_ADVANCE_ROWS = TTT_RUN_ROWS }; /* rows that go through the model together in inference */

/* How ttt_context_advance is done when more is wanted of it. */
typedef struct ttt_advance_options {
    ttt_dtype dtype;            /* of logits */
    void *const *logits;        /* [count]: where those of each feed go, instead of feeds[].logits */
    const ttt_trace *trace;     /* NULL: none */
    ttt_inspection *inspection; /* NULL: none; then every feed is one run: at most TTT_ADVANCE_ROWS tokens in all */
} ttt_advance_options;

TTT_NODISCARD ttt_status ttt_context_advance_as(ttt_context *context, const ttt_feed *feeds, int64_t count,
                                                const ttt_advance_options *options);

#endif
