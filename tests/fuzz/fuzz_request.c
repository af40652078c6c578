/* SPDX-License-Identifier: MIT
 *
 * What a client sends: a line (a path, a key, an origin), then a body. Whatever the bytes, reading ends, and what it
 * accepts can be given to a session.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/prompt.h"
#include "serve/request.h"
#include "serve/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const keys[] = {"key"};
static const ttt_serve_options options = {.keys = keys, .key_count = 1, .max_tokens = 1000, .cors = "http://a"};
static ttt_server server = {.options = &options};
static ttt_http http = {.server = &server};

static void forget(void)
{
    ttt_template_close(&server.chat);
    ttt_pieces_free(server.pieces);
    ttt_model_free(server.model);
    ttt_tokenizer_free(server.tokenizer);
}

static void make(void)
{
    ttt_refusal refusal = {0};
    ttt_config *config;
    if (ttt_config_new(&config) != TTT_OK) abort();
    static const char *const settings[][2] = {{"vocab_size", "257"},        {"hidden_size", "4"},
                                              {"intermediate_size", "4"},   {"num_hidden_layers", "1"},
                                              {"num_attention_heads", "1"}, {"bos_token_id", "0"}};
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (ttt_config_set(config, settings[i][0], settings[i][1]) != TTT_OK) abort();
    const ttt_model_options compute = {.backend = "ref", .threads = 1};
    if (ttt_model_new(&server.model, config, 1, &compute) != TTT_OK ||
        ttt_tokenizer_new_bytes(&server.tokenizer) != TTT_OK)
        abort();
    ttt_config_free(config);
    ttt_generate_options_init(&server.defaults);
    server.pieces = ttt_pieces_new(server.tokenizer);
    if (!server.pieces || !ttt_template_open(&server.chat, "chatml", "", &refusal)) abort();
    atexit(forget);
}

static void check_line(const char *line)
{
    char owner[TTT_OWNER];
    const char *methods;
    (void)ttt_route_find("GET", line, &methods);
    if (ttt_auth_check(&server, line, owner) && strlen(owner) != TTT_OWNER - 1) abort();
    (void)ttt_auth_origin(&server, line, "127.0.0.1:8080");
}

static void check_ids(const ttt_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++)
        if (ids->data[i] < 0 || ids->data[i] >= 257) abort();
}

static void check_body(ttt_request *request)
{
    ttt_fields fields;
    ttt_params params = {0};
    ttt_prompts prompts = {0};
    ttt_ids ids = {0};
    ttt_fields_open(&fields, request);
    if (!fields.refusal.status) {
        ttt_params_read(&params, &fields, &server, "max_tokens", 16);
        ttt_template_apply(&server.chat, &server, ttt_field(&fields, "messages"), true, &ids, &fields.refusal);
        fields.refusal = (ttt_refusal){0};
        ttt_prompts_read(&prompts, &server, &fields, true, true);
    }
    for (int64_t i = 0; i < prompts.count; i++) check_ids(&prompts.list[i].ids);
    check_ids(&ids);
    ttt_prompts_free(&prompts);
    ttt_params_free(&params);
    ttt_ids_deinit(&ids);
    ttt_fields_close(&fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!server.model) make();
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    const size_t line = end ? (size_t)(end - data) : 0;
    char *text = calloc(line + 1, 1);
    if (!text) abort();
    if (line > 0) memcpy(text, data, line);
    check_line(text);
    free(text);
    ttt_request request = {.http = &http};
    if (end) ttt_bytes_add(&request.body, end + 1, size - line - 1);
    check_body(&request);
    ttt_bytes_free(&request.body);
    return 0;
}
