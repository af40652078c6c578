/* SPDX-License-Identifier: MIT
 *
 * JAX streams: those made with flax give exactly the tensors of the model folder they were made from, the moments of a
 * train state are left out, and every way in which a stream can be wrong is named.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "fault.h"
#include "store/jax_stream.h"
#include "store/safetensors.h"
#include "test.h"

/* Saves the stream's parameters as safetensors and compares with the folder's: as they are, or rounded to bf16. */
static void check_golden(const char *stream_name, const char *folder, ttt_dtype dtype)
{
    const char *path = test_shared(stream_name);
    if (!path) {
        SKIP("../shared/%s is not part of the repository", stream_name);
        return;
    }
    ttt_jax_stream *stream;
    CHECK_OK(ttt_jax_stream_open(&stream, path));
    const int64_t count = ttt_jax_stream_count(stream);
    ttt_tensor_out *out = ttt_alloc((size_t)count, sizeof *out);
    CHECK(out);
    for (int64_t i = 0; i < count; i++) {
        out[i].tensor = ttt_jax_stream_tensors(stream)[i];
        out[i].dtype = out[i].tensor.dtype;
        out[i].transposed = ttt_jax_stream_transposed(stream, i);
        CHECK_EQ(out[i].dtype, dtype);
    }
    const char *copy = TTT_BINARY_DIR "/test_jax.safetensors";
    CHECK_OK(ttt_safetensors_save(copy, out, count, NULL));
    ttt_free(out);
    ttt_jax_stream_close(stream);

    ttt_safetensors *golden, *converted;
    CHECK_OK(ttt_safetensors_open(&golden, test_shared(folder)));
    CHECK_OK(ttt_safetensors_open(&converted, copy));
    CHECK_EQ(ttt_safetensors_count(converted), ttt_safetensors_count(golden));
    for (int64_t i = 0; i < count; i++) {
        const ttt_tensor *a = ttt_safetensors_at(golden, i), *b = ttt_safetensors_at(converted, i);
        CHECK_STR(a->name, b->name);
        CHECK(ttt_shape_equal(a->shape, a->rank, b->shape, b->rank));
        unsigned char *expected = ttt_alloc(b->bytes, 1);
        CHECK(expected && b->bytes == (size_t)ttt_tensor_count(a) * ttt_dtype_bytes(dtype));
        ttt_dtype_convert(expected, dtype, a->data, a->dtype, (size_t)ttt_tensor_count(a));
        CHECK(memcmp(expected, b->data, b->bytes) == 0);
        ttt_free(expected);
    }
    ttt_safetensors_close(golden);
    ttt_safetensors_close(converted);
    remove(copy);
}

/* A stream built from pieces; lengths are given by hand so that they can lie. */
typedef struct piece {
    const char *bytes;
    size_t size;
} piece;

#define P(text)                                                                                                        \
    {                                                                                                                  \
        text, sizeof(text) - 1                                                                                         \
    }

static ttt_status parse(const char *bytes, size_t size)
{
    ttt_jax_stream *stream;
    const ttt_status status = ttt_jax_stream_parse(&stream, bytes, size, "x.stream");
    if (status == TTT_OK) ttt_jax_stream_close(stream);
    return status;
}

/* One record: key path model / ln_f / kernel, value [2] float32. */
#define LN_F "\x92\x93\xa5model\xa4ln_f\xa6kernel"
#define VALUE                                                                                                          \
    "\xc4\x18\xc7\x15\x01\x93\x91\x02\xa7"                                                                             \
    "float32"                                                                                                          \
    "\xc4\x08"                                                                                                         \
    "abcdefgh"

