/* SPDX-License-Identifier: MIT */
#include "store/param_match.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* What a matrix's type says it holds. */
static ttt_precision precision_of(const ttt_tensor *tensor)
{
    return tensor->dtype == TTT_I8 ? TTT_PRECISION_Q8 : tensor->dtype == TTT_U8 ? TTT_PRECISION_Q4 : TTT_PRECISION_F32;
}

ttt_matrix ttt_param_matrix(const ttt_param_spec *spec, const ttt_param_found *found)
{
    return (ttt_matrix){.precision = found->scales ? precision_of(found->tensor) : TTT_PRECISION_F32,
                        .dtype = found->tensor->dtype,
                        .values = found->tensor->data,
                        .scales = found->scales ? found->scales->data : NULL,
                        .rows = ttt_param_rows(spec),
                        .columns = ttt_param_columns(spec)};
}

static int64_t find(const ttt_tensor *tensors, int64_t count, const char *name)
{
    int64_t low = 0, high = count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        const int order = strcmp(tensors[middle].name, name);
        if (order == 0) return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *ttt_name_hint(char text[TTT_NAME_HINT], const ttt_tensor *tensors, int64_t count, const char *name)
{
    const size_t end = strlen(name);
    const char *there = count > 0 ? tensors[0].name : NULL, *wrapped = "";
    for (int64_t i = 0; i < count && !*wrapped; i++) {
        const size_t length = strlen(tensors[i].name);
        if (length <= end || strcmp(tensors[i].name + length - end, name) != 0) continue;
        there = tensors[i].name;
        if (strncmp(there, "_orig_mod.", 10) == 0 || strncmp(there, "module.", 7) == 0)
            wrapped = ": save the model itself, not what torch.compile or DataParallel puts around it";
    }
    text[0] = '\0';
    if (there) snprintf(text, TTT_NAME_HINT, "; there is %.128s%s", there, wrapped);
    return text;
}

/* Codes stand where floating values might: beside them must lie their scales, and both must have the right shape. */
static ttt_status match_codes(const ttt_param_spec *spec, const ttt_tensor *codes, const ttt_tensor *scales,
                              const char *where)
{
    const ttt_precision precision = precision_of(codes);
    const int64_t code_shape[] = {spec->shape[0], ttt_code_bytes(precision, spec->shape[1])};
    const int64_t scale_shape[] = {spec->shape[0], ttt_blocks(spec->shape[1])};
    char expected[TTT_SHAPE_TEXT], actual[TTT_SHAPE_TEXT];
    if (!scales)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s holds %s codes, but %s%s is missing", where, spec->name,
                        ttt_precision_name(precision), spec->name, TTT_SCALES);
    const struct {
        const ttt_tensor *tensor;
        const int64_t *shape;
    } both[] = {{codes, code_shape}, {scales, scale_shape}};
    for (int i = 0; i < 2; i++)
        if (!ttt_shape_equal(both[i].tensor->shape, both[i].tensor->rank, both[i].shape, 2))
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has shape %s where %s codes need %s", where,
                            both[i].tensor->name, ttt_shape_print(actual, both[i].tensor->shape, both[i].tensor->rank),
                            ttt_precision_name(precision), ttt_shape_print(expected, both[i].shape, 2));
    if (scales->dtype != TTT_BF16)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has type %s; scales are BF16", where, scales->name,
                        ttt_dtype_name(scales->dtype));
    if (!ttt_scales_sound(scales->data, ttt_tensor_count(scales)))
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s holds a scale that is not finite or above 2^120", where,
                        scales->name);
    return TTT_OK;
}

static ttt_status match_one(const ttt_param_spec *spec, const ttt_tensor *tensor, const ttt_tensor *scales,
                            const char *where)
{
    char expected[TTT_SHAPE_TEXT], actual[TTT_SHAPE_TEXT];
    ttt_shape_print(expected, spec->shape, spec->rank);
    if (spec->role == TTT_ROLE_MATRIX && precision_of(tensor) != TTT_PRECISION_F32)
        return match_codes(spec, tensor, scales, where);
    if (!ttt_shape_equal(tensor->shape, tensor->rank, spec->shape, spec->rank))
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has shape %s where the configuration needs %s", where,
                        spec->name, ttt_shape_print(actual, tensor->shape, tensor->rank), expected);
    if (!ttt_dtype_is_float(tensor->dtype))
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has type %s; parameters are F64, F32, BF16 or F16", where,
                        spec->name, ttt_dtype_name(tensor->dtype));
    return TTT_OK;
}

