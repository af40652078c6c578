/* SPDX-License-Identifier: MIT
 *
 * The safetensors format: a mapped file, or a model folder (model.safetensors, or shards under
 * model.safetensors.index.json), seen as one list of tensors; and files written whole or not at all. Files are hostile
 * until checked: after a successful open every name, shape and byte range is sound. Values are not looked at.
 */
#ifndef TTT_STORE_SAFETENSORS_H
#define TTT_STORE_SAFETENSORS_H

#include <stdbool.h>

#include "tensor/tensor.h"

typedef struct ttt_safetensors ttt_safetensors;

/* Opens a file, or the model file or shards of a folder. Close with ttt_safetensors_close. */
TTT_NODISCARD ttt_status ttt_safetensors_open(ttt_safetensors **file, const char *path);

/* The same for the bytes of one file at hand, which must outlive the result; `where` names them in sentences. */
TTT_NODISCARD ttt_status ttt_safetensors_parse(ttt_safetensors **file, const void *bytes, size_t size,
                                               const char *where);

/* NULL is allowed. Tensors and metadata that came from the file are invalid afterwards. */
void ttt_safetensors_close(ttt_safetensors *file);

/* The tensors in ascending order (strcmp) of their names, as one array; 0 <= index < count. */
int64_t ttt_safetensors_count(const ttt_safetensors *file);
const ttt_tensor *ttt_safetensors_at(const ttt_safetensors *file, int64_t index);

/* NULL if no tensor has this name. */
const ttt_tensor *ttt_safetensors_find(const ttt_safetensors *file, const char *name);

/* The value of a key of __metadata__ (for shards: of the first that has it), or NULL. */
const char *ttt_safetensors_metadata(const ttt_safetensors *file, const char *key);

/* Who follows a long writing; anything but TTT_OK ends it. `done` counts on. */
typedef struct ttt_write_watch {
    ttt_status (*progress)(void *context, int64_t done, int64_t total);
    void *context;
    int64_t done, total;
} ttt_write_watch;

/* One tensor to write. */
typedef struct ttt_tensor_out ttt_tensor_out;
struct ttt_tensor_out {
    ttt_tensor tensor; /* name and shape as written; type and bytes as they lie in memory */
    ttt_dtype dtype;   /* type to write: tensor.dtype itself, or both are floating */
    bool transposed;   /* memory holds the matrix [shape[0], last of shape] (all between are 1) column by column */
    ttt_status (*make)(const ttt_tensor_out *out, void *bytes); /* NULL, or makes tensor.bytes when they are written */
    const void *context;                                        /* for make */
    ttt_write_watch *watch; /* is told before the tensor is written; NULL: nobody is */
};

/* Writes one file in the canonical order (type descending, then name). `metadata`: key, value, key, value, ..., NULL;
 * NULL for none. The data begins at a multiple of 64 bytes. Two tensors of one name are
 * TTT_ERR_ARGUMENT; a value that becomes infinite in F16 is TTT_ERR_NUMERIC. */
TTT_NODISCARD ttt_status ttt_safetensors_save(const char *path, const ttt_tensor_out *tensors, int64_t count,
                                              const char *const *metadata);

#define TTT_SAVE_KEY "ttt_save" /* in the metadata of shards and of their index: which save they are of */
enum { TTT_SHARD_GIGABYTES = 4 };
#define TTT_SHARD_BYTES ((size_t)TTT_SHARD_GIGABYTES * 1000 * 1000 * 1000)

/* Writes FOLDER/model.safetensors, or shards of at most `shard_bytes` of data each and their index when all tensors
 * together need more (a tensor is never split). Metadata is {"format": "pt"}, which transformers asks for; shards and
 * index also carry the save they are of, a digest of what all shards hold, so that a reader tells a folder in which
 * shards of two saves stand side by side. No file gets its name before all are on disk. What an earlier save left in
 * the folder under the other form is removed once the new files are complete. */
TTT_NODISCARD ttt_status ttt_safetensors_save_folder(const char *folder, const ttt_tensor_out *tensors, int64_t count,
                                                     size_t shard_bytes);

/* Whether `name` is that of a shard, of *shards in all. */
bool ttt_shard_name_parse(const char *name, int *shards);

#endif
