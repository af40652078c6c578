/* SPDX-License-Identifier: MIT
 *
 * The tensors of a model folder: one file, or shards and their index. A reader prefers model.safetensors, so that
 * changing from one form, or number of shards, to another leaves the old or the new model readable at every moment.
 * When shards replace shards of the same names there are moments, or a folder for good if the writer is killed in them,
 * in which some are old and some new: shards and index say which save they are of, and readers refuse such a mix.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "store/safetensors_write.h"

enum { SHARD_NAME = 64 };

/* The key of the save stands first in a shard's metadata, so that its place in the file is known. */
#define SAVE_BEFORE "{\"__metadata__\":{\"" TTT_SAVE_KEY "\":\""
enum { SAVE_AT = 8 + sizeof SAVE_BEFORE - 1 };

typedef struct shards {
    const char *folder;
    ttt_writer **writers; /* `count`, NULL where none is open */
    int count;
    json_t *weight_map;
    ttt_digest *digest;
    char save[TTT_DIGEST_TEXT];
} shards;

static const char *shard_name(char *name, int shard, int count)
{
    snprintf(name, SHARD_NAME, "model-%05d-of-%05d.safetensors", shard + 1, count);
    return name;
}

bool ttt_shard_name_parse(const char *name, int *count)
{
    int shard, end = 0;
    return sscanf(name, "model-%5d-of-%5d.safetensors%n", &shard, count, &end) == 2 && end && !name[end];
}

static size_t written_bytes(const ttt_tensor_out *out)
{
    return (size_t)ttt_tensor_count(&out->tensor) * ttt_dtype_bytes(out->dtype);
}

/* The end of the shard that begins at tensor `begin`: as many as fit, and at least one. */
static int64_t shard_end(const ttt_tensor_out *tensors, int64_t count, int64_t begin, size_t limit)
{
    size_t bytes = written_bytes(&tensors[begin]);
    int64_t end = begin + 1;
    while (end < count && bytes + written_bytes(&tensors[end]) <= limit) bytes += written_bytes(&tensors[end++]);
    return end;
}

static ttt_status remove_file(const char *folder, const char *name)
{
    char *path = ttt_path_join(folder, name);
    const ttt_status status = path ? ttt_file_remove(path) : TTT_ERR_MEMORY;
    ttt_free(path);
    return status;
}

typedef struct old_shards {
    const char *folder;
    int kept; /* the number of shards of the save that stays */
} old_shards;

static ttt_status remove_old_shard(void *context, const char *name)
{
    const old_shards *old = context;
    int count;
    if (ttt_shard_name_parse(name, &count) && count != old->kept) ttt_folder_drop(old->folder, name);
    return TTT_OK;
}

/* What cannot be removed is not referred to. */
static void remove_old_shards(const char *folder, int kept)
{
    old_shards old = {folder, kept};
    (void)!ttt_folder_each(folder, remove_old_shard, &old);
}

static ttt_status save_file(const char *folder, const ttt_tensor_out *tensors, int64_t count)
{
    static const char *const metadata[] = {"format", "pt", NULL};
    char *path = ttt_path_join(folder, "model.safetensors");
    ttt_status status = path ? ttt_safetensors_save(path, tensors, count, metadata) : TTT_ERR_MEMORY;
    if (status == TTT_OK) status = remove_file(folder, "model.safetensors.index.json");
    if (status == TTT_OK) remove_old_shards(folder, 0);
    ttt_free(path);
    return status;
}

/* Writes one shard, its save still zeros. */
static ttt_status write_shard(shards *s, int shard, const ttt_tensor_out *tensors, int64_t count)
{
    char name[SHARD_NAME], zeros[TTT_DIGEST_TEXT] = "";
    memset(zeros, '0', sizeof zeros - 1);
    const char *const metadata[] = {TTT_SAVE_KEY, zeros, "format", "pt", NULL};
    char *path = ttt_path_join(s->folder, shard_name(name, shard, s->count));
    const ttt_status status = path
                                  ? ttt_safetensors_write(&s->writers[shard], path, tensors, count, metadata, s->digest)
                                  : TTT_ERR_MEMORY;
    ttt_free(path);
    TTT_TRY(status);
    for (int64_t i = 0; i < count; i++)
        if (json_object_set_new(s->weight_map, tensors[i].tensor.name, json_string(name)) != 0)
            return ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while writing the index", s->folder);
    return TTT_OK;
}

static ttt_status write_index(const shards *s, size_t total)
{
    json_t *index = json_pack("{s:{s:I,s:s},s:O}", "metadata", "total_size", (json_int_t)total, TTT_SAVE_KEY, s->save,
                              "weight_map", s->weight_map);
    return ttt_json_write(s->folder, "model.safetensors.index.json", index, JSON_INDENT(2) | JSON_SORT_KEYS);
}

/* All on disk, then all named, the index last. */
static ttt_status write_shards(shards *s, const ttt_tensor_out *tensors, int64_t count, size_t limit, size_t total)
{
    int shard = 0;
    for (int64_t begin = 0, end; begin < count; begin = end, shard++) {
        end = shard_end(tensors, count, begin, limit);
        TTT_TRY(write_shard(s, shard, tensors + begin, end - begin));
    }
    ttt_digest_print(s->digest, s->save);
    for (int i = 0; i < s->count; i++) TTT_TRY(ttt_writer_patch(s->writers[i], SAVE_AT, s->save, sizeof s->save - 1));
    for (int i = 0; i < s->count; i++) TTT_TRY(ttt_writer_commit(&s->writers[i]));
    return write_index(s, total);
}

static ttt_status save_shards(const char *folder, const ttt_tensor_out *tensors, int64_t count, size_t limit,
                              size_t total)
{
    shards s = {.folder = folder};
    for (int64_t begin = 0; begin < count; s.count++) begin = shard_end(tensors, count, begin, limit);
    s.writers = ttt_alloc((size_t)s.count, sizeof *s.writers);
    s.weight_map = json_object();
    ttt_status status = s.writers ? ttt_digest_new(&s.digest) : TTT_ERR_MEMORY;
    if (!s.weight_map) status = ttt_fail(TTT_ERR_MEMORY, "%s: out of memory while writing the index", folder);
    if (status == TTT_OK) status = write_shards(&s, tensors, count, limit, total);
    for (int i = 0; s.writers && i < s.count; i++) ttt_writer_abandon(&s.writers[i]);
    ttt_digest_free(s.digest);
    json_decref(s.weight_map);
    ttt_free(s.writers);
    if (status == TTT_OK) status = remove_file(folder, "model.safetensors");
    if (status == TTT_OK) remove_old_shards(folder, s.count);
    return status;
}

ttt_status ttt_safetensors_save_folder(const char *folder, const ttt_tensor_out *tensors, int64_t count,
                                       size_t shard_bytes)
{
    size_t total = 0;
    for (int64_t i = 0; i < count; i++) total += written_bytes(&tensors[i]);
    return total <= shard_bytes ? save_file(folder, tensors, count)
                                : save_shards(folder, tensors, count, shard_bytes, total);
}
