/* SPDX-License-Identifier: MIT
 * Reading texts: first the input becomes a sorted list of files, then each file is read, hashed, decompressed and cut
 * into documents. Plain files are read straight into the joined text, so a large text is in memory once. */
#include "data/texts.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/kind.h"
#include "data/hash.h"
#include "data/unpack.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* A folder and those it lies in, by which a link that leads back up is known. */
typedef struct ancestor {
    dev_t device;
    ino_t node;
    const struct ancestor *parent;
} ancestor;

static const char *name_of(const char *path) { return strcmp(path, "-") == 0 ? "standard input" : path; }

static void warn(const ttt_texts *texts, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void warn(const ttt_texts *texts, const char *format, ...)
{
    char sentence[1024];
    va_list arguments;
    if (!texts->warn) return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    texts->warn(texts->warn_context, sentence);
}

static ttt_status input_append(ttt_texts *texts, char *path)
{
    ttt_status status = path ? TTT_OK : TTT_ERR_MEMORY;
    if (path)
        status = ttt_array_reserve(&texts->inputs, &texts->input_capacity, texts->input_count + 1,
                                   sizeof *texts->inputs);
    if (status == TTT_OK)
        texts->inputs[texts->input_count++] = (ttt_input){.path = path, .role = texts->role};
    else
        ttt_free(path);
    return status;
}

static ttt_status folder_append(ttt_texts *texts, const char *path, const ancestor *parent);

/* One entry of a folder; takes over `path`. What cannot be looked at is left to reading to complain about. */
static ttt_status entry_append(ttt_texts *texts, char *path, const ancestor *parent)
{
    struct stat status;
    if (!path) return TTT_ERR_MEMORY;
    if (stat(path, &status) != 0 || S_ISREG(status.st_mode)) return input_append(texts, path);
    ttt_status result = TTT_OK;
    const ancestor self = {.device = status.st_dev, .node = status.st_ino, .parent = parent};
    const ancestor *same = parent;
    while (same && (same->device != self.device || same->node != self.node)) same = same->parent;
    if (!S_ISDIR(status.st_mode))
        warn(texts, "%s is passed over: it is no file but a pipe, socket or device", path);
    else if (same)
        warn(texts, "%s is passed over: it leads back to a folder that it lies in", path);
    else
        result = folder_append(texts, path, &self);
    ttt_free(path);
    return result;
}

static ttt_status folder_append(ttt_texts *texts, const char *path, const ancestor *parent)
{
    DIR *folder = opendir(path);
    if (!folder) return ttt_fail(TTT_ERR_IO, "cannot read folder %s: %s", path, strerror(errno));
    ttt_status status = TTT_OK;
    for (const struct dirent *entry; status == TTT_OK && (errno = 0, entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') status = entry_append(texts, ttt_path_join(path, entry->d_name), parent);
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
    struct stat status;
    if (stat(input, &status) != 0) return ttt_fail(TTT_ERR_IO, "cannot read %s: %s", input, strerror(errno));
    TTT_TRY(folder_append(texts, input, &(ancestor){.device = status.st_dev, .node = status.st_ino}));
    if (texts->input_count == first) return ttt_fail(TTT_ERR_IO, "folder %s holds no text files", input);
    qsort(texts->inputs + first, texts->input_count - first, sizeof *texts->inputs, compare_paths);
    return TTT_OK;
}

/* The text since the end of the last document becomes a document, unless there is none. */
static ttt_status document_end(ttt_texts *texts)
{
    if (texts->bytes.size == (texts->count ? texts->ends[texts->count - 1] : 0)) return TTT_OK;
    TTT_TRY(ttt_array_reserve(&texts->ends, &texts->capacity, texts->count + 1, sizeof *texts->ends));
    texts->ends[texts->count++] = texts->bytes.size;
    return TTT_OK;
}

/* Every byte that is no UTF-8, in a text that may hold such. */
static void count_odd(ttt_texts *texts, size_t input, const char *text, size_t size)
{
    const size_t before = texts->odd_bytes;
    for (size_t at = 0; (at += ttt_utf8_valid(text + at, size - at)) < size; at++) {
        if (texts->odd_bytes++ == 0) {
            texts->odd_input = input;
            texts->odd_at = at;
        }
    }
    texts->odd_files += texts->odd_bytes > before;
}

/* Whether the text since `start` is one, and what is said of its bytes. */
static ttt_status text_check(ttt_texts *texts, const ttt_input *input, size_t start)
{
    const char *path = input->path;
    const char *text = texts->bytes.data + start;
    const size_t size = texts->bytes.size - start;
    const char *kind = texts->binary ? NULL : ttt_kind_name(text, size);
    if (kind)
        return ttt_fail(TTT_ERR_FORMAT, "%s is no text but %s; --binary takes it byte for byte", name_of(path), kind);
    const char *nul = texts->binary || size == 0 ? NULL : memchr(text, 0, size);
    if (nul)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s is no text: byte %zu is NUL, as in binary files and UTF-16; --binary takes it byte for "
                        "byte",
                        name_of(path), (size_t)(nul - text));
    const size_t valid = ttt_utf8_valid(text, size);
    if (valid < size && !texts->raw_bytes)
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: invalid UTF-8 at byte %zu (0x%02x); convert the text to UTF-8, or take a byte-level "
                        "tokenizer, which keeps raw bytes",
                        name_of(path), valid, (unsigned char)text[valid]);
    if (valid < size && !texts->binary) count_odd(texts, (size_t)(input - texts->inputs), text, size);
    return TTT_OK;
}

void ttt_texts_warn_odd(const ttt_texts *texts)
{
    if (texts->odd_bytes == 0) return;
    warn(texts, "%.2g %% of the text is not UTF-8 (%zu bytes in %zu %s; the first is byte %zu of %s): is it text?",
         100 * (double)texts->odd_bytes / (double)texts->bytes.size, texts->odd_bytes, texts->odd_files,
         texts->odd_files == 1 ? "file" : "files", texts->odd_at, name_of(texts->inputs[texts->odd_input].path));
}

/* A list of objects with "text" in it: documents, but not one a line. */
static bool is_json_array(const char *text, size_t size)
{
    size_t at = ttt_byte_order_mark(text, size);
    for (int bracket = 0; bracket < 2; bracket++, at++) {
        while (at < size && strchr(" \t\r\n", text[at]) && text[at]) at++;
        if (at >= size || text[at] != "[{"[bracket]) return false;
    }
    const ttt_buffer key = {.data = (char[]){"\"text\""}, .size = 6};
    return ttt_text_find(text + at, size - at < 1 << 16 ? size - at : 1 << 16, &key) != NULL;
}

static ttt_status fail_array(const char *path)
{
    return ttt_fail(
        TTT_ERR_FORMAT,
        "%s is one list of JSON, not a document a line; make it so, for example by jq -c '.[]', and call it "
        ".jsonl",
        name_of(path));
}

/* That `at` of `size` bytes of the present file are taken. */
static ttt_status tell(const ttt_texts *texts, size_t at, size_t size)
{
    const double part = (double)texts->reading + (size > 0 ? (double)at / (double)size : 0);
    if (!texts->progress) return TTT_OK;
    return texts->progress(texts->warn_context, part / (double)texts->to_read, "reading");
}

static ttt_status json_line(ttt_texts *texts, const char *line, size_t size, const char *path, size_t number)
{
    json_error_t error;
    json_t *object = ttt_json_read(line, size, JSON_ALLOW_NUL, &error);
    if (!object) return ttt_fail(ttt_json_status(&error), "%s, line %zu: %s", name_of(path), number, error.text);
    const json_t *text = json_object_get(object, "text");
    ttt_status status;
    if (!json_is_string(text)) {
        status = ttt_fail(TTT_ERR_FORMAT, "%s, line %zu: no string under the key \"text\"", name_of(path), number);
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
    if (is_json_array(file->data, file->size)) return fail_array(path);
    for (size_t at = ttt_byte_order_mark(file->data, file->size); at < file->size;) {
        const char *line = file->data + at;
        const char *end = memchr(line, '\n', file->size - at);
        const size_t size = end ? (size_t)(end - line) : file->size - at;
        if (number++ % 1024 == 0) TTT_TRY(tell(texts, at, file->size));
        at += size + 1;
        if (strspn(line, " \t\r") < size) TTT_TRY(json_line(texts, line, size, path, number));
    }
    return TTT_OK;
}

/* Whether a name ends so, packed or not. */
static bool is_called(const char *path, const char *suffix)
{
    static const char *const packed[] = {"", ".zst", ".gz"};
    char name[16];
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        snprintf(name, sizeof name, "%s%s", suffix, packed[i]);
        if (ttt_path_ends(path, name)) return true;
    }
    return false;
}

/* Whether the first line is an object with a text: then input without a name is documents, a line each. */
static bool begins_with_document(const char *text, size_t size)
{
    const size_t mark = ttt_byte_order_mark(text, size);
    if (size == mark || text[mark] != '{') return false;
    const char *end = memchr(text, '\n', size);
    json_t *object = ttt_json_read(text, end ? (size_t)(end - text) : size, JSON_ALLOW_NUL, NULL);
    const bool document = json_is_string(json_object_get(object, "text"));
    json_decref(object);
    return document;
}

/* Reads a file, unpacked, into `plain`; `stored` is for what it was packed as. */
static ttt_status file_load(ttt_input *input, ttt_hash_kind kind, ttt_buffer *plain, ttt_buffer *stored)
{
    const char *path = input->path;
    const bool called_packed = ttt_path_ends(path, ".zst") || ttt_path_ends(path, ".gz");
    ttt_buffer *target = called_packed ? stored : plain;
    const size_t start = target->size;
    TTT_TRY(ttt_file_read(target, path, SIZE_MAX));
    const size_t size = target->size - start;
    const ttt_packing packing = ttt_packing_of(target->data + start, size);
    input->size = (int64_t)size;
    input->hash = ttt_hash(kind, target->data + start, size);
    if (packing == TTT_PACKING_NONE && called_packed && size > 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: not a sound %s file: it does not begin like one", path,
                        ttt_path_ends(path, ".gz") ? "gzip" : "zstd");
    if (packing == TTT_PACKING_NONE) return TTT_OK;
    if (!called_packed) {
        TTT_TRY(ttt_buffer_append(stored, plain->data + start, size));
        plain->size = start;
    }
    return ttt_unpack(plain, stored, packing, name_of(path));
}

/* The text since `start` becomes a document. */
static ttt_status text_end(ttt_texts *texts, const ttt_input *input, size_t start)
{
    const char *path = input->path;
    const char *text = texts->bytes.data + start;
    const size_t size = texts->bytes.size - start;
    if (!texts->binary && (is_called(path, ".json") || strcmp(path, "-") == 0) && is_json_array(text, size))
        return fail_array(path);
    const size_t mark = texts->binary ? 0 : ttt_byte_order_mark(text, size);
    if (mark > 0) {
        memmove(texts->bytes.data + start, text + mark, size - mark);
        texts->bytes.size -= mark;
    }
    TTT_TRY(text_check(texts, input, start));
    return document_end(texts);
}

static ttt_status file_read(ttt_texts *texts, ttt_input *input, ttt_buffer *stored, ttt_buffer *lines)
{
    const char *path = input->path;
    const size_t start = texts->bytes.size;
    bool is_lines = is_called(path, ".jsonl") || is_called(path, ".ndjson");
    TTT_TRY(file_load(input, texts->hash, is_lines ? lines : &texts->bytes, stored));
    const size_t size = texts->bytes.size - start;
    if (strcmp(path, "-") == 0 && !texts->binary && begins_with_document(texts->bytes.data + start, size)) {
        warn(texts, "standard input is read as JSON lines: a document a line");
        TTT_TRY(ttt_buffer_append(lines, texts->bytes.data + start, size));
        texts->bytes.size = start;
        is_lines = true;
    }
    return is_lines ? json_lines(texts, lines, path) : text_end(texts, input, start);
}

ttt_status ttt_texts_read(ttt_texts *texts, const char *input)
{
    const size_t first = texts->input_count, start = texts->bytes.size;
    TTT_TRY(input_expand(texts, input));
    texts->to_read = texts->input_count - first;
    for (size_t i = first; i < texts->input_count; i++) {
        texts->reading = i - first;
        TTT_TRY(tell(texts, 0, 0));
        ttt_buffer stored = {0}, lines = {0};
        const ttt_status status = file_read(texts, &texts->inputs[i], &stored, &lines);
        ttt_buffer_deinit(&stored);
        ttt_buffer_deinit(&lines);
        if (status != TTT_OK) return status;
    }
    if (texts->bytes.size == start) return ttt_fail(TTT_ERR_FORMAT, "%s holds no text: it is empty", name_of(input));
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
        item->hash = ttt_hash(texts->hash, map.data, map.size);
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
