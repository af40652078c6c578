/* SPDX-License-Identifier: MIT
 *
 * State files as they are read: the checksum first, then what the file says of itself, then its tensors; and how far
 * apart two of them are. All of it without the model.
 */
#include "store/state_file.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/kind.h"
#include "tensor/precision.h"

/* ---- the checksum ---- */

ttt_status ttt_state_checksum(char text[TTT_DIGEST_TEXT], const void *bytes, size_t size)
{
    enum { BEHIND = TTT_STATE_CHECKSUM_AT + TTT_STATE_CHECKSUM };
    char zeros[TTT_STATE_CHECKSUM];
    ttt_digest *digest;
    TTT_TRY(ttt_digest_new(&digest));
    memset(zeros, '0', sizeof zeros);
    ttt_digest_add(digest, bytes, TTT_STATE_CHECKSUM_AT);
    ttt_digest_add(digest, zeros, sizeof zeros);
    ttt_digest_add(digest, (const char *)bytes + BEHIND, size - BEHIND);
    ttt_digest_print(digest, text);
    ttt_digest_free(digest);
    return TTT_OK;
}

static ttt_status check_bytes(const unsigned char *bytes, size_t size, const char *where)
{
    if (size < TTT_STATE_CHECKSUM_AT + TTT_STATE_CHECKSUM ||
        memcmp(bytes + sizeof(uint64_t), TTT_STATE_START, sizeof TTT_STATE_START - 1) != 0) {
        const char *kind = ttt_kind_name(bytes, size);
        return ttt_fail(TTT_ERR_FORMAT, "%s: this is no state file%s%s: ttt state read -o FILE writes one", where,
                        kind ? " but " : "", kind ? kind : "");
    }
    char sum[TTT_DIGEST_TEXT];
    TTT_TRY(ttt_state_checksum(sum, bytes, size));
    if (memcmp(sum, bytes + TTT_STATE_CHECKSUM_AT, TTT_STATE_CHECKSUM) == 0) return TTT_OK;
    return ttt_fail(TTT_ERR_FORMAT,
                    "%s: checksum: what the file holds does not have the one that it says: it is damaged or cut short; "
                    "take a copy of it that is whole",
                    where);
}

/* ---- what the file says of itself ---- */

static ttt_status fail_field(const ttt_state_file *file, const char *key, const char *what)
{
    return ttt_fail(TTT_ERR_FORMAT, "%s: %s: %s", file->where, key, what);
}

static ttt_status text_field(const ttt_state_file *file, const char *key, const char **value)
{
    *value = ttt_safetensors_metadata(file->tensors, key);
    return *value ? TTT_OK : fail_field(file, key, "the metadata of a state must have it");
}

static bool is_hex(const char *text, size_t length)
{
    return strlen(text) == length && strspn(text, "0123456789abcdef") == length;
}

static ttt_status hex_field(const ttt_state_file *file, const char *key, size_t length, const char **value)
{
    TTT_TRY(text_field(file, key, value));
    return is_hex(*value, length) ? TTT_OK : fail_field(file, key, "it is not so many hexadecimal digits");
}

/* A natural number of at most 15 digits, as ttt writes it: without sign, blanks or zeros in front. */
static ttt_status natural_field(const ttt_state_file *file, const char *key, int64_t *value)
{
    const char *text;
    TTT_TRY(text_field(file, key, &text));
    const size_t length = strlen(text);
    if (length == 0 || length > 15 || strspn(text, "0123456789") != length || (text[0] == '0' && length > 1))
        return fail_field(file, key, "it is not a natural number of at most 15 digits");
    *value = 0;
    for (const char *c = text; *c; c++) *value = 10 * *value + (*c - '0');
    return TTT_OK;
}

static ttt_status name_field(const ttt_state_file *file, const char *key, const char **value)
{
    TTT_TRY(text_field(file, key, value));
    return !**value || ttt_state_name_is_good(*value)
               ? TTT_OK
               : fail_field(file, key, "a name is at most 128 of A-Z a-z 0-9 . _ - and does not begin with a dot");
}

bool ttt_state_name_is_good(const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    const size_t length = strnlen(name, TTT_STATE_NAME_MAX + 1);
    return length > 0 && length <= TTT_STATE_NAME_MAX && name[0] != '.' && name[strspn(name, letters)] == '\0';
}

