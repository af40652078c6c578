/* SPDX-License-Identifier: MIT
 *
 * A digest of bytes, for telling whether two things are the same: two XXH3 hashes of 128 bits each, with different
 * seeds. It guards against accidents, at the speed of memory; not against an adversary.
 */
#ifndef TTT_BASE_DIGEST_H
#define TTT_BASE_DIGEST_H

#include <stddef.h>

#include "base/error.h"

enum { TTT_DIGEST_TEXT = 65 }; /* 64 hexadecimal digits and the end */

typedef struct ttt_digest ttt_digest;

/* A digest of nothing yet. Free with ttt_digest_free; NULL is allowed there. */
TTT_NODISCARD ttt_status ttt_digest_new(ttt_digest **digest);
void ttt_digest_free(ttt_digest *digest);

void ttt_digest_add(ttt_digest *digest, const void *bytes, size_t count);

/* That of all that was added so far, as hexadecimal digits. */
void ttt_digest_print(const ttt_digest *digest, char text[TTT_DIGEST_TEXT]);

#endif
