/* SPDX-License-Identifier: MIT */
#include "template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

static const ttt_template known[] = {
    {.name = "plain",
     .system = "{content}\n\n",
     .user = "{system}User: {content}\n",
     .assistant = "Assistant: {content}\n",
     .generate = "Assistant:",
     .stops = {"\nUser:"}},
    {.name = "chatml",
     .system = "<|im_start|>system\n{content}<|im_end|>\n",
     .user = "{system}<|im_start|>user\n{content}<|im_end|>\n",
     .assistant = "<|im_start|>assistant\n{content}<|im_end|>\n",
     .generate = "<|im_start|>assistant\n",
     .stops = {"<|im_end|>"}},
    {.name = "llama2",
     .system = "<<SYS>>\n{content}\n<</SYS>>\n\n",
     .user = "<s>[INST] {system}{content} [/INST]",
     .assistant = " {content} </s>",
     .generate = "",
     .stops = {"</s>"}},
};

enum { KNOWN = sizeof known / sizeof *known };

/* ---- opening ---- */

static const ttt_template *find_known(const char *name)
{
    for (int i = 0; i < KNOWN; i++)
        if (strcmp(known[i].name, name) == 0) return &known[i];
    return NULL;
}

/* What the model's folder says of itself. */
static void read_config(ttt_template *t, const char *folder)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/tokenizer_config.json", folder) >= (int)sizeof path) return;
    t->config = json_load_file(path, 0, NULL);
    t->given = json_string_value(json_object_get(t->config, "chat_template"));
}

/* The template that is named: by one of our names, or by a program in which the marks of one stand. */
static const ttt_template *find_given(const char *given)
{
    const ttt_template *found = given ? find_known(given) : NULL;
    if (given && !found && strstr(given, "<|im_start|>")) found = find_known("chatml");
    if (given && !found && strstr(given, "[INST]")) found = find_known("llama2");
    return found ? found : &known[0];
}

static const char *pattern(const json_t *file, const char *role, bool content, const char *path, ttt_refusal *refusal)
{
    const char *text = json_string_value(json_object_get(file, role));
    if (!text)
        ttt_refuse(refusal, 400, NULL,
                   "%s has no text \"%s\": a chat template has system, user, assistant and generate", path, role);
    else if (content && !strstr(text, "{content}"))
        ttt_refuse(refusal, 400, NULL, "%s: \"%s\" has no {content}, where what was said is to stand", path, role);
    return text;
}

static void read_file(ttt_template *t, const char *path, ttt_refusal *refusal)
{
    json_error_t error;
    json_t *file = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!file) {
        ttt_refuse(refusal, 400, NULL,
                   "--chat-template %s is none of plain, chatml and llama2, and no file that can be read: %s", path,
                   error.text);
        return;
    }
    t->file = file;
    t->system = pattern(file, "system", true, path, refusal);
    t->user = pattern(file, "user", true, path, refusal);
    t->assistant = pattern(file, "assistant", true, path, refusal);
    t->generate = pattern(file, "generate", false, path, refusal);
    const json_t *stops = json_object_get(file, "stop"), *stop;
    size_t i;
    if (stops && (!json_is_array(stops) || json_array_size(stops) > TTT_TEMPLATE_STOPS))
        ttt_refuse(refusal, 400, NULL, "%s: \"stop\" is no array of at most %d texts", path, TTT_TEMPLATE_STOPS);
    if (refusal->status) return;
    json_array_foreach(stops, i, stop)
    {
        t->stops[i] = json_string_value(stop);
        if (!t->stops[i] || !*t->stops[i]) ttt_refuse(refusal, 400, NULL, "%s: \"stop\" has what is no text", path);
    }
}

bool ttt_template_open(ttt_template *t, const char *name, const char *folder, ttt_refusal *refusal)
{
    *t = (ttt_template){0};
    read_config(t, folder);
    const ttt_template *found = name ? find_known(name) : find_given(t->given);
    if (!found) {
        read_file(t, name, refusal);
        return refusal->status == 0;
    }
    json_t *config = t->config;
    const char *given = t->given;
    *t = *found;
    t->config = config;
    t->given = given;
    return true;
}

void ttt_template_close(ttt_template *t)
{
    json_decref(t->file);
    json_decref(t->config);
    *t = (ttt_template){0};
}

/* ---- messages to text ---- */

/* A text in runs: those of the template, and those that somebody said. They point to what they are of. */
typedef struct run {
    const char *text; /* [size] */
    size_t size;
    bool said;
} run;

typedef struct script {
    run *runs; /* [count] */
    size_t count, capacity;
    const json_t *held; /* content of the system, for the next user; NULL: none */
    ttt_refusal *refusal;
} script;

