#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes src/text/unicode_tables.c: four bits for each code point, in two stages.

The tables are fixed, not asked of a library, because ids must not change with the machine. Classes (letter, number,
space) are those of Unicode 14, on which tokenizers 0.19 and its regular expressions stand; so this needs Python 3.11.
Normalization in tokenizers stands on Unicode 9: what came later it neither reorders nor composes. Only later
characters of non-zero combining class, or that compose, can tell the difference; they and all that are unassigned in
Unicode 14 are marked. All of it was compared with tokenizers over every code point.

Behind them come lists of ranges: combining marks as StripAccents knows them (Unicode 9), punctuation as Punctuation does
(Unicode 7), and characters with a compatibility decomposition that is newer than Unicode 9.
"""
import sys
import unicodedata

SPACES = {9, 10, 11, 12, 13, 0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, *range(0x2000, 0x200B)}
# Alphabetic symbols (category So): with letters, marks, digits and connectors they are what \w matches.
WORD_SYMBOLS = {*range(0x24B6, 0x24EA), *range(0x1F130, 0x1F14A), *range(0x1F150, 0x1F16A), *range(0x1F170, 0x1F18A)}
JOIN_CONTROLS = {0x200C, 0x200D}
# Combining since Unicode 10, and U+11930, which composes since Unicode 13.
NEW_TO_NFC = [
    (0x7FD, 0x7FD), (0x898, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C), (0xEBA, 0xEBA),
    (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C), (0x10D24, 0x10D27), (0x10EAB, 0x10EAC),
    (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070), (0x1133B, 0x1133B), (0x1145E, 0x1145E),
    (0x11839, 0x1183A), (0x11930, 0x11930), (0x1193D, 0x1193E), (0x11943, 0x11943), (0x119E0, 0x119E0),
    (0x11A34, 0x11A34), (0x11A47, 0x11A47), (0x11A99, 0x11A99), (0x11D42, 0x11D42), (0x11D44, 0x11D45),
    (0x11D97, 0x11D97), (0x16FF0, 0x16FF1), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF)]
NEW_MARKS = [
    (0x7FD, 0x7FD), (0x898, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xAFA, 0xAFF), (0xB55, 0xB55), (0xC04, 0xC04),
    (0xC3C, 0xC3C), (0xD00, 0xD00), (0xD3B, 0xD3C), (0xD81, 0xD81), (0xEBA, 0xEBA), (0x1715, 0x1715),
    (0x180F, 0x180F), (0x1ABF, 0x1ACE), (0x1CF7, 0x1CF7), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C), (0xA8FF, 0xA8FF),
    (0x10D24, 0x10D27), (0x10EAB, 0x10EAC), (0x10F46, 0x10F50), (0x10F82, 0x10F85), (0x11070, 0x11070),
    (0x11073, 0x11074), (0x110C2, 0x110C2), (0x11145, 0x11146), (0x111C9, 0x111C9), (0x111CE, 0x111CF),
    (0x1133B, 0x1133B), (0x1145E, 0x1145E), (0x1182C, 0x1183A), (0x11930, 0x11935), (0x11937, 0x11938),
    (0x1193B, 0x1193E), (0x11940, 0x11940), (0x11942, 0x11943), (0x119D1, 0x119D7), (0x119DA, 0x119E0),
    (0x119E4, 0x119E4), (0x11A01, 0x11A0A), (0x11A33, 0x11A39), (0x11A3B, 0x11A3E), (0x11A47, 0x11A47),
    (0x11A51, 0x11A5B), (0x11A8A, 0x11A99), (0x11D31, 0x11D36), (0x11D3A, 0x11D3A), (0x11D3C, 0x11D3D),
    (0x11D3F, 0x11D45), (0x11D47, 0x11D47), (0x11D8A, 0x11D8E), (0x11D90, 0x11D91), (0x11D93, 0x11D97),
    (0x11EF3, 0x11EF6), (0x16F4F, 0x16F4F), (0x16F7F, 0x16F87), (0x16FE4, 0x16FE4), (0x16FF0, 0x16FF1),
    (0x1CF00, 0x1CF2D), (0x1CF30, 0x1CF46), (0x1E130, 0x1E136), (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF)]
NEW_PUNCTUATION = [
    (0x61D, 0x61D), (0x9FD, 0x9FD), (0xA76, 0xA76), (0xC77, 0xC77), (0xC84, 0xC84), (0x1B7D, 0x1B7E),
    (0x2E43, 0x2E4F), (0x2E52, 0x2E5D), (0x10EAD, 0x10EAD), (0x10F55, 0x10F59), (0x10F86, 0x10F89),
    (0x1144B, 0x1144F), (0x1145A, 0x1145B), (0x1145D, 0x1145D), (0x11660, 0x1166C), (0x116B9, 0x116B9),
    (0x1183B, 0x1183B), (0x11944, 0x11946), (0x119E2, 0x119E2), (0x11A3F, 0x11A46), (0x11A9A, 0x11A9C),
    (0x11A9E, 0x11AA2), (0x11C41, 0x11C45), (0x11C70, 0x11C71), (0x11EF7, 0x11EF8), (0x11FFF, 0x11FFF),
    (0x12FF1, 0x12FF2), (0x16E97, 0x16E9A), (0x16FE2, 0x16FE2), (0x1E95E, 0x1E95F)]
NEW_COMPATIBLE = [(0x32FF, 0x32FF), (0xA7F2, 0xA7F4), (0xAB69, 0xAB69), (0x10781, 0x10785), (0x10787, 0x107B0),
                  (0x107B2, 0x107BA), (0x11938, 0x11938), (0x1F16C, 0x1F16C), (0x1FBF0, 0x1FBF9)]
BLOCK = 128


def bits(code):
    category = unicodedata.category(chr(code))
    if code in SPACES:
        kind = 3
    else:
        kind = {"L": 1, "N": 2}.get(category[0], 0)
    word = (category[0] in "LM" or category in ("Nd", "Nl", "Pc") or code in WORD_SYMBOLS or code in JOIN_CONTROLS)
    unstable = category == "Cn" or any(first <= code <= last for first, last in NEW_TO_NFC)
    return kind | word << 2 | unstable << 3


def rows(numbers, width):
    for i in range(0, len(numbers), width):
        yield "    " + ", ".join(str(n) for n in numbers[i:i + width]) + ","


def within(code, ranges):
    return any(first <= code <= last for first, last in ranges)


def is_mark(code):
    old = unicodedata.category(chr(code))[0] == "M" and not within(code, NEW_MARKS)
    return old or code in (0x1CF2, 0x1CF3)


def is_punctuation(code):
    old = unicodedata.category(chr(code))[0] == "P" and not within(code, NEW_PUNCTUATION)
    return code >= 0x80 and (old or code in (0x166D, 0x111C9))


def write_ranges(out, name, test):
    ranges = []
    for code in filter(test, range(0x110000)):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    out.write(f"\nconst ttt_unicode_range ttt_unicode_{name}[] = {{\n")
    out.write("\n".join(rows([f"{{0x{first:X}, 0x{last:X}}}" for first, last in ranges], 6)))
    out.write(f"\n}};\nconst size_t ttt_unicode_{name}_count = {len(ranges)};\n")


def main():
    if unicodedata.unidata_version != "14.0.0":
        sys.exit(f"this Python knows Unicode {unicodedata.unidata_version}; 14.0.0 (Python 3.11) is needed")
    blocks, index = {}, []
    for start in range(0, 0x110000, BLOCK):
        values = [bits(code) for code in range(start, start + BLOCK)]
        block = tuple(values[i] | values[i + 1] << 4 for i in range(0, BLOCK, 2))
        index.append(blocks.setdefault(block, len(blocks)))
    with open(sys.argv[1] if len(sys.argv) > 1 else "src/text/unicode_tables.c", "w", encoding="utf-8") as out:
        out.write("/* SPDX-License-Identifier: MIT\n *\n * Generated by scripts/make_unicode_tables.py; unicode.h says "
                  "what it holds.\n */\n#include \"text/unicode.h\"\n\n/* clang-format off */\n")
        width = "uint8_t" if len(blocks) <= 256 else "uint16_t"
        out.write(f"const {width} ttt_unicode_index[{len(index)}] = {{\n")
        out.write("\n".join(rows(index, 24)))
        out.write(f"\n}};\n\nconst uint8_t ttt_unicode_blocks[{len(blocks)}][{BLOCK // 2}] = {{\n")
        for block in blocks:
            out.write("    {\n" + "\n".join("    " + row for row in rows(block, 16)) + "\n    },\n")
        out.write("};\n")
        write_ranges(out, "marks", is_mark)
        write_ranges(out, "punctuation", is_punctuation)
        write_ranges(out, "new_compatible", lambda code: within(code, NEW_COMPATIBLE))
        out.write("/* clang-format on */\n")


main()
