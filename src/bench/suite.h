/* SPDX-License-Identifier: MIT
 *
 * The timing of single operations: what its parts share. A part makes operands, says in `run` how the operation is
 * called with them, and has it timed. When memory is short the suite has `failed` and nothing runs any more.
 */
#ifndef TTT_BENCH_SUITE_H
#define TTT_BENCH_SUITE_H

#include <ttt/bench.h>

#include "backend/backend.h"
#include "model/lm.h"

enum { TTT_SUITE_BLOCKS = 48, TTT_SUITE_OPERANDS = 10, TTT_SUITE_GROUP = 8 /* of learners: training's default */ };

typedef struct ttt_suite ttt_suite;
struct ttt_suite {
    ttt_lm lm;
    ttt_backend *b; /* its own, timed: backend/timed.h */
    void (*report)(void *context, const ttt_op_time *time);
    void *context;
    int64_t R, C, F, H, V, K, W; /* tokens; the rest as in backend.h */
    int64_t parameters;
    int32_t *ids;        /* [R], below V */
    double *frequencies; /* [D/2], of rotate_at */

    void (*run)(ttt_suite *s);
    void (*prepare)(ttt_suite *s); /* NULL, or what has to be done before every run */
    void *x[TTT_SUITE_OPERANDS];   /* operands */
    ttt_param w;                   /* of a product */
    int64_t rows;
    ttt_run sequence; /* all rows */
    ttt_learner_call call;
    const ttt_learner_ops *learner;
    ttt_work work;  /* of the operation timed last, */
    double seconds; /* and what it takes */
    bool primal;    /* it is the one before in the primal form, of which nothing is counted */
    ttt_attention attention;
    ttt_delta_call delta;
    ttt_scan scan;
    ttt_scan_gradients dscan;

    void *blocks[TTT_SUITE_BLOCKS];
    int block_count;
    bool failed;
};

/* Random numbers, kept until ttt_suite_release; NULL when memory is short. */
void *ttt_suite_reals(ttt_suite *s, int64_t count);
void ttt_suite_release(ttt_suite *s);

/* Times s->run and reports it. `product`: what it computes is done in `precision`, else in f32. */
void ttt_suite_time(ttt_suite *s, const char *name, const char *shape, ttt_precision precision, bool product);

void ttt_suite_products(ttt_suite *s);
void ttt_suite_learners(ttt_suite *s);
void ttt_suite_delta(ttt_suite *s, const ttt_config *config);
void ttt_suite_scan(ttt_suite *s, const ttt_config *config);
void ttt_suite_attention(ttt_suite *s, const ttt_config *config);
void ttt_suite_rest(ttt_suite *s);

#endif
