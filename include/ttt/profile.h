/* SPDX-License-Identifier: MIT
 *
 * What the operations of a computation took: one row an operation, in the order of the table of operations.
 */
#ifndef TTT_PROFILE_H
#define TTT_PROFILE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ttt_profile_row {
    const char *operation; /* "linear", "rmsnorm_backward", "learner_mlp.forward" */
    int64_t calls;
    double seconds;
    double flops; /* of the operation's formula; a multiply-add counts two, a function such as exp one */
    double bytes; /* of its operands, each read or written once; scratch is not counted */
} ttt_profile_row;

/* Rows, and the seconds of the whole that they are part of. */
typedef struct ttt_profile {
    const ttt_profile_row *rows; /* with calls 0 for what was not called */
    size_t count;
    double seconds;
} ttt_profile;

#ifdef __cplusplus
}
#endif
#endif
