/* SPDX-License-Identifier: MIT
 *
 * Reading safetensors: the rules of docs/FORMATS.md in their order, and shards behind an index as if they were one
 * file. Nothing is copied: names live in the parsed header, data in the mapped file.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kind.h"
#include "store/safetensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used as they lie in the file");

enum { HEADER_MAX = 16 << 20, INDEX_MAX = 64 << 20, SHARDS_MAX = 10000 };

typedef struct part {
    ttt_map map; /* empty when the caller owns the bytes */
    json_t *header;
    char *name; /* file name as in the index; NULL without one */
} part;

struct ttt_safetensors {
    ttt_tensor *tensors; /* by name */
    int64_t count;
    part *parts;
    int part_count;
    const char *save; /* while shards are opened: the save they must be of; NULL: they say none */
};

/* Where one tensor lies in the byte buffer. */
typedef struct extent {
    uint64_t begin, end;
    ttt_tensor *tensor;
} extent;

static ttt_status parse_json(json_t **out, const char *text, size_t size, const char *where, const char *what)
{
    json_error_t error;
    *out = ttt_json_read(text, size, 0, &error);
    if (!*out) return ttt_fail(ttt_json_status(&error), "%s: %s, byte %d: %s", where, what, error.position, error.text);
    if (json_is_object(*out)) return TTT_OK;
    json_decref(*out);
    *out = NULL;
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s is not a JSON object", where, what);
}

static ttt_status read_header(json_t **header, uint64_t *length, const unsigned char *bytes, size_t size,
                              const char *where)
{
    const char *kind = size < 9 || bytes[8] != '{' ? ttt_kind_name_not_tokenizer(bytes, size) : NULL;
    if (kind) return ttt_fail(TTT_ERR_FORMAT, "%s: this is no safetensors file but %s", where, kind);
    if (size < 8)
        return ttt_fail(TTT_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file (truncated?)", where, size);
    memcpy(length, bytes, 8);
    if (*length > HEADER_MAX)
        return ttt_fail(TTT_ERR_FORMAT, "%s: header of %" PRIu64 " bytes is larger than the %d allowed", where, *length,
                        HEADER_MAX);
    if (*length > size - 8)
        return ttt_fail(TTT_ERR_FORMAT, "%s: header of %" PRIu64 " bytes in a file of %zu (truncated?)", where, *length,
                        size);
    if (ttt_byte_order_mark((const char *)bytes + 8, (size_t)*length) > 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: the header begins with a byte-order mark, not with {", where);
    return parse_json(header, (const char *)bytes + 8, (size_t)*length, where, "header");
}

static ttt_status check_metadata(json_t *metadata, const char *where)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return ttt_fail(TTT_ERR_FORMAT, "%s: __metadata__ is not an object", where);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return ttt_fail(TTT_ERR_FORMAT, "%s: __metadata__ %.128s is not a string", where, key);
    }
    return TTT_OK;
}

static bool read_natural(uint64_t *out, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* The three fields of one entry; what they mean together is checked once the extents are in order. */
static ttt_status read_entry(extent *place, const char *name, const json_t *entry, const char *where)
{
    ttt_tensor *tensor = place->tensor;
    tensor->name = name;
    const json_t *dtype = json_object_get(entry, "dtype"), *shape = json_object_get(entry, "shape");
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_string(dtype) || !json_is_array(shape) || !json_is_array(offsets) || json_object_size(entry) != 3)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s needs exactly dtype, shape and data_offsets", where, name);
    if (!ttt_dtype_find(&tensor->dtype, json_string_value(dtype)))
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: tensor %.128s has the unknown type %.32s", where, name,
                        json_string_value(dtype));
    if (json_array_size(shape) > TTT_RANK_MAX)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: tensor %.128s has %zu dimensions; at most %d are supported", where,
                        name, json_array_size(shape), TTT_RANK_MAX);
    tensor->rank = (int)json_array_size(shape);
    for (int i = 0; i < tensor->rank; i++) {
        uint64_t size;
        if (!read_natural(&size, json_array_get(shape, (size_t)i)))
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s: dimension %d is not a natural number", where, name, i);
        tensor->shape[i] = (int64_t)size;
    }
    if (json_array_size(offsets) != 2 || !read_natural(&place->begin, json_array_get(offsets, 0)) ||
        !read_natural(&place->end, json_array_get(offsets, 1)))
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s: data_offsets are not two natural numbers", where, name);
    return TTT_OK;
}

