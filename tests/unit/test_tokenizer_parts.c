/* SPDX-License-Identifier: MIT
 *
 * The parts of tokenizers where vectors of whole tokenizers do not reach: every character of Unicode, regular
 * expressions that differ between programs or ask for too much, and what the Unigram model does at its edges.
 */
#include <jansson.h>
#include <zlib.h>

#include "base/alloc.h"
#include "test.h"
#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

/* ---- every character ---- */

static void append_code(ttt_buffer *out, uint32_t code)
{
    char bytes[4];
    CHECK_OK(ttt_buffer_append(out, bytes, (size_t)ttt_utf8_encode(code, bytes)));
}

static bool is_surrogate(uint32_t code) { return code >= 0xd800 && code < 0xe000; }

static uLong crc_of(const ttt_buffer *bytes) { return crc32(0, (const Bytef *)bytes->data, (uInt)bytes->size); }

/* A model that has nothing but one of the parts. */
static ttt_tokenizer *with_part(const char *key, const char *type)
{
    char json[512];
    ttt_tokenizer *tokenizer = NULL;
    snprintf(json, sizeof json,
             "{\"%s\":{\"type\":\"%s\",\"individual_digits\":true},\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\","
             "\"vocab\":"
             "{\"?\":0},\"merges\":[]}}",
             key, type);
    CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
    return tokenizer;
}

static void check_normalizer(const char *name, const ttt_buffer *every, uLong crc)
{
    ttt_tokenizer *tokenizer = with_part("normalizer", name);
    ttt_buffer out = {0};
    CHECK_OK(ttt_tokenizer_normalize(tokenizer, &out, every->data, every->size));
    if (crc_of(&out) != crc) fprintf(stderr, "%s\n", name);
    CHECK(crc_of(&out) == crc);
    ttt_buffer_deinit(&out);
    ttt_tokenizer_free(tokenizer);
}

static ttt_status count_piece(void *context, const char *text, size_t size)
{
    (void)text;
    CHECK(size > 0);
    ++*(char *)context;
    return TTT_OK;
}

/* Into how many pieces every assigned character between two letters makes them fall. */
static void check_split(const char *name, uLong crc)
{
    ttt_tokenizer *tokenizer = with_part("pre_tokenizer", name);
    ttt_buffer counts = {0}, text = {0};
    char pieces;
    ttt_splitter splitter = {
        .steps = tokenizer->splits, .count = tokenizer->split_count, .sink = count_piece, .context = &pieces};
    for (uint32_t code = 0; code < 0x110000; code++) {
        const bool unassigned = ttt_unicode_bits(code) == 8;
        if (is_surrogate(code) || unassigned) continue;
        pieces = 0;
        text.size = 0;
        CHECK_OK(ttt_buffer_append(&text, "a", 1));
        append_code(&text, code);
        CHECK_OK(ttt_buffer_append(&text, "a", 1));
        CHECK_OK(ttt_split_text(&splitter, text.data, text.size, true));
        CHECK_OK(ttt_buffer_append(&counts, &pieces, 1));
    }
    if (crc_of(&counts) != crc) fprintf(stderr, "%s\n", name);
    CHECK(crc_of(&counts) == crc);
    ttt_splitter_deinit(&splitter);
    ttt_buffer_deinit(&counts);
    ttt_buffer_deinit(&text);
    ttt_tokenizer_free(tokenizer);
}

