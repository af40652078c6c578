/* SPDX-License-Identifier: MIT
 *
 * What a piece of work asks of a machine at least, to hold a measured time against with what the machine can do at most
 * (ttt_limits).
 * `ttt bench` is made of these.
 */
#ifndef TTT_BENCH_H
#define TTT_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <ttt/machine.h>
#include <ttt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of work. Operations are those that the algorithm asks for, a multiply-add being two: what
 * is computed again to save memory does not count, nor does what is done element by element. */
typedef struct ttt_work {
    double products; /* operations of products with weight matrices */
    double others;   /* operations of everything else: learners, attention, convolutions; always in f32 */
    double bytes;    /* to and from memory, if nothing but the weights and the state is too large for the caches */
} ttt_work;

/* One call of ttt_context_advance with `tokens` tokens of one sequence that has read `position` others, and the logits
 * of the last. */
TTT_API void ttt_work_inference(ttt_work *work, const ttt_model *model, int64_t position, int64_t tokens);

/* Bytes that the state of a sequence takes once it has read `tokens` tokens; what grows is allocated in larger steps.
 */
TTT_API double ttt_model_state_bytes(const ttt_model *model, int64_t tokens);

/* One update: forward, backward, clipping and AdamW of `sequences` sequences of `context` tokens. The configuration has
 * been checked. */
TTT_API TTT_NODISCARD ttt_status ttt_work_training(ttt_work *work, const ttt_config *config, int64_t context,
                                                   int64_t sequences);

/* The least time this work can take, in seconds: that of its operations or of its bytes, whichever is longer; the
 * products at the rate of what multiplies them: of the processor's own products of bf16 in `precision` "bf16" where it
 * has them, of bytes in "q8" and "q4", else of FMAs. *memory_bound (not NULL) tells which it was. */
TTT_API double ttt_work_seconds(const ttt_work *work, const ttt_limits *limits, const char *precision,
                                bool *memory_bound);

/* One operation of a backend, timed alone. */
typedef struct ttt_op_time {
    const char *operation; /* as in the table of operations, and what it is called for */
    const char *shape;     /* such as "1024 x 768"; of a product rows x outputs x inputs */
    const char *precision;
    double seconds; /* of a call: the median */
    ttt_work work;  /* as ttt_profile_row counts it: every operand comes from memory once */
    double dual;    /* of a learner in its primal form: how many times as long as in the dual form, in which models are
                       computed, it takes; else 0 */
} ttt_op_time;

typedef struct ttt_op_options {
    const char *backend; /* as in ttt_model_options */
    int threads;
    int64_t tokens; /* of a training step; prefill takes fewer at a time */
} ttt_op_options;

/* Times every operation at the shapes of a configuration, each in every precision that it has, and calls `report` for
 * each; the strings are valid until it returns. */
TTT_API TTT_NODISCARD ttt_status ttt_time_ops(const ttt_config *config, const ttt_op_options *options,
                                              void (*report)(void *context, const ttt_op_time *time), void *context);

#ifdef __cplusplus
}
#endif
#endif