static int compare_extents(const void *left, const void *right)
{
    const extent *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

/* Each extent starts where the one before ended and is as long as type and shape say; the last ends with the file. */
static ttt_status check_extents(extent *extents, size_t count, const unsigned char *data, uint64_t size,
                                const char *where)
{
    qsort(extents, count, sizeof *extents, compare_extents);
    uint64_t start = 0;
    for (size_t i = 0; i < count; i++) {
        ttt_tensor *tensor = extents[i].tensor;
        const uint64_t begin = extents[i].begin, end = extents[i].end;
        if (begin != start || end < begin)
            return ttt_fail(TTT_ERR_FORMAT,
                            "%s: tensor %.128s lies at [%" PRIu64 ", %" PRIu64
                            "] where the data before it ends at %" PRIu64 "; overlaps and holes are not allowed",
                            where, tensor->name, begin, end, start);
        start = end;
        uint64_t bits = (uint64_t)ttt_dtype_bits(tensor->dtype);
        bool overflow = false;
        for (int k = 0; k < tensor->rank; k++)
            overflow |= __builtin_mul_overflow(bits, (uint64_t)tensor->shape[k], &bits);
        char shape[TTT_SHAPE_TEXT];
        ttt_shape_print(shape, tensor->shape, tensor->rank);
        if (overflow || bits % 8 != 0 || end - begin != bits / 8)
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s of type %s and shape %s cannot have %" PRIu64 " bytes",
                            where, tensor->name, ttt_dtype_name(tensor->dtype), shape, end - begin);
        if (end > size) break; /* said below; no pointer past the end is ever made */
        tensor->bytes = (size_t)(end - begin);
        tensor->data = data + begin;
    }
    if (start != size)
        return ttt_fail(TTT_ERR_FORMAT, "%s: the tensors need %" PRIu64 " bytes of data, the file has %" PRIu64 "%s",
                        where, start, size, start > size ? " (truncated?)" : "");
    return TTT_OK;
}

/* The entries of one header as tensors, which the caller's array has room for. */
static ttt_status read_entries(ttt_tensor *tensors, json_t *header, const unsigned char *data, uint64_t size,
                               const char *where)
{
    extent *extents = ttt_alloc(json_object_size(header), sizeof *extents);
    if (!extents) return TTT_ERR_MEMORY;
    size_t count = 0;
    ttt_status status = TTT_OK;
    for (void *i = json_object_iter(header); i && status == TTT_OK; i = json_object_iter_next(header, i)) {
        const char *name = json_object_iter_key(i);
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(json_object_iter_value(i), where);
            continue;
        }
        extents[count].tensor = &tensors[count];
        status = read_entry(&extents[count], name, json_object_iter_value(i), where);
        count++;
    }
    if (status == TTT_OK) status = check_extents(extents, count, data, size, where);
    ttt_free(extents);
    return status;
}

/* Adds the tensors of one file. The part is the last of file->parts. */
static ttt_status add_part(ttt_safetensors *file, const unsigned char *bytes, size_t size, const char *where)
{
    part *added = &file->parts[file->part_count - 1];
    uint64_t length = 0;
    TTT_TRY(read_header(&added->header, &length, bytes, size, where));
    const size_t count = json_object_size(added->header) - (json_object_get(added->header, "__metadata__") != NULL);
    ttt_tensor *tensors = ttt_realloc(file->tensors, (size_t)file->count + count, sizeof *tensors);
    if (!tensors) return TTT_ERR_MEMORY;
    file->tensors = tensors;
    if (count) memset(tensors + file->count, 0, count * sizeof *tensors);
    TTT_TRY(read_entries(tensors + file->count, added->header, bytes + 8 + length, size - 8 - length, where));
    file->count += (int64_t)count;
    return TTT_OK;
}

