/* SPDX-License-Identifier: MIT
 *
 * Conversions between floating types: every 16-bit value survives the way through the wider types, rounding is to the
 * nearest and to even on ties, in one step even where two would round twice; any alignment.
 */
#include "tensor/dtype.h"
#include "tensor/tensor.h"
#include "test.h"

#include <math.h>
#include <stdint.h>

static uint16_t narrow(ttt_dtype dtype, double value)
{
    uint16_t bits;
    ttt_dtype_convert(&bits, dtype, &value, TTT_F64, 1);
    return bits;
}

static double widen(ttt_dtype dtype, uint16_t bits)
{
    double value;
    ttt_dtype_convert(&value, TTT_F64, &bits, dtype, 1);
    return value;
}

static void test_all_16_bit_values(ttt_dtype dtype, ttt_dtype wide)
{
    int wrong = 0;
    for (uint32_t i = 0; i < 65536; i++) {
        const uint16_t bits = (uint16_t)i;
        uint16_t back;
        double storage;
        ttt_dtype_convert(&storage, wide, &bits, dtype, 1);
        ttt_dtype_convert(&back, dtype, &storage, wide, 1);
        const double value = widen(dtype, bits);
        if (isnan(value) ? !isnan(widen(dtype, back)) : back != bits) wrong++;
    }
    CHECK_EQ(wrong, 0);
}

/* Each pair of neighbours: just below, at and just above their middle. */
static void test_rounding(ttt_dtype dtype, uint16_t infinity)
{
    int wrong = 0;
    for (uint16_t i = 0; i + 1 < infinity; i++) {
        const double low = widen(dtype, i), high = widen(dtype, (uint16_t)(i + 1)), middle = low + (high - low) / 2;
        const uint16_t even = (uint16_t)(i & 1 ? i + 1 : i);
        wrong += narrow(dtype, middle) != even;
        wrong += narrow(dtype, -middle) != (even | 0x8000);
        wrong += narrow(dtype, nextafter(middle, 0)) != i;
        wrong += narrow(dtype, nextafter(middle, high)) != i + 1;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(narrow(dtype, (double)INFINITY), infinity);
    CHECK_EQ(narrow(dtype, -1e300), infinity | 0x8000);
    CHECK_EQ(narrow(dtype, -0.0), 0x8000);
    CHECK_EQ(narrow(dtype, 1e-300), 0);
    CHECK(isnan(widen(dtype, narrow(dtype, NAN))));
}

static void test_known_values(void)
{
    CHECK_EQ(narrow(TTT_BF16, 1.0), 0x3f80);
    CHECK_EQ(narrow(TTT_F16, 1.0), 0x3c00);
    CHECK_EQ(narrow(TTT_F16, 65504.0), 0x7bff);
    CHECK_EQ(narrow(TTT_F16, 65519.99), 0x7bff);
    CHECK_EQ(narrow(TTT_F16, 65520.0), 0x7c00);
    CHECK_EQ(narrow(TTT_F16, 0x1p-24), 1);
    CHECK(widen(TTT_BF16, 0xc049) == -3.140625);
    CHECK(widen(TTT_F16, 0x3555) == 0.333251953125);
    const uint32_t signaling = 0x7f800001; /* its top bits alone would be infinity */
    uint16_t bits;
    ttt_dtype_convert(&bits, TTT_BF16, &signaling, TTT_F32, 1);
    CHECK(isnan(widen(TTT_BF16, bits)));
}

static void test_unaligned(void)
{
    unsigned char from[1 + 600 * 4], to[1 + 600 * 8];
    for (int i = 0; i < 600; i++) {
        const float value = (float)i / 7;
        memcpy(from + 1 + 4 * i, &value, 4);
    }
    ttt_dtype_convert(to + 1, TTT_F64, from + 1, TTT_F32, 600);
    int wrong = 0;
    for (int i = 0; i < 600; i++) {
        double value;
        memcpy(&value, to + 1 + 8 * i, 8);
        wrong += value != (double)((float)i / 7);
    }
    CHECK_EQ(wrong, 0);
}

static void test_names_and_shapes(void)
{
    ttt_dtype dtype = TTT_U8;
    CHECK(ttt_dtype_find(&dtype, "BF16") && dtype == TTT_BF16);
    CHECK(!ttt_dtype_find(&dtype, "bf16") && dtype == TTT_BF16);
    CHECK_STR(ttt_dtype_name(TTT_F8_E4M3FNUZ), "F8_E4M3FNUZ");
    CHECK_EQ(ttt_dtype_bits(TTT_F4), 4);
    CHECK_EQ(ttt_dtype_bytes(TTT_C64), 8);
    CHECK(ttt_dtype_is_float(TTT_F16) && !ttt_dtype_is_float(TTT_I64));
    char text[TTT_SHAPE_TEXT];
    const int64_t shape[TTT_RANK_MAX] = {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                                         INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX};
    CHECK_STR(ttt_shape_print(text, (const int64_t[]){4, 8, 8}, 3), "[4, 8, 8]");
    CHECK_STR(ttt_shape_print(text, NULL, 0), "[]");
    CHECK_EQ(strlen(ttt_shape_print(text, shape, TTT_RANK_MAX)), 2 + 8 * 19 + 7 * 2);
}

int main(void)
{
    test_all_16_bit_values(TTT_BF16, TTT_F64);
    test_all_16_bit_values(TTT_BF16, TTT_F32);
    test_all_16_bit_values(TTT_F16, TTT_F64);
    test_all_16_bit_values(TTT_F16, TTT_F32);
    test_rounding(TTT_BF16, 0x7f80);
    test_rounding(TTT_F16, 0x7c00);
    test_known_values();
    test_unaligned();
    test_names_and_shapes();
    return test_end();
}
