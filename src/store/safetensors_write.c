/* SPDX-License-Identifier: MIT
 *
 * Writing one safetensors file: canonical order, compact header padded so that data begins at a multiple of 64 bytes,
 * values converted in small pieces on their way out. The file appears under its name only when it is whole.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/safetensors_write.h"

enum { DATA_ALIGNMENT = 64, CHUNK = 4096 };

static ttt_status check_tensor(const ttt_tensor_out *out, const char *path)
{
    const ttt_tensor *tensor = &out->tensor;
    const size_t size = ttt_dtype_bytes(tensor->dtype);
    if (size == 0)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s: tensor %.128s: type %s is not written", path, tensor->name,
                        ttt_dtype_name(tensor->dtype));
    if (out->dtype != tensor->dtype && (!ttt_dtype_is_float(out->dtype) || !ttt_dtype_is_float(tensor->dtype)))
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: tensor %.128s of type %s cannot be written as %s", path, tensor->name,
                        ttt_dtype_name(tensor->dtype), ttt_dtype_name(out->dtype));
    if (tensor->bytes != (size_t)ttt_tensor_count(tensor) * size)
        return ttt_fail(TTT_ERR_ARGUMENT, "%s: tensor %.128s: size and shape disagree", path, tensor->name);
    return TTT_OK;
}

static int compare_names(const void *left, const void *right)
{
    const ttt_tensor_out *a = *(const ttt_tensor_out *const *)left, *b = *(const ttt_tensor_out *const *)right;
    return strcmp(a->tensor.name, b->tensor.name);
}

static int compare(const void *left, const void *right)
{
    const ttt_tensor_out *a = *(const ttt_tensor_out *const *)left, *b = *(const ttt_tensor_out *const *)right;
    if (a->dtype != b->dtype) return a->dtype > b->dtype ? -1 : 1;
    return compare_names(left, right);
}

/* The tensors as a new array of pointers in the order of the file. */
static ttt_status sort(const ttt_tensor_out ***order, const ttt_tensor_out *tensors, int64_t count, const char *path)
{
    *order = ttt_alloc((size_t)count, sizeof **order);
    if (!*order) return TTT_ERR_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        TTT_TRY(check_tensor(&tensors[i], path));
        (*order)[i] = &tensors[i];
    }
    qsort(*order, (size_t)count, sizeof **order, compare_names);
    for (int64_t i = 1; i < count; i++)
        if (compare_names(&(*order)[i - 1], &(*order)[i]) == 0)
            return ttt_fail(TTT_ERR_ARGUMENT, "%s: two tensors are named %.128s", path, (*order)[i]->tensor.name);
    qsort(*order, (size_t)count, sizeof **order, compare);
    return TTT_OK;
}

static ttt_status append_string(ttt_buffer *text, const char *string)
{
    TTT_TRY(ttt_buffer_append(text, "\"", 1));
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\')
            TTT_TRY(ttt_buffer_print(text, "\\%c", *c));
        else if ((unsigned char)*c < 0x20)
            TTT_TRY(ttt_buffer_print(text, "\\u%04x", (unsigned char)*c));
        else
            TTT_TRY(ttt_buffer_append(text, c, 1));
    }
    return ttt_buffer_append(text, "\"", 1);
}

static ttt_status append_metadata(ttt_buffer *text, const char *const *metadata)
{
    TTT_TRY(ttt_buffer_print(text, "\"__metadata__\":{"));
    for (int i = 0; metadata[i]; i += 2) {
        if (i) TTT_TRY(ttt_buffer_append(text, ",", 1));
        TTT_TRY(append_string(text, metadata[i]));
        TTT_TRY(ttt_buffer_append(text, ":", 1));
        TTT_TRY(append_string(text, metadata[i + 1]));
    }
    return ttt_buffer_append(text, "}", 1);
}

static ttt_status append_entry(ttt_buffer *text, const ttt_tensor_out *out, size_t *offset)
{
    const ttt_tensor *tensor = &out->tensor;
    const size_t begin = *offset, count = (size_t)ttt_tensor_count(tensor);
    *offset = begin + count * ttt_dtype_bytes(out->dtype);
    TTT_TRY(append_string(text, tensor->name));
    TTT_TRY(ttt_buffer_print(text, ":{\"dtype\":\"%s\",\"shape\":[", ttt_dtype_name(out->dtype)));
    for (int i = 0; i < tensor->rank; i++)
        TTT_TRY(ttt_buffer_print(text, "%s%" PRId64, i ? "," : "", tensor->shape[i]));
    return ttt_buffer_print(text, "],\"data_offsets\":[%zu,%zu]}", begin, *offset);
}

static ttt_status build_header(ttt_buffer *text, const ttt_tensor_out *const *order, int64_t count,
                               const char *const *metadata)
{
    size_t offset = 0;
    TTT_TRY(ttt_buffer_append(text, "{", 1));
    if (metadata) TTT_TRY(append_metadata(text, metadata));
    for (int64_t i = 0; i < count; i++) {
        if (i || metadata) TTT_TRY(ttt_buffer_append(text, ",", 1));
        TTT_TRY(append_entry(text, order[i], &offset));
    }
    TTT_TRY(ttt_buffer_append(text, "}", 1));
    while ((8 + text->size) % DATA_ALIGNMENT != 0) TTT_TRY(ttt_buffer_append(text, " ", 1));
    return TTT_OK;
}

/* Copies elements done .. done+n-1 of a matrix that lies column by column, in row order. */
static void gather(unsigned char *to, const ttt_tensor *tensor, size_t size, size_t done, size_t n)
{
    const size_t rows = (size_t)tensor->shape[0], columns = tensor->bytes / size / rows;
    size_t row = done / columns, column = done % columns;
    for (size_t i = 0; i < n; i++) {
        memcpy(to + i * size, (const unsigned char *)tensor->data + (column * rows + row) * size, size);
        if (++column == columns) {
            column = 0;
            row++;
        }
    }
}

