/* SPDX-License-Identifier: MIT */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/regex.h"

#include <pcre2.h>
#include <string.h>

#include "base/alloc.h"
#include "text/unicode.h"
#include "text/utf8.h"

enum { PATTERN_LIMIT = 1 << 14, STEPS_LIMIT = 10000000, HEAP_LIMIT = 1 << 16 /* KiB */, STACK_LIMIT = 64 << 20 };
enum { UNASSIGNED = 8 }; /* ttt_unicode_bits of a character that Unicode 14 does not have */

struct ttt_regex {
    pcre2_code *code;
    pcre2_general_context *memory; /* ours, so that tests can make it fail */
};

static void *take(size_t size, void *context)
{
    (void)context;
    return ttt_alloc(size, 1);
}

static void give(void *memory, void *context)
{
    (void)context;
    ttt_free(memory);
}

/* ---- from Oniguruma's syntax to PCRE2's ---- */

typedef struct rewriting {
    const char *p, *end;
    ttt_buffer *out;
    const char *where;
    int classes; /* brackets open around p */
} rewriting;

static ttt_status refuse(const rewriting *r, const char *start, size_t size)
{
    return ttt_fail(TTT_ERR_UNSUPPORTED, "%s has a regular expression with '%.*s', which is not supported", r->where,
                    (int)size, start);
}

static ttt_status put(rewriting *r, const char *text) { return ttt_buffer_append(r->out, text, strlen(text)); }

/* A set of characters, in a class or as a class of its own. */
static ttt_status put_set(rewriting *r, const char *set, bool inverse)
{
    if (r->classes > 0) return put(r, set);
    return ttt_buffer_print(r->out, "[%s%s]", inverse ? "^" : "", set);
}

/* \p{...}: general categories are the same; other names are scripts, which newer versions of PCRE2 would widen. */
static ttt_status put_property(rewriting *r)
{
    const char *start = r->p - 2,
               *close = r->p < r->end && *r->p == '{' ? memchr(r->p, '}', (size_t)(r->end - r->p)) : NULL;
    if (!close) return refuse(r, start, 2);
    const char *name = r->p + 1;
    const bool inverse = *name == '^';
    name += inverse;
    const size_t length = (size_t)(close - name);
    r->p = close + 1;
    const bool category = length <= 2 || (length == 3 && memcmp(name, "Any", 3) == 0);
    const char *script = category ? "" : "sc:";
#if PCRE2_MAJOR == 10 && PCRE2_MINOR < 40
    script = "";
#endif
    return ttt_buffer_print(r->out, "\\%c{%s%s%.*s}", start[1], inverse ? "^" : "", script, (int)length, name);
}

/* \uHHHH */
static ttt_status put_code(rewriting *r)
{
    if (r->end - r->p < 4 || strspn(r->p, "0123456789abcdefABCDEF") < 4) return refuse(r, r->p - 2, 2);
    TTT_TRY(ttt_buffer_print(r->out, "\\x{%.4s}", r->p));
    r->p += 4;
    return TTT_OK;
}

static ttt_status put_escape(rewriting *r)
{
    static const char spaces[] = "\\p{Z}\\t-\\r\\x{85}",
                      words[] = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\xB2\\xB3\\xB9\\xBC-\\xBE\\x{24B6}-\\x{24E9}"
                                "\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}",
                      digits[] = "0-9a-fA-F";
    if (r->end - r->p < 2) return refuse(r, r->p, 1);
    const char *start = r->p;
    const char c = start[1];
    r->p += 2;
    switch (c) {
    case 's': return put_set(r, spaces, false);
    case 'w': return put_set(r, words, false);
    case 'h': return put_set(r, digits, false);
    case 'v': return put(r, "\\x{0B}");
    case 'u': return put_code(r);
    case 'p':
    case 'P': return put_property(r);
    case 'S':
    case 'W':
        if (r->classes == 0) return put_set(r, c == 'S' ? spaces : words, true);
        return c == 'S' ? put(r, "\\S") : refuse(r, start, 2);
    default: break;
    }
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'), digit = c >= '0' && c <= '9';
    if (letter && !strchr("nrtfaedDxAzZ", c)) return refuse(r, start, 2);
    if (digit && r->classes > 0) return refuse(r, start, 2);
    return ttt_buffer_append(r->out, start, 2);
}

