/* SPDX-License-Identifier: MIT
 * Reading texts: first the input becomes a sorted list of files, then each file is read, hashed, decompressed and cut
 * into documents. Plain files are read straight into the joined text, so a large text is in memory once. */
#include "data/texts.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <utf8proc.h>
#include <zstd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "data/hash.h"

enum { FOLDER_DEPTH = 100 }; /* deeper nesting is a symbolic link that leads back up */

static ttt_status input_append(ttt_texts *texts, char *path)
{
    ttt_status status = path ? TTT_OK : TTT_ERR_MEMORY;
    if (path && texts->input_count == texts->input_capacity) {
        const size_t capacity = texts->input_capacity ? 2 * texts->input_capacity : 8;
        ttt_input *grown = ttt_realloc(texts->inputs, capacity, sizeof *grown);
        if (grown) {
            texts->inputs = grown;
            texts->input_capacity = capacity;
        } else {
            status = TTT_ERR_MEMORY;
        }
    }
    if (status == TTT_OK)
        texts->inputs[texts->input_count++] = (ttt_input){.path = path, .role = texts->role};
    else
        ttt_free(path);
    return status;
}

static ttt_status folder_append(ttt_texts *texts, const char *path, int depth)
{
    if (depth > FOLDER_DEPTH) return ttt_fail(TTT_ERR_IO, "%s: folders are nested too deeply", path);
    DIR *folder = opendir(path);
    if (!folder) return ttt_fail(TTT_ERR_IO, "cannot read folder %s: %s", path, strerror(errno));
    ttt_status status = TTT_OK;
    for (const struct dirent *entry; status == TTT_OK && (errno = 0, entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        char *name = ttt_path_join(path, entry->d_name);
        if (!name) {
            status = TTT_ERR_MEMORY;
        } else if (ttt_is_folder(name)) {
            status = folder_append(texts, name, depth + 1);
            ttt_free(name);
        } else {
            status = input_append(texts, name);
        }
    }
    if (status == TTT_OK && errno != 0)
        status = ttt_fail(TTT_ERR_IO, "cannot read folder %s: %s", path, strerror(errno));
    closedir(folder);
    return status;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const ttt_input *)a)->path, ((const ttt_input *)b)->path);
}

/* Appends the files of one input to texts->inputs. */
static ttt_status input_expand(ttt_texts *texts, const char *input)
{
    if (strcmp(input, "-") == 0 || !ttt_is_folder(input)) return input_append(texts, ttt_strdup(input));
    const size_t first = texts->input_count;
    TTT_TRY(folder_append(texts, input, 0));
    if (texts->input_count == first) return ttt_fail(TTT_ERR_IO, "folder %s holds no text files", input);
    qsort(texts->inputs + first, texts->input_count - first, sizeof *texts->inputs, compare_paths);
    return TTT_OK;
}

/* The text since the end of the last document becomes a document, unless there is none. */
static ttt_status document_end(ttt_texts *texts)
{
    if (texts->bytes.size == (texts->count ? texts->ends[texts->count - 1] : 0)) return TTT_OK;
    if (texts->count == texts->capacity) {
        const size_t capacity = texts->capacity ? 2 * texts->capacity : 64;
        size_t *grown = ttt_realloc(texts->ends, capacity, sizeof *grown);
        if (!grown) return TTT_ERR_MEMORY;
        texts->ends = grown;
        texts->capacity = capacity;
    }
    texts->ends[texts->count++] = texts->bytes.size;
    return TTT_OK;
}

static ttt_status utf8_check(const char *text, size_t size, const char *path)
{
    for (size_t at = 0; at < size;) {
        if ((unsigned char)text[at] < 0x80) {
            at++;
            continue;
        }
        utf8proc_int32_t character;
        const size_t rest = size - at < 4 ? size - at : 4;
        const utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)rest,
                                                         &character);
        if (length < 0)
            return ttt_fail(TTT_ERR_FORMAT,
                            "%s: invalid UTF-8 at byte %zu (0x%02x); convert the text to UTF-8, or take a byte-level "
                            "tokenizer, which keeps raw bytes",
                            path, at, (unsigned char)text[at]);
        at += (size_t)length;
    }
    return TTT_OK;
}

static ttt_status decompress(ttt_buffer *out, const ttt_buffer *file, const char *path)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    if (!stream) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot decompress %s", path);
    ZSTD_inBuffer in = {.src = file->data, .size = file->size};
    const size_t step = ZSTD_DStreamOutSize();
    size_t left = 1; /* 0: the frame is complete */
    ttt_status status = TTT_OK;
    bool full = false; /* more output may be waiting although all input is taken */
    while (status == TTT_OK && (in.pos < in.size || full)) {
        status = ttt_buffer_reserve(out, out->size + step);
        if (status != TTT_OK) break;
        ZSTD_outBuffer piece = {.dst = out->data + out->size, .size = step};
        left = ZSTD_decompressStream(stream, &piece, &in);
        if (ZSTD_isError(left))
            status = ttt_fail(TTT_ERR_FORMAT, "%s: not a sound zstd file: %s", path, ZSTD_getErrorName(left));
        full = left != 0 && piece.pos == piece.size;
        out->size += piece.pos;
        out->data[out->size] = '\0';
    }
    if (status == TTT_OK && left != 0) status = ttt_fail(TTT_ERR_FORMAT, "%s: the zstd file is cut short", path);
    ZSTD_freeDStream(stream);
    return status;
}

