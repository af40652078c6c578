/* SPDX-License-Identifier: MIT
 *
 * The stream of a JAX checkpoint, read in one pass over the mapped file. A record is taken by the full prefix of its
 * key path, since an optimizer's moments end in the same names as the parameters they belong to.
 */
#include "store/jax_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/kind.h"
#include "store/msgpack.h"

enum { PATH_MAX_BYTES = 512, NAME_BYTES = 96, LAYERS_MAX = 100000, EXT_ARRAY = 1 };

typedef struct entry {
    ttt_tensor tensor; /* owns its name */
    bool transposed;
} entry;

struct ttt_jax_stream {
    ttt_map map; /* empty when the caller owns the bytes */
    entry *entries;
    size_t count, capacity;
    ttt_tensor *tensors; /* those of `entries`, once all are read */
};

typedef enum turn {
    KEEP,
    MATRIX,   /* [in, out] becomes [out, in] */
    REVERSED, /* [width, 1, C] becomes [C, 1, width] */
    COLUMN    /* [H, C, 1] becomes [H, 1, C]: the same bytes */
} turn;

typedef struct rule {
    const char *jax, *torch;
    turn turn;
} rule;

static const rule model_rules[] = {
    {"model/wte/embedding", "model.embed_tokens.weight", KEEP},
    {"model/ln_f/kernel", "model.norm.weight", KEEP},
    {"lm_head/kernel", "lm_head.weight", MATRIX},
};

#define SEQ      "seq_modeling_block."
#define JAX_SEQ  "seq_modeling_block/"
#define COUNT(a) (sizeof(a) / sizeof *(a))

static const rule layer_rules[] = {
    {"seq_norm/kernel", "seq_norm.weight", KEEP},
    {"ffn_norm/kernel", "ffn_norm.weight", KEEP},
    {"feed_forward/w1/kernel", "mlp.gate_proj.weight", MATRIX},
    {"feed_forward/w3/kernel", "mlp.up_proj.weight", MATRIX},
    {"feed_forward/w2/kernel", "mlp.down_proj.weight", MATRIX},
    {"conv/conv_norm/kernel", "conv.norm.weight", KEEP},
    {"conv/conv1/kernel", "conv.conv.weight", REVERSED},
    {"conv/conv1/bias", "conv.conv.bias", KEEP},
    {JAX_SEQ "wq/kernel", SEQ "q_proj.weight", MATRIX},
    {JAX_SEQ "wk/kernel", SEQ "k_proj.weight", MATRIX},
    {JAX_SEQ "wv/kernel", SEQ "v_proj.weight", MATRIX},
    {JAX_SEQ "wo/kernel", SEQ "o_proj.weight", MATRIX},
    {JAX_SEQ "wg/kernel", SEQ "g_proj.weight", MATRIX},
    {JAX_SEQ "conv_q/kernel", SEQ "conv_q.weight", REVERSED},
    {JAX_SEQ "conv_q/bias", SEQ "conv_q.bias", KEEP},
    {JAX_SEQ "conv_k/kernel", SEQ "conv_k.weight", REVERSED},
    {JAX_SEQ "conv_k/bias", SEQ "conv_k.bias", KEEP},
    {JAX_SEQ "learnable_ttt_lr/kernel", SEQ "learnable_ttt_lr_weight", COLUMN},
    {JAX_SEQ "learnable_ttt_lr/bias", SEQ "learnable_ttt_lr_bias", KEEP},
    {JAX_SEQ "learnable_token_idx", SEQ "learnable_token_idx", KEEP},
    {JAX_SEQ "ttt_norm/scale", SEQ "ttt_norm_weight", KEEP},
    {JAX_SEQ "ttt_norm/bias", SEQ "ttt_norm_bias", KEEP},
    {JAX_SEQ "ttt_dense_0", SEQ "W1", KEEP},
    {JAX_SEQ "ttt_bias_0", SEQ "b1", KEEP},
    {JAX_SEQ "ttt_dense_1", SEQ "W2", KEEP},
    {JAX_SEQ "ttt_bias_1", SEQ "b2", KEEP},
    {JAX_SEQ "post_norm/scale", SEQ "post_norm.weight", KEEP},
    {JAX_SEQ "post_norm/bias", SEQ "post_norm.bias", KEEP},
};