/* A group: only those whose meaning is the same. */
static ttt_status put_group(rewriting *r)
{
    static const char *const known[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)", "(?-i)", "(?-i:"};
    const size_t left = (size_t)(r->end - r->p);
    size_t length = 1;
    if (left > 1 && (r->p[1] == '?' || r->p[1] == '*')) {
        length = 0;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (left >= strlen(known[i]) && memcmp(r->p, known[i], strlen(known[i])) == 0) length = strlen(known[i]);
        if (length == 0) return refuse(r, r->p, left < 4 ? left : 4);
    }
    r->p += length;
    return ttt_buffer_append(r->out, r->p - length, length);
}

/* A bracket of a class. One within another adds its characters, so its brackets fall away. */
static ttt_status put_bracket(rewriting *r)
{
    const size_t left = (size_t)(r->end - r->p);
    if (*r->p == ']') {
        if (r->classes > 0) r->classes--;
        r->p++;
        return r->classes == 0 ? put(r, "]") : TTT_OK;
    }
    if (left < 2 || r->p[1] == ']' || (left > 2 && r->p[1] == '^' && r->p[2] == ']'))
        return refuse(r, r->p, left < 3 ? left : 3);
    if (r->classes > 0 && (r->p[1] == '^' || r->p[1] == ':')) return refuse(r, r->p, 2);
    r->p++;
    if (r->classes++ > 0) return TTT_OK;
    TTT_TRY(put(r, "["));
    if (*r->p != '^') return TTT_OK;
    r->p++;
    return put(r, "^");
}

static ttt_status rewrite(rewriting *r)
{
    while (r->p < r->end) {
        if (*r->p == '\\') {
            TTT_TRY(put_escape(r));
        } else if (*r->p == '[' || *r->p == ']') {
            TTT_TRY(put_bracket(r));
        } else if (*r->p == '(' && r->classes == 0) {
            TTT_TRY(put_group(r));
        } else {
            const size_t left = (size_t)(r->end - r->p);
            if (left > 1 && r->classes > 0 && memcmp(r->p, "&&", 2) == 0) return refuse(r, r->p, 2);
            if (left > 1 && r->classes == 0 && memcmp(r->p, "}+", 2) == 0) return refuse(r, r->p, 2);
            TTT_TRY(ttt_buffer_append(r->out, r->p++, 1));
        }
    }
    return TTT_OK;
}

/* ---- compiling ---- */

static ttt_status compile(ttt_regex *regex, const ttt_buffer *pattern, const char *where)
{
    int code;
    size_t place;
    regex->memory = pcre2_general_context_create(take, give, NULL);
    if (!regex->memory) return TTT_ERR_MEMORY;
    pcre2_compile_context *context = pcre2_compile_context_create(regex->memory);
    if (!context) return TTT_ERR_MEMORY;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    regex->code = pcre2_compile((PCRE2_SPTR)(pattern->data ? pattern->data : ""), pattern->size,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &place,
                                context);
    pcre2_compile_context_free(context);
    if (regex->code) {
        (void)pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); /* without it matching is slower */
        return TTT_OK;
    }
    unsigned char reason[128];
    if (code == PCRE2_ERROR_HEAP_FAILED) return TTT_ERR_MEMORY;
    pcre2_get_error_message(code, reason, sizeof reason);
    return ttt_fail(TTT_ERR_FORMAT, "%s has a regular expression that is none: %s", where, (const char *)reason);
}

ttt_status ttt_regex_new(ttt_regex **out, const char *pattern, size_t size, const char *where)
{
    *out = NULL;
    if (size > PATTERN_LIMIT)
        return ttt_fail(TTT_ERR_UNSUPPORTED, "%s has a regular expression of more than %d bytes", where, PATTERN_LIMIT);
    ttt_buffer rewritten = {0};
    rewriting r = {.p = pattern, .end = pattern + size, .out = &rewritten, .where = where};
    ttt_regex *regex = ttt_alloc(1, sizeof *regex);
    ttt_status status = regex ? rewrite(&r) : TTT_ERR_MEMORY;
    if (status == TTT_OK) status = compile(regex, &rewritten, where);
    ttt_buffer_deinit(&rewritten);
    if (status == TTT_OK)
        *out = regex;
    else
        ttt_regex_free(regex);
    return status;
}

void ttt_regex_free(ttt_regex *regex)
{
    if (!regex) return;
    pcre2_code_free(regex->code);
    pcre2_general_context_free(regex->memory);
    ttt_free(regex);
}

/* ---- matching ---- */

