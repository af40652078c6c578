/* SPDX-License-Identifier: MIT
 *
 * A layer without a language model around it: a causal map x [B,T,C] -> y [B,T,C] with a state (any T, any split of a
 * sequence into calls), forward, backward and advance. Arrays are floats, dense and row-major; what it computes with is
 * the backend's.
 *
 * Threads: a layer and its states are used by one thread at a time; different layers are independent. After fork the
 * child may only free them.
 */
#ifndef TTT_BARE_LAYER_H
#define TTT_BARE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ttt/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_bare_layer ttt_bare_layer;

typedef struct ttt_bare_layer_options {
    int64_t group;       /* backward recomputes the learner's weights from every group-th tile */
    const char *backend; /* "ref", "cpu", "auto" or NULL (auto) */
    int threads;         /* 0: TTT_THREADS if set, else one per processor */
} ttt_bare_layer_options;

/* Group 8, backend and threads by themselves. */
TTT_API void ttt_bare_layer_options_init(ttt_bare_layer_options *options);

/* The layer called `name` ("ttt_linear", "ttt_mlp", "conv", "ffn": a part of a block as a configuration's `layers` has
 * it) with the first parameters of training, a pure function of `seed`. Of the configuration it takes what concerns it:
 * hidden_size (C), num_attention_heads, mini_batch_size, use_gate, ...; vocabulary and number of layers do not matter.
 * `options` NULL: those of ttt_bare_layer_options_init. Free with ttt_bare_layer_free; NULL is allowed there. */
TTT_API TTT_NODISCARD ttt_status ttt_bare_layer_new(ttt_bare_layer **layer, const char *name, const ttt_config *config,
                                                    const ttt_bare_layer_options *options, uint64_t seed);
TTT_API void ttt_bare_layer_free(ttt_bare_layer *layer);

/* Parameters, under ttt-lm-pytorch's names ("q_proj.weight", "W1", ...): 0 <= index < count. *elements is their number.
 */
TTT_API int64_t ttt_bare_layer_param_count(const ttt_bare_layer *layer);
TTT_API const char *ttt_bare_layer_param_name(const ttt_bare_layer *layer, int64_t index, int64_t *elements);
TTT_API void ttt_bare_layer_get(const ttt_bare_layer *layer, int64_t index, float *values);
TTT_API void ttt_bare_layer_set(ttt_bare_layer *layer, int64_t index, const float *values);
TTT_API void ttt_bare_layer_get_gradient(const ttt_bare_layer *layer, int64_t index, float *values);
TTT_API void ttt_bare_layer_zero_gradients(ttt_bare_layer *layer);

/* What the layer knows of `count` sequences, side by side: their states and positions. That of attention grows with
 * every token, whatever its window. Free with ttt_bare_state_free;
 * NULL is allowed there. A state of another layer, or of another number of sequences than a call needs, is
 * TTT_ERR_ARGUMENT. */
typedef struct ttt_bare_state ttt_bare_state;
TTT_API TTT_NODISCARD ttt_status ttt_bare_state_new(ttt_bare_state **state, const ttt_bare_layer *layer, int64_t count);
TTT_API void ttt_bare_state_free(ttt_bare_state *state);
/* As new: nothing read, with the layer's present parameters. A gradient of a state becomes zero. */
TTT_API void ttt_bare_state_reset(ttt_bare_state *state);
TTT_API TTT_NODISCARD ttt_status ttt_bare_state_copy(ttt_bare_state *state, const ttt_bare_state *other);
/* A state that holds gradients, all zero. */
TTT_API TTT_NODISCARD ttt_status ttt_bare_state_new_gradient(ttt_bare_state **gradient, const ttt_bare_layer *layer,
                                                             int64_t count);

/* y [B,T,C] = layer(x [B,T,C]) for the B sequences of `state`, which moves from the initial to the final one. Nothing
 * is kept for a backward. */
TTT_API TTT_NODISCARD ttt_status ttt_bare_layer_advance(ttt_bare_layer *layer, ttt_bare_state *state, const float *x,
                                                        int64_t T, float *y);

/* The same, keeping what ttt_bare_layer_backward needs until the next call of forward. `state` must live until that
 * backward is done, and may move on meanwhile. */
TTT_API TTT_NODISCARD ttt_status ttt_bare_layer_forward(ttt_bare_layer *layer, ttt_bare_state *state, const float *x,
                                                        int64_t T, float *y);

/* Backward of the last forward: from dy [B,T,C] and the gradient of the final state to dx [B,T,C] and the gradient of
 * the initial state
 * (`dstate` in place; zero it for the last segment of a sequence). Parameter gradients are added to. When the initial
 * state was a fresh one, call ttt_bare_layer_reset_backward after it, for the gradient of the learner's first weights.
 */
TTT_API TTT_NODISCARD ttt_status ttt_bare_layer_backward(ttt_bare_layer *layer, ttt_bare_state *dstate, const float *dy,
                                                         float *dx);
TTT_API TTT_NODISCARD ttt_status ttt_bare_layer_reset_backward(ttt_bare_layer *layer, const ttt_bare_state *dstate);

#ifdef __cplusplus
}
#endif
#endif
