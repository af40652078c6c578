/* SPDX-License-Identifier: MIT
 *
 * Tables of cosines and sines by which queries and keys are rotated, MATH (rotate). Layers that rotate alike share one.
 */
#ifndef TTT_LAYER_ROTATION_H
#define TTT_LAYER_ROTATION_H

#include "backend/backend.h"

typedef struct ttt_rotation {
    int64_t period, head_size; /* K, D */
    double theta;
    void *table; /* [K, D/2, 2] reals: cos, sin */
} ttt_rotation;

typedef struct ttt_rotations {
    ttt_rotation *list; /* [count] */
    int64_t count;
} ttt_rotations;

/* MATH (rotate-at): theta^(-2i/D) of all pairs, frequencies [D/2]. */
void ttt_rotation_frequencies(double *frequencies, int64_t head_size, double theta);

/* The table of these numbers, made where there is none yet; it lives as long as `rotations`. */
TTT_NODISCARD ttt_status ttt_rotations_find(ttt_rotations *rotations, const ttt_backend *backend, int64_t period,
                                            int64_t head_size, double theta, const void **table);
void ttt_rotations_deinit(ttt_rotations *rotations, const ttt_backend *backend);

#endif