static ttt_status new_part(ttt_safetensors *file, part **out)
{
    part *parts = ttt_realloc(file->parts, (size_t)file->part_count + 1, sizeof *parts);
    if (!parts) return TTT_ERR_MEMORY;
    file->parts = parts;
    *out = &parts[file->part_count++];
    **out = (part){0};
    return TTT_OK;
}

static ttt_status add_file(ttt_safetensors *file, const char *path)
{
    part *added;
    TTT_TRY(new_part(file, &added));
    TTT_TRY(ttt_map_open(&added->map, path));
    return add_part(file, added->map.data, added->map.size, path);
}

/* Shards of two saves side by side are no model. Those of other programs say nothing of saves. */
static ttt_status check_save(const ttt_safetensors *file, const part *added, const char *folder)
{
    const json_t *metadata = json_object_get(added->header, "__metadata__");
    const char *save = json_string_value(json_object_get(metadata, TTT_SAVE_KEY));
    if (save == file->save || (save && file->save && strcmp(save, file->save) == 0)) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT,
                    "%s: %.128s and the files beside it are of two saves of the model, because it is being written or "
                    "because that was interrupted: try again, go on with the training (ttt train -o %s), or convert it "
                    "again",
                    folder, added->name, folder);
}

/* Opens a shard unless it is open already. What it holds must be what the index says it holds. */
static ttt_status add_shard(ttt_safetensors *file, const char *folder, const char *name, const json_t *map)
{
    for (int i = 0; i < file->part_count; i++)
        if (strcmp(file->parts[i].name, name) == 0) return TTT_OK;
    if (!*name || strchr(name, '/') || strstr(name, ".."))
        return ttt_fail(TTT_ERR_FORMAT, "%s: the index names a file \"%.128s\" that is not inside the folder", folder,
                        name);
    if (file->part_count == SHARDS_MAX)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: the index names more than %d files", folder, SHARDS_MAX);
    part *added;
    TTT_TRY(new_part(file, &added));
    added->name = ttt_strdup(name);
    char *path = added->name ? ttt_path_join(folder, name) : NULL;
    if (!path) return TTT_ERR_MEMORY;
    const int64_t first = file->count;
    ttt_status status = ttt_map_open(&added->map, path);
    if (status == TTT_OK) status = add_part(file, added->map.data, added->map.size, path);
    if (status == TTT_OK) status = check_save(file, added, folder);
    for (int64_t i = first; status == TTT_OK && i < file->count; i++) {
        const char *mapped = json_string_value(json_object_get(map, file->tensors[i].name));
        if (!mapped || strcmp(mapped, name) != 0)
            status = ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s is here, but not according to the index", path,
                              file->tensors[i].name);
    }
    ttt_free(path);
    return status;
}

static int compare_tensors(const void *left, const void *right)
{
    const ttt_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static void sort(ttt_safetensors *file)
{
    if (file->count) qsort(file->tensors, (size_t)file->count, sizeof *file->tensors, compare_tensors);
}

static ttt_status add_shards(ttt_safetensors *file, const char *folder, json_t *map, const char *where)
{
    const char *name;
    json_t *value;
    if (!json_is_object(map)) return ttt_fail(TTT_ERR_FORMAT, "%s: weight_map is not an object", where);
    json_object_foreach(map, name, value)
    {
        if (!json_is_string(value))
            return ttt_fail(TTT_ERR_FORMAT, "%s: weight_map: tensor %.128s has no file name", where, name);
        TTT_TRY(add_shard(file, folder, json_string_value(value), map));
    }
    sort(file);
    json_object_foreach(map, name, value)
    {
        if (!ttt_safetensors_find(file, name))
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s is not in %.128s", where, name,
                            json_string_value(value));
    }
    return TTT_OK;
}