static void test_refused(void)
{
    static const struct {
        piece stream;
        const char *part;
    } cases[] = {
        {P(""), "empty"},
        {P("\x93\x90\x90\x90"), "byte 1: a record has a key path and a value"},
        {P("\x81"), "byte 0: an array is expected"},
        {P("\x92\xa1x"), "byte 1: an array is expected"},
        {P("\x92\xdd\xff\xff\xff\xff"), "truncated"},
        {P("\x92\x91\x01\xc4"), "a string is expected"},
        {P("\x92\x91\xdb\xff\xff\xff\xff"
           "abc"),
         "truncated"},
        {P("\x92\x91\xa3"
           "a\0b\xc4\x00"),
         "NUL"},
        {P("\x92\x91\xa1"), "truncated"},
        {P("\x92\x91\xa1"
           "a\xa1"
           "b"),
         "binary data is expected"},
        {P("\x92\x91\xa1"
           "a\xc6\xff\xff\xff\xff"),
         "truncated"},
        {P("\x92\x91\xa1"
           "a\xc4\x01"
           "b"),
         "no parameters"},
        {P("\x92\x93\xa5model\xa4ln_g\xa6kernel\xc4\x00"), "model/ln_g/kernel is no parameter"},
        {P("\x92\x92\xa7lm_head\xa4"
           "bias\xc4\x00"),
         "lm_head/bias is no parameter"},
        {P("\x92\x95\xa5model\xa1h\xa2"
           "01\xa8seq_norm\xa6kernel\xc4\x00"),
         "model/h/01/seq_norm/kernel is no parameter"},
        {P("\x92\x95\xa5model\xa1h\xa9"
           "999999999\xa8seq_norm\xa6kernel\xc4\x00"),
         "is no parameter"},
        {P("\x92\x94\xa6params\xa6params\xa5model\xa1h\xc4\x00"), "params/params/model/h is no parameter"},
        {P(LN_F "\xc4\x00"), "truncated"},
        {P(LN_F "\xc4\x01\x05"), "an array record is expected"},
        {P(LN_F "\xc4\x03\xd4\x02\x00"), "not an array record"},
        {P(LN_F "\xc4\x04\xd4\x01\x00\x00"), "bytes follow the array record"},
        {P(LN_F "\xc4\x03\xd4\x01\x92"), "truncated"},
        {P(LN_F "\xc4\x05\xc7\x02\x01\x92\x90"), "truncated"},
        {P(LN_F "\xc4\x18\xc7\x15\x01\x93\x91\x02\xa7"
                "float99"
                "\xc4\x08"
                "abcdefgh"),
         "type of numbers"},
        {P(LN_F "\xc4\x18\xc7\x15\x01\x93\x91\x03\xa7"
                "float32"
                "\xc4\x08"
                "abcdefgh"),
         "do not fit"},
        {P(LN_F "\xc4\x19\xc7\x16\x01\x93\x91\x02\xa7"
                "float32"
                "\xc4\x08"
                "abcdefgh!"),
         "bytes follow the array"},
        {P(LN_F "\xc4\x20\xc7\x1d\x01\x93\x91\xcf\x40\x00\x00\x00\x00\x00\x00\x02\xa7"
                "float32"
                "\xc4\x08"
                "abcdefgh"),
         "do not fit"},
        {P(LN_F VALUE LN_F VALUE), "model.norm.weight is there twice"},
        {P(LN_F VALUE "\x92"), "truncated"},
        {P("\x92\x92\xa7lm_head\xa6kernel" VALUE), "lm_head/kernel cannot have the shape [2]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_FAILS(parse(cases[i].stream.bytes, cases[i].stream.size), TTT_ERR_FORMAT, cases[i].part);
    static const piece good = P(LN_F VALUE);
    CHECK_OK(parse(good.bytes, good.size));
    for (size_t size = 0; size < good.size; size++) CHECK_FAILS(parse(good.bytes, size), TTT_ERR_FORMAT, "x.stream");
    ttt_jax_stream *stream;
    CHECK_FAILS(ttt_jax_stream_open(&stream, TTT_SOURCE_DIR), TTT_ERR_IO, TTT_SOURCE_DIR);
}

/* Moments end in the same names as parameters; only the full prefix tells them apart. */
static void test_prefix(void)
{
    static const piece mixed = P("\x92\x97\xa9opt_state\xa1"
                                 "1\xa1"
                                 "0\xa2mu\xa5model\xa4ln_f\xa6kernel\xc4\x01x"
                                 "\x92\x91\xa4step\xc4\x01x" LN_F VALUE
                                 "\x92\x94\xa6params\xa5model\xa4ln_f\xa6kernel\xc4\x01x");
    ttt_jax_stream *stream;
    CHECK_OK(ttt_jax_stream_parse(&stream, mixed.bytes, mixed.size, "x.stream"));
    CHECK_EQ(ttt_jax_stream_count(stream), 1);
    const ttt_tensor *tensor = ttt_jax_stream_tensors(stream);
    CHECK_STR(tensor->name, "model.norm.weight");
    CHECK(tensor->rank == 1 && tensor->shape[0] == 2 && memcmp(tensor->data, "abcdefgh", 8) == 0);
    CHECK(!ttt_jax_stream_transposed(stream, 0));
    ttt_jax_stream_close(stream);
}

/* Each allocation fails in turn: an error each time, and nothing leaks (under ASan). */
static void test_memory(void)
{
    static const piece good = P(LN_F VALUE);
    const int64_t start = fault_count(TTT_CALL_ALLOC);
    CHECK_OK(parse(good.bytes, good.size));
    const int64_t count = fault_count(TTT_CALL_ALLOC) - start;
    CHECK(count > 0);
    for (int64_t i = 1; i <= count; i++) {
        fault_at(TTT_CALL_ALLOC, i, 0);
        CHECK_FAILS(parse(good.bytes, good.size), TTT_ERR_MEMORY, "");
    }
    fault_at(TTT_CALL_ALLOC, 0, 0);
}

int main(void)
{
    check_golden("goldens/jax/linear_mamba_preconv_f32.streaming_params",
                 "goldens/linear_mamba_preconv/model.safetensors", TTT_F32);
    check_golden("goldens/jax/mlp_mamba_preconv_f32.streaming_train_state",
                 "goldens/mlp_mamba_preconv/model.safetensors", TTT_F32);
    check_golden("goldens/jax/mlp_mamba_preconv_bf16.streaming_train_state",
                 "goldens/mlp_mamba_preconv/model.safetensors", TTT_BF16);
    test_refused();
    test_prefix();
    test_memory();
    return test_end();
}
