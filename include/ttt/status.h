/* SPDX-License-Identifier: MIT
 *
 * How every function of libttt reports failure: a code to act on, and one sentence for a person that
 * says what went wrong, where, and what to do about it. The library never prints and never exits.
 */
#ifndef TTT_STATUS_H
#define TTT_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TTT_API       __attribute__((visibility("default")))
#define TTT_NODISCARD __attribute__((warn_unused_result))
#else
#define TTT_API
#define TTT_NODISCARD
#endif

#define TTT_STATUS_MAP(X)                                                                                              \
    X(TTT_OK, "success")                                                                                               \
    X(TTT_ERR_MEMORY, "out of memory")                                                                                 \
    X(TTT_ERR_IO, "input or output failed")                                                                            \
    X(TTT_ERR_FORMAT, "malformed input")                                                                               \
    X(TTT_ERR_UNSUPPORTED, "not supported")                                                                            \
    X(TTT_ERR_ARGUMENT, "invalid argument")                                                                            \
    X(TTT_ERR_NUMERIC, "not a number")                                                                                 \
    X(TTT_ERR_INTERRUPTED, "interrupted")

typedef enum ttt_status {
#define TTT_STATUS_ENUM(code, text) code,
    TTT_STATUS_MAP(TTT_STATUS_ENUM)
#undef TTT_STATUS_ENUM
} ttt_status;

/* The general meaning of a code, e.g. "malformed input". Never NULL; static storage. */
TTT_API const char *ttt_status_text(ttt_status status);

/* The sentence of this thread's most recent failure, without a final full stop or newline. Empty before the
 * first failure. Valid until this thread's next failure. */
TTT_API const char *ttt_error_detail(void);

/* Releases a text that a function of the library made for its caller. NULL is allowed. */
TTT_API void ttt_string_free(char *text);

#ifdef __cplusplus
}
#endif
#endif
