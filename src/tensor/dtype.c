/* SPDX-License-Identifier: MIT
 *
 * Element types and their conversions. Everything goes through double, which holds each of the other floating types
 * exactly, so that a value is rounded once whatever the pair of types.
 */
#include "tensor/dtype.h"

#include <stdint.h>
#include <string.h>

static const struct {
    const char *name;
    int bits;
} types[TTT_DTYPE_COUNT] = {
#define TYPE_ROW(name, bits) [TTT_##name] = {#name, bits},
    TTT_DTYPE_MAP(TYPE_ROW)
#undef TYPE_ROW
};

const char *ttt_dtype_name(ttt_dtype dtype) { return types[dtype].name; }
int ttt_dtype_bits(ttt_dtype dtype) { return types[dtype].bits; }
size_t ttt_dtype_bytes(ttt_dtype dtype) { return (size_t)types[dtype].bits / 8; }

bool ttt_dtype_find(ttt_dtype *dtype, const char *name)
{
    for (int i = 0; i < TTT_DTYPE_COUNT; i++) {
        if (strcmp(types[i].name, name) != 0) continue;
        *dtype = (ttt_dtype)i;
        return true;
    }
    return false;
}

bool ttt_dtype_is_float(ttt_dtype dtype)
{
    return dtype == TTT_F64 || dtype == TTT_F32 || dtype == TTT_BF16 || dtype == TTT_F16;
}

enum { BF16_EXPONENT = 8, F16_EXPONENT = 5 };

/* The 16-bit float nearest to `value`, ties to the even one. Works on the bits: the remainder that a shift drops
 * decides, and a carry out of the fraction is a correct step of the exponent. */
static uint16_t narrow(double value, int exponent_bits, int fraction_bits)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint64_t sign = bits >> 63 << 15, infinity = ((UINT64_C(1) << exponent_bits) - 1) << fraction_bits;
    bits &= ~(UINT64_C(1) << 63);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (bits >> 52 == 2047) { /* infinite, or NaN: made quiet, since the dropped bits may be all that made it a NaN */
        const uint64_t quiet = fraction ? UINT64_C(1) << (fraction_bits - 1) | fraction >> (52 - fraction_bits) : 0;
        return (uint16_t)(sign | infinity | quiet);
    }
    const int exponent = (int)(bits >> 52) - 1023 + (1 << (exponent_bits - 1)) - 1;
    uint64_t significand = (uint64_t)(exponent > 0 ? exponent : 1) << 52 | fraction;
    int shift = 52 - fraction_bits;
    if (exponent <= 0) { /* subnormal in the narrow type: the leading one is explicit, the exponent field zero */
        shift = shift + 1 - exponent < 63 ? shift + 1 - exponent : 63;
    }
    uint64_t rounded = significand >> shift;
    significand &= (UINT64_C(1) << shift) - 1;
    const uint64_t half = UINT64_C(1) << (shift - 1);
    if (significand > half || (significand == half && (rounded & 1))) rounded++;
    return (uint16_t)(sign | (rounded < infinity ? rounded : infinity));
}

static double widen(uint16_t value, int exponent_bits, int fraction_bits)
{
    const int exponent = value >> fraction_bits & ((1 << exponent_bits) - 1);
    const uint64_t fraction = value & ((UINT64_C(1) << fraction_bits) - 1);
    uint64_t bits = (uint64_t)(value >> 15) << 63 | fraction << (52 - fraction_bits);
    if (exponent == (1 << exponent_bits) - 1) {
        bits |= UINT64_C(2047) << 52;
    } else if (exponent == 0) { /* zero or subnormal: fraction * 2^(1 - bias - fraction_bits), a normal double */
        const int scale = 1023 + 1 - ((1 << (exponent_bits - 1)) - 1) - fraction_bits;
        const uint64_t unit = (uint64_t)scale << 52;
        double step;
        memcpy(&step, &unit, sizeof step);
        const double magnitude = (double)fraction * step;
        return value >> 15 ? -magnitude : magnitude;
    } else {
        bits |= (uint64_t)(exponent + 1023 - ((1 << (exponent_bits - 1)) - 1)) << 52;
    }
    double result;
    memcpy(&result, &bits, sizeof result);
    return result;
}

static void load(double *to, const unsigned char *from, ttt_dtype dtype, size_t count)
{
    if (dtype == TTT_F64) {
        memcpy(to, from, count * sizeof *to);
    } else if (dtype == TTT_F32) {
        for (size_t i = 0; i < count; i++) {
            float value;
            memcpy(&value, from + 4 * i, sizeof value);
            to[i] = (double)value;
        }
    } else {
        const int exponent_bits = dtype == TTT_BF16 ? BF16_EXPONENT : F16_EXPONENT, fraction_bits = 15 - exponent_bits;
        for (size_t i = 0; i < count; i++) {
            uint16_t value;
            memcpy(&value, from + 2 * i, sizeof value);
            to[i] = widen(value, exponent_bits, fraction_bits);
        }
    }
}

static void store(unsigned char *to, const double *from, ttt_dtype dtype, size_t count)
{
    if (dtype == TTT_F64) {
        memcpy(to, from, count * sizeof *from);
    } else if (dtype == TTT_F32) {
        for (size_t i = 0; i < count; i++) {
            const float value = (float)from[i];
            memcpy(to + 4 * i, &value, sizeof value);
        }
    } else {
        const int exponent_bits = dtype == TTT_BF16 ? BF16_EXPONENT : F16_EXPONENT, fraction_bits = 15 - exponent_bits;
        for (size_t i = 0; i < count; i++) {
            const uint16_t value = narrow(from[i], exponent_bits, fraction_bits);
            memcpy(to + 2 * i, &value, sizeof value);
        }
    }
}

void ttt_dtype_convert(void *to, ttt_dtype to_dtype, const void *from, ttt_dtype from_dtype, size_t count)
{
    enum { CHUNK = 256 };
    if (to_dtype == from_dtype) {
        if (count) memcpy(to, from, count * ttt_dtype_bytes(to_dtype));
        return;
    }
    double chunk[CHUNK];
    const unsigned char *source = from;
    unsigned char *target = to;
    for (size_t done = 0; done < count; done += CHUNK) {
        const size_t n = count - done < CHUNK ? count - done : CHUNK;
        load(chunk, source + done * ttt_dtype_bytes(from_dtype), from_dtype, n);
        store(target + done * ttt_dtype_bytes(to_dtype), chunk, to_dtype, n);
    }
}
