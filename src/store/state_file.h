/* SPDX-License-Identifier: MIT
 *
 * What those who read and those who write a state file must agree on: docs/FORMATS.md, "State files".
 */
#ifndef TTT_STORE_STATE_FILE_H
#define TTT_STORE_STATE_FILE_H

#include <ttt/state.h>

#include "base/digest.h"
#include "base/file.h"
#include "store/safetensors.h"

/* The file begins with its header's length and this, so the checksum lies where no parser is needed to find it. */
#define TTT_STATE_START "{\"__metadata__\":{\"checksum\":\""
enum {
    TTT_STATE_CHECKSUM_AT = sizeof(uint64_t) + sizeof TTT_STATE_START - 1,
    TTT_STATE_CHECKSUM = TTT_DIGEST_TEXT - 1,
    TTT_STATE_HASH = 32 /* hexadecimal digits of a hash of tokens */
};
#define TTT_STATE_TOKENS "tokens"

struct ttt_state_file {
    ttt_map map; /* empty when the caller owns the bytes */
    const char *where;
    char *path; /* what `where` points to, unless it is the caller's */
    ttt_safetensors *tensors;
    int32_t *tokens; /* aligned, unlike those in the file */
    int64_t pieces;
    ttt_state_info info;
};

/* The checksum of a state file of at least TTT_STATE_CHECKSUM_AT + TTT_STATE_CHECKSUM bytes: of all bytes, those of the
 * checksum itself taken as zeros ('0'). */
TTT_NODISCARD ttt_status ttt_state_checksum(char text[TTT_DIGEST_TEXT], const void *bytes, size_t size);

/* Whether a state may be called so: docs/FORMATS.md. */
bool ttt_state_name_is_good(const char *name);

/* One piece of a file; 0 <= index < file->pieces. */
const ttt_tensor *ttt_state_file_piece(const ttt_state_file *file, int64_t index);

#endif
