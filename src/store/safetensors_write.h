/* SPDX-License-Identifier: MIT
 *
 * A safetensors file that is written and on disk, but not yet under its name, such as one of several that belong
 * together; and one in memory.
 */
#ifndef TTT_STORE_SAFETENSORS_WRITE_H
#define TTT_STORE_SAFETENSORS_WRITE_H

#include "base/digest.h"
#include "base/file.h"
#include "store/safetensors.h"

/* As ttt_safetensors_save; the file is finished and waits for ttt_writer_commit. What is written is added to `digest`
 * (NULL allowed). On failure *writer is NULL. */
TTT_NODISCARD ttt_status ttt_safetensors_write(ttt_writer **writer, const char *path, const ttt_tensor_out *tensors,
                                               int64_t count, const char *const *metadata, ttt_digest *digest);

/* The same bytes, appended to `buffer`; `where` names them in sentences. */
TTT_NODISCARD ttt_status ttt_safetensors_print(ttt_buffer *buffer, const char *where, const ttt_tensor_out *tensors,
                                               int64_t count, const char *const *metadata);

#endif
