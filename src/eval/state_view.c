/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "eval/verify.h"

ttt_status ttt_state_view_read(ttt_state_view *view, const ttt_state *state, const ttt_layer *layer)
{
    const ttt_backend *b = state->model->backend;
    *view = (ttt_state_view){0};
    view->count = layer->ops->view_pieces(layer, b, view->pieces);
    for (int i = 0; i < view->count; i++) view->elements += ttt_piece_elements(&view->pieces[i]);
    view->values = ttt_alloc((size_t)view->elements, b->real);
    if (!view->values) return TTT_ERR_MEMORY;
    const ttt_run run = {.position = state->position, .state = state->fixed, .grown = state->grown};
    return layer->ops->view(layer, b, &run, view->values);
}
