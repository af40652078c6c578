/* SPDX-License-Identifier: MIT
 *
 * Element types: every type a safetensors file can name, in the order of that format (ascending alignment), and the
 * conversions between the four floating types that weights come in. Arithmetic types only: the rest is carried as
 * bytes.
 */
#ifndef TTT_TENSOR_DTYPE_H
#define TTT_TENSOR_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* X(constant suffix and name in files, bits of one element) */
#define TTT_DTYPE_MAP(X)                                                                                               \
    X(BOOL, 8)                                                                                                         \
    X(F4, 4)                                                                                                           \
    X(F6_E2M3, 6)                                                                                                      \
    X(F6_E3M2, 6)                                                                                                      \
    X(U8, 8)                                                                                                           \
    X(I8, 8)                                                                                                           \
    X(F8_E5M2, 8)                                                                                                      \
    X(F8_E4M3, 8)                                                                                                      \
    X(F8_E8M0, 8)                                                                                                      \
    X(F8_E4M3FNUZ, 8)                                                                                                  \
    X(F8_E5M2FNUZ, 8)                                                                                                  \
    X(I16, 16)                                                                                                         \
    X(U16, 16)                                                                                                         \
    X(F16, 16)                                                                                                         \
    X(BF16, 16)                                                                                                        \
    X(I32, 32)                                                                                                         \
    X(U32, 32)                                                                                                         \
    X(F32, 32)                                                                                                         \
    X(C64, 64)                                                                                                         \
    X(F64, 64)                                                                                                         \
    X(I64, 64)                                                                                                         \
    X(U64, 64)

typedef enum ttt_dtype {
#define TTT_DTYPE_ENUM(name, bits) TTT_##name,
    TTT_DTYPE_MAP(TTT_DTYPE_ENUM)
#undef TTT_DTYPE_ENUM
        TTT_DTYPE_COUNT
} ttt_dtype;

/* The name in files, such as "BF16". */
const char *ttt_dtype_name(ttt_dtype dtype);

/* Bits and whole bytes of one element; the types narrower than a byte have 0 bytes. */
int ttt_dtype_bits(ttt_dtype dtype);
size_t ttt_dtype_bytes(ttt_dtype dtype);

/* False if no type has this name; *dtype is then untouched. */
bool ttt_dtype_find(ttt_dtype *dtype, const char *name);

/* F64, F32, BF16 or F16: the types ttt_dtype_convert takes. */
bool ttt_dtype_is_float(ttt_dtype dtype);

/* Converts `count` elements between any two floating types: rounded once, to nearest even; too large becomes infinite,
 * NaN stays NaN. Neither side need be aligned; they must not overlap. Both types are floating. */
void ttt_dtype_convert(void *to, ttt_dtype to_dtype, const void *from, ttt_dtype from_dtype, size_t count);

#endif