static const rule *find_rule(const rule *rules, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rules[i].jax, path) == 0) return &rules[i];
    return NULL;
}

/* Reads "INDEX/", without leading zeros, from the front of *path. */
static bool read_layer(const char **path, int *layer)
{
    char *end;
    const char *text = *path;
    if (text[0] < '0' || text[0] > '9' || (text[0] == '0' && text[1] != '/')) return false;
    const unsigned long value = strtoul(text, &end, 10);
    if (*end != '/' || value >= LAYERS_MAX) return false;
    *layer = (int)value;
    *path = end + 1;
    return true;
}

/* The rule and the ttt-lm-pytorch name of a parameter's path; NULL if there is no such parameter. */
static const rule *translate(const char *path, char *name)
{
    static const char layers[] = "model/h/";
    int layer;
    if (strncmp(path, layers, sizeof layers - 1) != 0) {
        const rule *found = find_rule(model_rules, COUNT(model_rules), path);
        if (found) snprintf(name, NAME_BYTES, "%s", found->torch);
        return found;
    }
    path += sizeof layers - 1;
    if (!read_layer(&path, &layer)) return NULL;
    const rule *found = find_rule(layer_rules, COUNT(layer_rules), path);
    if (found) snprintf(name, NAME_BYTES, "model.layers.%d.%s", layer, found->torch);
    return found;
}

/* The part of a path that names a parameter, or NULL if the record is something else of a train state. */
static const char *parameter_path(const char *path)
{
    static const char state[] = "params/params/";
    if (strncmp(path, state, sizeof state - 1) == 0) return path + sizeof state - 1;
    if (strncmp(path, "model/", 6) == 0 || strncmp(path, "lm_head/", 8) == 0) return path;
    return NULL;
}

/* The key path, its elements joined by '/'. */
static ttt_status read_path(ttt_msgpack *in, char *path)
{
    ttt_msgpack_item keys, key;
    size_t used = 0;
    TTT_TRY(ttt_msgpack_read(in, TTT_MSGPACK_ARRAY, &keys));
    for (uint64_t i = 0; i < keys.length; i++) {
        TTT_TRY(ttt_msgpack_read(in, TTT_MSGPACK_STRING, &key));
        if (key.length + 2 > PATH_MAX_BYTES - used) return ttt_msgpack_fail(in, "the key path is too long");
        if (memchr(key.bytes, '\0', key.length)) return ttt_msgpack_fail(in, "the key path holds a NUL");
        if (i) path[used++] = '/';
        memcpy(path + used, key.bytes, key.length);
        used += key.length;
    }
    path[used] = '\0';
    return TTT_OK;
}

static ttt_status read_dtype(ttt_msgpack *in, ttt_dtype *dtype)
{
    static const struct {
        const char *name;
        ttt_dtype dtype;
    } names[] = {
        {"float32", TTT_F32}, {"bfloat16", TTT_BF16}, {"float16", TTT_F16}, {"float64", TTT_F64}, {"int32", TTT_I32}};
    ttt_msgpack_item name;
    TTT_TRY(ttt_msgpack_read(in, TTT_MSGPACK_STRING, &name));
    for (size_t i = 0; i < COUNT(names); i++) {
        if (name.length != strlen(names[i].name) || memcmp(name.bytes, names[i].name, name.length) != 0) continue;
        *dtype = names[i].dtype;
        return TTT_OK;
    }
    return ttt_msgpack_fail(in, "this type of numbers is not known (float32, bfloat16, float16, float64, int32 are)");
}

