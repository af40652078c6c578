/* SPDX-License-Identifier: MIT
 *
 * What each block of a model is made of: `layers` in config.json and on the command line. The grammar is checked here;
 * which parts exist is the model layer's to say.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "config/forms.h"

typedef struct span {
    const char *text;
    size_t length;
} span;

static bool is(span s, const char *text) { return s.length == strlen(text) && memcmp(s.text, text, s.length) == 0; }

/* Takes off the front of *rest what comes before the first `separator`, which is dropped; *more says whether there was
 * one. */
static span cut(span *rest, char separator, bool *more)
{
    const char *at = memchr(rest->text, separator, rest->length);
    const span front = {rest->text, at ? (size_t)(at - rest->text) : rest->length};
    *more = at != NULL;
    const size_t used = front.length + *more;
    *rest = (span){rest->text + used, rest->length - used};
    return front;
}

static bool is_name(span part)
{
    for (size_t i = 0; i < part.length; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789_", part.text[i]) || !part.text[i]) return false;
    return part.length > 0;
}

/* ---- a block ---- */

static ttt_status bad_block(span block, int64_t index, const char *where, const char *what, span part)
{
    enum { SHOWN = 64 };
    return ttt_fail(TTT_ERR_FORMAT, "%s: block %lld of layers is \"%.*s\": %s \"%.*s\"", where, (long long)index,
                    (int)(block.length < SHOWN ? block.length : SHOWN), block.text, what,
                    (int)(part.length < SHOWN ? part.length : SHOWN), part.text);
}

static ttt_status check_block(span block, int64_t index, const char *where)
{
    span rest = block, conv = {0}, ffn = {0}, sequence = {0};
    bool more = true;
    if (block.length >= TTT_BLOCK_TEXT)
        return ttt_fail(TTT_ERR_FORMAT, "%s: block %lld of layers has more than %d characters", where, (long long)index,
                        TTT_BLOCK_TEXT - 1);
    while (more) {
        const span part = cut(&rest, '+', &more);
        if (!is_name(part)) return bad_block(block, index, where, "parts are names joined by \"+\", not", part);
        span *place = is(part, "conv") ? &conv : is(part, "ffn") ? &ffn : &sequence;
        if (place->text)
            return bad_block(
                block, index, where,
                place == &sequence ? "it may have one sequence part, and has also" : "this part may stand once:", part);
        *place = part;
    }
    return TTT_OK;
}

static ttt_status add(ttt_layers *layers, span block, const char *where)
{
    if (layers->count == TTT_BLOCKS_MAX)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has more than %d blocks", where, TTT_BLOCKS_MAX);
    TTT_TRY(check_block(block, layers->count, where));
    int kind = 0;
    while (kind < layers->kinds && !is(block, layers->kind[kind])) kind++;
    if (kind == TTT_BLOCK_KINDS)
        return ttt_fail(TTT_ERR_FORMAT, "%s: layers has more than %d different blocks", where, TTT_BLOCK_KINDS);
    if (kind == layers->kinds) {
        memcpy(layers->kind[kind], block.text, block.length);
        layers->kind[kind][block.length] = '\0';
        layers->kinds++;
    }
    layers->of[layers->count++] = (uint8_t)kind;
    return TTT_OK;
}

ttt_status ttt_layers_add(ttt_layers *layers, const char *text, size_t length, const char *where)
{
    return add(layers, (span){text, length}, where);
}

void ttt_layers_fill(ttt_layers *layers, const char *block, int64_t count)
{
    ttt_layers filled = {0};
    if (count >= 1 && count <= TTT_BLOCKS_MAX) {
        filled.count = count;
        filled.kinds = 1;
        snprintf(filled.kind[0], sizeof filled.kind[0], "%s", block);
    }
    *layers = filled;
}

/* ---- the command line ---- */

/* The usual block of a sequence part; conv, ffn and mamba are one by themselves. */
static span usual(span name, bool conv, char block[TTT_BLOCK_TEXT])
{
    const bool learns = name.length > 4 && memcmp(name.text, "ttt_", 4) == 0;
    if (name.length + sizeof "conv++ffn" > TTT_BLOCK_TEXT) return name; /* no such part exists */
    if (!is_name(name) || is(name, "conv") || is(name, "ffn") || is(name, "mamba")) return name;
    const int length = snprintf(block, TTT_BLOCK_TEXT, "%s%.*s+ffn", learns && conv ? "conv+" : "", (int)name.length,
                                name.text);
    return (span){block, (size_t)length};
}

/* N of "N*BLOCK", which is taken off; 1 without it, 0 if it is no number from 1 to the number of blocks allowed. */
static int64_t repeats(span *item)
{
    bool found;
    span rest = *item;
    const span number = cut(&rest, '*', &found);
    if (!found) return 1;
    int64_t value = 0;
    for (size_t i = 0; i < number.length; i++) {
        if (number.text[i] < '0' || number.text[i] > '9') return 0;
        value = 10 * value + (number.text[i] - '0');
        if (value > TTT_BLOCKS_MAX) return 0;
    }
    *item = rest;
    return value;
}

static ttt_status parse_item(ttt_layers *layers, span item, bool conv, const char *where)
{
    char text[TTT_BLOCK_TEXT];
    const span whole = item;
    const int64_t count = repeats(&item);
    if (count == 0)
        return ttt_fail(TTT_ERR_FORMAT, "%s: \"%.*s\" is no block: write N*BLOCK, with N from 1 to %d", where,
                        (int)(whole.length < 64 ? whole.length : 64), whole.text, TTT_BLOCKS_MAX);
    if (item.length >= 2 && item.text[0] == '"' && item.text[item.length - 1] == '"')
        item = (span){item.text + 1, item.length - 2};
    else if (!memchr(item.text, '+', item.length))
        item = usual(item, conv, text);
    for (int64_t i = 0; i < count; i++) TTT_TRY(add(layers, item, where));
    return TTT_OK;
}

ttt_status ttt_layers_parse(ttt_layers *layers, const char *text, bool conv)
{
    span rest = {text, strlen(text)};
    bool more = true;
    while (more) {
        const span item = cut(&rest, ',', &more);
        TTT_TRY(parse_item(layers, item, conv, "layers"));
    }
    return TTT_OK;
}

ttt_status ttt_layers_print(const ttt_config *config, ttt_buffer *out)
{
    const ttt_layers *layers = &config->layers;
    const int64_t count = layers->count ? layers->count : config->num_hidden_layers;
    for (int64_t i = 0, run; i < count; i += run) {
        const char *kind = ttt_config_block(config, i), *quote = strchr(kind, '+') ? "" : "\"";
        for (run = layers->count ? 1 : count; i + run < count && layers->of[i + run] == layers->of[i];) run++;
        if (i > 0) TTT_TRY(ttt_buffer_print(out, ","));
        if (run > 1) TTT_TRY(ttt_buffer_print(out, "%lld*", (long long)run));
        TTT_TRY(ttt_buffer_print(out, "%s%s%s", quote, kind, quote));
    }
    return TTT_OK;
}

/* ---- the blocks of a configuration ---- */

const char *ttt_config_block(const ttt_config *config, int64_t block)
{
    static const char *const usual_blocks[][2] = {[TTT_LEARNER_LINEAR] = {"ttt_linear+ffn", "conv+ttt_linear+ffn"},
                                                  [TTT_LEARNER_MLP] = {"ttt_mlp+ffn", "conv+ttt_mlp+ffn"}};
    if (block < 0 || block >= (config->layers.count ? config->layers.count : config->num_hidden_layers)) return NULL;
    if (config->layers.count) return config->layers.kind[config->layers.of[block]];
    return usual_blocks[config->ttt_layer_type == TTT_LEARNER_MLP][config->pre_conv];
}

void ttt_config_take_layers(ttt_config *config, const ttt_layers *layers)
{
    config->num_hidden_layers = layers->count;
    config->layers = (ttt_layers){0};
    for (int type = TTT_LEARNER_LINEAR; type <= TTT_LEARNER_MLP; type++)
        for (int conv = 0; conv < 2; conv++) {
            config->ttt_layer_type = (ttt_learner_kind)type;
            config->pre_conv = conv;
            if (layers->kinds == 1 && strcmp(layers->kind[0], ttt_config_block(config, 0)) == 0) return;
        }
    config->ttt_layer_type = TTT_LEARNER_LINEAR;
    config->pre_conv = false;
    config->layers = *layers;
    ttt_config_settle(config);
}