static ttt_status json_line(ttt_texts *texts, const char *line, size_t size, const char *path, size_t number)
{
    json_error_t error;
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!object) return ttt_fail(TTT_ERR_FORMAT, "%s, line %zu: %s", path, number, error.text);
    const json_t *text = json_object_get(object, "text");
    ttt_status status;
    if (!json_is_string(text)) {
        status = ttt_fail(TTT_ERR_FORMAT, "%s, line %zu: no string under the key \"text\"", path, number);
    } else {
        status = ttt_buffer_append(&texts->bytes, json_string_value(text), json_string_length(text));
        if (status == TTT_OK) status = document_end(texts);
    }
    json_decref(object);
    return status;
}

static ttt_status json_lines(ttt_texts *texts, const ttt_buffer *file, const char *path)
{
    size_t number = 0;
    for (size_t at = 0; at < file->size;) {
        const char *line = file->data + at;
        const char *end = memchr(line, '\n', file->size - at);
        const size_t size = end ? (size_t)(end - line) : file->size - at;
        number++;
        at += size + 1;
        if (strspn(line, " \t\r") < size) TTT_TRY(json_line(texts, line, size, path, number));
    }
    return TTT_OK;
}

static bool ends_with(const char *path, const char *suffix)
{
    const size_t length = strlen(path), tail = strlen(suffix);
    return length >= tail && strcmp(path + length - tail, suffix) == 0;
}

static ttt_status file_read(ttt_texts *texts, ttt_input *input, bool raw_bytes, ttt_buffer *stored, ttt_buffer *lines)
{
    const char *path = input->path;
    const bool packed = ends_with(path, ".zst");
    const bool jsonl = ends_with(path, ".jsonl") || ends_with(path, ".jsonl.zst");
    ttt_buffer *plain = jsonl ? lines : &texts->bytes;
    const size_t start = plain->size;
    if (packed) {
        TTT_TRY(ttt_file_read(stored, path, SIZE_MAX));
        input->size = (int64_t)stored->size;
        input->hash = ttt_hash(TTT_HASH_START, stored->data, stored->size);
        TTT_TRY(decompress(plain, stored, path));
    } else {
        TTT_TRY(ttt_file_read(plain, path, SIZE_MAX));
        input->size = (int64_t)(plain->size - start);
        input->hash = ttt_hash(TTT_HASH_START, plain->data + start, plain->size - start);
    }
    if (jsonl) return json_lines(texts, lines, path);
    if (!raw_bytes) TTT_TRY(utf8_check(plain->data + start, plain->size - start, path));
    return document_end(texts);
}

ttt_status ttt_texts_read(ttt_texts *texts, const char *input, bool raw_bytes)
{
    const size_t first = texts->input_count, start = texts->bytes.size;
    TTT_TRY(input_expand(texts, input));
    for (size_t i = first; i < texts->input_count; i++) {
        ttt_buffer stored = {0}, lines = {0};
        const ttt_status status = file_read(texts, &texts->inputs[i], raw_bytes, &stored, &lines);
        ttt_buffer_deinit(&stored);
        ttt_buffer_deinit(&lines);
        if (status != TTT_OK) return status;
    }
    if (texts->bytes.size == start)
        return ttt_fail(TTT_ERR_FORMAT, "%s holds no text: it is empty", strcmp(input, "-") ? input : "standard input");
    return TTT_OK;
}

ttt_status ttt_texts_measure(ttt_texts *texts, const char *input)
{
    const size_t first = texts->input_count;
    TTT_TRY(input_expand(texts, input));
    for (size_t i = first; i < texts->input_count; i++) {
        ttt_input *item = &texts->inputs[i];
        struct stat status;
        if (strcmp(item->path, "-") == 0 || (stat(item->path, &status) == 0 && !S_ISREG(status.st_mode))) continue;
        ttt_map map;
        TTT_TRY(ttt_map_open(&map, item->path));
        item->size = (int64_t)map.size;
        item->hash = ttt_hash(TTT_HASH_START, map.data, map.size);
        ttt_map_close(&map);
    }
    return TTT_OK;
}

void ttt_texts_deinit(ttt_texts *texts)
{
    ttt_buffer_deinit(&texts->bytes);
    ttt_free(texts->ends);
    for (size_t i = 0; i < texts->input_count; i++) ttt_free(texts->inputs[i].path);
    ttt_free(texts->inputs);
    *texts = (ttt_texts){0};
}

bool ttt_text_range_next(ttt_text_range *range, ttt_text_piece *piece)
{
    const ttt_texts *texts = range->texts;
    if (range->position >= range->end) return false;
    while (texts->ends[range->document] <= range->position) range->document++;
    const size_t start = range->document ? texts->ends[range->document - 1] : 0, stop = texts->ends[range->document];
    const size_t end = stop < range->end ? stop : range->end;
    *piece = (ttt_text_piece){.text = texts->bytes.data + range->position,
                              .size = end - range->position,
                              .begins = range->position == start,
                              .ends = end == stop};
    range->position = end;
    return true;
}