/* Old releases of transformers stored the angles of the rotation, which follow from the configuration. */
static bool is_angles(const char *name)
{
    static const char end[] = ".rotary_emb.inv_freq";
    const size_t length = strlen(name);
    return length >= sizeof end - 1 && strcmp(name + length - (sizeof end - 1), end) == 0;
}

/* A tensor that no parameter asked for: allowed only if it is the tied head, stored once more. */
static ttt_status match_extra(const ttt_param_spec *embedding, const ttt_tensor *tensors, int64_t count,
                              const ttt_tensor *extra, const char *where)
{
    char shape[TTT_SHAPE_TEXT];
    ttt_shape_print(shape, extra->shape, extra->rank);
    if (is_angles(extra->name)) return TTT_OK;
    if (strcmp(extra->name, "lm_head.weight") != 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s of shape %s is no parameter of this configuration", where,
                        extra->name, shape);
    const ttt_tensor *tied = &tensors[find(tensors, count, embedding->name)];
    if (tied->dtype != extra->dtype || tied->bytes != extra->bytes ||
        (extra->bytes && memcmp(tied->data, extra->data, extra->bytes) != 0))
        return ttt_fail(TTT_ERR_FORMAT,
                        "%s: lm_head.weight differs from %s although tie_word_embeddings is true; set it to false",
                        where, embedding->name);
    return TTT_OK;
}

/* The tensors of one parameter, which are then used. */
static ttt_status find_param(ttt_param_found *found, bool *used, const ttt_param_spec *spec, const ttt_tensor *tensors,
                             int64_t count, const char *where)
{
    const int64_t at = find(tensors, count, spec->name);
    if (at >= 0) {
        found->tensor = &tensors[at];
        used[at] = true;
    }
    if (found->tensor && spec->role == TTT_ROLE_MATRIX && precision_of(found->tensor) != TTT_PRECISION_F32) {
        char name[TTT_PARAM_NAME + sizeof TTT_SCALES];
        snprintf(name, sizeof name, "%s%s", spec->name, TTT_SCALES);
        const int64_t scales = find(tensors, count, name);
        if (scales >= 0) {
            found->scales = &tensors[scales];
            used[scales] = true;
        }
    }
    if (found->tensor) return match_one(spec, found->tensor, found->scales, where);
    char shape[TTT_SHAPE_TEXT], hint[TTT_NAME_HINT];
    return ttt_fail(TTT_ERR_FORMAT, "%s: the configuration needs a tensor %s of shape %s, which is missing%s", where,
                    spec->name, ttt_shape_print(shape, spec->shape, spec->rank),
                    ttt_name_hint(hint, tensors, count, spec->name));
}

/* One precision for all matrices. */
static ttt_status find_precision(ttt_precision *precision, const ttt_param_spec *specs, const ttt_param_found *found,
                                 int64_t count, const char *where)
{
    *precision = precision_of(found[0].tensor); /* of the embedding */
    for (int64_t i = 0; i < count; i++)
        if (specs[i].role == TTT_ROLE_MATRIX && precision_of(found[i].tensor) != *precision)
            return ttt_fail(TTT_ERR_FORMAT, "%s: tensor %s has type %s and %s %s: matrices are of one precision", where,
                            specs[i].name, ttt_dtype_name(found[i].tensor->dtype), specs[0].name,
                            ttt_dtype_name(found[0].tensor->dtype));
    return TTT_OK;
}

ttt_status ttt_param_match(const ttt_param_spec *specs, int64_t count, const ttt_tensor *tensors, int64_t tensor_count,
                           const char *where, ttt_param_found **out, ttt_precision *precision)
{
    *out = NULL;
    ttt_param_found *found = ttt_alloc((size_t)count, sizeof *found);
    bool *used = ttt_alloc((size_t)tensor_count, sizeof *used);
    ttt_status status = found && used ? TTT_OK : TTT_ERR_MEMORY;
    for (int64_t i = 0; status == TTT_OK && i < count; i++)
        status = find_param(&found[i], used, &specs[i], tensors, tensor_count, where);
    if (status == TTT_OK) status = find_precision(precision, specs, found, count, where);
    for (int64_t i = 0; status == TTT_OK && i < tensor_count; i++)
        if (!used[i]) status = match_extra(&specs[0], tensors, tensor_count, &tensors[i], where);
    ttt_free(used);
    if (status != TTT_OK) {
        ttt_free(found);
        return status;
    }
    *out = found;
    return TTT_OK;
}