static void add_run(script *s, const char *text, size_t size, bool said)
{
    if (size == 0 || s->refusal->status) return;
    if (s->count == s->capacity) {
        const size_t capacity = s->capacity ? 2 * s->capacity : 16;
        run *runs = realloc(s->runs, capacity * sizeof *runs);
        if (!runs) {
            ttt_refuse(s->refusal, 503, NULL, "the server is out of memory");
            return;
        }
        s->runs = runs;
        s->capacity = capacity;
    }
    s->runs[s->count++] = (run){text, size, said};
}

/* What was said: a string, or an array of {"type": "text", "text": ...}. `trim`: without blanks at its start. */
static void add_content(script *s, const json_t *content, bool trim)
{
    const json_t *part;
    size_t i;
    if (json_is_string(content)) {
        const char *text = json_string_value(content);
        const size_t blanks = trim ? strspn(text, " ") : 0;
        add_run(s, text + blanks, json_string_length(content) - blanks, true);
    } else if (json_is_array(content)) {
        json_array_foreach(content, i, part)
        {
            const json_t *text = json_object_get(part, "text");
            if (json_is_string(text))
                add_run(s, json_string_value(text), json_string_length(text), true);
            else
                ttt_refuse(s->refusal, 400, "messages", "a message has a part that is no text");
        }
    } else if (content && !json_is_null(content)) {
        ttt_refuse(s->refusal, 400, "messages", "the content of a message is %s; a text is expected",
                   ttt_json_kind(content));
    }
}

/* A pattern with what is said in its place. */
static void add_pattern(script *s, const ttt_template *t, const char *pattern, const json_t *content, bool trim)
{
    static const char said[] = "{content}", system[] = "{system}";
    while (*pattern) {
        const char *mark = pattern;
        while (*mark && strncmp(mark, said, sizeof said - 1) != 0 && strncmp(mark, system, sizeof system - 1) != 0)
            mark++;
        add_run(s, pattern, (size_t)(mark - pattern), false);
        if (!*mark) return;
        const bool is_said = strncmp(mark, said, sizeof said - 1) == 0;
        const json_t *held = s->held;
        pattern = mark + (is_said ? sizeof said : sizeof system) - 1;
        if (is_said) add_content(s, content, trim);
        if (is_said || !held) continue;
        s->held = NULL;
        add_pattern(s, t, t->system, held, false);
    }
}

/* What the system said stands where the pattern of the user has it, else in its turn. */
static void add_message(script *s, const ttt_template *t, const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    if (!role) {
        ttt_refuse(s->refusal, 400, "messages", "a message has no role");
    } else if (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0) {
        const json_t *held = s->held;
        s->held = NULL;
        if (held) add_pattern(s, t, t->system, held, false);
        if (strstr(t->user, "{system}"))
            s->held = content;
        else
            add_pattern(s, t, t->system, content, false);
    } else if (strcmp(role, "user") == 0) {
        add_pattern(s, t, t->user, content, false);
    } else if (strcmp(role, "assistant") == 0) {
        add_pattern(s, t, t->assistant, content, true); /* an answer begins with the blank that a pattern may have */
    } else {
        ttt_refuse(s->refusal, 400, "messages",
                   "a message is of the role \"%.20s\": system, user and assistant are known", role);
    }
}

static void write_script(script *s, const ttt_template *t, const json_t *messages)
{
    const json_t *message;
    size_t i;
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        ttt_refuse(s->refusal, 400, "messages", "messages is %s; an array of at least one message is expected",
                   json_is_array(messages) ? "empty"
                   : messages              ? ttt_json_kind(messages)
                                           : "missing");
    json_array_foreach(messages, i, message) if (!s->refusal->status) add_message(s, t, message);
    if (s->held) add_pattern(s, t, t->system, s->held, false);
    add_run(s, t->generate, strlen(t->generate), false);
}

/* ---- text to ids ---- */

static void encode(const ttt_server *server, const char *text, size_t size, bool special, ttt_ids *ids,
                   ttt_refusal *refusal)
{
    const ttt_status status = ttt_tokenizer_encode(server->tokenizer, text, size, special, ids);
    if (status == TTT_OK) return;
    ttt_refuse(refusal, status == TTT_ERR_MEMORY ? 503 : 400, "messages", "%s", ttt_error_detail());
}