/* Rounding to the narrow range of F16 must not turn a weight into infinity unnoticed. */
static bool has_infinity(const unsigned char *halves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, halves + 2 * i, sizeof bits);
        if ((bits & 0x7fff) == 0x7c00) return true;
    }
    return false;
}

/* Where bytes go. */
typedef struct sink {
    ttt_writer *writer; /* NULL: to `buffer` */
    ttt_buffer *buffer;
    ttt_digest *digest; /* NULL: of no interest */
} sink;

static ttt_status put(const sink *to, const void *bytes, size_t count)
{
    if (to->digest) ttt_digest_add(to->digest, bytes, count);
    return to->writer ? ttt_writer_write(to->writer, bytes, count) : ttt_buffer_append(to->buffer, bytes, count);
}

static ttt_status write_data(const sink *to, const ttt_tensor_out *out)
{
    const ttt_tensor *tensor = &out->tensor;
    if (!out->transposed && out->dtype == tensor->dtype) return put(to, tensor->data, tensor->bytes);
    const size_t size = ttt_dtype_bytes(tensor->dtype), count = tensor->bytes / size;
    unsigned char gathered[CHUNK * 8], converted[CHUNK * 8];
    for (size_t done = 0; done < count; done += CHUNK) {
        const size_t n = count - done < CHUNK ? count - done : CHUNK;
        const unsigned char *from = (const unsigned char *)tensor->data + done * size;
        if (out->transposed) {
            gather(gathered, tensor, size, done, n);
            from = gathered;
        }
        ttt_dtype_convert(converted, out->dtype, from, tensor->dtype, n);
        if (out->dtype == TTT_F16 && tensor->dtype != TTT_F16 && has_infinity(converted, n))
            return ttt_fail(TTT_ERR_NUMERIC, "tensor %.128s has values too large for F16; use BF16", tensor->name);
        TTT_TRY(put(to, converted, n * ttt_dtype_bytes(out->dtype)));
    }
    return TTT_OK;
}

/* Memory for the tensor is there while it is written. */
static ttt_status write_made(const sink *to, const ttt_tensor_out *out)
{
    void *bytes = ttt_alloc(out->tensor.bytes, 1);
    if (!bytes) return TTT_ERR_MEMORY;
    ttt_tensor_out made = *out;
    made.tensor.data = bytes;
    ttt_status status = out->make(out, bytes);
    if (status == TTT_OK) status = write_data(to, &made);
    ttt_free(bytes);
    return status;
}

static ttt_status write_file(const sink *to, const ttt_buffer *header, const ttt_tensor_out *const *order,
                             int64_t count)
{
    const uint64_t length = header->size;
    TTT_TRY(put(to, &length, sizeof length));
    TTT_TRY(put(to, header->data, header->size));
    for (int64_t i = 0; i < count; i++) {
        ttt_write_watch *watch = order[i]->watch;
        if (watch && watch->progress) TTT_TRY(watch->progress(watch->context, watch->done++, watch->total));
        TTT_TRY(order[i]->make ? write_made(to, order[i]) : write_data(to, order[i]));
    }
    return TTT_OK;
}

/* What a file needs before its first byte is written: the order of its tensors, and its header. */
static ttt_status prepare(const ttt_tensor_out ***order, ttt_buffer *header, const char *path,
                          const ttt_tensor_out *tensors, int64_t count, const char *const *metadata)
{
    TTT_TRY(sort(order, tensors, count, path));
    return build_header(header, *order, count, metadata);
}

ttt_status ttt_safetensors_write(ttt_writer **writer, const char *path, const ttt_tensor_out *tensors, int64_t count,
                                 const char *const *metadata, ttt_digest *digest)
{
    *writer = NULL;
    const ttt_tensor_out **order = NULL;
    ttt_buffer header = {0};
    ttt_status status = prepare(&order, &header, path, tensors, count, metadata);
    if (status == TTT_OK) status = ttt_writer_open(writer, path);
    if (status == TTT_OK) status = write_file(&(sink){.writer = *writer, .digest = digest}, &header, order, count);
    if (status == TTT_OK) status = ttt_writer_finish(*writer);
    if (status != TTT_OK) ttt_writer_abandon(writer);
    ttt_buffer_deinit(&header);
    ttt_free(order);
    return status;
}

ttt_status ttt_safetensors_print(ttt_buffer *buffer, const char *where, const ttt_tensor_out *tensors, int64_t count,
                                 const char *const *metadata)
{
    const ttt_tensor_out **order = NULL;
    ttt_buffer header = {0};
    ttt_status status = prepare(&order, &header, where, tensors, count, metadata);
    size_t bytes = sizeof(uint64_t) + header.size;
    for (int64_t i = 0; i < count; i++)
        bytes += (size_t)ttt_tensor_count(&tensors[i].tensor) * ttt_dtype_bytes(tensors[i].dtype);
    if (status == TTT_OK) status = ttt_buffer_reserve(buffer, buffer->size + bytes);
    if (status == TTT_OK) status = write_file(&(sink){.buffer = buffer}, &header, order, count);
    ttt_buffer_deinit(&header);
    ttt_free(order);
    return status;
}

ttt_status ttt_safetensors_save(const char *path, const ttt_tensor_out *tensors, int64_t count,
                                const char *const *metadata)
{
    ttt_writer *writer;
    TTT_TRY(ttt_safetensors_write(&writer, path, tensors, count, metadata, NULL));
    return ttt_writer_commit(&writer);
}