static void every_character(void)
{
    ttt_buffer every = {0};
    for (uint32_t code = 0; code < 0x110000; code++) {
        if (is_surrogate(code)) continue;
        if (every.size > 0) CHECK_OK(ttt_buffer_append(&every, "\n", 1));
        append_code(&every, code);
    }
    FILE *file = fopen(TTT_SOURCE_DIR "/tests/unit/tokenizers/unicode.jsonl", "r");
    json_t *line;
    int lines = 0;
    for (; file && (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL; lines++) {
        const char *normalizer = json_string_value(json_object_get(line, "normalizer"));
        const uLong crc = (uLong)json_integer_value(json_object_get(line, "crc"));
        if (normalizer)
            check_normalizer(normalizer, &every, crc);
        else
            check_split(json_string_value(json_object_get(line, "pre_tokenizer")), crc);
        json_decref(line);
    }
    CHECK_EQ(lines, 10);
    if (file) fclose(file);
    ttt_buffer_deinit(&every);
}

/* ---- regular expressions ---- */

/* The matches of a pattern, each in brackets. */
static void check_matches(const char *pattern, const char *text, size_t size, const char *expected)
{
    ttt_regex *regex;
    ttt_regex_search search = {0};
    ttt_buffer found_text = {0};
    size_t start, end;
    CHECK_OK(ttt_regex_new(&regex, pattern, strlen(pattern), "a test"));
    if (!regex) return;
    CHECK_OK(ttt_regex_begin(&search, regex, text, size));
    CHECK_OK(ttt_buffer_append(&found_text, "", 0));
    for (bool found = true; found;) {
        CHECK_OK(ttt_regex_next(&search, &start, &end, &found));
        if (found) CHECK_OK(ttt_buffer_print(&found_text, "[%.*s]", (int)(end - start), text + start));
    }
    CHECK_STR(found_text.data, expected);
    ttt_buffer_deinit(&found_text);
    ttt_regex_search_deinit(&search);
    ttt_regex_free(regex);
}

static void expressions(void)
{
    static const struct {
        const char *pattern, *text, *matches;
    } cases[] = {
        {"\\s", "a\u180e\xc2\x85\u3000b", "[\xc2\x85][\u3000]"}, /* U+180E is no space, though some say so */
        {"[^\\s]", "\u180e\xc2\x85", "[\u180e]"},
        {"\\S+", "a \u180eb", "[a][\u180eb]"},
        {"\\w+", "a\u0301_\u2163\u203f\u00b2 -", "[a\u0301_\u2163\u203f\u00b2]"},
        {"\\W", "a-b", "[-]"},
        {"\\h+", "xfaceg", "[face]"},
        {"\\u00e9", "\u00e9", "[\u00e9]"},
        {"[a[b[c]]d]+", "xabcdx[]", "[abcd]"},
        {"[]a]", NULL, "[]a"},
        {"^b", "a\nb", "[b]"},
        {".", "\n", ""},
        {"\\p{Han}", "\u3007\u4e00\u30fc", "[\u3007][\u4e00]"}, /* the script, not what is used with it */
        {"\\p{^Lu}", "Aa", "[a]"},
        {"\\P{L}", "a1", "[1]"},
        {"a*", "baac", "[][aa][]"}, /* as Oniguruma's iterator has it: no empty match right behind another */
        {"(?i:k)", "\u212a", "[\u212a]"},
        {"\\p{L}", "\u0378\U00011f12", ""}, /* the second is a letter since Unicode 15 */
        {"\\b", NULL, "\\b"},
        {"\\K", NULL, "\\K"},
        {"(?P<a>b)", NULL, "(?P<"},
        {"(*COMMIT)a", NULL, "(*CO"},
        {"[[:punct:]]", NULL, "[:"},
        {"[a&&b]", NULL, "&&"},
        {"[^\\W]", NULL, "\\W"},
        {"a{1,2}+", NULL, "}+"},
        {"a\\", NULL, "\\"},
        {"\\p", NULL, "\\p"},
        {"\\u12", NULL, "\\u"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *pattern = cases[i].pattern;
        ttt_regex *regex;
        if (cases[i].text)
            check_matches(pattern, cases[i].text, strlen(cases[i].text), cases[i].matches);
        else
            CHECK_FAILS(ttt_regex_new(&regex, pattern, strlen(pattern), "a test"), TTT_ERR_UNSUPPORTED,
                        cases[i].matches);
    }
    check_matches("\\p{L}+", "ab\xff\xc3zd\xe6\xb5", 8, "[ab][zd]"); /* bytes that are no UTF-8 are no letters */
    check_matches("x", NULL, 0, "");
    char *pattern = ttt_alloc(20001, 1);
    memset(pattern, 'a', 20000);
    ttt_regex *regex;
    CHECK_FAILS(ttt_regex_new(&regex, pattern, 20000, "a test"), TTT_ERR_UNSUPPORTED, "more than 16384 bytes");
    CHECK_FAILS(ttt_regex_new(&regex, "(a{1,60000}){1,60000}", 21, "a test"), TTT_ERR_FORMAT, "regular expression");
    ttt_free(pattern);
}

/* An expression that would take for ever ends with a sentence. */
static void endless(void)
{
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:(?:a|aa)+)+[bc]\"},"
                               "\"behavior\":\"Isolated\"},"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
    static const char deep[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a|b(?=(.)))*c?\"},"
                               "\"behavior\":\"Isolated\"},"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
    char text[6000];
    ttt_ids ids = {0};
    ttt_tokenizer *tokenizer;
    memset(text, 'a', sizeof text);
    CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
    text[60] = 'd';
    text[61] = 'c';
    CHECK_FAILS(ttt_tokenizer_encode(tokenizer, text, 62, false, &ids), TTT_ERR_UNSUPPORTED, "takes too much work");
    CHECK_EQ(ids.count, 0);
    ttt_tokenizer_free(tokenizer);
    text[60] = text[61] = 'a';
    CHECK_OK(ttt_tokenizer_load(&tokenizer, deep, strlen(deep)));
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, sizeof text, false, &ids));
    CHECK_EQ(ids.count, sizeof text);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
}

