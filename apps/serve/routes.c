/* SPDX-License-Identifier: MIT
 *
 * Every path of the server, and which function answers it.
 */
#include <string.h>

#include "handlers.h"

static const ttt_route routes[] = {
    {"GET", "/", TTT_ROUTE_DIRECT, ttt_handle_page},
    {"GET", "/health", TTT_ROUTE_OPEN | TTT_ROUTE_DIRECT, ttt_handle_health},
    {"GET", "/v1/health", TTT_ROUTE_OPEN | TTT_ROUTE_DIRECT, ttt_handle_health},
    {"GET", "/v1/models", TTT_ROUTE_DIRECT, ttt_handle_models},
    {"GET", "/metrics", TTT_ROUTE_DIRECT, ttt_handle_metrics},
    {"GET", "/slots", TTT_ROUTE_DIRECT, ttt_handle_slots},
    {"POST", "/slots/{}", 0, ttt_handle_slot_action},
    {"POST", "/v1/completions", 0, ttt_handle_completions},
    {"POST", "/v1/responses", 0, ttt_handle_response},
    {"GET", "/v1/responses/{}", 0, ttt_handle_response_get},
    {"DELETE", "/v1/responses/{}", 0, ttt_handle_response_delete},
    {"GET", "/v1/states", 0, ttt_handle_states},
    {"GET", "/v1/states/{}", 0, ttt_handle_state_get},
    {"PUT", "/v1/states/{}", TTT_ROUTE_STATE, ttt_handle_state_put},
    {"DELETE", "/v1/states/{}", 0, ttt_handle_state_delete},
    {"GET", "/v1/states/{}/tokens", 0, ttt_handle_state_tokens},
    {"POST", "/v1/states/{}/fork", 0, ttt_handle_state_fork},
    {"POST", "/v1/states/{}/rollback", 0, ttt_handle_state_rollback},
    {"POST", "/v1/chat/completions", 0, ttt_handle_chat},
    {"POST", "/tokenize", 0, ttt_handle_tokenize},
    {"POST", "/detokenize", 0, ttt_handle_detokenize},
    {"GET", "/tokenizer_info", 0, ttt_handle_tokenizer_info},
};

enum { ROUTES = sizeof routes / sizeof *routes };

static bool matches(const char *pattern, const char *path)
{
    for (; *pattern; pattern++) {
        if (*pattern != '{') {
            if (*pattern != *path++) return false;
            continue;
        }
        const size_t size = strcspn(path, "/");
        if (size == 0) return false;
        path += size;
        pattern++; /* its } */
    }
    return !*path;
}

const ttt_route *ttt_route_find(const char *method, const char *path, const char **methods)
{
    static const char *const sets[] = {NULL,
                                       "GET, HEAD",
                                       "POST",
                                       "GET, HEAD, POST",
                                       "PUT",
                                       "GET, HEAD, PUT",
                                       "POST, PUT",
                                       "GET, HEAD, POST, PUT",
                                       "DELETE",
                                       "GET, HEAD, DELETE",
                                       "POST, DELETE",
                                       "GET, HEAD, POST, DELETE",
                                       "PUT, DELETE",
                                       "GET, HEAD, PUT, DELETE",
                                       "POST, PUT, DELETE",
                                       "GET, HEAD, POST, PUT, DELETE"};
    static const char *const known[] = {"GET", "POST", "PUT", "DELETE"}; /* bits of the sets */
    if (strcmp(method, "HEAD") == 0) method = "GET";
    unsigned set = 0;
    for (int i = 0; i < ROUTES; i++) {
        if (!matches(routes[i].path, path)) continue;
        if (strcmp(routes[i].method, method) == 0) return &routes[i];
        for (unsigned m = 0; m < sizeof known / sizeof *known; m++)
            if (strcmp(known[m], routes[i].method) == 0) set |= 1u << m;
    }
    *methods = sets[set];
    return NULL;
}