static uint64_t hex_number(const char *digits)
{
    uint64_t value = 0;
    for (int i = 0; i < 16; i++)
        value = value << 4 | (uint64_t)(digits[i] <= '9' ? digits[i] - '0' : digits[i] - 'a' + 10);
    return value;
}

static ttt_status read_version(ttt_state_file *file)
{
    const char *format;
    int64_t version;
    TTT_TRY(text_field(file, "format", &format));
    if (strcmp(format, "ttt_state") != 0) return fail_field(file, "format", "it is not ttt_state");
    TTT_TRY(natural_field(file, "version", &version));
    if (version < 1) return fail_field(file, "version", "there is none below 1");
    if (version > TTT_STATE_VERSION)
        return ttt_fail(TTT_ERR_UNSUPPORTED,
                        "%s: version: the state has format version %lld, and this program reads those up to %d: use a "
                        "newer ttt",
                        file->where, (long long)version, TTT_STATE_VERSION);
    file->info.version = (int)version;
    return TTT_OK;
}

static ttt_status read_what_computes(ttt_state_file *file)
{
    ttt_state_info *info = &file->info;
    bool known = false;
    TTT_TRY(hex_field(file, "fingerprint", TTT_DIGEST_TEXT - 1, &info->fingerprint));
    TTT_TRY(text_field(file, "precision", &info->precision));
    for (ttt_precision p = 0; p < TTT_PRECISION_COUNT; p++)
        known |= strcmp(info->precision, ttt_precision_name(p)) == 0;
    if (!known) return fail_field(file, "precision", "it is none that this program knows");
    TTT_TRY(text_field(file, "type", &info->type));
    if (strcmp(info->type, "F32") == 0 || strcmp(info->type, "F64") == 0) return TTT_OK;
    return fail_field(file, "type", "it is neither F32 nor F64");
}

static ttt_status read_what_was_read(ttt_state_file *file)
{
    ttt_state_info *info = &file->info;
    const char *hash, *frozen;
    TTT_TRY(natural_field(file, "position", &info->position));
    TTT_TRY(natural_field(file, "mini_batch_position", &info->mini_batch_position));
    TTT_TRY(hex_field(file, "token_hash", TTT_STATE_HASH, &hash));
    info->token_hash = (ttt_token_hash){.high = hex_number(hash), .low = hex_number(hash + 16)};
    TTT_TRY(text_field(file, "frozen", &frozen));
    info->frozen = strcmp(frozen, "true") == 0;
    return info->frozen || strcmp(frozen, "false") == 0 ? TTT_OK
                                                        : fail_field(file, "frozen", "it is neither true nor false");
}

static ttt_status read_metadata(ttt_state_file *file)
{
    TTT_TRY(read_version(file));
    TTT_TRY(text_field(file, "checksum", &file->info.checksum));
    TTT_TRY(name_field(file, "name", &file->info.name));
    TTT_TRY(name_field(file, "parent", &file->info.parent));
    const char *note = ttt_safetensors_metadata(file->tensors, "note"); /* a file need not have one */
    file->info.note = note ? note : "";
    TTT_TRY(read_what_computes(file));
    return read_what_was_read(file);
}

/* ---- its tensors ---- */

/* The ids, which must be as many as were read, and have their hash. */
static ttt_status read_tokens(ttt_state_file *file, const ttt_tensor *tensor)
{
    ttt_state_info *info = &file->info;
    if (tensor->dtype != TTT_I32 || tensor->rank != 1 || tensor->shape[0] != info->position)
        return fail_field(file, TTT_STATE_TOKENS, "these are not as many ids (I32) as the position says");
    file->tokens = ttt_alloc((size_t)info->position, sizeof *file->tokens);
    if (!file->tokens) return TTT_ERR_MEMORY;
    if (tensor->bytes > 0) memcpy(file->tokens, tensor->data, tensor->bytes);
    ttt_token_hash hash = {0};
    ttt_token_hash_add(&hash, file->tokens, info->position);
    if (hash.low != info->token_hash.low || hash.high != info->token_hash.high)
        return fail_field(file, "token_hash", "it is not that of the tokens in the file");
    info->tokens = file->tokens;
    return TTT_OK;
}