/* ---- what becomes of matches ---- */

static ttt_status join_piece(void *context, const char *text, size_t size)
{
    return ttt_buffer_print(context, "%s%.*s", ((ttt_buffer *)context)->size ? "|" : "", (int)size, text);
}

/* As tokenizers 0.19 cuts "aabxaaxb a". */
static void behaviors(void)
{
    static const struct {
        const char *pattern;
        bool invert;
        const char *pieces[5]; /* by ttt_split_behavior */
    } cases[] = {
        {"{\"Regex\":\"a\"}",
         false,
         {"bx|xb ", "a|a|bx|a|a|xb |a", "a|a|bxa|a|xb a", "a|abx|a|axb |a", "aa|bx|aa|xb |a"}},
        {"{\"String\":\"a\"}",
         false,
         {"bx|xb ", "a|a|bx|a|a|xb |a", "a|a|bxa|a|xb a", "a|abx|a|axb |a", "aa|bx|aa|xb |a"}},
        {"{\"Regex\":\"a\"}",
         true,
         {"a|a|a|a|a", "a|a|bx|a|a|xb |a", "a|abx|a|axb |a", "a|a|bxa|a|xb a", "aa|bx|aa|xb |a"}},
        {"{\"Regex\":\"a|\"}",
         false,
         {"b|x|x|b| ", "a|a|b|x|a|a|x|b| |a", "a|a|b|xa|a|x|b| a", "a|ab|x|a|ax|b| |a", "aa|b|x|aa|x|b| |a"}},
        {"{\"Regex\":\"a|\"}",
         true,
         {"a|a|a|a|a", "a|a|b|x|a|a|x|b| |a", "a|ab|x|a|ax|b| |a", "a|a|b|xa|a|x|b| a", "aa|b|x|aa|x|b| |a"}},
    };
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    static const char text[] = "aabxaaxb a";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (size_t k = 0; k < 5; k++) {
            char json[512];
            ttt_buffer pieces = {0};
            ttt_tokenizer *tokenizer;
            snprintf(json, sizeof json,
                     "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":%s,\"behavior\":\"%s\",\"invert\":%s},"
                     "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
                     cases[i].pattern, names[k], cases[i].invert ? "true" : "false");
            CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
            ttt_splitter splitter = {.steps = tokenizer->splits, .count = 1, .sink = join_piece, .context = &pieces};
            CHECK_OK(ttt_split_text(&splitter, text, strlen(text), true));
            CHECK_STR(pieces.data, cases[i].pieces[k]);
            ttt_splitter_deinit(&splitter);
            ttt_buffer_deinit(&pieces);
            ttt_tokenizer_free(tokenizer);
        }
    }
}

/* ---- SentencePiece ---- */

static void put_piece(ttt_buffer *model, const char *text, float score, char type)
{
    const char length = (char)strlen(text);
    CHECK_OK(ttt_buffer_append(model, (char[]){'\x0a', (char)(length + 9), '\x0a', length}, 4));
    CHECK_OK(ttt_buffer_append(model, text, strlen(text)));
    CHECK_OK(ttt_buffer_append(model, "\x15", 1));
    CHECK_OK(ttt_buffer_append(model, &score, sizeof score)); /* the tests' machines are little-endian */
    CHECK_OK(ttt_buffer_append(model, (char[]){'\x18', type}, 2));
}

typedef struct scored {
    const char *text;
    float score;
} scored;

/* The ids of "abc", 0 for those that there are not; piece i has the id i + 1. No space is put before the text. */
static void check_abc(const scored *pieces, size_t count, char model_type, const int32_t expected[3])
{
    ttt_buffer model = {0};
    ttt_tokenizer *tokenizer;
    ttt_ids ids = {0};
    put_piece(&model, "?", 0, 2);
    for (size_t i = 0; i < count; i++) put_piece(&model, pieces[i].text, pieces[i].score, 1);
    CHECK_OK(ttt_buffer_append(&model, (char[]){'\x12', 2, '\x18', model_type, '\x1a', 2, '\x18', 0}, 8));
    CHECK_OK(ttt_tokenizer_load(&tokenizer, model.data, model.size));
    CHECK_OK(ttt_tokenizer_encode(tokenizer, "abc", 3, false, &ids));
    for (size_t i = 0; i < 3; i++) CHECK_EQ(i < ids.count ? ids.data[i] : 0, expected[i]);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
    ttt_buffer_deinit(&model);
}