static ttt_status open_index(ttt_safetensors *file, const char *folder, const char *index)
{
    ttt_buffer text = {0};
    json_t *object = NULL;
    ttt_status status = ttt_file_read(&text, index, INDEX_MAX);
    if (status == TTT_OK) status = parse_json(&object, text.data, text.size, index, "index");
    file->save = json_string_value(json_object_get(json_object_get(object, "metadata"), TTT_SAVE_KEY));
    if (status == TTT_OK) status = add_shards(file, folder, json_object_get(object, "weight_map"), index);
    file->save = NULL;
    json_decref(object);
    ttt_buffer_deinit(&text);
    return status;
}

static ttt_status open_folder(ttt_safetensors *file, const char *folder)
{
    char other[512], *single = ttt_path_join(folder, "model.safetensors");
    char *index = ttt_path_join(folder, "model.safetensors.index.json");
    ttt_status status = TTT_ERR_MEMORY;
    if (single && index) {
        if (ttt_file_exists(single))
            status = add_file(file, single);
        else if (ttt_file_exists(index))
            status = open_index(file, folder, index);
        else
            status = ttt_fail(TTT_ERR_IO, "%s holds neither model.safetensors nor model.safetensors.index.json%s",
                              folder, ttt_kind_of_folder(other, sizeof other, folder, false));
    }
    ttt_free(single);
    ttt_free(index);
    return status;
}

/* Hands the file over sorted, or closes it. */
static ttt_status finish(ttt_safetensors **out, ttt_safetensors *file, ttt_status status)
{
    if (status != TTT_OK) {
        ttt_safetensors_close(file);
        return status;
    }
    sort(file);
    *out = file;
    return TTT_OK;
}

ttt_status ttt_safetensors_open(ttt_safetensors **out, const char *path)
{
    *out = NULL;
    ttt_safetensors *file = ttt_alloc(1, sizeof *file);
    if (!file) return TTT_ERR_MEMORY;
    return finish(out, file, ttt_is_folder(path) ? open_folder(file, path) : add_file(file, path));
}

ttt_status ttt_safetensors_parse(ttt_safetensors **out, const void *bytes, size_t size, const char *where)
{
    *out = NULL;
    ttt_safetensors *file = ttt_alloc(1, sizeof *file);
    if (!file) return TTT_ERR_MEMORY;
    part *added;
    ttt_status status = new_part(file, &added);
    if (status == TTT_OK) status = add_part(file, bytes, size, where);
    return finish(out, file, status);
}

void ttt_safetensors_close(ttt_safetensors *file)
{
    if (!file) return;
    for (int i = 0; i < file->part_count; i++) {
        json_decref(file->parts[i].header);
        ttt_map_close(&file->parts[i].map);
        ttt_free(file->parts[i].name);
    }
    ttt_free(file->parts);
    ttt_free(file->tensors);
    ttt_free(file);
}

int64_t ttt_safetensors_count(const ttt_safetensors *file) { return file->count; }

const ttt_tensor *ttt_safetensors_at(const ttt_safetensors *file, int64_t index) { return &file->tensors[index]; }

const ttt_tensor *ttt_safetensors_find(const ttt_safetensors *file, const char *name)
{
    const ttt_tensor key = {.name = name};
    if (!file->count) return NULL;
    return bsearch(&key, file->tensors, (size_t)file->count, sizeof key, compare_tensors);
}

const char *ttt_safetensors_metadata(const ttt_safetensors *file, const char *key)
{
    for (int i = 0; i < file->part_count; i++) {
        const json_t *metadata = json_object_get(file->parts[i].header, "__metadata__");
        const char *value = json_string_value(json_object_get(metadata, key));
        if (value) return value;
    }
    return NULL;
}
