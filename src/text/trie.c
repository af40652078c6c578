/* SPDX-License-Identifier: MIT
 *
 * A byte trie whose nodes list their children: few strings, so small is better than fast; `starts` keeps the search
 * out of it almost everywhere.
 */
#include "text/trie.h"

#include "base/alloc.h"

static ttt_status node_new(ttt_trie *trie, unsigned char byte, uint32_t *index)
{
    TTT_TRY(ttt_array_reserve(&trie->nodes, &trie->capacity, (size_t)trie->count + 1, sizeof *trie->nodes));
    *index = trie->count++;
    trie->nodes[*index] = (ttt_trie_node){.value = -1, .byte = byte};
    return TTT_OK;
}

static uint32_t child_of(const ttt_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child = trie->nodes[node].child;
    while (child != 0 && trie->nodes[child].byte != byte) child = trie->nodes[child].sibling;
    return child;
}

ttt_status ttt_trie_add(ttt_trie *trie, const char *text, size_t size, int32_t value)
{
    uint32_t node = 0;
    if (trie->count == 0) TTT_TRY(node_new(trie, 0, &node));
    for (size_t i = 0; i < size; i++) {
        uint32_t child = child_of(trie, node, (unsigned char)text[i]);
        if (child == 0) {
            TTT_TRY(node_new(trie, (unsigned char)text[i], &child));
            trie->nodes[child].sibling = trie->nodes[node].child;
            trie->nodes[node].child = child;
        }
        node = child;
    }
    trie->nodes[node].value = value;
    trie->starts[(unsigned char)text[0]] = true;
    return TTT_OK;
}

int32_t ttt_trie_match(const ttt_trie *trie, const char *text, size_t size, size_t *length)
{
    int32_t value = -1;
    if (size == 0 || !trie->starts[(unsigned char)text[0]]) return value;
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        node = child_of(trie, node, (unsigned char)text[i]);
        if (node == 0) break;
        if (trie->nodes[node].value < 0) continue;
        value = trie->nodes[node].value;
        *length = i + 1;
    }
    return value;
}

int32_t ttt_trie_find(const ttt_trie *trie, const char **text, const char *end, size_t *length)
{
    const char *p = trie->nodes ? *text : end;
    int32_t value = -1;
    for (; p < end; p++) {
        if (!trie->starts[(unsigned char)*p]) continue;
        value = ttt_trie_match(trie, p, (size_t)(end - p), length);
        if (value >= 0) break;
    }
    *text = p;
    return value;
}

void ttt_trie_deinit(ttt_trie *trie)
{
    ttt_free(trie->nodes);
    *trie = (ttt_trie){0};
}
