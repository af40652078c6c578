/* SPDX-License-Identifier: MIT
 *
 * Texts that were packed by zstd or gzip: recognised by their first bytes, whatever the file is called.
 */
#ifndef TTT_DATA_UNPACK_H
#define TTT_DATA_UNPACK_H

#include "base/buffer.h"

typedef enum ttt_packing { TTT_PACKING_NONE, TTT_PACKING_ZSTD, TTT_PACKING_GZIP } ttt_packing;

ttt_packing ttt_packing_of(const char *bytes, size_t size);

/* Appends what `file` holds unpacked; errors name `path`. Takes the memory of the window beside that of the result: of
 * gzip 32 KiB, of zstd what the file asks for, usually at most 8 MiB, 2 GiB after zstd --long=31. */
TTT_NODISCARD ttt_status ttt_unpack(ttt_buffer *out, const ttt_buffer *file, ttt_packing packing, const char *path);

#endif