/* The payload of a record: ext 1 [shape, type, bytes]. */
static ttt_status read_array(ttt_msgpack *payload, ttt_tensor *tensor)
{
    ttt_msgpack_item ext, item;
    TTT_TRY(ttt_msgpack_read(payload, TTT_MSGPACK_EXT, &ext));
    if (ext.ext != EXT_ARRAY) return ttt_msgpack_fail(payload, "this is not an array record");
    if (payload->at != payload->end) return ttt_msgpack_fail(payload, "bytes follow the array record");
    ttt_msgpack in = *payload;
    in.at = ext.bytes;
    TTT_TRY(ttt_msgpack_read(&in, TTT_MSGPACK_ARRAY, &item));
    if (item.length != 3) return ttt_msgpack_fail(&in, "an array record has shape, type and bytes");
    TTT_TRY(ttt_msgpack_read(&in, TTT_MSGPACK_ARRAY, &item));
    if (item.length > TTT_RANK_MAX) return ttt_msgpack_fail(&in, "too many dimensions");
    tensor->rank = (int)item.length;
    uint64_t bytes = 1;
    bool overflow = false;
    for (int i = 0; i < tensor->rank; i++) {
        TTT_TRY(ttt_msgpack_read(&in, TTT_MSGPACK_UNSIGNED, &item));
        overflow |= item.length > INT64_MAX || __builtin_mul_overflow(bytes, item.length, &bytes);
        tensor->shape[i] = (int64_t)item.length;
    }
    TTT_TRY(read_dtype(&in, &tensor->dtype));
    overflow |= __builtin_mul_overflow(bytes, (uint64_t)ttt_dtype_bytes(tensor->dtype), &bytes);
    TTT_TRY(ttt_msgpack_read(&in, TTT_MSGPACK_BINARY, &item));
    if (overflow || item.length != bytes) return ttt_msgpack_fail(&in, "the bytes do not fit shape and type");
    if (in.at != in.end) return ttt_msgpack_fail(&in, "bytes follow the array");
    tensor->data = item.bytes;
    tensor->bytes = (size_t)bytes;
    return TTT_OK;
}

/* Brings the shape into ttt-lm-pytorch's order. */
static ttt_status turn_shape(entry *added, const rule *found, const char *path, const char *where)
{
    ttt_tensor *tensor = &added->tensor;
    const int rank = found->turn == MATRIX ? 2 : 3, first = found->turn == COLUMN ? 1 : 0;
    if (found->turn == KEEP) return TTT_OK;
    char shape[TTT_SHAPE_TEXT];
    ttt_shape_print(shape, tensor->shape, tensor->rank);
    const bool flat = tensor->rank == rank &&
                      (found->turn == MATRIX || (found->turn == REVERSED && tensor->shape[1] == 1) ||
                       (found->turn == COLUMN && tensor->shape[2] == 1));
    if (!flat) return ttt_fail(TTT_ERR_FORMAT, "%s: %s cannot have the shape %s", where, path, shape);
    const int64_t kept = tensor->shape[first];
    tensor->shape[first] = tensor->shape[rank - 1];
    tensor->shape[rank - 1] = kept;
    added->transposed = found->turn != COLUMN;
    return TTT_OK;
}

static ttt_status add_entry(ttt_jax_stream *stream, entry **added)
{
    TTT_TRY(ttt_array_reserve(&stream->entries, &stream->capacity, stream->count + 1, sizeof **added));
    *added = &stream->entries[stream->count++];
    **added = (entry){0};
    return TTT_OK;
}

static ttt_status read_record(ttt_jax_stream *stream, ttt_msgpack *in)
{
    char path[PATH_MAX_BYTES], name[NAME_BYTES];
    ttt_msgpack_item item;
    TTT_TRY(ttt_msgpack_read(in, TTT_MSGPACK_ARRAY, &item));
    if (item.length != 2) return ttt_msgpack_fail(in, "a record has a key path and a value");
    TTT_TRY(read_path(in, path));
    TTT_TRY(ttt_msgpack_read(in, TTT_MSGPACK_BINARY, &item));
    const char *parameter = parameter_path(path);
    if (!parameter) return TTT_OK;
    const rule *found = translate(parameter, name);
    if (!found) return ttt_fail(TTT_ERR_FORMAT, "%s: %s is no parameter of a TTT model", in->where, path);
    entry *added;
    TTT_TRY(add_entry(stream, &added));
    added->tensor.name = ttt_strdup(name);
    if (!added->tensor.name) return TTT_ERR_MEMORY;
    ttt_msgpack payload = *in;
    payload.at = item.bytes;
    payload.end = item.bytes + item.length;
    const ttt_status status = read_array(&payload, &added->tensor);
    if (status != TTT_OK) return ttt_fail_prefix(status, "%s", path);
    return turn_shape(added, found, path, in->where);
}