/* What stands for the character at `text` before PCRE2, of the same size, or NULL: the character itself. */
static const char *stand_in(const char *text, size_t size, size_t *length)
{
    static const char *const unassigned[] = {NULL, NULL, "\u0378", "\ufffe", "\U0001fffe"};
    uint32_t code;
    const int decoded = ttt_utf8_decode(text, size, &code);
    *length = decoded > 0 ? (size_t)decoded : 1;
    if (decoded <= 0) return "\x1a"; /* a byte that is no UTF-8: neither letter, number nor space */
    return ttt_unicode_bits(code) == UNASSIGNED ? unassigned[decoded] : NULL;
}

static ttt_status show(ttt_regex_search *search, const char *text, size_t size)
{
    if (!text || size == 0) text = "";
    search->text = text;
    search->shown.size = 0;
    for (size_t i = 0, length; i < size; i += length) {
        length = 1;
        if ((unsigned char)text[i] < 0x80) continue;
        const char *other = stand_in(text + i, size - i, &length);
        if (!other) continue;
        if (search->shown.size == 0) TTT_TRY(ttt_buffer_append(&search->shown, text, size));
        memcpy(search->shown.data + i, other, length);
    }
    if (search->shown.size > 0) search->text = search->shown.data;
    return TTT_OK;
}

ttt_status ttt_regex_begin(ttt_regex_search *search, const ttt_regex *regex, const char *text, size_t size)
{
    search->size = size;
    search->from = search->last_end = 0;
    search->matched = false;
    if (search->regex != regex) {
        pcre2_match_data_free(search->data);
        search->regex = regex;
        search->data = pcre2_match_data_create(1, regex->memory);
        if (!search->context) search->context = pcre2_match_context_create(regex->memory);
    }
    if (!search->data || !search->context) return TTT_ERR_MEMORY;
    pcre2_set_match_limit(search->context, size < UINT32_MAX / 32 ? STEPS_LIMIT + 16 * (uint32_t)size : UINT32_MAX);
    pcre2_set_heap_limit(search->context, HEAP_LIMIT);
    return show(search, text, size);
}

static int match(ttt_regex_search *search)
{
    /* The text is UTF-8 by now, so it need not be checked at every match. */
    int code = pcre2_match(search->regex->code, (PCRE2_SPTR)search->text, search->size, search->from,
                           PCRE2_NO_UTF_CHECK, search->data, search->context);
    if (code != PCRE2_ERROR_JIT_STACKLIMIT || search->stack) return code;
    search->stack = pcre2_jit_stack_create(1 << 16, STACK_LIMIT, search->regex->memory);
    if (!search->stack) return PCRE2_ERROR_NOMEMORY;
    pcre2_jit_stack_assign(search->context, NULL, search->stack);
    return match(search);
}

static ttt_status fail_match(const ttt_regex_search *search, int code)
{
    if (code == PCRE2_ERROR_NOMEMORY) return ttt_fail(TTT_ERR_MEMORY, "out of memory: cannot split the text");
    return ttt_fail(
        TTT_ERR_UNSUPPORTED,
        "the tokenizer's regular expression takes too much work on this text, from byte %zu of a part of it on",
        search->from);
}

ttt_status ttt_regex_next(ttt_regex_search *search, size_t *start, size_t *end, bool *found)
{
    *found = false;
    while (search->from <= search->size) {
        const int code = match(search);
        if (code == PCRE2_ERROR_NOMATCH) return TTT_OK;
        if (code < 0) return fail_match(search, code);
        const size_t *place = pcre2_get_ovector_pointer(search->data);
        *start = place[0];
        *end = place[1];
        if (*end < *start) return fail_match(search, code);
        if (*start == *end && search->matched && search->last_end == *end) {
            size_t length = 1;
            uint32_t character;
            if (*end < search->size) {
                const int decoded = ttt_utf8_decode(search->text + *end, search->size - *end, &character);
                if (decoded > 0) length = (size_t)decoded;
            }
            search->from = *end + length;
            continue;
        }
        search->from = search->last_end = *end;
        search->matched = *found = true;
        return TTT_OK;
    }
    return TTT_OK;
}

void ttt_regex_search_deinit(ttt_regex_search *search)
{
    pcre2_match_data_free(search->data);
    pcre2_match_context_free(search->context);
    pcre2_jit_stack_free(search->stack);
    ttt_buffer_deinit(&search->shown);
    *search = (ttt_regex_search){0};
}