/* Whether something that was said would be taken for a special token. */
static bool has_special(const script *s, const ttt_server *server)
{
    bool has = false;
    for (size_t i = 0; i < s->count && !has && !s->refusal->status; i++) {
        ttt_ids text = {0}, special = {0};
        if (!s->runs[i].said) continue;
        encode(server, s->runs[i].text, s->runs[i].size, false, &text, s->refusal);
        encode(server, s->runs[i].text, s->runs[i].size, true, &special, s->refusal);
        has = text.count != special.count ||
              (text.count > 0 && memcmp(text.data, special.data, text.count * sizeof *text.data) != 0);
        ttt_ids_deinit(&text);
        ttt_ids_deinit(&special);
    }
    return has;
}

/* As one text, which is how models are trained; run by run only where it would mean something else. */
static void encode_script(const script *s, const ttt_server *server, ttt_ids *ids)
{
    ttt_bytes all = {0};
    const bool apart = has_special(s, server);
    for (size_t i = 0; i < s->count && !s->refusal->status; i++) {
        const run *r = &s->runs[i];
        if (apart)
            encode(server, r->text, r->size, !r->said, ids, s->refusal);
        else
            ttt_bytes_add(&all, r->text, r->size);
    }
    if (all.failed) ttt_refuse(s->refusal, 503, NULL, "the server is out of memory");
    if (!s->refusal->status && all.size > 0) encode(server, all.data, all.size, true, ids, s->refusal);
    ttt_bytes_free(&all);
}

void ttt_template_apply(const ttt_template *t, const ttt_server *server, const json_t *messages, bool begins,
                        ttt_ids *ids, ttt_refusal *refusal)
{
    const int32_t bos = (int32_t)ttt_tokenizer_bos(server->tokenizer);
    script s = {.refusal = refusal};
    write_script(&s, t, messages);
    if (begins && ttt_tokenizer_adds_bos(server->tokenizer) && ttt_ids_append(ids, bos) != TTT_OK)
        ttt_refuse(refusal, 503, NULL, "the server is out of memory");
    if (!refusal->status) encode_script(&s, server, ids);
    if (!refusal->status && ids->count == 0)
        ttt_refuse(refusal, 400, "messages", "messages have no text, and nothing can be written behind nothing");
    if (ids->count > 1 && ids->data[0] == bos && ids->data[1] == bos) /* the template has it too */
        memmove(ids->data, ids->data + 1, --ids->count * sizeof *ids->data);
    free(s.runs);
}

/* Drops `text` from the beginning of a script, if it begins so. */
static void drop(script *s, const char *text)
{
    const char *rest = text;
    for (size_t i = 0; i < s->count && *rest; i++) {
        const size_t size = strlen(rest) < s->runs[i].size ? strlen(rest) : s->runs[i].size;
        if (memcmp(rest, s->runs[i].text, size) != 0) return;
        rest += size;
    }
    if (*rest) return;
    size_t left = strlen(text);
    for (size_t i = 0; left > 0; i++) {
        const size_t size = left < s->runs[i].size ? left : s->runs[i].size;
        s->runs[i].text += size;
        s->runs[i].size -= size;
        left -= size;
    }
}

void ttt_template_go_on(const ttt_template *t, const ttt_server *server, const char *tail, const json_t *messages,
                        ttt_ids *ids, ttt_refusal *refusal)
{
    static const char said[] = "{content}";
    script s = {.refusal = refusal};
    const char *end = strstr(t->assistant, said) + sizeof said - 1;
    add_run(&s, end, strlen(end), false);
    write_script(&s, t, messages);
    if (!refusal->status) drop(&s, tail);
    if (!refusal->status) encode_script(&s, server, ids);
    free(s.runs);
}

/* ---- the end of an answer ---- */

void ttt_template_stop(const ttt_template *t, const ttt_server *server, ttt_generate_options *o, char **strings,
                       ttt_refusal *refusal)
{
    for (int i = 0; i < TTT_TEMPLATE_STOPS && t->stops[i] && !refusal->status; i++) {
        ttt_ids text = {0}, special = {0};
        const size_t size = strlen(t->stops[i]);
        encode(server, t->stops[i], size, false, &text, refusal);
        encode(server, t->stops[i], size, true, &special, refusal);
        const bool is_special = special.count == 1 && (text.count != 1 || text.data[0] != special.data[0]);
        if (is_special && o->eos_count < TTT_EOS_IDS) {
            o->eos[o->eos_count++] = special.data[0];
        } else if (!refusal->status) {
            strings[o->stop_count] = strdup(t->stops[i]);
            if (strings[o->stop_count])
                o->stop_count++;
            else
                ttt_refuse(refusal, 503, NULL, "the server is out of memory");
        }
        ttt_ids_deinit(&text);
        ttt_ids_deinit(&special);
    }
}