static int compare(const void *left, const void *right)
{
    const entry *a = left, *b = right;
    return strcmp(a->tensor.name, b->tensor.name);
}

static ttt_status read_stream(ttt_jax_stream *stream, const unsigned char *bytes, size_t size, const char *where)
{
    if (size == 0) return ttt_fail(TTT_ERR_FORMAT, "%s: the file is empty", where);
    ttt_msgpack in = {.at = bytes, .end = bytes + size, .start = bytes, .where = where};
    while (in.at != in.end) TTT_TRY(read_record(stream, &in));
    if (stream->count == 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: no parameters in this stream (neither params/params/ nor model/)", where);
    qsort(stream->entries, stream->count, sizeof *stream->entries, compare);
    stream->tensors = ttt_alloc(stream->count, sizeof *stream->tensors);
    if (!stream->tensors) return TTT_ERR_MEMORY;
    for (size_t i = 0; i < stream->count; i++) {
        stream->tensors[i] = stream->entries[i].tensor;
        if (i && compare(&stream->entries[i - 1], &stream->entries[i]) == 0)
            return ttt_fail(TTT_ERR_FORMAT, "%s: parameter %s is there twice", where, stream->tensors[i].name);
    }
    return TTT_OK;
}

/* Opens the file `path`, or reads the bytes given if that is NULL. */
static ttt_status open_stream(ttt_jax_stream **out, const char *path, const unsigned char *bytes, size_t size,
                              const char *where)
{
    *out = NULL;
    ttt_jax_stream *stream = ttt_alloc(1, sizeof *stream);
    if (!stream) return TTT_ERR_MEMORY;
    ttt_status status = path ? ttt_map_open(&stream->map, path) : TTT_OK;
    if (path) {
        bytes = stream->map.data;
        size = stream->map.size;
    }
    const char *kind = status == TTT_OK ? ttt_kind_name_not_tokenizer(bytes, size) : NULL;
    if (kind) status = ttt_fail(TTT_ERR_FORMAT, "%s: this is no stream of ttt-lm-jax but %s", where, kind);
    if (status == TTT_OK) status = read_stream(stream, bytes, size, where);
    if (status != TTT_OK) {
        ttt_jax_stream_close(stream);
        return status;
    }
    *out = stream;
    return TTT_OK;
}

ttt_status ttt_jax_stream_open(ttt_jax_stream **stream, const char *path)
{
    return open_stream(stream, path, NULL, 0, path);
}

ttt_status ttt_jax_stream_parse(ttt_jax_stream **stream, const void *bytes, size_t size, const char *where)
{
    return open_stream(stream, NULL, bytes, size, where);
}

void ttt_jax_stream_close(ttt_jax_stream *stream)
{
    if (!stream) return;
    for (size_t i = 0; i < stream->count; i++) ttt_free((void *)(uintptr_t)stream->entries[i].tensor.name);
    ttt_free(stream->entries);
    ttt_free(stream->tensors);
    ttt_map_close(&stream->map);
    ttt_free(stream);
}

int64_t ttt_jax_stream_count(const ttt_jax_stream *stream) { return (int64_t)stream->count; }
const ttt_tensor *ttt_jax_stream_tensors(const ttt_jax_stream *stream) { return stream->tensors; }
bool ttt_jax_stream_transposed(const ttt_jax_stream *stream, int64_t index)
{
    return stream->entries[index].transposed;
}