static ttt_status check_pieces(ttt_state_file *file)
{
    for (int64_t i = 0; i < ttt_safetensors_count(file->tensors); i++) {
        const ttt_tensor *tensor = ttt_safetensors_at(file->tensors, i);
        if (strcmp(tensor->name, TTT_STATE_TOKENS) == 0) continue;
        if (strncmp(tensor->name, "layers.", 7) != 0)
            return ttt_fail(TTT_ERR_FORMAT, "%s: a state has no tensor %.128s", file->where, tensor->name);
        if (strcmp(ttt_dtype_name(tensor->dtype), file->info.type) != 0)
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %.128s is of type %s in a state of type %s", file->where,
                            tensor->name, ttt_dtype_name(tensor->dtype), file->info.type);
        file->pieces++;
    }
    const ttt_tensor *tokens = ttt_safetensors_find(file->tensors, TTT_STATE_TOKENS);
    return tokens ? read_tokens(file, tokens) : TTT_OK;
}

static ttt_status open_bytes(ttt_state_file *file, const void *bytes, size_t size)
{
    file->info.bytes = size;
    TTT_TRY(check_bytes(bytes, size, file->where));
    TTT_TRY(ttt_safetensors_parse(&file->tensors, bytes, size, file->where));
    TTT_TRY(read_metadata(file));
    return check_pieces(file);
}

static ttt_status finish(ttt_state_file **out, ttt_state_file *file, ttt_status status)
{
    if (status == TTT_OK)
        *out = file;
    else
        ttt_state_file_close(file);
    return status;
}

ttt_status ttt_state_file_parse(ttt_state_file **out, const void *bytes, size_t size, const char *where)
{
    *out = NULL;
    ttt_state_file *file = ttt_alloc(1, sizeof *file);
    if (!file) return TTT_ERR_MEMORY;
    file->path = ttt_strdup(where);
    file->where = file->path;
    return finish(out, file, file->path ? open_bytes(file, bytes, size) : TTT_ERR_MEMORY);
}

ttt_status ttt_state_file_open(ttt_state_file **out, const char *path)
{
    *out = NULL;
    ttt_state_file *file = ttt_alloc(1, sizeof *file);
    if (!file) return TTT_ERR_MEMORY;
    file->path = ttt_strdup(path);
    file->where = file->path;
    ttt_status status = file->path ? ttt_map_open(&file->map, path) : TTT_ERR_MEMORY;
    if (status == TTT_OK) status = open_bytes(file, file->map.data, file->map.size);
    return finish(out, file, status);
}

void ttt_state_file_close(ttt_state_file *file)
{
    if (!file) return;
    ttt_safetensors_close(file->tensors);
    ttt_map_close(&file->map);
    ttt_free(file->tokens);
    ttt_free(file->path);
    ttt_free(file);
}

const ttt_state_info *ttt_state_file_info(const ttt_state_file *file) { return &file->info; }

/* ---- its pieces, and how far apart two are ---- */

int64_t ttt_state_file_pieces(const ttt_state_file *file) { return file->pieces; }

/* All tensors begin with "layers." but one, which comes after them. */
const ttt_tensor *ttt_state_file_piece(const ttt_state_file *file, int64_t index)
{
    return ttt_safetensors_at(file->tensors, index);
}

static double number_at(const ttt_tensor *tensor, int64_t index)
{
    double wide;
    float narrow;
    if (tensor->dtype == TTT_F64) {
        memcpy(&wide, (const char *)tensor->data + (size_t)index * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, (const char *)tensor->data + (size_t)index * sizeof narrow, sizeof narrow);
    return (double)narrow;
}

ttt_state_difference ttt_state_file_difference(const ttt_state_file *first, const ttt_state_file *second, int64_t index)
{
    const ttt_tensor *a = ttt_state_file_piece(first, index), *b = ttt_safetensors_find(second->tensors, a->name);
    ttt_state_difference d = {.piece = a->name};
    if (!b || !ttt_shape_equal(a->shape, a->rank, b->shape, b->rank)) return d;
    d.comparable = true;
    for (int64_t i = 0, count = ttt_tensor_count(a); i < count; i++) {
        const double x = number_at(a, i), y = number_at(b, i);
        d.largest = fmax(d.largest, fabs(x - y));
        d.distance += (x - y) * (x - y);
        d.size += x * x;
        d.size_second += y * y;
    }
    d.distance = sqrt(d.distance);
    d.size = sqrt(d.size);
    d.size_second = sqrt(d.size_second);
    return d;
}