static void sentencepiece(void)
{
    /* Of merges with the same score the leftmost comes first, whatever their ids. */
    check_abc((const scored[]){{"a", -9}, {"b", -9}, {"c", -9}, {"bc", -1}, {"ab", -1}}, 5, 2,
              (const int32_t[]){5, 3, 0});
    /* Sums are doubles; what is as good as what came first is not taken. */
    check_abc((const scored[]){{"a", -33554432}, {"b", -1}, {"c", -2.5F}, {"abc", -33554436}}, 4, 1,
              (const int32_t[]){1, 2, 3});
    check_abc((const scored[]){{"a", -33554432}, {"b", -1}, {"c", -3}, {"abc", -33554436}}, 4, 1,
              (const int32_t[]){4, 0, 0});
}

/* ---- Unigram ---- */

#define UNIGRAM(more, pieces) "{\"model\":{\"type\":\"Unigram\"," more "\"vocab\":[" pieces "]}}"

static void check_ids(const char *json, const char *text, size_t count, const int32_t *expected)
{
    ttt_tokenizer *tokenizer;
    ttt_ids ids = {0};
    CHECK_OK(ttt_tokenizer_load(&tokenizer, json, strlen(json)));
    CHECK_OK(ttt_tokenizer_encode(tokenizer, text, strlen(text), false, &ids));
    CHECK_EQ(ids.count, count);
    for (size_t i = 0; i < count && i < ids.count; i++) CHECK_EQ(ids.data[i], expected[i]);
    ttt_ids_deinit(&ids);
    ttt_tokenizer_free(tokenizer);
}

static void unigram(void)
{
    static const char pieces[] = UNIGRAM("\"unk_id\":0,",
                                         "[\"<unk>\",0],[\"a\",-1],[\"b\",-1],[\"ab\",-2],[\"abc\",-9],"
                                         "[\"bc\",-3],[\"\u00e9\",-1]");
    check_ids(pieces, "ab", 1, (const int32_t[]){3}); /* as good as a, b: the way that begins first was there first */
    check_ids(pieces, "abc", 2, (const int32_t[]){1, 5});
    check_ids(pieces, "axyb", 3, (const int32_t[]){1, 0, 2}); /* a run of unknown characters is one token */
    check_ids(pieces, "\u00e9\u00ea\u00e9", 3, (const int32_t[]){6, 0, 6});
    check_ids(UNIGRAM("\"unk_id\":0,\"byte_fallback\":true,",
                      "[\"<unk>\",0],[\"a\",-1],[\"<0xC3>\",0],[\"<0xAA>\",0],[\"<0x41>\",0]"),
              "aA\u00eaB", 2, (const int32_t[]){1, 0}); /* not all bytes of the run have a token */
    check_ids(UNIGRAM("\"unk_id\":0,\"byte_fallback\":true,",
                      "[\"<unk>\",0],[\"a\",-1],[\"<0xC3>\",0],[\"<0xAA>\",0],[\"<0x41>\",0]"),
              "aA\u00ea", 4, (const int32_t[]){1, 4, 2, 3});
    check_ids(UNIGRAM("\"unk_id\":0,", "[\"<unk>\",0],[\"xa\",-8],[\"b\",-8],[\"ab\",-1]"), "xab", 2,
              (const int32_t[]){1, 2}); /* an unknown character costs ten more than the worst piece */
    ttt_tokenizer *tokenizer;
    ttt_ids ids = {0};
    static const char no_unknown[] = UNIGRAM("", "[\"a\",-1]");
    CHECK_OK(ttt_tokenizer_load(&tokenizer, no_unknown, strlen(no_unknown)));
    CHECK_FAILS(ttt_tokenizer_encode(tokenizer, "ab", 2, false, &ids), TTT_ERR_FORMAT, "lacks the character 'b'");
    CHECK_EQ(ids.count, 0);
    ttt_tokenizer_free(tokenizer);
    static const char *const bad[][2] = {
        {UNIGRAM("", "[\"a\",-1],[\"a\",-2]"), "listed twice"},
        {UNIGRAM("", "[\"a\"]"), "piece 0"},
        {UNIGRAM("", "[\"a\",1e999]"), "piece 0"},
        {UNIGRAM("\"unk_id\":1,", "[\"a\",0]"), "'unk_id'"},
        {UNIGRAM("\"byte_fallback\":1,", "[\"a\",0]"), "'byte_fallback'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_FAILS(ttt_tokenizer_load(&tokenizer, bad[i][0], strlen(bad[i][0])), TTT_ERR_FORMAT, bad[i][1]);
    ttt_ids_deinit(&ids);
}

int main(void)
{
    every_character();
    expressions();
    endless();
    behaviors();
    sentencepiece();
    unigram();
    return test_end();
}
