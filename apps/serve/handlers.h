/* SPDX-License-Identifier: MIT
 *
 * The functions that routes.c names. Each answers its request, now or later.
 */
#ifndef TTT_SERVE_HANDLERS_H
#define TTT_SERVE_HANDLERS_H

#include "http.h"

void ttt_handle_health(ttt_request *request);
void ttt_handle_models(ttt_request *request);
void ttt_handle_metrics(ttt_request *request);
void ttt_handle_slots(ttt_request *request);
void ttt_handle_slot_action(ttt_request *request);

void ttt_handle_completions(ttt_request *request);
void ttt_handle_chat(ttt_request *request);

void ttt_handle_response(ttt_request *request);
void ttt_handle_response_get(ttt_request *request);
void ttt_handle_response_delete(ttt_request *request);

void ttt_handle_states(ttt_request *request);
void ttt_handle_state_get(ttt_request *request);
void ttt_handle_state_tokens(ttt_request *request);
void ttt_handle_state_put(ttt_request *request);
void ttt_handle_state_delete(ttt_request *request);
void ttt_handle_state_fork(ttt_request *request);
void ttt_handle_state_rollback(ttt_request *request);

void ttt_handle_page(ttt_request *request);

void ttt_handle_tokenize(ttt_request *request);
void ttt_handle_detokenize(ttt_request *request);
void ttt_handle_tokenizer_info(ttt_request *request);

#endif
