/* SPDX-License-Identifier: MIT
 *
 * GET /health, /v1/models: how the server is, and what it serves.
 */
#include "handlers.h"
#include "server.h"

void ttt_handle_health(ttt_request *request)
{
    if (atomic_load(&ttt_request_server(request)->phase) == TTT_SERVER_LOADING)
        ttt_answer_loading(request);
    else
        ttt_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

static json_int_t integer_of(const ttt_config *config, const char *key)
{
    int64_t value = 0;
    return ttt_config_get_integer(config, key, &value) == TTT_OK ? value : 0;
}

void ttt_handle_models(ttt_request *request)
{
    const ttt_server *server = ttt_request_server(request);
    const ttt_config *config = ttt_model_config(server->model);
    json_t *meta = json_pack("{s:I,s:I,s:I,s:I,s:I}", "n_vocab", (json_int_t)ttt_model_vocabulary(server->model),
                             "n_ctx_train", integer_of(config, "max_position_embeddings"), "n_embd",
                             integer_of(config, "hidden_size"), "n_params", (json_int_t)ttt_config_parameters(config),
                             "size", (json_int_t)server->file_bytes);
    ttt_answer_json(request, 200,
                    json_pack("{s:s,s:[{s:s,s:s,s:I,s:s,s:o}]}", "object", "list", "data", "id", server->alias,
                              "object", "model", "created", (json_int_t)server->created, "owned_by", "ttt", "meta",
                              meta));
}
